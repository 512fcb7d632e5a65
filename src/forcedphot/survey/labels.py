"""Labels: short names for repositories, in the index file that DAF_BUTLER_REPOSITORY_INDEX names."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigurationError
from ..io.atomic import atomic_output, check_output

INDEX_NAME = "repos.yaml"
"""Of the index beside a repository."""


def check_label(index: Path, label: str, repository: Path) -> None:
    """Tell before the work begins that a label could not be given.

    Raises
    ------
    ConfigurationError
        If the label is that of another repository which is there, or the index is none.
    OutputError
        If the index cannot be written.
    """
    if index.parent != repository.parent:  # which is made with the repository
        check_output(index, overwrite=True)
    other = read_labels(index).get(label)
    if other is None or Path(other).resolve() == repository.resolve():
        return
    if "://" in other or Path(other).exists():
        raise ConfigurationError(
            f"{index} has the label {label!r} for {other}; give another label, or another index."
        )


def add_label(index: Path, label: str, repository: Path) -> None:
    """Give a repository a label; other entries of the index stay what they are.

    Raises
    ------
    ConfigurationError, OutputError
        As `check_label` does.
    """
    import yaml

    with _alone_in(index.parent):
        check_label(index, label, repository)
        labels = read_labels(index)
        if labels.get(label) == str(repository):
            return
        with atomic_output(index, overwrite=True) as temporary:
            text = yaml.safe_dump({**labels, label: str(repository)}, sort_keys=False)
            temporary.write_text(text, encoding="utf-8")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let others who add labels wait: each writes what it has read, and what is its own."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_labels(index: Path) -> dict[str, str]:
    """Read an index: places of repositories by label; none if there is no such file.

    Raises
    ------
    ConfigurationError
        If the file is none.
    """
    import yaml

    if index.suffix not in (".yaml", ".yml"):
        raise ConfigurationError(f"The index {index} should have the ending .yaml; the Butler goes by it.")
    if not index.exists():
        return {}
    try:
        labels = yaml.safe_load(index.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The index {index} is no YAML: {error}.") from error
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ConfigurationError(f"The index {index} should have lines like 'dp1: path'; it has something else.")
    return labels
