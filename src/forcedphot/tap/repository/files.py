"""Files of images over HTTP: what ObsCore's access URLs point at."""

from typing import TYPE_CHECKING

from .holdings import RepositoryHoldings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

FILES = "/files"
"""Where the routes are."""


def file_routes(holdings: RepositoryHoldings) -> "list[BaseRoute]":
    """Return the routes of the files of a repository's images, by the ids of their datasets.

    Parts of a file can be asked for, as HTTP has it. A client names an id; it never says a path.
    """
    from starlette.exceptions import HTTPException
    from starlette.responses import FileResponse
    from starlette.routing import Route

    from ..page.access import is_allowed
    from ..service.access import CHALLENGE

    def send(request: "Request") -> "Response":
        if not is_allowed(request):
            raise HTTPException(401, "This service asks for a token.", CHALLENGE)
        dataset_id = str(request.path_params["dataset_id"])
        path = holdings.file(dataset_id)
        if path is None or not path.is_file():
            raise HTTPException(404, f"The repository has no image with the id {dataset_id}.")
        return FileResponse(path, media_type="application/fits", filename=path.name)

    return [Route(f"{FILES}/{{dataset_id:uuid}}", send, name="file")]
