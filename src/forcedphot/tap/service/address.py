"""Under which address clients see the service."""

from typing import TYPE_CHECKING

from starlette.requests import Request

if TYPE_CHECKING:
    from .settings import ServiceSettings


def base_url(request: Request) -> str:
    """Return the URL of the service as the client sees it, without a slash at its end."""
    settings: ServiceSettings = request.app.state.settings
    return (settings.base_url or str(request.base_url)).rstrip("/")
