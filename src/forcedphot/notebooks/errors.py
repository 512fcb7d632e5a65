"""The error of a notebook that does not run to its end."""

from __future__ import annotations

from ..errors import ForcedPhotError


class NotebookError(ForcedPhotError, RuntimeError):
    """A notebook with a cell that fails, or that is none."""

    exit_code = 31
