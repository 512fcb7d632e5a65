"""Who may ask: those who have a token, if there are any; and no page of another site in a user's name."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .address import base_url
from .errors import ServiceError, error_response

_OPEN = frozenset({"/availability", "/capabilities"})
"""What says that a token is needed cannot need one itself."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="forcedphot", Basic realm="forcedphot"'}
"""Header that says which tokens are taken, and how."""


def owner_of(token: str, tokens: Mapping[str, str]) -> str | None:
    """Return the name of a token's owner; None if it is none of the tokens."""
    # all are compared, so that time tells nothing
    names = [name for known, name in tokens.items() if hmac.compare_digest(token.encode(), known.encode())]
    return names[0] if names else None


def sent_token(request: Request) -> str:
    """Return the token of a request's header: a bearer token, or the password of basic access."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def comes_from_elsewhere(request: Request) -> bool:
    """Tell whether the page of another site has made a browser send a request that could change something."""
    if request.method in _SAFE:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("none", "same-origin")
    # browsers say only this to addresses that are neither https nor of their own machine
    origin = request.headers.get("origin")
    if origin is None:
        return False
    return origin.partition("://")[2] not in (request.headers.get("host"), urlsplit(base_url(request)).netloc)


class TapAccess:
    """Refuses requests without a token, and those that a page of another site sends.

    Parameters
    ----------
    app
        What the others go to, the routes below /tap; they have the owner's name as ``request.state.owner``.
    tokens
        Owner's name by token; none if all may ask.
    """

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str]) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        request.state.owner = owner_of(sent_token(request), self._tokens)
        answer = self._app
        if comes_from_elsewhere(request):
            answer = error_response(ServiceError("this request comes from another site's page", 403))
        elif self._tokens and request.state.owner is None and path not in _OPEN:
            message = "this service asks for a token: as a bearer token, or as the password of basic access"
            answer = error_response(ServiceError(message, 401, CHALLENGE))
        await answer(scope, receive, send)
