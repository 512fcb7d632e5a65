"""Mask: an integer bit image with named planes, in either of Rubin's two vocabularies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ExposureError

PIPELINE_TO_IMAGES = {
    "CR": "COSMIC_RAY",
    "EDGE": "DETECTION_EDGE",
    "INTRP": "INTERPOLATED",
    "SAT": "SATURATED",
    "UNMASKEDNAN": "UNMASKED_NAN",
}
"""Plane names of the pipelines' ExposureF, and the names of lsst.images where they differ."""

_IMAGES_TO_PIPELINE = {new: old for old, new in PIPELINE_TO_IMAGES.items()}


@dataclass(frozen=True, slots=True)
class Mask:
    """A bit image with named planes.

    Parameters
    ----------
    array
        Integer image, shape (height, width), native byte order; held, not copied.
    planes
        Bit number of each plane, named in the pipelines' vocabulary (SAT, CR, EDGE, ...) or in
        that of lsst.images (SATURATED, COSMIC_RAY, DETECTION_EDGE, ...).

    Raises
    ------
    ExposureError
        If the array is not a two-dimensional integer image, or a bit does not fit in it.
    """

    array: npt.NDArray[np.integer[Any]]
    planes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.array.ndim != 2 or self.array.dtype.kind not in "iu":
            raise ExposureError(
                f"A mask is a two-dimensional integer image; got {self.array.dtype} of shape {self.array.shape}."
            )
        if self.array.dtype == np.uint64:
            # Kernels combine masks with signed integers; the bits are the same.
            object.__setattr__(self, "array", self.array.view(np.int64))
        n_bits = 8 * self.array.dtype.itemsize
        for name, bit in self.planes.items():
            if not 0 <= bit < n_bits:
                raise ExposureError(f"Mask plane {name} has bit {bit}; the mask image has {n_bits} bits.")

    def find(self, name: str) -> int | None:
        """Return the bit number of a plane, by its name in either vocabulary; None if it is absent."""
        for candidate in (name, PIPELINE_TO_IMAGES.get(name), _IMAGES_TO_PIPELINE.get(name)):
            if candidate is not None and candidate in self.planes:
                return self.planes[candidate]
        return None

    def bits(self, names: Iterable[str]) -> int:
        """Combine planes into one bit mask.

        Raises
        ------
        ExposureError
            If the image has no plane of one of the names, in either vocabulary.
        """
        combined = 0
        for name in names:
            bit = self.find(name)
            if bit is None:
                raise ExposureError(
                    f"This image has no mask plane {name!r}; it has {', '.join(sorted(self.planes))}."
                )
            combined |= 1 << bit
        return combined
