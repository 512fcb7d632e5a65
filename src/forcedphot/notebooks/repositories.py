"""Repositories for a notebook: those that have a label, and simulated ones in place of those that have none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import ConfigurationError
from ..survey import simulate
from ..survey.labels import INDEX_NAME, read_labels
from ..survey.profiles import find_profile
from ..survey.repository import is_survey, stored_plan

_INDEX_VARIABLE = "DAF_BUTLER_REPOSITORY_INDEX"
_INLINE_VARIABLE = "DAF_BUTLER_REPOSITORIES"


def default_folder(size: str) -> Path:
    """Return where simulated surveys of a size are kept for all notebooks."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "forcedphot" / "surveys" / size


def find_repositories(
    profiles: Sequence[str], *, repository: Path | None = None, size: str = "small", progress: bool = True
) -> dict[str, str]:
    """Find the repositories of profiles, and simulate those that are not there.

    Parameters
    ----------
    profiles
        Names of profiles.
    repository
        Where that of the only profile is, or shall be made. None: what has the profile's label in the Butler's
        index, else a simulated survey in `default_folder`.
    size
        Of surveys that are simulated now.
    progress
        Show progress bars on standard error.

    Returns
    -------
    Places by label, for all labels that are known.

    Raises
    ------
    ConfigurationError
        If a repository is given for more or fewer than one profile, or is a survey of another.
    OutputError, SimulationError
        As `simulate` does.
    """
    from lsst.daf.butler import Butler

    if repository is not None and len(profiles) != 1:
        raise ConfigurationError(
            f"A repository is given, and {len(profiles)} profiles are needed ({', '.join(profiles) or 'none'}); "
            "say whose it is with --profile."
        )
    labels = {label: str(Butler.get_repo_uri(label)) for label in Butler.get_known_repos()}
    for name in profiles:
        label = find_profile(name).label
        if repository is not None:
            labels[label] = _complete(repository.absolute(), name, size, progress=progress)
        elif label not in labels:
            labels[label] = _complete(default_folder(size) / name, name, size, progress=progress)
    return labels


@contextmanager
def index_environment(labels: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give environment variables with which the Butler knows labels, and no others, while the block runs."""
    import yaml

    with TemporaryDirectory(prefix="forcedphot-") as folder:
        index = Path(folder) / INDEX_NAME
        index.write_text(yaml.safe_dump(dict(labels)), encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if name != _INLINE_VARIABLE}
        yield {**kept, _INDEX_VARIABLE: str(index)}


def _complete(path: Path, profile: str, size: str, *, progress: bool) -> str:
    """Make a survey, or what is missing of it, whatever its size; take any other repository as it is."""
    label, seed = find_profile(profile).label, 1
    if is_survey(path):
        plan = stored_plan(path)
        if plan.profile.name != profile:
            raise ConfigurationError(f"{path} is a survey of the profile {plan.profile.name}, not of {profile}.")
        size, seed = plan.size.name, plan.seed
        # The label is what a survey is given last.
        is_complete = read_labels(path.with_name(INDEX_NAME)).get(label) == str(path)
    else:
        is_complete = (path / "butler.yaml").exists()
    if not is_complete:
        path.parent.mkdir(parents=True, exist_ok=True)
        simulate(path, profile=profile, size=size, seed=seed, progress=progress)
    return str(path)
