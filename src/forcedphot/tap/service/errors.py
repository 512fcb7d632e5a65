"""Requests that are refused, and the documents that say why."""

from collections.abc import Mapping

from starlette.responses import Response

from ...errors import ForcedPhotError
from .votable import error_document

VOTABLE_TYPE = "application/x-votable+xml"


class ServiceError(ForcedPhotError, ValueError):
    """A request that is refused.

    Parameters
    ----------
    message
        What is wrong with it, and what was expected.
    status
        HTTP's number.
    headers
        Further ones of the answer.
    """

    exit_code = 22

    def __init__(self, message: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def error_response(error: Exception) -> Response:
    """Answer with DALI's document of an error."""
    status, headers = (error.status, error.headers) if isinstance(error, ServiceError) else (400, {})
    return Response(error_document(str(error)), status, headers, VOTABLE_TYPE)
