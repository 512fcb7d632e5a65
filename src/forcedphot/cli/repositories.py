"""Butler repositories for the commands that read one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsst.daf.butler import Butler


@contextmanager
def open_to_read(repository: str, collections: str | None, *, wanted: str) -> Iterator[Butler]:
    """Open a repository, ours or one that the stack has written; errors are those of `butler_errors`.

    Parameters
    ----------
    repository
        Its folder or label.
    collections
        Names of its default collections, separated by commas; none if None.
    wanted
        What is looked for in it.
    """
    from lsst.daf.butler import Butler

    from ..io.formatters.stack_names import install

    install()
    named = [name.strip() for name in (collections or "").split(",") if name.strip()]
    with (
        butler_errors(repository, wanted=wanted),
        Butler.from_config(repository, collections=named or None, writeable=False) as butler,
    ):
        yield butler


@contextmanager
def butler_errors(repository: object, *, wanted: str) -> Iterator[None]:
    """Say in one line what the Butler did not find, or understand.

    Parameters
    ----------
    repository
        Where.
    wanted
        What was looked for.

    Raises
    ------
    ConfigurationError
        If it was asked for what is not there, or the repository is damaged.
    FileFormatError
        If a file is not as long as it was.
    """
    from lsst.daf.butler import ButlerUserError, FileIntegrityError

    from ..errors import ConfigurationError, FileFormatError, ForcedPhotError

    try:
        yield
    except (ForcedPhotError, OSError):
        raise
    except Exception as error:  # the Butler, its database and its parsers raise what they like
        reason = " ".join(str(error).split())
        if isinstance(error, FileIntegrityError):
            raise FileFormatError(f"A file of {repository} is damaged: {reason}") from error
        kind = "" if isinstance(error, ButlerUserError | ValueError) else f"{type(error).__name__}: "
        raise ConfigurationError(f"The Butler of {repository} cannot find {wanted}: {kind}{reason}") from error
