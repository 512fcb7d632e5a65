"""Adaptive second moments of stamps: moments weighted by the elliptical Gaussian that matches them."""

import math

import numpy as np

from ..conventions import FloatArray
from .compiling import kernel

_MAX_ITERATIONS = 100
_ELLIPTICITY_TOLERANCE = 1e-5
_SIZE_TOLERANCE = 1e-4
_FIRST_VARIANCE = 1.5  # pixel^2, of the round Gaussian that the iteration starts from
_LARGEST_EXPONENT = 14.0  # pixels further out, in units of twice the exponent, have no weight


def adaptive_moments(images: FloatArray) -> FloatArray:
    """Measure the second moments of images about their middle pixel.

    The weight is an elliptical Gaussian; its covariance is iterated until weight and image agree,
    with the start and the tolerances of the SDSS algorithm (Bernstein & Jarvis 2002, AJ 123, 583;
    meas_base's SdssShape as afw's Psf.computeShape calls it).

    Parameters
    ----------
    images
        Shape (n, height, width), odd sizes.

    Returns
    -------
    Shape (n, 3): xx, yy, xy in pixel^2; NaN where the iteration fails.
    """
    result = np.full((len(images), 3), np.nan)
    _adaptive_moments(np.ascontiguousarray(images), result)
    return result


@kernel
def _adaptive_moments(images: FloatArray, result: FloatArray) -> None:
    width = images.shape[2]
    weights_x = np.empty(width)
    cross = np.empty(width)
    for i in range(len(images)):
        xx, yy, xy = _FIRST_VARIANCE, _FIRST_VARIANCE, 0.0
        old_e1 = old_e2 = old_xx = np.inf
        for _ in range(_MAX_ITERATIONS):
            determinant = xx * yy - xy * xy
            if not (determinant > 0.0 and xx > 0.0):
                break
            weight_xx, weight_yy, weight_xy = yy / determinant, xx / determinant, -xy / determinant
            total, sum_xx, sum_yy, sum_xy = _weighted_moments(
                images[i], weight_xx, weight_yy, weight_xy, weights_x, cross
            )
            if not total > 0.0:
                break
            # Of the image times the weight.
            product_xx, product_yy, product_xy = sum_xx / total, sum_yy / total, sum_xy / total
            e1 = (product_xx - product_yy) / (product_xx + product_yy)
            e2 = 2.0 * product_xy / (product_xx + product_yy)
            if (
                abs(e1 - old_e1) < _ELLIPTICITY_TOLERANCE
                and abs(e2 - old_e2) < _ELLIPTICITY_TOLERANCE
                and abs(product_xx / old_xx - 1.0) < _SIZE_TOLERANCE
            ):
                result[i, 0], result[i, 1], result[i, 2] = xx, yy, xy
                break
            old_e1, old_e2, old_xx = e1, e2, product_xx
            # The product of two Gaussians has the sum of their inverse covariances.
            determinant = product_xx * product_yy - product_xy * product_xy
            if not determinant > 0.0:
                break
            inverse_xx = product_yy / determinant - weight_xx
            inverse_yy = product_xx / determinant - weight_yy
            inverse_xy = -product_xy / determinant - weight_xy
            determinant = inverse_xx * inverse_yy - inverse_xy * inverse_xy
            if not determinant > 0.0:
                break
            xx, yy, xy = inverse_yy / determinant, inverse_xx / determinant, -inverse_xy / determinant


@kernel
def _weighted_moments(
    image: FloatArray,
    weight_xx: float,
    weight_yy: float,
    weight_xy: float,
    weights_x: FloatArray,
    cross: FloatArray,
) -> tuple[float, float, float, float]:
    """Return the sums of W I, W I x^2, W I y^2 and W I x y over an image.

    The Gaussian W is a product of a function of x, one of y, and exp(-c y) to the power x, so that
    a row needs few exponentials. ``weights_x`` and ``cross`` are scratch space for a row.
    """
    height, width = image.shape
    # Only the box around the pixels that have weight.
    determinant = weight_xx * weight_yy - weight_xy * weight_xy
    half_width = min(width // 2, int(math.sqrt(_LARGEST_EXPONENT * weight_yy / determinant)))
    half_height = min(height // 2, int(math.sqrt(_LARGEST_EXPONENT * weight_xx / determinant)))
    first = width // 2 - half_width
    n_columns = 2 * half_width + 1
    for column in range(n_columns):
        x = column - half_width
        weights_x[column] = math.exp(-0.5 * weight_xx * x * x)
    total = sum_xx = sum_yy = sum_xy = 0.0
    for y_pixel in range(-half_height, half_height + 1):
        y = float(y_pixel)
        ratio = math.exp(-weight_xy * y)
        inverse_ratio = 1.0 / ratio
        cross[half_width] = math.exp(-0.5 * weight_yy * y * y)
        for x in range(half_width):
            cross[half_width + x + 1] = cross[half_width + x] * ratio
            cross[half_width - x - 1] = cross[half_width - x] * inverse_ratio
        values = image[height // 2 + y_pixel, first : first + n_columns]
        row_total = row_x = row_xx = 0.0
        for column in range(len(values)):
            x_float = float(column - half_width)
            exponent = weight_xx * x_float * x_float + 2.0 * weight_xy * x_float * y + weight_yy * y * y
            weighted = weights_x[column] * cross[column] * values[column]
            weighted = weighted if exponent <= _LARGEST_EXPONENT else 0.0
            row_total += weighted
            row_x += weighted * x_float
            row_xx += weighted * x_float * x_float
        total += row_total
        sum_xx += row_xx
        sum_yy += row_total * y * y
        sum_xy += row_x * y
    return total, sum_xx, sum_yy, sum_xy
