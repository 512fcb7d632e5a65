"""Base of the PipelineTasks: their messages are stored with each quantum, as those of Rubin's own tasks are."""

from __future__ import annotations

import logging
from typing import Any

from lsst.pipe.base import PipelineTask


class LoggedTask(PipelineTask):
    """A task that logs under ``lsst``: of other loggers, ``pipetask`` heeds warnings only.

    Parameters
    ----------
    arguments
        Those of lsst.pipe.base's PipelineTask.
    """

    def __init__(self, **arguments: Any) -> None:
        if arguments.get("log") is None and arguments.get("parentTask") is None:
            arguments["log"] = logging.getLogger("lsst")
        super().__init__(**arguments)
