"""A web server for tests, on this machine only, that counts what it sends."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Served:
    """What a server serves, and what it has sent."""

    folder: Path
    ranges: bool = True
    """Send parts of files when asked."""
    says_so: bool = True
    """Announce that."""
    status: HTTPStatus | None = None
    """Answer all requests with this instead."""
    url: str = ""
    n_bytes: int = 0
    n_requests: int = 0
    paths: set[str] = field(default_factory=set)


@contextmanager
def serve(folder: Path, **options: bool | HTTPStatus) -> Iterator[Served]:
    """Serve the files of a folder until the context ends."""
    served = Served(folder, **options)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_content=False)

        def do_GET(self) -> None:
            self.answer(with_content=True)

        def do_OPTIONS(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, *, with_content: bool) -> None:
            served.n_requests += 1
            served.paths.add(self.path)
            path = served.folder / self.path.partition("?")[0].lstrip("/")
            if served.status is not None or not path.is_file():
                self.send_error(served.status or HTTPStatus.NOT_FOUND)
                return
            content = path.read_bytes()
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked and served.ranges:
                start, stop = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
                self.send_response(HTTPStatus.PARTIAL_CONTENT)
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
                content = content[start:stop]
            else:
                self.send_response(HTTPStatus.OK)
            if served.says_so:
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_content:
                served.n_bytes += len(content)
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- the base class calls it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
