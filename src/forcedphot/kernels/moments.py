"""Adaptive second moments: weighted by the elliptical Gaussian that matches them; its sums over pixels."""

import math
from typing import NamedTuple

import numpy as np

from ..conventions import FloatArray, FloatValues
from .compiling import kernel

UNWEIGHTED = 1
"""Bit of `Ellipse.problems`: weight and image do not come to agree; the moments are unweighted."""
UNWEIGHTED_BAD = 2
"""Bit: nor do the unweighted moments make sense."""
SHIFTED = 4
"""Bit: the weighted centroid was further from the centre than allowed, at some iteration."""
NOT_CONVERGED = 8
"""Bit: the iterations did not suffice."""

LARGEST_RADIUS = 1000.0
"""Of boxes of pixels, half their side."""
LARGEST_WEIGHT = 1e6
"""Largest element of an inverse covariance, 1 / pixel^2."""
SMALLEST_DETERMINANT = float(np.finfo(np.float32).eps)
"""Of covariances and their inverses."""

_MAX_ITERATIONS = 100
_ELLIPTICITY_TOLERANCE = 1e-5
_SIZE_TOLERANCE = 1e-4
_FIRST_VARIANCE = 1.5  # pixel^2, of the round Gaussian that the iteration starts from
_LARGEST_EXPONENT = 14.0  # pixels further out, in units of twice the exponent, have no weight
_LARGEST_FINE_EXPONENT = 9.0  # the same for pixels that are divided
_SMALL_VARIANCE = 0.25  # pixel^2, below which a Gaussian needs more than a sample a pixel
_FINE_STEP = 0.25  # pixels, between the samples in a pixel
_FINE_VARIANCE = 5.0 / 64.0  # pixel^2, of the samples in a pixel
_PIXEL_VARIANCE = 1.0 / 12.0  # pixel^2


class Sums(NamedTuple):
    """Sums over pixels of the weighted image, and of it times offsets from the centre."""

    total: float
    x: float
    y: float
    xx: float
    yy: float
    xy: float


class Ellipse(NamedTuple):
    """An adaptive measurement."""

    problems: int
    """Bits as above; 0 for none."""
    xx: float
    """Second moments, pixel^2; those of a pixel, or NaN, where they could not be measured."""
    yy: float
    xy: float
    total: float
    """Sum of the weighted image, NaN where moments are unweighted."""
    x: float
    """Weighted centroid, array coordinates; NaN if there was no iteration."""
    y: float
    radius: float
    """Half the side of the largest box that pixels were read of."""


def adaptive_moments(images: FloatArray) -> FloatArray:
    """Measure the second moments of images about their middle pixel.

    Parameters
    ----------
    images
        Shape (n, height, width), odd sizes.

    Returns
    -------
    Shape (n, 3): xx, yy, xy in pixel^2, unweighted where the iteration fails, NaN where these do not make
    sense either.
    """
    result = np.full((len(images), 3), np.nan)
    _adaptive_moments(np.ascontiguousarray(images), result)
    return result


@kernel
def _adaptive_moments(images: FloatArray, result: FloatArray) -> None:
    height, width = images.shape[1:]
    scratch = np.empty(width + 1)
    for i in range(len(images)):
        ellipse = measure_ellipse(
            images[i],
            float(width // 2),
            float(height // 2),
            0.0,
            np.inf,
            _MAX_ITERATIONS,
            _ELLIPTICITY_TOLERANCE,
            _SIZE_TOLERANCE,
            scratch,
        )
        if ellipse.problems & UNWEIGHTED_BAD == 0:
            result[i, 0], result[i, 1], result[i, 2] = ellipse.xx, ellipse.yy, ellipse.xy


@kernel
def measure_ellipse(
    image: FloatValues,
    x: float,
    y: float,
    background: float,
    max_shift: float,
    max_iterations: int,
    ellipticity_tolerance: float,
    size_tolerance: float,
    scratch: FloatArray,
) -> Ellipse:
    """Measure one source's moments (Bernstein & Jarvis 2002, AJ 123, 583; meas_base's SdssShape).

    The weight is an elliptical Gaussian about a fixed centre; its covariance is iterated until weight and
    image agree. Where they do not, or the result is no ellipse, the moments are those of the pixels in the
    last box, unweighted.

    Parameters
    ----------
    image
        Shape (height, width).
    x, y
        Centre in array coordinates, on the image.
    background
        Subtracted from each pixel.
    max_shift
        How far from the centre, in x and in y, the weighted centroid may be.
    max_iterations
        Number of iterations after which to give up.
    ellipticity_tolerance, size_tolerance
        Of the ellipticities of image times weight and, relative, of its xx: they changed by less when the
        iteration ends.
    scratch
        Shape (width + 1,).
    """
    xx, yy, xy = _FIRST_VARIANCE, _FIRST_VARIANCE, 0.0
    weight_xx = weight_yy = weight_xy = np.nan
    old_e1 = old_e2 = old_xx = np.inf
    centroid_x = centroid_y = total = np.nan
    reach = radius = box_radius(xx, yy)
    problems = 0
    is_fine = False
    iteration = 0
    while iteration < max_iterations:
        radius = box_radius(xx, yy)
        reach = max(reach, radius)
        determinant = xx * yy - xy * xy
        if not determinant >= SMALLEST_DETERMINANT:
            problems |= UNWEIGHTED
            break
        if needs_fine_samples(xx, yy, determinant) and not is_fine:
            # The same weight once more, with finer samples; that cannot be the end.
            is_fine = True
            old_xx = np.inf
        else:
            weight_xx, weight_yy, weight_xy = yy / determinant, xx / determinant, -xy / determinant
            iteration += 1
        sums = weighted_sums(image, x, y, background, radius, is_fine, weight_xx, weight_yy, weight_xy, scratch)
        total = sums.total
        if not (total > 0.0 and sums.xx > 0.0 and sums.yy > 0.0):
            problems |= UNWEIGHTED
            break
        centroid_x, centroid_y = x + sums.x / total, y + sums.y / total
        if abs(centroid_x - x) > max_shift or abs(centroid_y - y) > max_shift:
            problems |= SHIFTED
        # Of the image times the weight.
        product_xx, product_yy, product_xy = sums.xx / total, sums.yy / total, sums.xy / total
        e1 = (product_xx - product_yy) / (product_xx + product_yy)
        e2 = 2.0 * product_xy / (product_xx + product_yy)
        if (
            abs(e1 - old_e1) < ellipticity_tolerance
            and abs(e2 - old_e2) < ellipticity_tolerance
            and abs(product_xx / old_xx - 1.0) < size_tolerance
        ):
            break
        old_e1, old_e2, old_xx = e1, e2, product_xx
        # The product of two Gaussians has the sum of their inverse covariances.
        determinant = product_xx * product_yy - product_xy * product_xy
        if not determinant >= SMALLEST_DETERMINANT:
            problems |= UNWEIGHTED
            break
        inverse_xx = product_yy / determinant - weight_xx
        inverse_yy = product_xx / determinant - weight_yy
        inverse_xy = -product_xy / determinant - weight_xy
        determinant = inverse_xx * inverse_yy - inverse_xy * inverse_xy
        if not (determinant >= SMALLEST_DETERMINANT and inverse_xx > 0.0):
            problems |= UNWEIGHTED
            break
        xx, yy, xy = inverse_yy / determinant, inverse_xx / determinant, -inverse_xy / determinant
    else:
        problems |= UNWEIGHTED | NOT_CONVERGED
    if problems & UNWEIGHTED:
        total = np.nan
        sums = _unweighted_sums(image, x, y, background, radius, is_fine)
        if sums.total > 0.0 and sums.xx > 0.0 and sums.yy > 0.0:
            xx, yy, xy = sums.xx / sums.total, sums.yy / sums.total, sums.xy / sums.total
        else:
            problems = problems & ~UNWEIGHTED | UNWEIGHTED_BAD
            xx = yy = _PIXEL_VARIANCE if sums.total > 0.0 else np.nan
            xy = 0.0 if sums.total > 0.0 else np.nan
    return Ellipse(problems, xx, yy, xy, total, centroid_x, centroid_y, reach)


@kernel
def box_radius(xx: float, yy: float) -> float:
    """Return half the side of the box of pixels in which a Gaussian is summed."""
    return min(4.0 * math.sqrt(max(xx, yy)), LARGEST_RADIUS)


@kernel
def needs_fine_samples(xx: float, yy: float, determinant: float) -> bool:
    """Tell whether a Gaussian is too narrow for a sample a pixel."""
    return xx < _SMALL_VARIANCE or yy < _SMALL_VARIANCE or determinant < _SMALL_VARIANCE * _SMALL_VARIANCE


@kernel
def _first(centre: float, radius: float) -> int:
    """Return the first pixel of a box, at least 0."""
    return int(max(math.floor(centre - radius + 0.5), 0.0))


@kernel
def _stop(centre: float, radius: float, size: int) -> int:
    """Return the pixel after the last of a box, at most ``size``."""
    return int(min(math.ceil(centre + radius - 0.5) + 1.0, float(size)))


@kernel
def weighted_sums(
    image: FloatValues,
    x: float,
    y: float,
    background: float,
    radius: float,
    is_fine: bool,
    weight_xx: float,
    weight_yy: float,
    weight_xy: float,
    scratch: FloatArray,
) -> Sums:
    """Sum an image times the Gaussian exp(-d^T W d / 2) over pixels; NaN if it is absurdly narrow.

    Parameters
    ----------
    image
        Shape (height, width).
    x, y
        Its centre in array coordinates, on the image.
    background
        Subtracted from each pixel.
    radius
        Half the side of the box that the pixels are in.
    is_fine
        Whether to take 4 x 4 samples a pixel.
    weight_xx, weight_yy, weight_xy
        W, 1 / pixel^2, positive definite.
    scratch
        Shape (width + 1,).
    """
    if not max(abs(weight_xx), abs(weight_yy), abs(weight_xy)) <= LARGEST_WEIGHT:
        return Sums(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan)
    if is_fine:
        return _fine_sums(image, x, y, background, radius, weight_xx, weight_yy, weight_xy)
    height, width = image.shape
    x_first, x_stop = _first(x, radius), _stop(x, radius, width)
    y_first, y_stop = _first(y, radius), _stop(y, radius, height)
    # In a row the weight is a Gaussian of the variance 1 / weight_xx about a middle that moves with y.
    slope = -weight_xy / weight_xx
    inverse_yy = weight_yy + weight_xy * slope  # 1 / yy of the covariance
    n_scratch = min(int(math.sqrt(_LARGEST_EXPONENT / weight_xx)) + 2, len(scratch))
    for i in range(n_scratch):
        scratch[i] = math.exp(-0.5 * weight_xx * float(i * i))
    total = sum_x = sum_y = sum_xx = sum_yy = sum_xy = 0.0
    for row in range(y_first, y_stop):
        dy = float(row) - y
        left = _LARGEST_EXPONENT - inverse_yy * dy * dy
        if left < 0.0:
            continue
        middle = x + slope * dy
        half_width = math.sqrt(left / weight_xx)
        start = int(max(math.ceil(middle - half_width), float(x_first)))
        stop = int(min(math.floor(middle + half_width) + 1.0, float(x_stop)))
        if stop <= start:
            continue
        # exp(-w (i + d)^2 / 2) = exp(-w i^2 / 2) exp(-w d)^i exp(-w d^2 / 2), and the second is a product.
        nearest = min(max(math.floor(middle + 0.5), start), stop - 1)
        here_dx, d = float(nearest) - x, float(nearest) - middle
        here = math.exp(-0.5 * (weight_xx * d * d + inverse_yy * dy * dy))
        ratio = math.exp(-weight_xx * d)
        values = image[row]
        weighted = here * (values[nearest] - background)
        row_total, row_x, row_xx = weighted, weighted * here_dx, weighted * here_dx * here_dx
        power = here
        for i in range(1, stop - nearest):
            power *= ratio
            weighted = power * scratch[i] * (values[nearest + i] - background)
            dx = here_dx + float(i)
            row_total += weighted
            row_x += weighted * dx
            row_xx += weighted * dx * dx
        ratio = 1.0 / ratio
        power = here
        for i in range(1, nearest - start + 1):
            power *= ratio
            weighted = power * scratch[i] * (values[nearest - i] - background)
            dx = here_dx - float(i)
            row_total += weighted
            row_x += weighted * dx
            row_xx += weighted * dx * dx
        total += row_total
        sum_x += row_x
        sum_y += row_total * dy
        sum_xx += row_xx
        sum_yy += row_total * dy * dy
        sum_xy += row_x * dy
    return Sums(total, sum_x, sum_y, sum_xx, sum_yy, sum_xy)


@kernel
def _fine_sums(
    image: FloatValues,
    x: float,
    y: float,
    background: float,
    radius: float,
    weight_xx: float,
    weight_yy: float,
    weight_xy: float,
) -> Sums:
    """Sum with 4 x 4 samples a pixel; the sums are 16 times larger than with one."""
    height, width = image.shape
    total = sum_x = sum_y = sum_xx = sum_yy = sum_xy = 0.0
    for row in range(_first(y, radius), _stop(y, radius, height)):
        for column in range(_first(x, radius), _stop(x, radius, width)):
            dx, dy = float(column) - x, float(row) - y
            if _largest_exponent(dx, dy, weight_xx, weight_yy, weight_xy) > _LARGEST_FINE_EXPONENT:
                continue
            value = image[row, column] - background
            for j in range(4):
                sample_y = dy + (j - 1.5) * _FINE_STEP
                for i in range(4):
                    sample_x = dx + (i - 1.5) * _FINE_STEP
                    exponent = (
                        weight_xx * sample_x * sample_x
                        + 2.0 * weight_xy * sample_x * sample_y
                        + weight_yy * sample_y * sample_y
                    )
                    weighted = value * math.exp(-0.5 * exponent)
                    total += weighted
                    sum_x += weighted * sample_x
                    sum_y += weighted * sample_y
                    sum_xx += weighted * sample_x * sample_x
                    sum_yy += weighted * sample_y * sample_y
                    sum_xy += weighted * sample_x * sample_y
    return Sums(total, sum_x, sum_y, sum_xx, sum_yy, sum_xy)


@kernel
def _largest_exponent(dx: float, dy: float, weight_xx: float, weight_yy: float, weight_xy: float) -> float:
    """Return the largest d^T W d of a pixel's outermost samples."""
    largest = 0.0
    for y in (dy - 1.5 * _FINE_STEP, dy + 1.5 * _FINE_STEP):
        for x in (dx - 1.5 * _FINE_STEP, dx + 1.5 * _FINE_STEP):
            largest = max(largest, weight_xx * x * x + 2.0 * weight_xy * x * y + weight_yy * y * y)
    return largest


@kernel
def _unweighted_sums(
    image: FloatValues, x: float, y: float, background: float, radius: float, is_fine: bool
) -> Sums:
    """Sum the pixels of a box; a pixel has the width of its samples if it has several."""
    height, width = image.shape
    width_of_pixel = _FINE_VARIANCE if is_fine else 0.0
    total = sum_x = sum_y = sum_xx = sum_yy = sum_xy = 0.0
    for row in range(_first(y, radius), _stop(y, radius, height)):
        dy = float(row) - y
        for column in range(_first(x, radius), _stop(x, radius, width)):
            dx = float(column) - x
            value = image[row, column] - background
            total += value
            sum_x += value * dx
            sum_y += value * dy
            sum_xx += value * (dx * dx + width_of_pixel)
            sum_yy += value * (dy * dy + width_of_pixel)
            sum_xy += value * dx * dy
    return Sums(total, sum_x, sum_y, sum_xx, sum_yy, sum_xy)
