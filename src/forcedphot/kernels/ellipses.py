"""Ellipses as second moments: arrays of shape (n, 3), xx, yy and xy in pixel^2.

An ellipse's moments are the matrix M of its equation d^T M^-1 d = 1 for the distance d from its centre: a
circle of radius r has r^2, r^2, 0. Where they are the second moments of a source, the ellipse is its 1-sigma
contour. Moments that are not finite or not positive definite give NaN.
"""

import math

import numpy as np

from ..conventions import FloatArray
from .compiling import kernel


def semi_axes(moments: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the semi-major and the semi-minor axes, pixels, each of shape (n,)."""
    xx, yy, xy = moments.T
    with np.errstate(invalid="ignore", over="ignore"):
        mean = 0.5 * (xx + yy)
        determinant = np.where((xx > 0) & (yy > 0), xx * yy - xy * xy, np.nan)
        larger = mean + np.hypot(0.5 * (xx - yy), xy)
        major = np.where(determinant > 0, np.sqrt(larger), np.nan)
        minor = np.where(determinant > 0, np.sqrt(determinant / larger), np.nan)
    return major, minor


def determinant_radius(moments: FloatArray) -> FloatArray:
    """Return the radii of circles of the same areas, sqrt(a b), pixels, shape (n,)."""
    major, minor = semi_axes(moments)
    return np.sqrt(major) * np.sqrt(minor)


def scaled_to_radius(moments: FloatArray, radius: FloatArray) -> FloatArray:
    """Return ellipses of the same shapes whose determinant radii are those given, pixels, shape (n,)."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        factor = radius / determinant_radius(moments)
        return moments * (factor * factor)[:, np.newaxis]


def transformed(moments: FloatArray, jacobians: FloatArray) -> FloatArray:
    """Map ellipses by linear transforms, shape (n, 2, 2): M becomes J M J^T."""
    xx, yy, xy = moments.T
    a, b, c, d = jacobians[:, 0, 0], jacobians[:, 0, 1], jacobians[:, 1, 0], jacobians[:, 1, 1]
    with np.errstate(invalid="ignore", over="ignore"):
        return np.stack(
            [
                a * a * xx + 2.0 * a * b * xy + b * b * yy,
                c * c * xx + 2.0 * c * d * xy + d * d * yy,
                a * c * xx + (a * d + b * c) * xy + b * d * yy,
            ],
            axis=1,
        )


@kernel
def row_extent(xx: float, yy: float, xy: float, dy: float) -> tuple[float, float]:
    """Return how far left and right of the centre an ellipse reaches at a height dy above its centre.

    Beyond its top and bottom the first is larger than the second.
    """
    inside = yy - dy * dy
    if inside < 0.0:
        return 1.0, -1.0
    middle = xy / yy * dy
    half_width = math.sqrt((xx * yy - xy * xy) * inside) / yy
    return middle - half_width, middle + half_width


@kernel
def ellipse_leaves_image(x: float, y: float, xx: float, yy: float, width: int, height: int) -> bool:
    """Tell whether an ellipse reaches beyond the outer edges of the image's pixels; True for NaN."""
    half_width, half_height = math.sqrt(xx), math.sqrt(yy)
    return not (
        x - half_width >= -0.5
        and y - half_height >= -0.5
        and x + half_width <= width - 0.5
        and y + half_height <= height - 0.5
    )
