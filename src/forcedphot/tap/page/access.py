"""Who may use the page: all, or those who have one of the service's tokens."""

import base64
import binascii
import contextlib
import hmac

from starlette.requests import Request


def needs_token(request: Request) -> bool:
    """Tell whether the service asks for tokens."""
    return bool(request.app.state.settings.tokens)


def is_allowed(request: Request, typed: str = "") -> bool:
    """Tell whether a request has a token, if it needs one.

    Parameters
    ----------
    request
        Its header can have the token.
    typed
        The token that a form can have instead, where no script sends the header.
    """
    return not needs_token(request) or owner(request, typed) is not None


def owner(request: Request, typed: str = "") -> str | None:
    """Return the name of the one whose token a request has, if it has one: as bearer token, or as password."""
    given = (_sent_token(request) or typed).encode()
    tokens: dict[str, str] = request.app.state.settings.tokens
    # all are compared, so that time tells nothing
    names = [name for token, name in tokens.items() if hmac.compare_digest(given, token.encode())]
    return names[0] if names else None


def _sent_token(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    return value.strip() if scheme.lower() == "bearer" else ""


def comes_from_elsewhere(request: Request) -> bool:
    """Tell whether another site's page sent a form, as browsers say."""
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
