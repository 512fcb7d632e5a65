"""Fluxes on convolved cut-outs done slowly: the twin of `forcedphot.kernels.convolved_flux`."""

import math
from typing import NamedTuple

import numpy as np

from forcedphot.conventions import FloatArray, FloatValues, IntArray

from . import reference, reference_ellipses
from .reference import ApertureFlux


class CutOut(NamedTuple):
    """Part of an image, convolved, and where its first pixel is."""

    image: FloatArray
    variance: FloatArray
    x0: int
    y0: int
    is_unconvolved: bool


def convolve(plane: FloatValues, kernel: FloatArray) -> FloatArray:
    """Convolve with a symmetric kernel, (2 h + 1, 2 h + 1), leaving a frame of h pixels as it is."""
    half = len(kernel) // 2
    result = plane.astype(np.float64)
    for row in range(half, plane.shape[0] - half):
        for column in range(half, plane.shape[1] - half):
            patch = plane[row - half : row + half + 1, column - half : column + half + 1]
            result[row, column] = np.sum(kernel * patch)
    return result


def cut_out(
    image: FloatValues,
    variance: FloatValues,
    seeing: float,
    target: float,
    kernel_scale: float,
    box: IntArray,
    growth: int,
) -> CutOut:
    """Cut out a grown box, and convolve it from one Gaussian seeing to another; or take all as it is."""
    everything = CutOut(image.astype(np.float64), variance.astype(np.float64), 0, 0, True)
    if target < seeing:
        return everything
    sigma = math.sqrt(target**2 - seeing**2)
    half = math.floor(kernel_scale * sigma + 0.5)
    x_first, y_first, x_last, y_last = box.tolist()
    if x_last < x_first or y_last < y_first:
        return everything
    height, width = image.shape
    x0, y0 = max(x_first - growth - half, 0), max(y_first - growth - half, 0)
    x_stop, y_stop = min(x_last + growth + half + 1, width), min(y_last + growth + half + 1, height)
    if min(x_stop - x0, y_stop - y0) < 2 * half + 1:
        return everything
    steps = np.arange(-half, half + 1)
    kernel = np.ones((1, 1))
    if half > 0:
        kernel = np.exp(-0.5 * np.add.outer(steps**2, steps**2) / sigma**2)
        kernel /= kernel.sum()
    part = np.s_[y0:y_stop, x0:x_stop]
    return CutOut(convolve(image[part], kernel), convolve(variance[part], kernel**2), x0, y0, False)


def sum_sinc(cut: CutOut, x: float, y: float, matrix: FloatArray) -> ApertureFlux:
    """Sum a cut-out under a sinc aperture; the position is rounded to float32."""
    x, y = float(np.float32(x)), float(np.float32(y))
    return reference_ellipses.sum_sinc_ellipse(cut.image, cut.variance, x - cut.x0, y - cut.y0, matrix)


def sum_circle(cut: CutOut, x: float, y: float, radius: float) -> ApertureFlux:
    """Sum a cut-out over the pixel centres in a circle, all of which is to be on it."""
    return reference.sum_circle(cut.image, cut.variance, x - cut.x0, y - cut.y0, radius)


def sum_ellipse(cut: CutOut, x: float, y: float, matrix: FloatArray) -> ApertureFlux:
    """Sum a cut-out over the pixel centres in an ellipse, all of which are to be on it."""
    margin = 100
    height, width = cut.image.shape
    rows, columns = np.indices((height + 2 * margin, width + 2 * margin)) - margin
    distance = np.stack([columns - (x - cut.x0), rows - (y - cut.y0)])
    inside = np.einsum("iyx,ij,jyx->yx", distance, np.linalg.inv(matrix), distance) <= 1.0
    on_cut = inside[margin : margin + height, margin : margin + width]
    if on_cut.sum() < inside.sum():
        return ApertureFlux(math.nan, math.nan, True, False)
    return ApertureFlux(float(cut.image[on_cut].sum()), math.sqrt(cut.variance[on_cut].sum()), False, False)
