"""A limit to what a request may bring."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ServiceError, error_response


class BodyLimit:
    """Refuses requests whose body is too large, by what it says or by what comes.

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
        refusal = ServiceError(f"the request is larger than {self._most_bytes} bytes", 413)
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or len(said) > 15 or int(said) > self._most_bytes:
            await error_response(refusal)(scope, receive, send)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._most_bytes:
                raise refusal
            return message

        await self._app(scope, counted, send)
