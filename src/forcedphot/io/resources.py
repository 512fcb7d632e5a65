"""Where files are: local paths, and URIs of lsst.resources, of which only the needed bytes are fetched.

A path inside a file is never followed; only what the caller names is opened. The handles of lsst.resources for
http(s) and s3 fetch ranges; the tests reach servers of both on their own machine.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..errors import FileFormatError, ForcedPhotError, InputTableError, RemoteFileError

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.*", re.DOTALL)
_FILE_SCHEME = "file"
_GZIP_START = b"\x1f\x8b"
_MAX_UNPACKED_BYTES = 1 << 33
_COPY_BYTES = 1 << 20
_FETCH_BYTES = 1 << 18
_MAX_KEPT_FETCHES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A file that is open for reading.

    Parameters
    ----------
    name
        What the caller named it, for messages.
    stream
        Its content, from any place on; unpacked if it is compressed with gzip.
    size
        Bytes of the content.
    """

    name: str
    stream: IO[bytes]
    size: int

    def __str__(self) -> str:
        return self.name


def is_uri(place: str | os.PathLike[str]) -> bool:
    """Tell whether a place is a URI, and no path of the file system."""
    return isinstance(place, str) and _URI.fullmatch(place) is not None


def local_path(place: str | os.PathLike[str]) -> Path | None:
    """Return the path of a local file, named by its path or a ``file`` URI; None for a remote one.

    Raises
    ------
    RemoteFileError
        If it is the URI of a file on another machine.
    """
    if not is_uri(place):
        return Path(place)
    parts = urlsplit(str(place))
    if parts.scheme.lower() != _FILE_SCHEME:
        return None
    if parts.netloc not in ("", "localhost"):
        raise RemoteFileError(f"{place} is on the machine {parts.netloc!r}; file URIs begin with file:///.")
    return Path(unquote(parts.path))


def file_name(place: str | os.PathLike[str]) -> str:
    """Return the name of a file without its folders, and without what a URI has behind it."""
    return PurePosixPath(unquote(urlsplit(str(place)).path)).name if is_uri(place) else Path(place).name


def check_table_file(path: str | os.PathLike[str]) -> None:
    """Raise unless there is such a file, as far as can be told without asking another machine.

    Raises
    ------
    InputTableError
        If there is not.
    """
    local = local_path(path)
    if local is not None and not local.is_file():
        raise InputTableError(f"There is no file {path}." if not local.exists() else f"{path} is not a file.")


@contextmanager
def open_source(place: str | os.PathLike[str] | Source, *, whole: bool = False) -> Iterator[Source]:
    """Open a local or remote file.

    Parameters
    ----------
    place
        A path, or a URI that lsst.resources knows, such as https://, s3:// and file://. A `Source` is given back
        as it is.
    whole
        Most of the file will be read: a remote one is copied first, which takes fewer requests. Otherwise only
        the parts are fetched that are read, if the server can do that.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    RemoteFileError
        If it cannot be fetched.
    FileFormatError
        If it is compressed and damaged, or far larger than it seems.
    """
    if isinstance(place, Source):
        yield place
        return
    with ExitStack() as stack:
        local = local_path(place)
        stream = _open_remote(stack, str(place), whole=whole) if local is None else _open_local(stack, local)
        name = str(place if local is None else local)
        if stream.read(len(_GZIP_START)) == _GZIP_START:
            stream.seek(0)
            stream = stack.enter_context(_unpacked(stream, name))
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        yield Source(name, stream, size)


@contextmanager
def local_copy(place: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a local file, or of a temporary copy of a remote one, which keeps the ending of its name.

    Raises
    ------
    FileNotFoundError
        If there is no such remote file.
    RemoteFileError
        If it cannot be fetched.
    """
    local = local_path(place)
    if local is not None:
        yield local
        return
    with ExitStack() as stack:
        with _fetching(str(place)):
            copy = stack.enter_context(_resource_path(str(place)).as_local())
        yield Path(copy.ospath)


def _open_local(stack: ExitStack, path: Path) -> IO[bytes]:
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise FileFormatError(f"{path} is not a file.")
    return stack.enter_context(path.open("rb"))


def _open_remote(stack: ExitStack, uri: str, *, whole: bool) -> IO[bytes]:
    if whole:
        return stack.enter_context(stack.enter_context(local_copy(uri)).open("rb"))
    with _fetching(uri):
        handle = stack.enter_context(_resource_path(uri).open("rb"))
        if isinstance(handle, io.BytesIO):  # lsst.resources has fetched everything, as the server has no ranges
            return handle
        return io.BufferedReader(_Fetched(uri, handle))


def _resource_path(uri: str) -> ResourcePath:
    from lsst.resources import ResourcePath

    return ResourcePath(uri, forceDirectory=False)


@contextmanager
def _fetching(uri: str) -> Iterator[None]:
    """Say in errors which file could not be fetched, and what can be done."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"There is no file {uri}, or it may not be seen without credentials ({error})."
        ) from error
    except RemoteFileError:
        raise
    except ImportError as error:
        raise RemoteFileError(
            f"{uri} cannot be fetched: {str(error).rstrip('.')}. The package lsst-resources[https,s3,gs] brings "
            "what its schemes need."
        ) from error
    except Exception as error:  # every scheme has a library of its own, with errors of its own
        raise RemoteFileError(
            f"{uri} cannot be fetched ({type(error).__name__}: {error}). Check the address, the connection and "
            "the credentials that lsst.resources takes from the environment, such as AWS_SHARED_CREDENTIALS_FILE, "
            "S3_ENDPOINT_URL and LSST_HTTP_AUTH_BEARER_TOKEN; or fetch the file by other means and give its path."
        ) from error


@contextmanager
def _unpacked(stream: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Unpack what gzip has compressed into a temporary file, in which one can go back and forth."""
    with TemporaryFile() as unpacked:
        try:
            with gzip.open(stream) as content:
                while data := content.read(_COPY_BYTES):
                    unpacked.write(data)
                    if unpacked.tell() > _MAX_UNPACKED_BYTES:
                        raise FileFormatError(f"{name} unpacks to more than {_MAX_UNPACKED_BYTES} bytes.")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(f"{name} cannot be unpacked: {error}; get it again.") from error
        except ForcedPhotError:
            raise
        except OSError as error:
            raise FileFormatError(
                f"{name} cannot be unpacked into {gettempdir()}: {error.strerror}; TMPDIR may name another folder."
            ) from error
        yield unpacked


class SizedReader(io.RawIOBase):
    """A file to read of which the size is known: all but the reading.

    Parameters
    ----------
    size
        In bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position


class _Fetched(SizedReader):
    """A remote file, fetched in blocks, of which the last are kept.

    Parameters
    ----------
    uri
        Its name.
    handle
        An open handle of lsst.resources, each of whose reads is a request.
    """

    def __init__(self, uri: str, handle: Any) -> None:
        super().__init__(int(handle.seek(0, io.SEEK_END)))
        self._uri = uri
        self._handle = handle
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        stop = min(self._position + len(view), self._size)
        n_read = stop - self._position
        if n_read <= 0:
            return 0
        blocks = range(self._position // _FETCH_BYTES, -(-stop // _FETCH_BYTES))
        self._fetch(blocks)
        for block in blocks:
            start = max(block * _FETCH_BYTES, self._position)
            part = self._blocks[block][start - block * _FETCH_BYTES : stop - block * _FETCH_BYTES]
            view[start - self._position : start - self._position + len(part)] = part
        self._position += n_read
        while len(self._blocks) > _MAX_KEPT_FETCHES:
            self._blocks.popitem(last=False)
        return n_read

    def _fetch(self, blocks: range) -> None:
        """Fetch those of some blocks that are not here, neighbours together."""
        missing = [block for block in blocks if block not in self._blocks]
        for block in set(blocks) - set(missing):
            self._blocks.move_to_end(block)
        while missing:
            n_together = next((i for i in range(1, len(missing)) if missing[i] != missing[0] + i), len(missing))
            start = missing[0] * _FETCH_BYTES
            data = self._request(start, min(start + n_together * _FETCH_BYTES, self._size))
            for i in range(n_together):
                self._blocks[missing[i]] = data[i * _FETCH_BYTES : (i + 1) * _FETCH_BYTES]
            del missing[:n_together]

    def _request(self, start: int, stop: int) -> bytes:
        with _fetching(self._uri):
            self._handle.seek(start)
            data: bytes = self._handle.read(stop - start)
        if len(data) != stop - start:
            raise RemoteFileError(
                f"{self._uri}: the server sent {len(data)} bytes where {stop - start} were asked for; the file "
                "has changed, or the server has no ranges though it says so. Fetch the file and give its path."
            )
        return data
