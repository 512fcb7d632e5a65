"""The web page of the service: tables to browse, a query box, results, plots and jobs; no script is needed."""

from ...errors import needs_extra

with needs_extra("service"):
    from .routes import page_routes

__all__ = ["page_routes"]
