"""Numpy twins of adaptive shapes, Gaussian fluxes and centroids, one source at a time, from the formulas."""

import math
from typing import NamedTuple

import numpy as np

from forcedphot.conventions import FloatArray, FloatValues

ROUND = np.float32
"""Positions are used with its precision."""


class Weighted(NamedTuple):
    """Sums of weight times image: of it, and of it times offsets, first and second."""

    total: float
    first: FloatArray
    second: FloatArray


class Shape(NamedTuple):
    """One source's adaptive shape; NaN where it could not be measured."""

    moments: FloatArray
    """xx, yy, xy."""
    errors: FloatArray
    centroid: FloatArray
    flux: float
    flux_err: float
    covariances: FloatArray
    """Of the flux with the moments."""
    problems: set[str]


class Centroid(NamedTuple):
    """One source's centroid."""

    x: float
    y: float
    x_err: float
    y_err: float
    state: str
    near_edge: bool


def is_narrow(covariance: FloatArray) -> bool:
    return bool(np.diag(covariance).min() < 0.25 or np.linalg.det(covariance) < 0.0625)


def weigh(
    image: FloatValues,
    centre: FloatArray,
    covariance: FloatArray,
    inverse: FloatArray | None,
    *,
    fine: bool,
    background: float = 0.0,
) -> Weighted:
    """Sum a box of pixels, 4 sigma of the covariance in each direction, weighted by a Gaussian of another.

    Without an inverse covariance all pixels have the same weight. Fine sums have 16 samples a pixel.
    """
    radius = min(4 * math.sqrt(np.diag(covariance).max()), 1000)
    rows, columns = np.indices(image.shape)
    offsets = np.stack([columns - centre[0], rows - centre[1]], axis=-1)
    low = [math.floor(c - radius + 0.5) for c in centre]
    high = [math.ceil(c + radius - 0.5) for c in centre]
    in_box = (columns >= low[0]) & (columns <= high[0]) & (rows >= low[1]) & (rows <= high[1])
    values = image.astype(np.float64) - background
    steps = np.array([-0.375, -0.125, 0.125, 0.375]) if fine else np.zeros(1)
    samples = offsets[..., np.newaxis, :] + np.array([(x, y) for y in steps for x in steps])
    if inverse is None:
        weights = np.ones(samples.shape[:-1])
    else:
        exponents = np.einsum("...i,ij,...j", samples, inverse, samples)
        weights = np.exp(-exponents / 2)
        in_box &= exponents.max(axis=-1) <= (9 if fine else 14)
    weighted = (weights[in_box] * values[in_box, np.newaxis]).ravel()
    d = samples[in_box].reshape(-1, 2)
    if inverse is None and fine:
        weighted = weighted / len(steps) ** 2
    return Weighted(weighted.sum(), weighted @ d, np.einsum("n,ni,nj", weighted, d, d))


def shape(
    image: FloatValues,
    noise: float,
    x: float,
    y: float,
    *,
    max_shift: float = 2.0,
    max_iterations: int = 100,
    tolerances: tuple[float, float] = (1e-5, 1e-4),
    background: float = 0.0,
) -> Shape:
    """Match an elliptical Gaussian weight to the image about a position.

    With the weight's covariance Q and the covariance P of image times weight, the next weight is the
    Gaussian that, times the old one, would have P: (P^-1 - Q^-1)^-1.
    """
    centre = np.array([ROUND(x), ROUND(y)], dtype=np.float64)
    smallest = float(np.finfo(np.float32).eps)
    covariance, weight = 1.5 * np.eye(2), np.full((2, 2), np.nan)
    before = np.full(3, np.inf)
    centroid = np.full(2, np.nan)
    problems: set[str] = set()
    fine, total, n = False, np.nan, 0
    while True:
        if n == max_iterations:
            problems |= {"unweighted", "not converged"}
            break
        box = covariance
        if not np.linalg.det(covariance) >= smallest:
            problems.add("unweighted")
            break
        if is_narrow(covariance) and not fine:
            fine = True
            before[2] = np.inf
        else:
            weight = np.linalg.inv(covariance)
            n += 1
        sums = weigh(image, centre, covariance, weight, fine=fine, background=background)
        total = sums.total
        if not (np.abs(weight).max() <= 1e6 and total > 0 and np.diag(sums.second).min() > 0):
            problems.add("unweighted")
            break
        centroid = centre + sums.first / total
        if np.abs(centroid - centre).max() > max_shift:
            problems.add("shifted")
        product = sums.second / total
        trace = np.trace(product)
        now = np.array([(product[0, 0] - product[1, 1]) / trace, 2 * product[0, 1] / trace, product[0, 0]])
        if np.abs(now - before)[:2].max() < tolerances[0] and abs(now[2] / before[2] - 1) < tolerances[1]:
            break
        before = now
        if not np.linalg.det(product) >= smallest:
            problems.add("unweighted")
            break
        inverse = np.linalg.inv(product) - weight
        if not (np.linalg.det(inverse) >= smallest and inverse[0, 0] > 0):
            problems.add("unweighted")
            break
        covariance = np.linalg.inv(inverse)
    nothing = np.full(3, np.nan)
    if "unweighted" in problems:
        sums = weigh(image, centre, box, None, fine=fine, background=background)
        if sums.total > 0 and np.diag(sums.second).min() > 0:
            found = sums.second / sums.total
        else:
            problems = (problems - {"unweighted"}) | {"bad"}
            found = np.eye(2) / 12 if sums.total > 0 else np.full((2, 2), np.nan)
        moments = np.array([found[0, 0], found[1, 1], found[0, 1]])
        return Shape(moments, nothing, centroid, np.nan, np.nan, nothing, problems)
    moments = np.array([covariance[0, 0], covariance[1, 1], covariance[0, 1]])
    errors = fit_errors(total, covariance, noise) if noise > 0 else (nothing, np.nan, nothing)
    return Shape(moments, errors[0], centroid, 2 * total, errors[1], errors[2], problems)


def fit_errors(total: float, covariance: FloatArray, noise: float) -> tuple[FloatArray, float, FloatArray]:
    """Return the errors of a fit of amplitude and moments, from its Fisher matrix, by numerical derivatives."""
    root = math.sqrt(np.linalg.det(covariance))
    amplitude = total / (math.pi * root)
    half = 7.0 * math.sqrt(np.diag(covariance).max())
    axis = np.linspace(-half, half, 201)
    x, y = np.meshgrid(axis, axis)
    parameters = np.array([amplitude, covariance[0, 0], covariance[1, 1], covariance[0, 1]])

    def model(p: FloatArray) -> FloatArray:
        determinant = p[1] * p[2] - p[3] ** 2
        exponent = (p[2] * x**2 + p[1] * y**2 - 2 * p[3] * x * y) / determinant
        result: FloatArray = p[0] * np.exp(-exponent / 2)
        return result

    derivatives = []
    for i, size in enumerate([abs(amplitude), root, root, root]):
        step = np.zeros(4)
        step[i] = 1e-4 * size
        derivatives.append((model(parameters + step) - model(parameters - step)).ravel() / (2 * step[i]))
    fisher = np.array(derivatives) @ np.array(derivatives).T * (axis[1] - axis[0]) ** 2 / noise
    errors = np.linalg.inv(fisher)
    # From the amplitude to the flux of the fitted shape.
    to_flux = 2 * math.pi * root
    return np.sqrt(np.diag(errors)[1:]), math.sqrt(errors[0, 0]) * to_flux, errors[0, 1:] * to_flux


def gaussian_flux(
    image: FloatValues, variance: FloatValues, x: float, y: float, moments: FloatArray, background: float = 0.0
) -> tuple[float, float]:
    """Return the flux under a Gaussian, and its error."""
    xx, yy, xy = moments
    covariance = np.array([[xx, xy], [xy, yy]])
    height, width = image.shape
    is_on = (
        0 <= math.floor(x + 0.5) < width and 0 <= math.floor(y + 0.5) < height if math.isfinite(x + y) else False
    )
    determinant = xx * yy - xy * xy
    if not (is_on and xx > 0 and np.finfo(np.float32).eps <= determinant < np.inf):
        return np.nan, np.nan
    if max(xx, yy) / determinant > 1e6:
        return np.nan, np.nan
    centre = np.array([ROUND(x), ROUND(y)], dtype=np.float64)
    inverse = np.linalg.inv(covariance)
    sums = weigh(image, centre, covariance, inverse, fine=is_narrow(covariance), background=background)
    noise = float(variance[max(int(y), 0), max(int(x), 0)])
    return 2 * sums.total, 2 * math.sqrt(noise * math.pi * math.sqrt(determinant))


def centroid(
    image: FloatValues,
    variance: FloatValues,
    x: float,
    y: float,
    psf: FloatArray,
    sigma: float,
    *,
    min_peak: float = -1.0,
    width_factor: float = 1.5,
    max_binning: int = 16,
) -> Centroid:
    """Find the maximum of an image smoothed with the PSF; binned where the source is wide or far."""
    start = x, y
    height, width = image.shape
    if not (math.isfinite(x + y) and 0 <= math.floor(x + 0.5) < width and 0 <= math.floor(y + 0.5) < height):
        return Centroid(*start, np.nan, np.nan, "edge", False)
    if not sigma > 0:
        return Centroid(*start, np.nan, np.nan, "no psf", False)
    column, row = math.floor(x + 0.5), math.floor(y + 0.5)
    bins, near_edge = [1, 1], False
    found = Centroid(*start, np.nan, np.nan, "good", False)
    binning = 1
    while binning <= max_binning:
        blocks = cut_blocks(image, variance, column, row, bins, psf.shape)
        if blocks is None:
            offsets = np.arange(-2, 3)
            profile = np.exp(-(offsets**2) / (2 * 0.5**2))
            psf, sigma, near_edge = np.outer(profile, profile) / profile.sum() ** 2, 0.5, True
            blocks = cut_blocks(image, variance, column, row, bins, psf.shape)
            if blocks is None:
                return Centroid(*start, np.nan, np.nan, "edge", False)
        windows = [np.lib.stride_tricks.sliding_window_view(block, psf.shape) for block in blocks]
        smooth = np.einsum("yxji,ji->yx", windows[0], psf)
        noise = np.einsum("yxji,ji->yx", windows[1], psf**2) * bins[0] * bins[1] * 4 * math.pi * sigma**2
        measured = maximum(smooth, noise, sigma)
        if isinstance(measured, str):
            return Centroid(*start, np.nan, np.nan, measured, near_edge)
        place, errors, widths, peak = measured
        shift = (place + 0.5) * bins - 0.5
        found = Centroid(
            column + shift[0],
            row + shift[1],
            errors[0] * bins[0],
            errors[1] * bins[1],
            "near edge" if near_edge else "good",
            near_edge,
        )
        if near_edge:
            break
        limit = width_factor * (1 + sigma**2)
        wide = [not (widths[i] < limit and (shift[i] / bins[i]) ** 2 < limit) for i in range(2)]
        if not any(wide) and (binning > 1 or min_peak < 0 or peak > min_peak):
            break
        bins = [b * 2 if w else b for b, w in zip(bins, wide, strict=True)]
        binning *= 2
    return found


def cut_blocks(
    image: FloatValues, variance: FloatValues, column: int, row: int, bins: list[int], shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray] | None:
    """Average blocks of pixels around one, and their variances; None where a block more would be off the image."""
    low_x, low_y = column - bins[0] * (shape[1] // 2 + 2), row - bins[1] * (shape[0] // 2 + 2)
    stop_x, stop_y = low_x + bins[0] * (shape[1] + 4), low_y + bins[1] * (shape[0] + 4)
    if low_x < 0 or low_y < 0 or stop_y > image.shape[0] or stop_x > image.shape[1]:
        return None
    means = []
    for plane, power in ((image, 1), (variance, 2)):
        cut = plane[low_y:stop_y, low_x:stop_x].astype(np.float64)
        blocks = cut.reshape(shape[0] + 4, bins[1], shape[1] + 4, bins[0]).sum(axis=(1, 3))
        means.append(blocks[1:-1, 1:-1] / (bins[0] * bins[1]) ** power)
    return means[0], means[1]


def maximum(
    smooth: FloatArray, noise: FloatArray, sigma: float
) -> str | tuple[FloatArray, FloatArray, FloatArray, float]:
    """Return place, errors, squared widths and height of the maximum of 3 x 3 pixels, or why there is none."""
    lines = [smooth[1], smooth[:, 1]]
    curvature = np.array([2 * line[1] - line[0] - line[2] for line in lines])
    slope = np.array([(line[2] - line[0]) / 2 for line in lines])
    if (curvature == 0).any():
        return "flat"
    if (curvature < 0).any():
        return "no maximum"
    parabola = slope / curvature
    if (np.abs(parabola) > 10).any():
        return "flat"
    peak = smooth[1, 1] + (slope * parabola).sum() / 2
    widths = peak / curvature
    stripes = np.array(
        [[stripe_maximum(smooth[i]) for i in range(3)], [stripe_maximum(smooth[:, i]) for i in range(3)]]
    )
    place, quartic = parabola, 0.0
    if not np.isnan(stripes).any():
        quartic = 1.33
        tilt, bend = (stripes[:, 2] - stripes[:, 0]) / 2, stripes[:, 1] - (stripes[:, 0] + stripes[:, 2]) / 2
        place = parabola
        for _ in range(2):
            other = place[::-1]
            place = stripes[:, 1] + other * (tilt - other * bend)
        widths = widths - (1 + 6 * parabola**2) / 4
    sky, source = (noise.sum() - noise[1, 1]) / 8, noise[1, 1]
    area = math.pi * sigma**2

    def fall(k: float) -> float:
        return math.exp(-1 / (k * sigma**2))

    slope_variance = sky / (8 * area) * (1 - fall(1)) + source / (12 * area) * (fall(3) - fall(1))
    curvature_variance = sky / (2 * area) * (3 - 4 * fall(4) + fall(1))
    curvature_variance += source / (3 * area) * (2 - 3 * fall(3) + fall(1))
    by_slope = 1 / curvature + quartic / (4 * peak) * (1 - 12 * parabola**2)
    by_curvature = parabola / curvature - 2 * quartic / peak * parabola**2 / curvature
    errors = np.sqrt(slope_variance * by_slope**2 + curvature_variance * by_curvature**2)
    return place, errors, np.maximum(widths - sigma**2, sigma**2), float(peak)


def stripe_maximum(values: FloatArray) -> float:
    """Return the maximum of three pixels, to fourth order; NaN if it is not within one pixel."""
    down, up = values[1] - values[2], values[1] - values[0]
    if not (down + up > 0 and values[1] > 0):
        return np.nan
    place = (values[2] - values[0]) / 2 / (down + up) * (1 + 1.33 * down * up / ((down + up) * values[1]))
    return float(place) if abs(place) < 1 else np.nan
