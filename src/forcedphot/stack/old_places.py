"""What ``inputs`` of the old Butler meant among the repositories of today: which one, and which collection."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

_RERUN = "rerun"
_CONFIGURATION = "butler.yaml"


class OldPlace(NamedTuple):
    """Where data are: a repository, and a collection of it."""

    repository: str
    collection: str


def find_place(inputs: str | Path) -> OldPlace:
    """Find what the old Butler would have opened.

    Parameters
    ----------
    inputs
        The label of a repository in the Butler's index; the folder of one; or ``ROOT/rerun/NAME``, the outputs of
        a run. The run is the collection called NAME, or that ends in ``/NAME``: of the repository ROOT, or, if
        there is none in that folder, of the local repositories in the index. Without a run, it is the collection
        that chains all others.

    Raises
    ------
    ConfigurationError
        If it is none of these, or more than one.
    """
    from lsst.daf.butler import Butler

    text = str(inputs).rstrip("/")
    labels = Butler.get_known_repos()
    if text in labels:
        return _whole(str(Butler.get_repo_uri(text)))
    if _is_repository(Path(text)):
        return _whole(text)
    root, run = _split(text)
    if not run:
        raise ConfigurationError(
            f"There is no repository {text}: give the label of one ({_listed(labels)}), its folder, "
            f"or ROOT/{_RERUN}/NAME."
        )
    if _is_repository(Path(root)):
        repositories = [root]
    else:
        uris = [Butler.get_repo_uri(label) for label in sorted(labels)]
        repositories = list(dict.fromkeys(uri.ospath for uri in uris if uri.isLocal and uri.exists()))
    found = [place for repository in repositories for place in _of_run(repository, run)]
    if len(found) == 1:
        return found[0]
    where = (
        f"the repository {root}" if repositories == [root] else f"any repository with a label ({_listed(labels)})"
    )
    if not found:
        raise ConfigurationError(
            f"No collection of {where} is called {run}, or ends in /{run}. Labels are those of the file that "
            "DAF_BUTLER_REPOSITORY_INDEX names."
        )
    raise ConfigurationError(
        f"More than one collection is called {run}: "
        + "; ".join(f"{place.collection} of {place.repository}" for place in found)
        + ". Give the repository's own folder instead of ROOT, and more of the collection's name."
    )


def _is_repository(path: Path) -> bool:
    return (path / _CONFIGURATION).is_file() or (path.name == _CONFIGURATION and path.is_file())


def _split(text: str) -> tuple[str, str]:
    """Split ``ROOT/rerun/NAME``; the name is empty if it is no such path."""
    parts = PurePosixPath(text).parts
    if _RERUN not in parts:
        return text, ""
    at = parts.index(_RERUN)
    return str(PurePosixPath(*parts[:at])), "/".join(parts[at + 1 :])


def _whole(repository: str) -> OldPlace:
    from lsst.daf.butler import CollectionType

    with _open(repository) as butler:
        chains = butler.collections.query_info("*", CollectionType.CHAINED)
        children = {child for chain in chains for child in chain.children}
        found = [chain.name for chain in chains if chain.name not in children]
    if len(found) != 1:
        raise ConfigurationError(
            f"The repository {repository} has {len(found)} collections that chain others ({_listed(found)}); "
            f"give {repository}/{_RERUN}/NAME with the name of one."
        )
    return OldPlace(repository, found[0])


def _of_run(repository: str, run: str) -> list[OldPlace]:
    with _open(repository) as butler:
        names = butler.collections.query("*")
    return [OldPlace(repository, name) for name in names if name == run or name.endswith(f"/{run}")]


def _open(repository: str) -> Butler:
    from lsst.daf.butler import Butler

    return Butler.from_config(repository)


def _listed(names: object) -> str:
    return ", ".join(sorted(map(str, names))) if names else "there is none"  # type: ignore[call-overload]
