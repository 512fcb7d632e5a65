"""The protocol of the table access service: TAP 1.1 with its jobs, formats and descriptions."""

from ...errors import needs_extra

with needs_extra("service"):
    from .app import create_app
from .settings import ServiceSettings

__all__ = ["ServiceSettings", "create_app"]
