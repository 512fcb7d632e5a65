"""CoaddPsf: against the real pipeline's stamps and moments, and what the mean is made of."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import Exposure, ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.conventions import Box, FloatArray
from forcedphot.errors import ExposureError
from forcedphot.exposure.polygon import Polygon
from forcedphot.io.afw_fits.reader import read_afw_exposure
from forcedphot.psf import (
    CoaddInput,
    CoaddPsf,
    GaussianPsf,
    LinearCombinationPsf,
    Psf,
    WarpedPsf,
    WarpingKernel,
)

from .test_warped import TURNED

Golden = Callable[[str], Path]

LANCZOS3 = WarpingKernel("lanczos3")
BOX = Box(-100, -100, 300, 300)


class FlatWcs:
    """Pixels in radians on a flat sky, turned and moved; counts how often it is asked."""

    def __init__(self, matrix: FloatArray | None = None, shift: tuple[float, float] = (0.0, 0.0)) -> None:
        self.matrix = 1e-6 * (np.eye(2) if matrix is None else matrix)
        self.inverse = np.linalg.inv(self.matrix)
        self.shift = np.array([1.0, 0.0])[:, np.newaxis] + 1e-6 * np.array(shift)[:, np.newaxis]
        self.calls = 0

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.calls += 1
        ra, dec = self.matrix @ np.stack([x, y]) + self.shift
        return ra, dec

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.calls += 1
        x, y = self.inverse @ (np.stack([ra, dec]) - self.shift)
        return x, y


def make_input(
    psf: Psf | None = None,
    *,
    wcs: FlatWcs | None = None,
    box: Box = BOX,
    weight: float = 1.0,
    valid_polygon: Polygon | None = None,
) -> CoaddInput:
    return CoaddInput(psf or GaussianPsf(1.9, 21), wcs or FlatWcs(), box, weight, valid_polygon)


def make_psf() -> CoaddPsf:
    """Make a PSF of two inputs, one of them everywhere but far to the right, one on the left, turned."""
    inputs = [
        make_input(GaussianPsf(1.7, 21, 25), box=Box(-100, -100, 200, 300), weight=0.7),
        make_input(GaussianPsf(2.1, 21), wcs=FlatWcs(TURNED, (30.0, 0.0)), box=Box(-150, -150, 170, 300)),
    ]
    return CoaddPsf(inputs, FlatWcs(), LANCZOS3)


class Seen:
    """How an input is seen from the coadd."""

    def __init__(self, wcs: FlatWcs, coadd_wcs: FlatWcs) -> None:
        self.wcs, self.coadd_wcs = wcs, coadd_wcs

    def to_source(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.wcs.sky_to_pixel(*self.coadd_wcs.pixel_to_sky(x, y))


def test_stamps_and_moments_are_those_of_the_pipeline(golden: Golden) -> None:
    folder = golden("driver/coadd_psf")
    psf = read_afw_exposure(folder / "exposure.fits").psf
    assert isinstance(psf, CoaddPsf)
    assert psf.kernel == WarpingKernel("lanczos3", 10_000)
    assert [part.valid_polygon is None for part in psf.inputs] == [False, False, True, False, False]
    expected = Table.read(folder / "psf.ecsv")
    stamps = psf.images(np.array(expected["x"]), np.array(expected["y"]))
    moments = psf.moments(np.array(expected["x"]), np.array(expected["y"]))
    valid = np.array(expected["valid"])
    np.testing.assert_array_equal(stamps.valid, valid)
    assert not valid.all()
    for found, name in zip(
        (stamps.x0, stamps.y0, stamps.heights, stamps.widths), ("x0", "y0", "h", "w"), strict=True
    ):
        np.testing.assert_array_equal(found[valid], expected[name][valid])
    for found, name in zip(moments.T, ("ixx", "iyy", "ixy"), strict=True):
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-5)
    with np.load(folder / "psf_stamps.npz") as stored:
        assert len(stored) > 20
        for name in stored:
            i = int(name.removeprefix("stamp_"))
            np.testing.assert_allclose(stamps.stamp(i), stored[name], rtol=0, atol=1e-8 * stored[name].max())


def test_it_is_the_weighted_mean_of_warped_psfs() -> None:
    coadd_wcs = FlatWcs(0.9 * np.eye(2))
    inputs = [
        make_input(GaussianPsf(1.7, 21, 25), wcs=FlatWcs(TURNED), weight=0.7),
        make_input(GaussianPsf(2.1, 27), wcs=FlatWcs(TURNED.T, (3.0, 0.5)), weight=1.9),
    ]
    x, y = np.array([10.0, -3.5, 20.3]), np.array([4.0, 2.25, -7.8])
    found = CoaddPsf(inputs, coadd_wcs, LANCZOS3).kernel_images(x, y)
    expected = np.zeros(found.images.shape)
    for part in inputs:
        assert isinstance(part.wcs, FlatWcs)
        one = WarpedPsf(part.psf, Seen(part.wcs, coadd_wcs), LANCZOS3).kernel_images(x, y)
        low_y, low_x = (np.array(expected.shape[1:]) - one.images.shape[1:]) // 2
        height, width = one.images.shape[1:]
        expected[:, low_y : low_y + height, low_x : low_x + width] += part.weight / 2.6 * one.images
    np.testing.assert_allclose(found.images, expected, rtol=0, atol=1e-14)
    assert found.valid.all()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_boxes_and_polygons_choose_the_inputs(order: Sequence[int]) -> None:
    triangle = Polygon(np.array([0.0, 40.0, 0.0]), np.array([0.0, 0.0, 40.0]))
    inputs = [
        make_input(GaussianPsf(1.5, 15), box=Box(0, 0, 40, 40)),
        make_input(GaussianPsf(2.0, 21), wcs=FlatWcs(shift=(20.0, 0.0)), box=Box(0, 0, 40, 40)),
        make_input(GaussianPsf(2.5, 27), box=Box(0, 0, 40, 40), valid_polygon=triangle),
    ]
    psf = CoaddPsf([inputs[i] for i in order], FlatWcs(), LANCZOS3)
    x, y = np.array([5.0, 5.0, 39.4, 45.0, 39.6, -0.6, 59.6]), np.array([5.0, 39.0, 35.0, 5.0, 35.0, 5.0, 5.0])
    stamps = psf.images(x, y)
    # The largest stamp of those that contain the position.
    assert stamps.widths.tolist() == [27, 15, 21, 21, 21, 0, 0]
    assert stamps.valid.tolist() == [True] * 5 + [False] * 2
    variances = psf.moments(x, y)[:5, 0]
    np.testing.assert_allclose(variances[[1, 3, 4]], [1.5**2, 2.0**2, 2.0**2], rtol=2e-3)
    assert variances[1] < variances[2] < variances[3] < 2.5**2


def test_all_positions_go_through_an_input_together() -> None:
    inputs = [make_input(wcs=FlatWcs(TURNED, (i, 0.0))) for i in range(3)]
    coadd_wcs = FlatWcs()
    CoaddPsf(inputs, coadd_wcs, LANCZOS3).images(np.linspace(-20.0, 20.0, 100), np.zeros(100))
    assert coadd_wcs.calls == 1
    assert [part.wcs.calls for part in inputs if isinstance(part.wcs, FlatWcs)] == [2, 2, 2]


def test_where_an_input_is_undefined() -> None:
    """An input that should be there, and cannot be drawn, makes the mean undefined."""
    vanishing = LinearCombinationPsf(np.ones((1, 3, 3)), np.array([[1.0, -0.125, 0.0]]))
    psf = CoaddPsf([make_input(), make_input(vanishing)], FlatWcs(), LANCZOS3)
    stamps = psf.images(np.array([5.0, 8.0]), np.zeros(2))
    assert stamps.valid.tolist() == [True, False]
    assert np.isnan(psf.moments(np.array([8.0]), np.zeros(1))).all()


def test_weights_that_cancel_are_undefined() -> None:
    psf = CoaddPsf([make_input(weight=1.0), make_input(weight=-1.0)], FlatWcs(), LANCZOS3)
    assert not psf.images(np.zeros(1), np.zeros(1)).valid.any()


def test_no_input_at_all_of_them() -> None:
    stamps = make_psf().images(np.array([1e6, -1e6]), np.zeros(2))
    assert not stamps.valid.any()
    assert stamps.images.shape == (2, 1, 1)
    assert stamps.stamp(0).shape == (0, 0)


def test_positions_of_the_pipeline_without_inputs_have_no_flux(golden: Golden) -> None:
    folder = golden("driver/coadd_psf")
    exposure = read_afw_exposure(folder / "exposure.fits")
    expected = Table.read(folder / "psf.ecsv")
    x, y, invalid = np.array(expected["x"]), np.array(expected["y"]), ~np.array(expected["valid"])
    assert exposure.wcs is not None
    ra, dec = exposure.wcs.pixel_to_sky(x, y)
    positions = Table({"objectId": np.arange(len(x)), "coord_ra": np.degrees(ra), "coord_dec": np.degrees(dec)})
    table = ForcedMeasurementDriverTask(config=ForcedMeasurementDriverConfig()).runFromAstropy(positions, exposure)
    inside = exposure.bbox.contains(x, y)
    assert (invalid & inside).any()
    np.testing.assert_array_equal(table["base_InvalidPsf_flag"][inside], invalid[inside])
    for name in ("instFlux", "instFluxErr"):
        assert np.isnan(table[f"base_PsfFlux_{name}"][invalid]).all()
    assert table["base_PsfFlux_flag"][invalid].all()
    assert np.isfinite(table["base_PsfFlux_instFlux"][inside & ~invalid]).any()


def test_positions_without_inputs_have_no_flux() -> None:
    image = np.full((120, 160), 3.0, dtype=np.float32)
    psf = CoaddPsf([make_input(box=Box(0, 0, 80, 120))], FlatWcs(), LANCZOS3)
    exposure = Exposure.from_arrays(image, variance=np.ones_like(image), wcs=psf.wcs, psf=psf)
    x, y = np.array([40.0, 120.0, 60.3]), np.array([60.0, 60.0, 50.2])
    ra, dec = psf.wcs.pixel_to_sky(x, y)
    config = ForcedMeasurementDriverConfig()
    config.doApCorr = False
    config.measurement.plugins.names = ["base_TransformedCentroidFromCoord", "base_PsfFlux", "base_PixelFlags"]
    positions = Table({"objectId": [1, 2, 3], "coord_ra": np.degrees(ra), "coord_dec": np.degrees(dec)})
    table = ForcedMeasurementDriverTask(config=config).runFromAstropy(positions, exposure)
    assert table["base_InvalidPsf_flag"].tolist() == [False, True, False]
    assert table["base_PsfFlux_flag"].tolist() == [False, True, False]
    assert np.isnan(table["base_PsfFlux_instFlux"]).tolist() == [False, True, False]
    assert table["base_PsfFlux_npixels"].tolist() == [441, 0, 441]
    for reason in ("edge", "noGoodPixels"):
        assert not table[f"base_PsfFlux_flag_{reason}"].any()


def test_impossible_psfs_are_refused() -> None:
    with pytest.raises(ExposureError, match="got 0 inputs"):
        CoaddPsf([], FlatWcs(), LANCZOS3)
    with pytest.raises(ExposureError, match="finite weights"):
        CoaddPsf([make_input(weight=np.nan)], FlatWcs(), LANCZOS3)


def test_psfs_within_psfs_are_counted() -> None:
    psf: Psf = GaussianPsf(1.9, 21)
    for _ in range(5):
        psf = CoaddPsf([make_input(psf)] * 10, FlatWcs(), LANCZOS3)
    assert psf.n_models == 100_000
    with pytest.raises(ExposureError, match="made of 1000000 others"):
        CoaddPsf([make_input(psf)] * 10, FlatWcs(), LANCZOS3)
