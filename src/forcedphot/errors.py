"""Errors: one root, each leaf also a built-in type; the command line exits with ``exit_code``.

Per-source trouble is never an exception: it is a NaN value and a flag in the output row.
Everything here is about a whole input (a table, an image, a configuration) that cannot be used.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self


class ForcedPhotError(Exception):
    """Root of all errors that forcedphot raises on purpose."""

    exit_code = 1


class ConfigurationError(ForcedPhotError, ValueError):
    """A configuration that cannot be run: unknown plugin, a slot that nothing fills, bad radii."""

    exit_code = 2


class InputTableError(ForcedPhotError, ValueError):
    """A table of positions that cannot be used: missing column, wrong unit, ids that are no integers."""

    exit_code = 3


class ExposureError(ForcedPhotError, ValueError):
    """An image that lacks what the measurement needs: no PSF, no WCS, no variance, shapes that differ."""

    exit_code = 4


class FileFormatError(ForcedPhotError, OSError):
    """A file that is damaged, truncated, or not of a supported format."""

    exit_code = 5


class UnsafeContentError(FileFormatError):
    """A file that asks for code outside the allow-list (a pickled PSF); nothing of it was run."""

    exit_code = 6


class OffImageError(ForcedPhotError, ValueError):
    """Positions outside the image, where the configuration asks for an error instead of flagged rows."""

    exit_code = 7


class OutputError(ForcedPhotError, OSError):
    """A result that cannot be written; an earlier file of that name is left as it was."""

    exit_code = 8


class RemoteFileError(ForcedPhotError, OSError):
    """A remote file that cannot be fetched: no credentials, no connection, a scheme that is not known."""

    exit_code = 10


class SimulationError(ForcedPhotError, RuntimeError):
    """A simulation whose processes died; what is complete stays, and it can be started again."""

    exit_code = 11


class QuantaFailedError(ForcedPhotError, RuntimeError):
    """Quanta of a pipeline that failed; what the others have made stays, and the rest can be done later."""

    exit_code = 13


class MissingExtraError(ForcedPhotError, ImportError):
    """A package that is asked for by an extra of forcedphot only, and is not installed."""

    exit_code = 12


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Say which extra has what is imported here.

    Raises
    ------
    MissingExtraError
        If a module is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{error.name} is not installed: pip install 'forcedphot[{extra}]'", name=error.name
        ) from error


class UnknownFieldError(ForcedPhotError, KeyError):
    """A name that is no field of a catalog, nor an alias of one."""

    exit_code = 9

    def __init__(self, name: str, fields: Iterable[str]) -> None:
        known = list(fields)
        similar = difflib.get_close_matches(name, known, n=3)
        hint = f"similar ones are {', '.join(similar)}" if similar else f"it has {len(known)} others"
        super().__init__(f"The catalog has no field {name!r}; {hint}.")
        self._arguments = name, known

    def __reduce__(self) -> tuple[type[Self], tuple[str, list[str]]]:
        """Say how another process makes it."""
        return type(self), self._arguments

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it
