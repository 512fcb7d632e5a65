"""How far plugins look that read the pixels of footprints."""

import numpy as np

from ..conventions import FloatArray
from .base import SourceBatch


def footprint_reach(batch: SourceBatch) -> FloatArray:
    """Return the distance from each centre to the farthest corner of its footprint's box, pixels; 0 if none."""
    boxes = batch.footprints.boxes()
    x_reach = np.maximum(batch.x - boxes[:, 0], boxes[:, 2] - batch.x)
    y_reach = np.maximum(batch.y - boxes[:, 1], boxes[:, 3] - batch.y)
    return np.where(boxes[:, 2] < boxes[:, 0], 0.0, np.hypot(x_reach, y_reach))
