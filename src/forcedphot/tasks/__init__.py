"""PipelineTasks: forced photometry on coadds, visits and differences, for Rubin's execution tools.

The classes are imported when they are first used: what they share with the simulation needs no middleware.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_HOMES = {
    "DataReference": "data_reference",
    "FailedQuantum": "run",
    "ForcedGraph": "graph",
    "ForcedPhotCoaddConfig": "forced_phot_coadd",
    "ForcedPhotCoaddTask": "forced_phot_coadd",
    "ForcedPhotVisitConfig": "forced_phot_visit",
    "ForcedPhotVisitTask": "forced_phot_visit",
    "ForcedRun": "run",
    "ForcedSourceTableConfig": "forced_source_table",
    "ForcedSourceTableTask": "forced_source_table",
    "build_forced_graph": "graph",
    "run_forced_graph": "run",
}

__all__ = [
    "DataReference",
    "FailedQuantum",
    "ForcedGraph",
    "ForcedPhotCoaddConfig",
    "ForcedPhotCoaddTask",
    "ForcedPhotVisitConfig",
    "ForcedPhotVisitTask",
    "ForcedRun",
    "ForcedSourceTableConfig",
    "ForcedSourceTableTask",
    "build_forced_graph",
    "run_forced_graph",
]

if TYPE_CHECKING:
    from .data_reference import DataReference
    from .forced_phot_coadd import ForcedPhotCoaddConfig, ForcedPhotCoaddTask
    from .forced_phot_visit import ForcedPhotVisitConfig, ForcedPhotVisitTask
    from .forced_source_table import ForcedSourceTableConfig, ForcedSourceTableTask
    from .graph import ForcedGraph, build_forced_graph
    from .run import FailedQuantum, ForcedRun, run_forced_graph


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
