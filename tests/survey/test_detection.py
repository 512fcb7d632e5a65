"""Detection and deblending: every bright star once, nothing in noise, pixels shared and none lost."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forcedphot.catalog.footprint import Footprint
from forcedphot.conventions import BoolArray, Box, FloatArray
from forcedphot.errors import ExposureError
from forcedphot.exposure import Mask
from forcedphot.psf import GaussianPsf
from forcedphot.psf.base import KernelImages
from forcedphot.simulation import PLANES
from forcedphot.survey.deblending import deblend
from forcedphot.survey.detection import detect, footprints_of, grown_labels, negated, peak_catalog

from .catalog_scenes import SKY_SIGMA, grid_of_stars, psf_flux_err, stars


def _peaks(footprints: Sequence[Footprint]) -> tuple[FloatArray, FloatArray]:
    x, y = (
        np.concatenate([footprint.peaks[name] for footprint in footprints]).astype(np.float64)
        for name in ("f_x", "f_y")
    )
    return x, y


def test_every_bright_star_is_found_once_where_it_is() -> None:
    scene = grid_of_stars(flux=(8 * psf_flux_err(1.7), 20000.0))
    found = detect(scene.exposures["i"])
    distance, star = scene.nearest(*_peaks(found.footprints))
    assert sorted(star) == list(range(len(scene.x)))
    assert distance.max() < 1.0
    # The error of a centroid is about sigma over the significance.
    assert np.median(distance) < 0.15


def test_noise_is_not_detected_and_faint_stars_are_as_likely_as_their_noise_says() -> None:
    at_threshold = grid_of_stars(9, side=600, flux=(5 * psf_flux_err(1.7), 5.0001 * psf_flux_err(1.7)))
    found = detect(at_threshold.exposures["i"])
    distance, _ = at_threshold.nearest(*_peaks(found.footprints))
    assert (distance < 3).all()
    # Half of them are noise below the threshold; so are some of few pixels.
    assert 0.2 < len(found.footprints) / 81 < 0.7


@pytest.mark.parametrize("n_sigma", [0.0, 2.4])
def test_footprints_grow_with_the_psf(n_sigma: float) -> None:
    scene = stars(np.array([150.0]), np.array([150.0]), np.array([20000.0]))
    (footprint,) = detect(scene.exposures["i"], n_sigma_to_grow=n_sigma).footprints
    significance_radius = 1.7 * np.sqrt(2) * np.sqrt(2 * np.log(20000.0 / psf_flux_err(1.7) / 5.0))
    radius = np.sqrt(footprint.area / np.pi)
    assert radius == pytest.approx(significance_radius + n_sigma * 1.7, abs=1.0)


def test_negative_sources_are_found_on_the_negated_image_only() -> None:
    scene = grid_of_stars()
    exposure = negated(scene.exposures["i"])
    assert len(detect(exposure).footprints) == 0
    assert len(detect(negated(exposure)).footprints) >= 30


def test_a_slow_background_is_subtracted_on_request() -> None:
    scene = grid_of_stars()
    exposure = scene.exposures["i"]
    rows, columns = np.indices(exposure.image.shape)
    tilted = dataclasses.replace(
        exposure, image=(exposure.image + 50 + 0.2 * rows + 0.1 * columns).astype(np.float32)
    )
    assert len(detect(tilted).footprints) < 5
    distance, star = scene.nearest(*_peaks(detect(tilted, subtract_background=True).footprints))
    assert len(set(star[distance < 1.5])) >= 33


def test_pixels_without_data_are_not_looked_at() -> None:
    scene = grid_of_stars()
    exposure = scene.exposures["i"]
    image = exposure.image.copy()
    image[:, :150] = np.nan
    found = detect(dataclasses.replace(exposure, image=image))
    x, _ = _peaks(found.footprints)
    assert len(x) > 10
    assert (x >= 149).all()
    bits = np.where(np.isnan(image), 1 << PLANES["NO_DATA"], 0)
    mask = Mask(bits, PLANES)
    masked = detect(dataclasses.replace(exposure, mask=mask))
    assert [len(f.peaks) for f in masked.footprints] == [len(f.peaks) for f in found.footprints]


def test_an_image_without_data_has_no_sources() -> None:
    exposure = grid_of_stars(2, side=120).exposures["i"]
    for bad in (0.0, np.nan, np.inf):
        blank = dataclasses.replace(exposure, variance=np.full_like(exposure.image, bad))
        assert detect(blank).footprints == ()


def test_the_noise_may_differ_from_pixel_to_pixel() -> None:
    scene = grid_of_stars(flux=(8 * psf_flux_err(1.7), 20 * psf_flux_err(1.7)))
    exposure = scene.exposures["i"]
    image, variance = exposure.image.copy(), exposure.variance.copy()
    noisy = np.random.default_rng(1).normal(0, 20 * SKY_SIGMA, (300, 150))
    image[:, 150:] += noisy
    variance[:, 150:] *= 401
    x, _ = _peaks(detect(dataclasses.replace(exposure, image=image, variance=variance)).footprints)
    assert (x < 152).all()
    assert len(x) > 12


def test_without_a_psf_or_variance_it_says_so() -> None:
    exposure = grid_of_stars(1).exposures["i"]
    for broken in (dataclasses.replace(exposure, psf=None), dataclasses.replace(exposure, variance=None)):
        with pytest.raises(ExposureError, match="has no"):
            detect(broken)


class _PsfOfTheLeft(GaussianPsf):
    """A PSF that is defined on the left third of the image only."""

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        kernels = super().kernel_images(x, y)
        return kernels._replace(images=np.where((x < 100)[:, None, None], kernels.images, np.nan), valid=x < 100)


def test_the_psf_need_not_be_defined_in_the_middle() -> None:
    exposure = grid_of_stars().exposures["i"]
    partly = dataclasses.replace(exposure, psf=_PsfOfTheLeft(1.7, 31))
    assert len(detect(partly).footprints) == len(detect(exposure).footprints)
    nowhere = dataclasses.replace(partly, x0=200)
    with pytest.raises(ExposureError, match="nowhere on the image"):
        detect(nowhere)


def test_the_covered_pixels_are_those_of_the_footprints() -> None:
    found = detect(grid_of_stars().exposures["i"])
    assert found.covered().sum() == sum(footprint.area for footprint in found.footprints)


@given(hnp.arrays(bool, (12, 15), elements=st.booleans()), st.integers(-40, 40), st.integers(-40, 40))
@settings(max_examples=40, deadline=None)
def test_footprints_are_the_connected_pixels(covered: BoolArray, x0: int, y0: int) -> None:
    bbox = Box(x0, y0, 15, 12)
    labels = grown_labels(covered, 0.0)
    rows, columns = np.nonzero(covered)
    peaks = peak_catalog(columns.astype(float), rows.astype(float), np.arange(len(rows)), bbox)
    footprints = footprints_of(labels, peaks, bbox)
    assert len(footprints) == labels.max(initial=0)
    again = np.zeros_like(labels)
    for number, footprint in enumerate(footprints, start=1):
        x, y = footprint.pixels()
        again[y - y0, x - x0] = number
        assert len(footprint.peaks) == len(x)
        assert (np.diff(footprint.peaks["peakValue"]) < 0).all()
    assert (again == labels).all()


def test_children_add_up_to_their_parent() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.uniform(20, 380, (2, 60))
    exposure = stars(x, y, np.exp(rng.uniform(7, 10, 60)), side=400).exposures["i"]
    footprints = detect(exposure).footprints
    families = deblend(exposure, footprints)
    n_blends = 0
    for parent, children in zip(footprints, families, strict=True):
        assert len(children) == (len(parent.peaks) if len(parent.peaks) > 1 else 0)
        if children:
            n_blends += 1
            together = np.zeros(exposure.image.shape)
            for child, peak in zip(children, parent.peaks, strict=True):
                columns, rows = child.pixels()
                assert child.image is not None
                together[rows, columns] += child.image
                assert child.peaks["f_x"][0] == peak["f_x"]
            columns, rows = parent.pixels()
            np.testing.assert_allclose(
                together[rows, columns], exposure.image[rows, columns], rtol=1e-4, atol=0.01
            )
    assert n_blends > 3


@pytest.mark.parametrize("separation", [8.0, 10.0, 13.0])
def test_the_light_of_two_stars_is_divided(separation: float) -> None:
    flux = np.array([20000.0, 8000.0])
    x, y = np.array([100.0, 100.0 + separation]), np.array([100.3, 100.3])
    exposure = stars(x, y, flux, side=200).exposures["i"]
    (parent,) = detect(exposure).footprints
    (children,) = deblend(exposure, [parent])
    assert len(children) == 2
    sums = [float(child.image.sum()) for child in children]
    np.testing.assert_allclose(sums, flux, rtol=0.06)
