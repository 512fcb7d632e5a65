"""base_PixelFlags: mask planes in the footprint and around the centre."""

from typing import Any

import numpy as np
from lsst.pex.config import ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray
from ..errors import ExposureError
from .base import ForcedPlugin, ForcedPluginConfig, SourceBatch, missing_component, registry

# Mask plane, name in the flag, and the documentation of the flag for the footprint, the centre
# and all of the centre, word for word as in the pipelines' tables.
_PLANES = (
    (
        "EDGE",
        "edge",
        "Pixel in source outside usable exposure region (masked EDGE or centroid off image).",
        "EDGE pixel in the 3x3 region around the centroid.",
        "All pixels in the 3x3 region around the centroid are marked EDGE.",
    ),
    (
        "NO_DATA",
        "nodata",
        "NO_DATA pixel in the source footprint.",
        "NO_DATA pixel in the 3x3 region around the centroid.",
        "All pixels in the 3x3 region around the centroid are marked NO_DATA",
    ),
    (
        "INTRP",
        "interpolated",
        "Interpolated pixel in the Source footprint",
        "Interpolated pixel in the 3x3 region around the centroid.",
        "All pixels in the 3x3 region around the centroid are interpolated.",
    ),
    (
        "SAT",
        "saturated",
        "Saturated pixel in the Source footprint",
        "Saturated pixel in the 3x3 region around the centroid.",
        "All pixels in the 3x3 region around the centroid are saturated.",
    ),
    (
        "CR",
        "cr",
        "Cosmic ray in the Source footprint",
        "Cosmic ray in the 3x3 region around the centroid.",
        "All pixels in the 3x3 region around the centroid have the cosmic ray mask bit.",
    ),
    (
        "BAD",
        "bad",
        "Bad pixel in the Source footprint",
        "Bad pixel in the 3x3 region around the centroid",
        "All pixels in the 3x3 region around the centroid are bad.",
    ),
    (
        "SUSPECT",
        "suspect",
        "Source's footprint includes suspect pixels",
        "Suspect pixel in the 3x3 region around the centroid.",
        "All pixels in the 3x3 region around the centroid are suspect.",
    ),
)


class PixelFlagsConfig(ForcedPluginConfig):
    """Configuration of base_PixelFlags."""

    masksFpAnywhere = ListField[str](doc="More mask planes to look for in the footprint", default=[])
    masksFpCenter = ListField[str](doc="More mask planes to look for around the centre", default=[])


class PixelFlags(ForcedPlugin):
    """Flags for the mask planes under a source: anywhere in its footprint, around its centre."""

    ConfigClass = PixelFlagsConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(f"{name}_flag", "bool", "General failure flag, set if anything went wrong setting flags.")
        schema.add_field(f"{name}_flag_offimage", "bool", "Source center is off image")
        for _, label, doc, _, _ in _PLANES:
            schema.add_field(f"{name}_flag_{label}", "bool", doc)
        for _, label, _, doc, _ in _PLANES:
            schema.add_field(f"{name}_flag_{label}Center", "bool", doc)
        for _, label, _, _, doc in _PLANES:
            schema.add_field(f"{name}_flag_{label}CenterAll", "bool", doc)
        for plane in self.config.masksFpCenter:
            prefix = f"{name}_flag_{plane.lower()}Center"
            schema.add_field(prefix, "bool", f"3x3 region around the centroid has {plane} pixels")
            schema.add_field(
                f"{prefix}All",
                "bool",
                f"All pixels in the 3x3 region around the source centroid are {plane} pixels",
            )
        for plane in self.config.masksFpAnywhere:
            schema.add_field(f"{name}_flag_{plane.lower()}", "bool", f"Source footprint includes {plane} pixels")

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.mask_bits import mask_bits

        mask, columns, prefix = batch.exposure.mask, batch.columns, f"{self.name}_flag_"
        more_anywhere, more_center = self.config.masksFpAnywhere, self.config.masksFpCenter
        if mask is None:
            if more_anywhere or more_center:
                raise ExposureError(missing_component(batch.exposure, "mask"))
            return
        x0, y0 = batch.exposure.x0, batch.exposure.y0
        found = mask_bits(mask.array, batch.x_in_array, batch.y_in_array, batch.footprints.shifted(-x0, -y0))

        def store(label: str, bits: int, *, anywhere: bool, center: bool) -> None:
            if anywhere:
                columns[f"{prefix}{label}"][:] = (found.footprint & np.uint64(bits)) != 0
            if center:
                columns[f"{prefix}{label}Center"][:] = (found.center_any & np.uint64(bits)) != 0
                # A plane that the image does not have is set nowhere.
                columns[f"{prefix}{label}CenterAll"][:] = (found.center_all & np.uint64(bits)) != 0

        for plane, label, *_ in _PLANES:
            bit = mask.find(plane)
            store(label, 0 if bit is None else 1 << bit, anywhere=True, center=True)
        for plane in more_center:
            store(plane.lower(), mask.bits([plane]), anywhere=False, center=True)
        for plane in more_anywhere:
            store(plane.lower(), mask.bits([plane]), anywhere=True, center=False)

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 0.0

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        for label in ("offimage", "edge", "edgeCenter", "edgeCenterAll"):
            columns[f"{self.name}_flag_{label}"][rows] = True
        columns[f"{self.name}_flag"][rows] = True


registry.register("base_PixelFlags", PixelFlags)
