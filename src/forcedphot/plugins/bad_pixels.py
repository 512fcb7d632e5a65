"""Which pixels a plugin leaves out, by its configured mask planes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ExposureError
from ..exposure import Exposure
from .base import missing_component

_EVERY_MASK_HAS = frozenset(
    {"BAD", "SAT", "INTRP", "CR", "EDGE", "DETECTED", "DETECTED_NEGATIVE", "SUSPECT", "NO_DATA"}
)
"""Planes that every mask of the pipelines has; those of others may lack one that would be set nowhere."""


def bad_pixels(exposure: Exposure, planes: Iterable[str]) -> tuple[npt.NDArray[np.integer[Any]], int]:
    """Return an image's mask and the bits of some planes; an empty mask and 0 if no pixel can have them.

    Raises
    ------
    ExposureError
        If a plane is asked for that the image has not, and not all masks of the pipelines have.
    """
    mask = exposure.mask
    if mask is None:
        if not _EVERY_MASK_HAS.issuperset(planes):
            raise ExposureError(missing_component(exposure, "mask"))
        return np.zeros((0, 0), dtype=np.int32), 0
    return mask.array, mask.bits(
        plane for plane in planes if plane not in _EVERY_MASK_HAS or mask.find(plane) is not None
    )
