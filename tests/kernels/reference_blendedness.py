"""The slow and obvious numpy twin of the blendedness kernels, one source at a time."""

import math

import numpy as np

from forcedphot.conventions import FloatArray, FloatValues


def measure_weighted_moments(
    image: FloatValues, variance: FloatValues, x: float, y: float, moments: FloatArray, n_sigma: float
) -> list[float]:
    """Return flux, xx, yy, xy of the pixels, and of their absolute values less the bias of these."""
    xx, yy, xy = moments
    if not (np.isfinite(moments).all() and xx > 0 and yy > 0 and xx * yy > xy * xy):
        return [math.nan] * 8
    rows, columns = np.indices(image.shape)
    d = np.stack([columns - x, rows - y], axis=-1)
    radius_squared = np.einsum("...i,ij,...j", d, np.linalg.inv([[xx, xy], [xy, yy]]), d)
    is_used = radius_squared <= n_sigma**2
    weight, d = np.exp(-0.5 * radius_squared[is_used]), d[is_used]
    data = image[is_used].astype(np.float64)
    sigma = np.sqrt(variance[is_used].astype(np.float64))
    bias = [
        expected_absolute(truth, s) - truth
        for truth, s in zip(map(expected_truth, data, sigma), sigma, strict=True)
    ]
    result = []
    for values in (data, np.abs(data) - bias):
        flux = weight.sum() * (weight * values).sum() / (weight**2).sum() if is_used.any() else math.nan
        second = [
            2.0 * (weight * values * d[:, i] * d[:, j]).sum() / (weight * values).sum()
            if is_used.any()
            else math.nan
            for i, j in ((0, 0), (1, 1), (0, 1))
        ]
        result += [flux, *second]
    result[4] = max(result[4], 0.0)
    return result


def expected_truth(value: float, sigma: float) -> float:
    """Return the mean of a Gaussian of this mean and sigma, cut off below 0; 0 if all but 2^-149 is cut off."""
    if 0.5 * math.erfc(-value / sigma / math.sqrt(2.0)) < 2.0**-149:
        return 0.0
    # Until the density is exp(-72) of its largest.
    end = value + math.hypot(min(value, 0.0), 12.0 * sigma)
    t = np.linspace(0.0, end, 4001)
    log_density = -0.5 * ((t - value) / sigma) ** 2
    density = np.exp(log_density - log_density.max())
    return float(np.trapezoid(t * density, t) / np.trapezoid(density, t))


def expected_absolute(truth: float, sigma: float) -> float:
    """Return the mean of |v| for v that scatter around a truth."""
    v = np.linspace(truth - 12.0 * sigma, truth + 12.0 * sigma, 4001)
    density = np.exp(-0.5 * ((v - truth) / sigma) ** 2)
    return float(np.trapezoid(np.abs(v) * density, v) / np.trapezoid(density, v))
