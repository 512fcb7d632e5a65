"""A limit to what a request may bring."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ServiceError, error_response

_CHARSET = re.compile(r'charset="?(utf-?8|us-ascii|iso-8859-1)"?\s*(;|$)', re.IGNORECASE)


class BodyLimit:
    """Refuses requests whose body is too large, by what it says or by what comes, or in an odd encoding.

    Parameters
    ----------
    app
        What the others go to.
    most_bytes
        Of a body.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        too_large = ServiceError(f"the request is larger than {self._most_bytes} bytes", 413)
        headers = Headers(scope=scope)
        said = headers.get("content-length", "0")
        if not said.isdecimal() or len(said) > 15 or int(said) > self._most_bytes:
            await error_response(too_large)(scope, receive, send)
            return
        if _is_oddly_encoded(headers.get("content-type", "")):
            refusal = ServiceError("the parts of the body are not encoded as UTF-8", 415)
            await error_response(refusal)(scope, receive, send)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._most_bytes:
                raise too_large
            return message

        await self._app(scope, counted, send)


def _is_oddly_encoded(kind: str) -> bool:
    """Tell whether a form has an encoding that may fail, or make texts that are none, as some of Python's do."""
    kind = kind.lower()
    return kind.startswith("multipart/") and len(_CHARSET.findall(kind)) != kind.count("charset")
