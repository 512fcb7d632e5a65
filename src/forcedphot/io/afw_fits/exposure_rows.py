"""Boxes and polygons of the rows of exposure tables, such as the inputs of coadds."""

import numpy as np

from ...conventions import Box
from ...exposure.polygon import Polygon
from .archive import Rows, StoredObject

_CORNERS = ("bbox_min", "bbox_max")


def boxes(rows: Rows) -> list[Box]:
    """Read the boxes of all rows, whatever their sizes."""
    corners = []
    for name in _CORNERS:
        # The first version of tables had both coordinates in one column.
        if name in rows:
            corners.append(rows.column(name).astype(np.int64))
        else:
            corners.append(np.stack([rows.column(f"{name}_{axis}") for axis in "xy"], axis=1).astype(np.int64))
    low, high = corners
    return [
        Box(x0, y0, width, height)
        for (x0, y0), (width, height) in zip(low.tolist(), (high - low + 1).tolist(), strict=True)
    ]


def valid_polygons(stored: StoredObject, rows: Rows) -> list[Polygon | None]:
    """Read the valid polygons of all rows; None for those without."""
    ids = rows.column("validPolygon").tolist() if "validPolygon" in rows else [0] * len(rows)
    return [stored.read(polygon_id, Polygon) if polygon_id else None for polygon_id in ids]
