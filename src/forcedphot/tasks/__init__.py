"""PipelineTasks: forced photometry on coadds, visits and differences, for Rubin's execution tools.

The classes are imported when they are first used: what they share with the simulation needs no middleware.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_HOMES = {
    "ForcedPhotCoaddConfig": "forced_phot_coadd",
    "ForcedPhotCoaddTask": "forced_phot_coadd",
    "ForcedPhotVisitConfig": "forced_phot_visit",
    "ForcedPhotVisitTask": "forced_phot_visit",
    "ForcedSourceTableConfig": "forced_source_table",
    "ForcedSourceTableTask": "forced_source_table",
}

__all__ = [
    "ForcedPhotCoaddConfig",
    "ForcedPhotCoaddTask",
    "ForcedPhotVisitConfig",
    "ForcedPhotVisitTask",
    "ForcedSourceTableConfig",
    "ForcedSourceTableTask",
]

if TYPE_CHECKING:
    from .forced_phot_coadd import ForcedPhotCoaddConfig, ForcedPhotCoaddTask
    from .forced_phot_visit import ForcedPhotVisitConfig, ForcedPhotVisitTask
    from .forced_source_table import ForcedSourceTableConfig, ForcedSourceTableTask


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
