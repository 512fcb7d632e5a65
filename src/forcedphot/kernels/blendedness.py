"""Gaussian-weighted fluxes and shapes of sources, with and without their neighbours."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray, Spans
from .compiling import kernel

_SMALLEST_PROBABILITY = 2.0**-149
"""Of a positive truth; below it, where float32 ends, the pipelines take a truth of 0."""


class WeightedMoments(NamedTuple):
    """Results for n sources, each float64 of shape (n,); NaN where the shape is no ellipse or there are no pixels.

    ``abs`` is for pixels without their sign, less the mean that noise alone would have so; its flux is
    0 or more.
    """

    raw_flux: FloatArray
    raw_xx: FloatArray
    raw_yy: FloatArray
    raw_xy: FloatArray
    abs_flux: FloatArray
    abs_xx: FloatArray
    abs_yy: FloatArray
    abs_xy: FloatArray


def weighted_moments(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    n_sigma: float,
) -> WeightedMoments:
    """Measure fluxes and shapes under the Gaussian that a source's shape describes (meas_base's Blendedness).

    With the weight W and the data D: flux = sum(W) sum(W D) / sum(W^2), and the second moment is
    2 sum(W D d d) / sum(W D) for the distance d from the centre. Both are those of the source if it is
    that Gaussian.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in array coordinates, shape (n,).
    moments
        Shapes (n, 3): xx, yy, xy, pixel^2.
    n_sigma
        How far the weight reaches.
    """
    result = WeightedMoments(*(np.full(len(x), np.nan) for _ in WeightedMoments._fields))
    _weighted_moments(image, variance, x, y, np.ascontiguousarray(moments), n_sigma, *result)
    return result


def excess_over_child(
    child: npt.NDArray[np.float32], parent: npt.NDArray[np.float32], footprints: Spans
) -> FloatArray:
    """Compare images in footprints: sum(C (P - C)) / sum(C^2), shape (n,); 0 for a child C without flux.

    Parameters
    ----------
    child, parent
        The image with and without noise for neighbours, shape (height, width).
    footprints
        The sources' pixels, as array indices; what is not on the image is left out.
    """
    result = np.zeros(len(footprints))
    _excess_over_child(child, parent, footprints.y, footprints.x0, footprints.x1, footprints.first, result)
    return result


@kernel
def _weighted_moments(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    n_sigma: float,
    raw_flux: FloatArray,
    raw_xx: FloatArray,
    raw_yy: FloatArray,
    raw_xy: FloatArray,
    abs_flux: FloatArray,
    abs_xx: FloatArray,
    abs_yy: FloatArray,
    abs_xy: FloatArray,
) -> None:
    height, width = image.shape
    for i in range(len(x)):
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        determinant = xx * yy - xy * xy
        is_ellipse = 0.0 < xx < np.inf and 0.0 < yy < np.inf and 0.0 < determinant < np.inf
        if not (is_ellipse and abs(x[i]) < np.inf and abs(y[i]) < np.inf):
            continue
        inverse_xx, inverse_yy, inverse_xy = yy / determinant, xx / determinant, -xy / determinant
        half_height = n_sigma * math.sqrt(yy)
        low, high = max(y[i] - half_height, 0.0), min(y[i] + half_height, height - 1.0)
        sum_w = sum_ww = 0.0
        sum_raw = raw_dxdx = raw_dydy = raw_dxdy = 0.0
        sum_abs = abs_dxdx = abs_dydy = abs_dxdy = 0.0
        for row in range(math.ceil(low), math.floor(high) + 1):
            dy = row - y[i]
            half_width = math.sqrt(max(n_sigma * n_sigma - dy * dy / yy, 0.0) / inverse_xx)
            middle = x[i] + dy * xy / yy
            left, right = max(middle - half_width, 0.0), min(middle + half_width, width - 1.0)
            for column in range(math.ceil(left), math.floor(right) + 1):
                dx = column - x[i]
                weight = math.exp(
                    -0.5 * (inverse_xx * dx * dx + 2.0 * inverse_xy * dx * dy + inverse_yy * dy * dy)
                )
                value = np.float64(image[row, column])
                raw = weight * value
                absolute = weight * (abs(value) - _bias_of_absolute(value, np.float64(variance[row, column])))
                sum_w += weight
                sum_ww += weight * weight
                sum_raw += raw
                raw_dxdx += raw * dx * dx
                raw_dydy += raw * dy * dy
                raw_dxdy += raw * dx * dy
                sum_abs += absolute
                abs_dxdx += absolute * dx * dx
                abs_dydy += absolute * dy * dy
                abs_dxdy += absolute * dx * dy
        if not sum_w > 0.0:
            continue
        raw_flux[i] = sum_w * sum_raw / sum_ww
        abs_flux[i] = 0.0 if sum_abs < 0.0 else sum_w * sum_abs / sum_ww
        if sum_raw != 0.0:
            raw_xx[i] = 2.0 * raw_dxdx / sum_raw
            raw_yy[i] = 2.0 * raw_dydy / sum_raw
            raw_xy[i] = 2.0 * raw_dxdy / sum_raw
        if sum_abs != 0.0:
            abs_xx[i] = 2.0 * abs_dxdx / sum_abs
            abs_yy[i] = 2.0 * abs_dydy / sum_abs
            abs_xy[i] = 2.0 * abs_dxdy / sum_abs


@kernel
def _bias_of_absolute(value: float, variance: float) -> float:
    """Return how much larger than the truth the mean of |value| is, for the truth that is expected of the value.

    The expected truth is the mean of the Gaussian of this value and variance above 0 (Bosch et al. 2018, PASJ 70,
    S5, section 4.9.11).
    """
    if not variance > 0.0:
        return 0.0 if variance == 0.0 else np.nan
    sigma = math.sqrt(variance)
    signal = value / sigma
    positive = 0.5 * math.erfc(-signal / math.sqrt(2.0))
    truth = 0.0
    if positive >= _SMALLEST_PROBABILITY:
        truth = signal + math.exp(-0.5 * signal * signal) / (math.sqrt(2.0 * math.pi) * positive)
    return sigma * (
        math.sqrt(2.0 / math.pi) * math.exp(-0.5 * truth * truth) - truth * math.erfc(truth / math.sqrt(2.0))
    )


@kernel
def _excess_over_child(
    child: npt.NDArray[np.float32],
    parent: npt.NDArray[np.float32],
    span_y: IntArray,
    span_x0: IntArray,
    span_x1: IntArray,
    first: IntArray,
    result: FloatArray,
) -> None:
    height, width = child.shape
    for i in range(len(result)):
        child_parent = child_child = 0.0
        for span in range(first[i], first[i + 1]):
            row = span_y[span]
            if 0 <= row < height:
                for column in range(max(span_x0[span], 0), min(span_x1[span] + 1, width)):
                    value = np.float64(child[row, column])
                    child_parent += value * (np.float64(parent[row, column]) - value)
                    child_child += value * value
        if child_child > 0.0:
            result[i] = child_parent / child_child
