"""Spans of ellipses, as far as they are on the image."""

import math

import numpy as np

from ..conventions import Box, FloatArray, IntArray, Spans
from .compiling import kernel


def ellipse_spans(x: FloatArray, y: FloatArray, moments: FloatArray, bbox: Box) -> Spans:
    """Return the pixels in a box whose centres lie in ellipses, d^T Q^-1 d <= 1 about each source.

    Parameters
    ----------
    x, y
        Centres, shape (n,), in the image's pixel frame; finite, or the ellipse is empty.
    moments
        Second moments Q, shape (n, 3): xx, yy, xy, pixel^2. Where they are no ellipse (NaN) it is empty.
    bbox
        What the ellipses are clipped to.
    """
    moments = np.ascontiguousarray(moments)
    limits = (float(bbox.x0), float(bbox.y0), float(bbox.x_stop - 1), float(bbox.y_stop - 1))
    first = np.zeros(len(x) + 1, dtype=np.int64)
    none = np.empty(0, dtype=np.int64)
    _ellipse_spans(x, y, moments, *limits, first, none, none, none)
    rows = np.empty((3, first[-1]), dtype=np.int64)
    _ellipse_spans(x, y, moments, *limits, first, rows[0], rows[1], rows[2])
    return Spans(rows[0], rows[1], rows[2], first)


@kernel
def _ellipse_spans(
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    x_min: float,
    y_min: float,
    x_max: float,
    y_max: float,
    first: IntArray,
    span_y: IntArray,
    span_x0: IntArray,
    span_x1: IntArray,
) -> None:
    """Count each footprint's spans if there is no room for them, else write them down."""
    is_counting = len(span_y) == 0
    n_spans = 0
    for i in range(len(x)):
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        determinant = xx * yy - xy * xy
        # Also false for NaN and infinity.
        if determinant > 0.0 and 0.0 < xx < np.inf and abs(x[i]) < np.inf and abs(y[i]) < np.inf:
            half_height = math.sqrt(yy)
            low, high = max(math.ceil(y[i] - half_height), y_min), min(math.floor(y[i] + half_height), y_max)
            for y_pixel in range(int(low), int(high) + 1):
                dy = y_pixel - y[i]
                half_width = math.sqrt(max(determinant * (yy - dy * dy), 0.0)) / yy
                middle = x[i] + dy * xy / yy
                left, right = (
                    max(math.ceil(middle - half_width), x_min),
                    min(math.floor(middle + half_width), x_max),
                )
                if left <= right:
                    if not is_counting:
                        span_y[n_spans], span_x0[n_spans], span_x1[n_spans] = y_pixel, int(left), int(right)
                    n_spans += 1
        if is_counting:
            first[i + 1] = n_spans
