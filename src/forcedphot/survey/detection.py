"""Detection: the pixels and peaks of an image that stand out of the noise when it is smoothed with its PSF."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..catalog.footprint import PEAK_SCHEMA, Footprint
from ..catalog.source_catalog import SourceCatalog
from ..conventions import BoolArray, Box, FloatArray, IntArray
from ..errors import ExposureError
from ..plugins.base import missing_component

if TYPE_CHECKING:
    from ..exposure import Exposure

_THRESHOLD = 5.0
_N_SIGMA_TO_GROW = 2.4
_KERNEL_RADIUS_SIGMAS = 3.0
_MIN_AREA_PIX = 3
_PSF_SAMPLES_PER_SIDE = 5
_DEBLEND_LEVELS = 32
_DEBLEND_CONTRAST = 0.002
_BACKGROUND_MESH_PIX = 128
_CONNECTED = np.ones((3, 3), dtype=np.int64)  # by edges or corners


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What was detected on an image.

    Parameters
    ----------
    bbox
        Of the image.
    footprints
        Each with its peaks, the brightest first; no two touch.
    """

    bbox: Box
    footprints: tuple[Footprint, ...]

    def covered(self) -> BoolArray:
        """Return whether each pixel belongs to a footprint: the mask plane DETECTED."""
        covered = np.zeros(self.bbox.shape, dtype=bool)
        for footprint in self.footprints:
            x, y = footprint.pixels()
            covered[y - self.bbox.y0, x - self.bbox.x0] = True
        return covered


def detect(
    exposure: Exposure,
    threshold: float = _THRESHOLD,
    *,
    n_sigma_to_grow: float = _N_SIGMA_TO_GROW,
    subtract_background: bool = False,
) -> Detections:
    """Find sources by the significance of the image, smoothed with its PSF.

    Parameters
    ----------
    exposure
        With variance and PSF; pixels of the mask plane NO_DATA are not looked at.
    threshold
        Significance of a footprint's pixels, before it is grown.
    n_sigma_to_grow
        By how many sigmas of the PSF footprints are grown, so that they hold most of the light.
    subtract_background
        Subtract a background that varies slowly before; it stays in the exposure.

    Raises
    ------
    ExposureError
        If there is no PSF or variance.
    """
    smoothed = _Smoothed.of(exposure, subtract_background=subtract_background)
    return smoothed.detect(1, threshold, n_sigma_to_grow)


def detect_both_signs(exposure: Exposure) -> tuple[Detections, Detections]:
    """Find sources as `detect` does by default: positive ones, and negative ones."""
    smoothed = _Smoothed.of(exposure)
    return smoothed.detect(1), smoothed.detect(-1)


@dataclass(frozen=True, slots=True, eq=False)
class _Smoothed:
    """An image on which sources are looked for.

    Parameters
    ----------
    bbox
        Of the image.
    image
        0 where there is no data.
    unusable
        Whether there is no data.
    significance
        Of a point source in the middle of each pixel.
    kernel, sigma_pix
        The core of the PSF, and its size.
    """

    bbox: Box
    image: npt.NDArray[np.float32]
    unusable: BoolArray
    significance: npt.NDArray[np.float32]
    kernel: npt.NDArray[np.float32]
    sigma_pix: float

    @classmethod
    def of(cls, exposure: Exposure, *, subtract_background: bool = False) -> _Smoothed:
        """Smooth an image with its PSF."""
        import sep

        if exposure.variance is None:
            raise ExposureError(missing_component(exposure, "variance plane"))
        variance = exposure.variance
        kernel, sigma_pix = _middle_psf(exposure)
        unusable = ~(np.isfinite(exposure.image) & np.isfinite(variance) & (variance > 0)) | _no_data(exposure)
        image = np.where(unusable, np.float32(0), exposure.image)
        if subtract_background:
            image -= sep.Background(image, mask=unusable, bw=_BACKGROUND_MESH_PIX, bh=_BACKGROUND_MESH_PIX).back()
        weight = np.where(unusable, 0.0, 1.0 / np.where(unusable, 1.0, variance))
        significance = _matched_filter(image, weight, kernel)
        return cls(exposure.bbox, image, unusable, significance, kernel, sigma_pix)

    def detect(
        self, sign: int, threshold: float = _THRESHOLD, n_sigma_to_grow: float = _N_SIGMA_TO_GROW
    ) -> Detections:
        """Find the sources that are positive, or negative."""
        import sep

        # The default is for a few detected pixels; here it is enough if all are.
        sep.set_extract_pixstack(2 * self.image.size)
        objects, segments = sep.extract(
            sign * self.significance,
            threshold,
            mask=self.unusable,
            minarea=_MIN_AREA_PIX,
            filter_kernel=None,
            deblend_nthresh=_DEBLEND_LEVELS,
            deblend_cont=_DEBLEND_CONTRAST,
            # It would drop good sources beside brighter ones.
            clean=False,
            segmentation_map=True,
        )
        labels = grown_labels(segments > 0, n_sigma_to_grow * self.sigma_pix)
        columns, rows = objects["xpeak"].astype(np.int64), objects["ypeak"].astype(np.int64)
        peaks = peak_catalog(*_refined(sign * self.image, self.kernel, columns, rows), self.bbox)
        return Detections(self.bbox, footprints_of(labels, peaks, self.bbox))


def negated(exposure: Exposure) -> Exposure:
    """Return an exposure on which what was negative is positive."""
    return dataclasses.replace(exposure, image=-exposure.image)


def grown_labels(covered: BoolArray, radius_pix: float) -> npt.NDArray[np.int32]:
    """Grow regions by a distance, and number those that are apart from 1; 0 is outside of them all."""
    from scipy import ndimage

    if covered.any():
        covered = ndimage.distance_transform_edt(~covered) <= radius_pix
    labels: npt.NDArray[np.int32] = ndimage.label(covered, structure=_CONNECTED)[0]
    return labels


def peak_catalog(x: FloatArray, y: FloatArray, value: npt.ArrayLike, bbox: Box) -> SourceCatalog:
    """Make a catalog of peaks.

    Parameters
    ----------
    x, y
        In array coordinates, shape (n,).
    value
        Of the smoothed image, shape (n,).
    bbox
        Of the image.
    """
    columns = PEAK_SCHEMA.allocate(len(x))
    columns["id"][:] = np.arange(1, len(x) + 1)
    columns["f_x"][:], columns["f_y"][:] = x + bbox.x0, y + bbox.y0
    for axis in ("x", "y"):
        columns[f"i_{axis}"][:] = np.floor(columns[f"f_{axis}"] + 0.5)
    columns["peakValue"][:] = value
    return SourceCatalog(PEAK_SCHEMA, columns, kind="BASE")


def footprints_of(labels: npt.NDArray[np.int32], peaks: SourceCatalog, bbox: Box) -> tuple[Footprint, ...]:
    """Make footprints of numbered regions, each with the peaks in it; regions without are left out.

    Parameters
    ----------
    labels
        Shape (height, width): from 1, 0 outside.
    peaks
        With the columns of `PEAK_SCHEMA` and others.
    bbox
        Of the image.
    """
    number = labels[peaks["i_y"] - bbox.y0, peaks["i_x"] - bbox.x0]
    order = np.lexsort((-peaks["peakValue"], number))
    order = order[number[order] > 0]
    first_of = np.searchsorted(number[order], np.arange(1, labels.max(initial=0) + 2))
    spans, owner = _runs(labels)
    spans[:, 0] += bbox.y0
    spans[:, 1:] += bbox.x0
    first_span = np.searchsorted(owner, np.arange(1, labels.max(initial=0) + 2))
    return tuple(
        Footprint(
            spans=spans[first_span[i] : first_span[i + 1]], peaks=peaks[order[first_of[i] : first_of[i + 1]]]
        )
        for i in np.flatnonzero(np.diff(first_of)).tolist()
    )


def _runs(labels: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the runs of equal labels along rows, as spans y, x0, x1, and their labels, sorted by them."""
    padded = np.pad(labels, ((0, 0), (1, 1)))
    changes = padded[:, 1:] != padded[:, :-1]
    row, start = np.nonzero(changes & (padded[:, 1:] > 0))
    _, stop = np.nonzero(changes & (padded[:, :-1] > 0))
    owner = labels[row, start]
    order = np.argsort(owner, kind="stable")
    spans = np.stack([row, start, stop - 1], axis=1).astype(np.int32)
    return spans[order], owner[order]


def _middle_psf(exposure: Exposure) -> tuple[npt.NDArray[np.float32], float]:
    """Return the core of the PSF nearest the middle, to filter with, and its sigma in pixels."""
    if exposure.psf is None:
        raise ExposureError(missing_component(exposure, "PSF"))
    box = exposure.bbox
    steps = (np.arange(_PSF_SAMPLES_PER_SIDE) + 0.5) / _PSF_SAMPLES_PER_SIDE
    x, y = (values.ravel() for values in np.meshgrid(box.x0 + box.width * steps, box.y0 + box.height * steps))
    order = np.argsort(np.hypot(x - box.x0 - box.width / 2, y - box.y0 - box.height / 2), kind="stable")
    x, y = x[order], y[order]
    kernels = exposure.psf.kernel_images(x, y)
    if not kernels.valid.any():
        raise ExposureError(f"The exposure ({exposure.identity}) has a PSF, but nowhere on the image.")
    first = int(kernels.valid.argmax())
    images = kernels.images[first : first + 1]
    xx, yy, xy = exposure.psf.moments(x[[first]], y[[first]])[0]
    sigma = float((xx * yy - xy**2) ** 0.25)
    half_height, half_width = (size // 2 for size in images.shape[1:])
    radius = min(int(np.ceil(_KERNEL_RADIUS_SIGMAS * sigma)), half_height, half_width)
    kernel = images[
        0, half_height - radius : half_height + radius + 1, half_width - radius : half_width + radius + 1
    ]
    return np.ascontiguousarray(kernel / kernel.sum(), dtype=np.float32), sigma


def _no_data(exposure: Exposure) -> BoolArray:
    bit = None if exposure.mask is None else exposure.mask.find("NO_DATA")
    if exposure.mask is None or bit is None:
        return np.zeros(exposure.image.shape, dtype=bool)
    no_data: BoolArray = (exposure.mask.array & (1 << bit)) != 0
    return no_data


def _matched_filter(
    image: npt.NDArray[np.float32], weight: FloatArray, kernel: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the significance of a point source in the middle of each pixel.

    Parameters
    ----------
    weight
        Inverse variances, 0 where there is no data.
    """
    from scipy.signal import fftconvolve

    # To filter with the PSF is to convolve with its mirror image.
    psf = kernel[::-1, ::-1].astype(np.float64)
    flux, power = fftconvolve(image * weight, psf, mode="same"), fftconvolve(weight, psf**2, mode="same")
    # Far from all data, what is left are rounding errors.
    power = np.maximum(power, max(1e-9 * power.max(), np.finfo(np.float64).tiny))
    significance: npt.NDArray[np.float32] = (flux / np.sqrt(power)).astype(np.float32)
    return significance


def _refined(
    image: npt.NDArray[np.float32], kernel: npt.NDArray[np.float32], columns: IntArray, rows: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Move peaks to the tops of the parabolas through their neighbours, by half a pixel at most.

    Returns
    -------
    x, y
        In array coordinates.
    value
        Of the smoothed image, on the pixel of the peak.
    """
    height, width = image.shape
    column, row = np.clip(columns, 1, width - 2), np.clip(rows, 1, height - 2)
    smoothed = _smoothed_around(image, kernel, column, row)

    def shift(before: FloatArray, here: FloatArray, after: FloatArray) -> FloatArray:
        curvature = 2 * here - before - after
        with np.errstate(invalid="ignore", divide="ignore"):
            top = np.where(curvature > 0, 0.5 * (after - before) / curvature, 0.0)
        return np.clip(top, -0.5, 0.5)

    here = smoothed[:, 1, 1]
    dx = shift(smoothed[:, 1, 0], here, smoothed[:, 1, 2])
    dy = shift(smoothed[:, 0, 1], here, smoothed[:, 2, 1])
    value = smoothed[np.arange(len(rows)), 1 + rows - row, 1 + columns - column]
    return np.clip(column + dx, -0.5, width - 0.501), np.clip(row + dy, -0.5, height - 0.501), value


def _smoothed_around(
    image: npt.NDArray[np.float32], kernel: npt.NDArray[np.float32], columns: IntArray, rows: IntArray
) -> FloatArray:
    """Return the image, smoothed with the PSF, on places and the pixels next to them: shape (n, 3, 3)."""
    stamps = np.lib.stride_tricks.sliding_window_view(
        np.pad(image.astype(np.float64), [(side // 2, side // 2) for side in kernel.shape]), kernel.shape
    )
    steps = np.arange(-1, 2)
    around = stamps[rows[:, None, None] + steps[:, None], columns[:, None, None] + steps]
    smoothed: FloatArray = np.einsum("nijkl,kl->nij", around, kernel.astype(np.float64))
    return smoothed
