"""Who may use the page: all, or those who have one of the service's tokens."""

from starlette.requests import Request

from ..service.access import owner_of, sent_token


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
    """Return the name of the one whose token a request has, if it has one."""
    return owner_of(sent_token(request) or typed, request.app.state.settings.tokens)
