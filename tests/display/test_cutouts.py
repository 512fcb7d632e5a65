"""Cutouts: the same pixels, at the same place of the image's frame."""

import dataclasses

import numpy as np
import pytest

from forcedphot.conventions import Box
from forcedphot.display import cutout, cutout_box
from forcedphot.errors import ConfigurationError, ExposureError, OffImageError
from forcedphot.exposure import Exposure
from forcedphot.simulation import simulate_exposure


@pytest.fixture(scope="module")
def exposure() -> Exposure:
    return simulate_exposure(shape=(120, 150), n_sources=2, origin=(1000, -50), seed=4).exposure


def sky(exposure: Exposure, x: float, y: float) -> tuple[float, float]:
    assert exposure.wcs is not None
    ra, dec = exposure.wcs.pixel_to_sky(np.array([x]), np.array([y]))
    return float(np.degrees(ra[0])), float(np.degrees(dec[0]))


def test_pixels_and_origin(exposure: Exposure) -> None:
    part = cutout(exposure, *sky(exposure, 1040.3, -20.4), 11)
    assert part.bbox == Box(1035, -25, 11, 11)
    rows, columns = slice(25, 36), slice(35, 46)
    assert np.shares_memory(part.image, exposure.image)
    np.testing.assert_array_equal(part.image, exposure.image[rows, columns])
    np.testing.assert_array_equal(part.variance, exposure.variance[rows, columns])
    np.testing.assert_array_equal(part.mask.array, exposure.mask.array[rows, columns])
    assert part.wcs is exposure.wcs
    assert part.psf is exposure.psf


def test_even_size(exposure: Exposure) -> None:
    assert cutout(exposure, *sky(exposure, 1040, 10), 4).bbox == Box(1038, 8, 4, 4)


def test_at_the_edge_it_is_smaller(exposure: Exposure) -> None:
    assert cutout(exposure, *sky(exposure, 1001, 68), 21).bbox == Box(1000, 58, 12, 12)
    # The position itself is outside, but not all of its surroundings.
    assert cutout(exposure, *sky(exposure, 995, 0), 21).bbox == Box(1000, -10, 6, 21)


def test_an_image_alone(exposure: Exposure) -> None:
    bare = dataclasses.replace(exposure, variance=None, mask=None)
    part = cutout(bare, *sky(exposure, 1040, 10), 5)
    assert part.variance is None
    assert part.mask is None


def test_what_cannot_be_cut_out(exposure: Exposure) -> None:
    with pytest.raises(OffImageError, match=r"at RA 10\.0, Dec 10\.0 deg is outside the image"):
        cutout(exposure, 10.0, 10.0, 5)
    with pytest.raises(OffImageError, match="outside"):
        cutout(exposure, np.nan, 10.0, 5)
    with pytest.raises(ConfigurationError, match="at least one pixel"):
        cutout(exposure, *sky(exposure, 1040, 10), 0)
    with pytest.raises(ExposureError, match="no WCS"):
        cutout_box(None, exposure.bbox, 53.0, -28.0, 5)
