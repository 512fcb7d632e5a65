"""Footprints from the PSF's shape, and from a reference image with another WCS."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from forcedphot import Exposure, ForcedMeasurementTask, SourceCatalog
from forcedphot.catalog.footprint import PEAK_SCHEMA, Footprint
from forcedphot.conventions import Box
from forcedphot.errors import ExposureError, InputTableError
from forcedphot.exposure import AstropyWcs
from forcedphot.footprints import transformed_footprints
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.psf import GaussianPsf
from forcedphot.references import REFERENCE_SCHEMA, reference_catalog


def wcs(angle_deg: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), scale: float = 1.0) -> AstropyWcs:
    result = WCS(naxis=2)
    result.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    result.wcs.crval = [53.0, -28.0]
    result.wcs.crpix = [101.0 + shift[0], 101.0 + shift[1]]
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    result.wcs.cd = scale * 0.2 / 3600 * np.array([[-c, s], [s, c]])
    return AstropyWcs(result)


def footprint() -> Footprint:
    """An L of pixels, with a peak on it."""
    spans = np.array([(40, 30, 44), (41, 30, 44), (42, 30, 33), (43, 30, 33), (44, 30, 33)], dtype=np.int32)
    columns = PEAK_SCHEMA.allocate(2)
    columns["f_x"][:], columns["f_y"][:] = [31.25, 900.0], [42.75, 43.0]
    columns["i_x"][:], columns["i_y"][:] = [31, 900], [43, 43]
    columns["peakValue"][:] = 5.0
    return Footprint(spans=spans, peaks=SourceCatalog(PEAK_SCHEMA, columns, kind="BASE"), image=np.ones(42))


def column(*footprints: Footprint | None) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    values = np.empty(len(footprints), dtype=object)
    values[:] = footprints
    return values


def pixels(found: Footprint | None) -> set[tuple[int, int]]:
    return set(zip(*(values.tolist() for values in found.pixels()), strict=True))


BOX = Box(0, 0, 200, 200)


def test_the_same_image() -> None:
    same, none = transformed_footprints(column(footprint(), None), wcs(), wcs(), BOX)
    assert none is None
    assert pixels(same) == pixels(footprint())
    assert same.peaks["i_x"].tolist() == [31]  # the other is off the image
    assert not same.is_heavy


def test_a_shifted_and_clipped_image() -> None:
    (moved,) = transformed_footprints(column(footprint()), wcs(), wcs(shift=(10.0, -3.0)), BOX)
    assert pixels(moved) == {(x + 10, y - 3) for x, y in pixels(footprint())}
    np.testing.assert_allclose(moved.peaks["f_x"], [41.25], atol=1e-4)
    clipped = Box(42, 38, 5, 100)
    (part,) = transformed_footprints(column(footprint()), wcs(), wcs(shift=(10.0, -3.0)), clipped)
    assert pixels(part) == {(x, y) for x, y in pixels(moved) if 42 <= x < 47 and y >= 38}
    (gone,) = transformed_footprints(column(footprint()), wcs(), wcs(shift=(1000.0, 0.0)), BOX)
    assert gone.area == 0


@pytest.mark.parametrize(("angle", "scale"), [(90.0, 1.0), (37.0, 1.0), (-12.0, 0.4)])
def test_a_rotated_image(angle: float, scale: float) -> None:
    """A pixel belongs to it where its centre, mapped back, lies in one of the old pixels."""
    new_wcs = wcs(angle, scale=scale)
    box = Box(-200, -200, 700, 700)
    (turned,) = transformed_footprints(column(footprint()), wcs(), new_wcs, box)
    y, x = (values.ravel().astype(float) for values in np.mgrid[-200:500, -200:500])
    old_x, old_y = wcs().sky_to_pixel(*new_wcs.pixel_to_sky(x, y))
    old = pixels(footprint())
    inside = [
        p in old for p in zip(np.floor(old_x + 0.5).astype(int), np.floor(old_y + 0.5).astype(int), strict=True)
    ]
    assert pixels(turned) == set(zip(x[inside].astype(int), y[inside].astype(int), strict=True))
    assert abs(turned.area * scale**2 - footprint().area) < 12


@pytest.fixture
def exposure(rng: np.random.Generator) -> Exposure:
    image = rng.normal(size=(200, 200)).astype(np.float32)
    return Exposure.from_arrays(
        image, variance=np.ones_like(image), wcs=wcs(), psf=GaussianPsf(2.0, 25), x0=0, y0=0
    )


def task() -> ForcedMeasurementTask:
    config = ForcedMeasurementConfig()
    config.plugins.names = ["base_TransformedCentroidFromCoord", "base_PixelFlags"]
    config.slots.centroid, config.slots.shape = "base_TransformedCentroidFromCoord", None
    return ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config)


def test_footprints_of_the_psfs_shape(exposure: Exposure) -> None:
    ra, dec = wcs().pixel_to_sky(np.array([50.0, 100.25, -40.0, 1.0]), np.array([60.0, 99.5, 10.0, 1.0]))
    ra[0] = np.nan
    measured = task()
    catalog = measured.generateMeasCat(exposure, reference_catalog(np.arange(4), ra, dec))
    measured.attachPsfShapeFootprints(catalog, exposure, scaling=2.5)
    none, found, off, cut = list(catalog.footprints or [])
    assert none is None
    assert off is None
    assert abs(found.area - np.pi * 25.0) < 5
    assert found.peaks["i_x"].tolist(), found.peaks["i_y"].tolist() == ([100], [100])
    assert found.peaks["peakValue"][0] == exposure.image[100, 100]
    assert cut.bbox.x0 == cut.bbox.y0 == 0
    assert pixels(catalog[1:3].footprints[0]) == pixels(found)
    measured.attachPsfShapeFootprints(catalog, replace(exposure, psf=None))
    with pytest.raises(ExposureError, match="no PSF"):
        list(catalog.footprints or [])


def test_footprints_of_the_reference(exposure: Exposure) -> None:
    reference = reference_catalog(np.arange(1), *wcs().pixel_to_sky(np.array([31.0]), np.array([42.0])))
    measured = task()
    catalog = measured.generateMeasCat(exposure, reference)
    with pytest.raises(InputTableError, match="no footprints"):
        measured.attachTransformedFootprints(catalog, reference, exposure, wcs())
    reference.footprints = column(footprint())
    measured.attachTransformedFootprints(catalog, reference, exposure, wcs(shift=(-5.0, 0.0)))
    assert pixels(catalog.footprints[0]) == {(x + 5, y) for x, y in pixels(footprint())}
