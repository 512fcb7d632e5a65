"""Exposures that came as ExposureF become files of lsst.images, and say the same there."""

import copy
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS

import forcedphot
from forcedphot import Exposure
from forcedphot.errors import ExposureError, OutputError
from forcedphot.exposure import (
    AstropyWcs,
    ConstantField,
    Mask,
    PhotoCalib,
    ProductField,
    SummaryStats,
    VisitInfo,
)
from forcedphot.exposure.mask import PIPELINE_TO_IMAGES
from forcedphot.exposure.polygon import Polygon
from forcedphot.io.catalogs import read_catalog
from forcedphot.io.lsst_images_psf import difference
from forcedphot.psf import CellPsf, GaussianPsf, KernelImagePsf, KernelImages, PiffPsf, Psf
from forcedphot.simulation import simulate_exposure

type Golden = Callable[[str], Path]

STORED_AS_THEY_ARE = [
    "driver/piff_pixel/exposure.fits",
    "driver/scale_variance/exposure.fits",
    "driver/visit_gaussian/exposure.fits",
    "driver/visit_options/exposure.fits",
    "exposures/hsc_calexp.fits",
    "exposures/obs_small.fits",
    "exposures/single_gaussian_full.fits",
]
STORED_AS_GRIDS = [
    "driver/coadd_offset/exposure.fits",
    "driver/hsc_cosmos_g/exposure.fits",
    "driver/hsc_cosmos_r/exposure.fits",
    "driver/hsc_cosmos_z/exposure.fits",
    "driver/kernel_psf/exposure.fits",
    "exposures/pca_psf.fits",
]
SAMPLED = {
    "driver/piff_sky/exposure.fits": 5e-4,
    "driver/psfex/exposure.fits": 4e-3,
    "exposures/warped_psf.fits": 2e-2,
}
"""Files, and how much their stamps may change, in units of the peak."""
WITHOUT_PSF = ["exposures/afw_exposure-version-2.fits", "exposures/afw_HSC-0908120-056-small.fits"]


def read(path: Path) -> Any:
    """Read an exposure, and promise that it has all parts."""
    return Exposure.read(path)


def written(exposure: Exposure, folder: Path, **options: Any) -> Any:
    exposure.write(folder / "converted.fits", **options)
    return read(folder / "converted.fits")


def positions(exposure: Any, n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    rng, box = np.random.default_rng(5), exposure.bbox
    return rng.uniform(box.x0 - 0.5, box.x_stop - 0.5, n), rng.uniform(box.y0 - 0.5, box.y_stop - 0.5, n)


def assert_same_but_psf(converted: Any, exposure: Any) -> None:
    """Pixels are the same to the bit, functions of the position to the tolerances of the golden data."""
    np.testing.assert_array_equal(converted.image, exposure.image)
    np.testing.assert_array_equal(converted.variance, exposure.variance)
    assert converted.bbox == exposure.bbox
    for name, bit in exposure.mask.planes.items():
        ours = converted.mask.array >> converted.mask.planes[PIPELINE_TO_IMAGES.get(name, name)] & 1
        np.testing.assert_array_equal(ours, exposure.mask.array >> bit & 1, err_msg=name)
    x, y = positions(exposure)
    sky, converted_sky = exposure.wcs.pixel_to_sky(x, y), converted.wcs.pixel_to_sky(x, y)
    np.testing.assert_allclose(np.degrees(converted_sky), np.degrees(sky), rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        converted.wcs.sky_to_pixel(*sky), exposure.wcs.sky_to_pixel(*sky), rtol=0, atol=1e-6
    )
    corrections, expected = converted.aperture_corrections or {}, exposure.aperture_corrections or {}
    assert corrections.keys() == expected.keys()
    for name, field in expected.items():
        np.testing.assert_allclose(corrections[name].evaluate(x, y), field.evaluate(x, y), rtol=1e-10)
    assert (converted.photo_calib is None) == (exposure.photo_calib is None)
    if exposure.photo_calib is not None:
        one = np.ones_like(x)
        ours = converted.photo_calib.to_nanojansky(one, one, x, y)
        np.testing.assert_allclose(ours, exposure.photo_calib.to_nanojansky(one, one, x, y), rtol=1e-10)
        assert converted.photo_calib.mean == pytest.approx(exposure.photo_calib.mean, rel=1e-12)


def assert_same_visit(converted: VisitInfo, info: VisitInfo | None) -> None:
    """All that ObservationInfo has a place for."""
    expected = info or VisitInfo()
    for member in dataclasses.fields(VisitInfo):
        ours, theirs = getattr(converted, member.name), getattr(expected, member.name)
        if member.name in ("mid_mjd_ut1", "earth_rotation_angle_deg"):
            assert np.isnan(ours)
        elif isinstance(theirs, float):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=member.name)
        elif theirs is not None and member.name != "rotation_type":
            assert ours == theirs, member.name


@pytest.mark.parametrize("file", STORED_AS_THEY_ARE)
def test_round_trip(golden: Golden, tmp_path: Path, file: str) -> None:
    exposure = read(golden(file))
    converted = written(exposure, tmp_path)
    assert_same_but_psf(converted, exposure)
    assert_same_visit(converted.visit_info, exposure.visit_info)
    assert type(converted.psf) is type(exposure.psf)
    assert difference(exposure.psf, converted.psf, exposure.bbox).stamps < 1e-12
    identity = exposure.identity
    assert (converted.identity.band or "unknown") == (identity.band or converted.identity.band)
    assert {k: v for k, v in converted.metadata.items() if k in exposure.metadata} == {
        k: v for k, v in exposure.metadata.items() if k in converted.metadata
    }


@pytest.mark.parametrize("file", STORED_AS_GRIDS)
def test_kernel_images_are_stored_exactly(
    golden: Golden, tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    exposure = read(golden(file))
    converted = written(exposure, tmp_path)
    assert_same_but_psf(converted, exposure)
    found = difference(exposure.psf, converted.psf, exposure.bbox)
    assert found.kernel_images < 1e-12
    # Stamps of Piff models have sum 1, those of kernels lose what is shifted off their edge.
    assert found.stamps < 3e-5
    assert "is stored as a pixel grid (a Piff model); its stamps differ by up to" in caplog.text


@pytest.mark.parametrize(("file", "tolerance"), SAMPLED.items())
def test_other_psfs_are_sampled_when_asked(
    golden: Golden, tmp_path: Path, file: str, tolerance: float, caplog: pytest.LogCaptureFixture
) -> None:
    exposure = read(golden(file))
    with pytest.raises(ExposureError, match=r"is neither\. Ask for it to be sampled \(--sample-psf"):
        exposure.to_lsst_images()
    caplog.clear()
    converted = written(exposure, tmp_path, sample_psf=True)
    assert_same_but_psf(converted, exposure)
    found = difference(exposure.psf, converted.psf, exposure.bbox)
    assert 1e-6 < found.stamps < tolerance
    assert f"differ by up to {found.stamps:.1g} of their peak" in caplog.text


@pytest.mark.parametrize(
    ("case", "tolerance"),
    [("visit_options", 1e-7), ("piff_pixel", 1e-7), ("visit_gaussian", 1e-7), ("kernel_psf", 2e-5)],
)
def test_measurements_are_the_same(golden: Golden, tmp_path: Path, case: str, tolerance: float) -> None:
    exposure = read(golden(f"driver/{case}/exposure.fits"))
    catalog = read_catalog(golden(f"driver/{case}/catalog.ecsv"))
    unit = catalog["coord_ra"].unit or u.deg
    sky = (catalog[name].data * float(unit.to(u.rad)) for name in ("coord_ra", "coord_dec"))
    x, y = exposure.wcs.sky_to_pixel(*sky)
    # Half pixels are rounded, and pixels on the edge of an aperture are in it, as the last bit of the position is.
    ties = (np.abs((2 * x + 0.5) % 1 - 0.5) < 1e-6) | (np.abs((2 * y + 0.5) % 1 - 0.5) < 1e-6)
    assert ties.mean() < 0.2
    images = exposure, written(exposure, tmp_path)
    expected, table = (forcedphot.measure(image, catalog[~ties], progress=False) for image in images)
    assert table.colnames == expected.colnames
    for name in expected.colnames:
        assert table[name].unit == expected[name].unit
        if expected[name].dtype.kind == "f":
            error = table[f"{name}Err"] if f"{name}Err" in table.colnames else 0.0
            apart = np.abs(table[name] - expected[name])
            assert np.nanmax(apart - tolerance * (np.abs(expected[name]) + error), initial=-1.0) <= 0, name
            np.testing.assert_array_equal(np.isnan(table[name]), np.isnan(expected[name]), err_msg=name)
        else:
            np.testing.assert_array_equal(table[name], expected[name], err_msg=name)


def test_detector_of_hsc(golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exposure = read(golden("exposures/hsc_calexp.fits"))
    converted = written(exposure, tmp_path)
    ours, theirs = converted.detector, exposure.detector
    assert (ours.name, ours.number, ours.serial, ours.box) == (
        theirs.name,
        theirs.number,
        theirs.serial,
        theirs.box,
    )
    assert ours.amplifiers == theirs.amplifiers
    assert ours.orientation.yaw_deg == pytest.approx(theirs.orientation.yaw_deg)
    assert ours.orientation.focal_plane_x_mm == theirs.orientation.focal_plane_x_mm
    assert len(converted.valid_polygon.x) >= 4
    assert converted.summary_stats.psf_sigma_pixels == exposure.summary_stats.psf_sigma_pixels
    assert "A VisitImage has no place for earth_rotation_angle_deg" in caplog.text
    assert "Nothing is known of instrument, unit, which visit images have" in caplog.text


@pytest.fixture
def exposure() -> Any:
    return simulate_exposure(shape=(130, 110), n_sources=3, origin=(40, -20), seed=2).exposure


def test_calibration_over_unit(exposure: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = exposure.bbox
    field = ProductField((ConstantField(2.5), *list(exposure.aperture_corrections.values())[:1]))
    wrong = dataclasses.replace(exposure, unit=u.nJy, photo_calib=PhotoCalib(2.4, 0.1, field))
    converted = written(wrong, tmp_path)
    assert (
        "The pixels are in nJy according to their unit, but 2.4 nJy according to their calibration" in caplog.text
    )
    assert converted.unit == u.adu
    assert (converted.photo_calib.mean, converted.photo_calib.mean_err) == (2.4, 0.1)
    x, y = positions(exposure)
    np.testing.assert_allclose(converted.photo_calib.scale(x, y), field.evaluate(x, y), rtol=1e-12)
    for name, expected in (("photo_calib", converted.photo_calib), ("bbox", box)):
        read = Exposure.read_component(tmp_path / "converted.fits", name)
        assert getattr(read, "mean_err", read) == getattr(expected, "mean_err", expected)


def test_a_calibrated_unit_stays(exposure: Any, tmp_path: Path) -> None:
    in_jansky = dataclasses.replace(exposure, unit=u.Jy, photo_calib=PhotoCalib(1e9, 1e6))
    converted = written(in_jansky, tmp_path)
    assert converted.unit == u.Jy
    assert converted.photo_calib.mean == pytest.approx(1e9)
    assert converted.photo_calib.mean_err == 1e6


def test_polygon_and_statistics(exposure: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    polygon = Polygon(np.array([50.0, 140.0, 100.0]), np.array([-10.0, -5.0, 100.0]))
    stats = SummaryStats(psf_sigma_pixels=1.7, n_psf_stars=12, others={"psfTraceRadiusDelta": 0.1, "novelty": 2.0})
    given = dataclasses.replace(exposure, valid_polygon=polygon, summary_stats=stats)
    converted = written(given, tmp_path)
    np.testing.assert_array_equal(converted.valid_polygon.x[:3], polygon.x)
    component = Exposure.read_component(tmp_path / "converted.fits", "valid_polygon")
    np.testing.assert_array_equal(component.y[:3], polygon.y)
    assert converted.summary_stats.n_psf_stars == 12
    assert converted.summary_stats.others["psfTraceRadiusDelta"] == 0.1
    assert "A VisitImage has no place for novelty" in caplog.text


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_bits_of_the_mask(exposure: Any, tmp_path: Path, rng: np.random.Generator, dtype: type) -> None:
    n_bits = 8 * np.dtype(dtype).itemsize
    planes = {"SAT": 1, "OURS": 3, "CR": n_bits - 1}
    array = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, exposure.image.shape, dtype, endpoint=True)
    converted = written(dataclasses.replace(exposure, mask=Mask(array, planes)), tmp_path)
    assert converted.mask.planes.keys() == {"SATURATED", "OURS", "COSMIC_RAY"}
    for name, bit in planes.items():
        np.testing.assert_array_equal(converted.mask.array >> converted.mask.find(name) & 1, array >> bit & 1)


def test_without_mask(exposure: Any, tmp_path: Path) -> None:
    assert not written(dataclasses.replace(exposure, mask=None), tmp_path).mask.planes


@pytest.mark.parametrize("missing", ["variance", "wcs", "psf"])
def test_what_an_image_must_have(exposure: Any, missing: str) -> None:
    with pytest.raises(ExposureError, match=f"have a variance, a WCS and a PSF; this one has no {missing}"):
        dataclasses.replace(exposure, **{missing: None}).to_lsst_images()


@pytest.mark.parametrize("file", WITHOUT_PSF)
def test_files_without_psf(golden: Golden, file: str) -> None:
    exposure = read(golden(file))
    with pytest.raises(ExposureError, match="has no psf"):
        exposure.to_lsst_images()
    given = dataclasses.replace(exposure, psf=GaussianPsf(2.0, 21))
    converted: Any = Exposure.from_lsst_images(given.to_lsst_images())
    assert_same_but_psf(converted, exposure)


@pytest.mark.parametrize("radesys", ["ICRS", "FK5"])
def test_header_wcs(exposure: Any, tmp_path: Path, radesys: str) -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], radesys
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [359.999, 40.0], [50, 60], [-0.2 / 3600, 0.2 / 3600]
    given = dataclasses.replace(exposure, wcs=AstropyWcs(wcs, x0=40, y0=-20))
    assert_same_but_psf(written(given, tmp_path), given)


def test_a_wcs_that_ast_does_not_hold(exposure: Any) -> None:
    class Bent(AstropyWcs):
        def _to_sky(self, pixels: np.ndarray) -> np.ndarray:
            return super()._to_sky(pixels + 1e-3 * np.sin(pixels / 10))

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.2 / 3600, 0.2 / 3600]
    with pytest.raises(ExposureError, match=r"not the same in lsst\.images: positions are up to .*e-08 deg apart"):
        dataclasses.replace(exposure, wcs=Bent(wcs)).to_lsst_images()


def test_fields_and_psfs_of_other_kinds(exposure: Any) -> None:
    class Odd:
        def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return x

    with pytest.raises(ExposureError, match=r"lsst\.images has no field like Odd"):
        dataclasses.replace(exposure, aperture_corrections={"a": Odd()}).to_lsst_images()
    far = dataclasses.replace(exposure, psf=Drifting(), x0=200)
    with pytest.raises(ExposureError, match="The Drifting is undefined nearly everywhere"):
        far.to_lsst_images(sample_psf=True)


def test_number_of_the_chip(golden: Golden) -> None:
    exposure = read(golden("driver/piff_pixel/exposure.fits"))
    piff_psf = copy.copy(exposure.psf.piff_psf)
    piff_psf.wcs = {12: piff_psf.wcs[0]}
    given = dataclasses.replace(exposure, psf=PiffPsf(piff_psf, 25))
    converted: Any = Exposure.from_lsst_images(given.to_lsst_images())
    assert difference(exposure.psf, converted.psf, exposure.bbox).stamps < 1e-12
    assert list(piff_psf.wcs) == [12]


def test_rectangular_gaussians_become_grids(exposure: Any) -> None:
    given = dataclasses.replace(exposure, psf=GaussianPsf(1.5, 21, 25))
    converted: Any = Exposure.from_lsst_images(given.to_lsst_images())
    assert isinstance(converted.psf, PiffPsf)
    assert difference(given.psf, converted.psf, exposure.bbox).kernel_images < 1e-12


def test_metadata(exposure: Any, tmp_path: Path) -> None:
    cards = {
        "SEEING": 0.7,
        "N": np.int64(3),
        "OBJECT": "é",
        "FLAG": True,
        "EMPTY": None,
        "NAN": np.nan,
        "LIST": [1, 2],
    }
    converted = written(dataclasses.replace(exposure, metadata=cards), tmp_path)
    expected = cards | {"N": 3, "NAN": "nan", "LIST": "[1, 2]"}
    assert {name: converted.metadata[name] for name in cards} == expected


def test_files_are_whole_or_not_at_all(exposure: Any, tmp_path: Path) -> None:
    exposure.write(tmp_path / "a.fits")
    with pytest.raises(OutputError, match="exists"):
        exposure.write(tmp_path / "a.fits")
    with pytest.raises(ExposureError):
        dataclasses.replace(exposure, psf=None).write(tmp_path / "a.fits", overwrite=True)
    assert Exposure.read(tmp_path / "a.fits").bbox == exposure.bbox
    assert [path.name for path in tmp_path.iterdir()] == ["a.fits"]
    with pytest.raises(OutputError, match=r"should end in \.fits"):
        exposure.write(tmp_path / "a.image")


class Drifting(Psf):
    """Wider towards the right; undefined beyond x = 110."""

    def kernel_images(self, x: np.ndarray, y: np.ndarray) -> KernelImages:
        dy, dx = np.mgrid[-8:9, -8:9]
        images = np.exp(-0.5 * (dx**2 + dy**2) / (1.5 + x / 500)[:, None, None] ** 2)
        images /= images.sum(axis=(1, 2), keepdims=True)
        images[x > 110] = np.nan
        return KernelImages.of_one_shape(images, x <= 110)


def test_cell_coadd_of_samples(exposure: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    psf = Drifting()
    given = dataclasses.replace(exposure, psf=psf)
    with pytest.raises(ExposureError, match="constant within cells, and a Drifting varies"):
        given.to_lsst_images("cell-coadd")
    with caplog.at_level(logging.WARNING):
        converted = written(given, tmp_path, to="cell-coadd", sample_psf=True)
    assert "The Drifting is stored as a kernel image for each cell of 50 x 50 pixels" in caplog.text
    assert "The aperture correction base_PsfFlux_instFlux is stored as one value a cell" in caplog.text
    assert "There is no PSF in cells without one at their centre, " in caplog.text
    assert isinstance(converted.psf, CellPsf)
    # The last cell has ten columns: 140 to 149.
    x, y = np.array([64.0, 64.0, 144.0]), np.array([4.0, 54.0, 4.0])
    kernels, valid = converted.psf.kernel_images(x, y)[:2]
    assert valid.tolist() == [True, True, False]
    np.testing.assert_allclose(kernels[:2], psf.kernel_images(x, y).images[:2], rtol=1e-12)
    field = exposure.aperture_corrections["base_PsfFlux_instFlux"]
    ours = converted.aperture_corrections["base_PsfFlux_instFlux"].evaluate(x[:2], y[:2])
    np.testing.assert_allclose(ours, field.evaluate(x[:2], y[:2]), rtol=1e-12)
    np.testing.assert_array_equal(converted.image, exposure.image)


def test_cell_coadds_have_no_calibration(exposure: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = dataclasses.replace(
        exposure,
        unit=u.adu,
        photo_calib=PhotoCalib(57.0, 0.5),
        psf=KernelImagePsf(np.eye(5)),
        aperture_corrections=None,
    )
    converted = written(given, tmp_path, to="cell-coadd")
    assert "Pixels are multiplied by 57, so that they are in nJy" in caplog.text
    np.testing.assert_allclose(converted.image, exposure.image * 57.0, rtol=1e-6)
    np.testing.assert_allclose(converted.variance, exposure.variance * 57.0**2, rtol=1e-6)
    assert (converted.unit, converted.photo_calib.mean) == (u.nJy, 1.0)
    x, y = positions(given)
    np.testing.assert_array_equal(converted.psf.images(x, y).images, given.psf.images(x, y).images)
    varying = dataclasses.replace(given, photo_calib=PhotoCalib(57.0, field=ConstantField(57.0)))
    with pytest.raises(ExposureError, match="no place for a calibration that varies"):
        varying.to_lsst_images("cell-coadd")


def test_coadds_are_known(golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exposure = read(golden("driver/coadd_psf/exposure.fits"))
    converted = written(exposure, tmp_path, sample_psf=True)
    assert isinstance(converted.psf, CellPsf)
    np.testing.assert_array_equal(converted.image, exposure.image)
    assert "Nothing is known of skymap, tract" in caplog.text


def test_cell_coadds_come_back(golden: Golden, tmp_path: Path) -> None:
    exposure = read(golden("dp2/cell_coadd/deep_coadd.fits"))
    converted = written(exposure, tmp_path)
    assert_same_but_psf(converted, exposure)
    x, y = positions(exposure)
    np.testing.assert_array_equal(converted.psf.images(x, y).images, exposure.psf.images(x, y).images)
    assert (converted.identity.skymap, converted.identity.tract) == (
        exposure.identity.skymap,
        exposure.identity.tract,
    )
