"""Elliptical apertures done slowly: the twins of `forcedphot.kernels.ellipses` and what builds on it."""

import math

import numpy as np

from forcedphot.conventions import FloatArray, FloatValues

from .reference import ApertureFlux, shift_image


def ellipse_matrix(semi_major: float, semi_minor: float, angle: float) -> FloatArray:
    """Return the matrix of an ellipse whose major axis is turned by an angle, radians, from the x axis."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    matrix: FloatArray = turn @ np.diag([semi_major**2, semi_minor**2]) @ turn.T
    return matrix


def axes_of(matrix: FloatArray) -> tuple[float, float]:
    """Return the semi-major and semi-minor axes from the eigenvalues."""
    smaller, larger = np.linalg.eigvalsh(matrix)
    return math.sqrt(larger), math.sqrt(smaller)


def leaves_image(shape: tuple[int, ...], x: float, y: float, matrix: FloatArray) -> bool:
    """Tell whether an ellipse reaches beyond the outer edges of the image's pixels."""
    height, width = shape
    half_width, half_height = math.sqrt(matrix[0, 0]), math.sqrt(matrix[1, 1])
    return (
        x - half_width < -0.5
        or y - half_height < -0.5
        or x + half_width > width - 0.5
        or y + half_height > height - 0.5
    )


def sum_ellipse(image: FloatValues, variance: FloatValues, x: float, y: float, matrix: FloatArray) -> ApertureFlux:
    """Sum the pixels whose centres lie in an ellipse at (x, y) in array coordinates."""
    if leaves_image(image.shape, x, y, matrix):
        return ApertureFlux(math.nan, math.nan, True, False)
    rows, columns = np.indices(image.shape)
    distance = np.stack([columns - x, rows - y])
    inside = np.einsum("iyx,ij,jyx->yx", distance, np.linalg.inv(matrix), distance) <= 1.0
    flux = image[inside].sum(dtype=np.float64)
    return ApertureFlux(float(flux), math.sqrt(variance[inside].sum(dtype=np.float64)), False, False)


def sinc_coefficients(matrix: FloatArray) -> FloatArray:
    """Compute the weights of a band-limited ellipse by a plain sum over frequencies.

    The ellipse's transform is that of the unit circle at the frequency seen in the ellipse's own axes.
    """
    from scipy.special import j1

    semi_major, semi_minor = axes_of(matrix)
    half = 8
    while half < 2 * semi_major * (1 - 1e-12):
        half *= 2
    size = 2 * half - 1
    values, vectors = np.linalg.eigh(matrix)
    steps = np.arange(-(half - 1), half)
    transform = np.empty((size, size))
    for (i, j), _ in np.ndenumerate(transform):
        along_axes = vectors.T @ np.array([steps[j], steps[i]]) / size * np.sqrt(values)
        k = math.hypot(*along_axes)
        transform[i, j] = semi_major * semi_minor * (j1(2 * math.pi * k) / k if k > 0 else math.pi)
    wave = np.exp(2j * math.pi * np.outer(steps, steps) / size)
    coefficients: FloatArray = (wave @ transform @ wave.T).real / size**2
    return coefficients


def sum_sinc_ellipse(
    image: FloatValues, variance: FloatValues, x: float, y: float, matrix: FloatArray
) -> ApertureFlux:
    """Sum the image under a sinc aperture at (x, y), whose frame keeps its unshifted coefficients."""
    column, row = math.floor(x + 0.5), math.floor(y + 0.5)
    unshifted = sinc_coefficients(matrix)
    size = len(unshifted)
    weights = unshifted.copy()
    if (x, y) != (column, row):
        low_x, low_y = (5 if shift > 0 else 4 for shift in (x - column, y - row))
        inner = np.s_[low_y : size - (9 - low_y), low_x : size - (9 - low_x)]
        weights[inner] = shift_image(unshifted, x - column, y - row)[inner]
    rows, columns = np.indices(weights.shape)
    rows, columns = rows + row - size // 2, columns + column - size // 2
    height, width = image.shape
    on_image = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
    if not on_image.all() and leaves_image(image.shape, x, y, matrix):
        return ApertureFlux(math.nan, math.nan, True, True)
    c, pixels = weights[on_image], (rows[on_image], columns[on_image])
    flux, flux_err = np.sum(c * image[pixels]), np.sqrt(np.sum(c**2 * variance[pixels]))
    return ApertureFlux(float(flux), float(flux_err), False, not on_image.all())
