"""ExposureDelegate: parts and cutouts of exposures that are in memory, for the Butler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, override

from lsst.daf.butler import StorageClassDelegate

from ...errors import ExposureError
from ...exposure import Exposure
from .parts import cut, part_of


class ExposureDelegate(StorageClassDelegate):
    """What the Butler asks about storage classes of exposures and their planes."""

    @override
    def getComponent(self, composite: Any, componentName: str) -> Any:
        """Take a part of an exposure.

        Raises
        ------
        ExposureError
            If there is no part of that name.
        """
        return part_of(composite, componentName)

    @override
    def handleParameters(self, inMemoryDataset: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Cut an exposure to a box.

        Raises
        ------
        ExposureError
            If the box is not inside the image, or a plane by itself is to be cut.
        """
        if not parameters:
            return inMemoryDataset
        if not isinstance(inMemoryDataset, Exposure):
            raise ExposureError(
                f"A {type(inMemoryDataset).__name__} by itself has no origin and cannot be cut; "
                "ask for the exposure with the parameter bbox, and take its plane."
            )
        return cut(inMemoryDataset, parameters)
