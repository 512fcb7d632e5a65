"""base_LocalPhotoCalib, base_LocalWcs: the image's calibrations at the source."""

from typing import Any

import numpy as np

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from ..exposure import Wcs
from .base import ForcedPlugin, SourceBatch, registry


class LocalPhotoCalib(ForcedPlugin):
    """The factor from the image's unit to nanojansky at the source."""

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(f"{name}_flag", "bool", "Set for any fatal failure")
        schema.add_field(
            name,
            "float64",
            "Local approximation of the PhotoCalib calibration factor at the location of the src.",
        )
        schema.add_field(
            f"{name}Err",
            "float64",
            "Error on the local approximation of the PhotoCalib calibration factor at the location of the src.",
        )

    def measure(self, batch: SourceBatch) -> None:
        calibration = batch.exposure.photo_calib
        if calibration is not None:
            batch.columns[self.name][:] = calibration.scale(batch.x, batch.y)
            batch.columns[f"{self.name}Err"][:] = calibration.mean_err
        batch.columns[f"{self.name}_flag"][:] = np.isnan(batch.columns[self.name])

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 0.0

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


class LocalWcs(ForcedPlugin):
    """The WCS at the source, linearised on the plane that touches the sky there."""

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        schema.add_field(f"{self.name}_flag", "bool", "Set for any fatal failure")
        for i in (1, 2):
            for j in (1, 2):
                schema.add_field(
                    f"{self.name}_CDMatrix_{i}_{j}",
                    "float64",
                    f"({i}, {j}) element of the CDMatrix for the linear approximation of the WCS at the src "
                    "location. Gives units in radians.",
                )

    def measure(self, batch: SourceBatch) -> None:
        columns, name = batch.columns, self.name
        wcs = batch.exposure.wcs
        if wcs is not None:
            matrix = _local_cd_matrix(wcs, batch.x, batch.y)
            for i in (0, 1):
                for j in (0, 1):
                    columns[f"{name}_CDMatrix_{i + 1}_{j + 1}"][:] = matrix[:, i, j]
        columns[f"{name}_flag"][:] = np.isnan(columns[f"{name}_CDMatrix_1_1"])

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 0.0

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


def _local_cd_matrix(wcs: Wcs, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the derivatives of the coordinates east and north, on the plane that touches the sky, by pixels.

    Parameters
    ----------
    wcs
        The image's.
    x, y
        Positions in its pixel frame, shape (n,).

    Returns
    -------
    Radians a pixel, shape (n, 2, 2): ``[i, a, b]``, a = 0 east, 1 north, b = 0 x, 1 y; by central
    differences. NaN where the WCS is undefined within a pixel.
    """
    steps = np.array([(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (0.0, 0.0)])
    around_x, around_y = (x + steps[:, 0, np.newaxis], y + steps[:, 1, np.newaxis])
    ra, dec = (angle.reshape(5, -1) for angle in wcs.pixel_to_sky(around_x.ravel(), around_y.ravel()))
    ra, dec, dec_here = ra[:4] - ra[4], dec[:4], dec[4]
    forward = np.sin(dec_here) * np.sin(dec) + np.cos(dec_here) * np.cos(dec) * np.cos(ra)
    east = np.cos(dec) * np.sin(ra) / forward
    north = (np.cos(dec_here) * np.sin(dec) - np.sin(dec_here) * np.cos(dec) * np.cos(ra)) / forward
    plane = np.stack([east, north])
    return np.moveaxis((plane[:, 0::2] - plane[:, 1::2]) / 2.0, 2, 0)


registry.register("base_LocalPhotoCalib", LocalPhotoCalib)
registry.register("base_LocalWcs", LocalWcs)
