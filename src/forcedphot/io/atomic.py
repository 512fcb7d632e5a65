"""Write a file whole or not at all."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError


@contextmanager
def atomic_output(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path in the same folder, and rename the file to ``path`` when the block ends.

    If the block raises, the temporary file is removed and an earlier file ``path`` stays as it was.

    Parameters
    ----------
    path
        Where the file shall be.
    overwrite
        Replace an existing file.

    Yields
    ------
    A path with the same ending, at which there is no file yet.

    Raises
    ------
    OutputError
        If the file exists and shall not be replaced, or its folder does not, or it cannot be written.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite)
    temporary = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_output(path: str | Path, *, overwrite: bool) -> None:
    """Tell before the work begins that its result could not be written.

    Raises
    ------
    OutputError
        If the file exists and shall not be replaced, or its folder does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file in it.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; give another name, or ask to overwrite it.")
    if not path.parent.is_dir():
        raise OutputError(f"There is no folder {path.parent}; make it first.")
