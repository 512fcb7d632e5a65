"""Forced photometry for Rubin Observatory images, without the LSST stack.

The names below are imported when they are first used, so that ``import forcedphot`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Exposure": "exposure",
    "ForcedMeasurementDriverConfig": "driver",
    "ForcedMeasurementDriverTask": "driver",
    "measure": "one_call",
}

__all__ = ["Exposure", "ForcedMeasurementDriverConfig", "ForcedMeasurementDriverTask", "measure"]

if TYPE_CHECKING:
    from .driver import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
    from .exposure import Exposure
    from .one_call import measure


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
