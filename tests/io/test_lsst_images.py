"""Images of lsst.images become exposures, without copies and with the same numbers."""

import logging
import tempfile
import uuid
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot import Exposure
from forcedphot.conventions import Box
from forcedphot.errors import ExposureError, FileFormatError, UnsafeContentError
from forcedphot.exposure import CellField, ChebyshevField, PhotoCalib, Wcs
from forcedphot.exposure.fields import Field
from forcedphot.io.lsst_images import LsstImagesField, exposure_from_lsst_images, mask_from_lsst_images
from forcedphot.io.lsst_images_file import _HARMLESS, _INTERPOLANT, read_lsst_images
from forcedphot.psf import CellPsf, GaussianPsf


def test_visit_image_is_held_not_copied(make_visit_image: Any) -> None:
    image = make_visit_image(metadata={"SEEING": 0.7})
    exposure = exposure_from_lsst_images(image)
    assert exposure.image is image.image.array
    assert exposure.variance is image.variance.array
    assert np.shares_memory(exposure.mask.array, image.mask.array)
    assert exposure.bbox == Box(-7, 5, 60, 40)
    assert exposure.unit == u.nJy
    assert exposure.photo_calib == PhotoCalib(1.0)
    assert exposure.metadata == {"SEEING": 0.7}
    assert exposure.aperture_corrections is None
    assert str(exposure.identity) == "instrument=TestCam, visit=12, detector=3, band=r, physical_filter=r_test"


def test_cutout_keeps_its_frame(make_visit_image: Any) -> None:
    from lsst.images import Box as ImagesBox

    image = make_visit_image()
    cutout = exposure_from_lsst_images(image[ImagesBox.factory[10:20, 0:30]])
    whole = exposure_from_lsst_images(image)
    assert cutout.bbox == Box(0, 10, 30, 10)
    np.testing.assert_array_equal(cutout.image, whole.image[5:15, 7:37])
    np.testing.assert_array_equal(cutout.mask.array, whole.mask.array[5:15, 7:37])
    position = np.array([3.0]), np.array([15.0])
    np.testing.assert_array_equal(cutout.wcs.pixel_to_sky(*position), whole.wcs.pixel_to_sky(*position))


def test_wcs_agrees_with_sky_projection(make_visit_image: Any, rng: np.random.Generator) -> None:
    image = make_visit_image()
    wcs = Exposure.from_lsst_images(image).wcs
    assert isinstance(wcs, Wcs)
    x, y = rng.uniform(-7, 53, 20), rng.uniform(5, 45, 20)
    ra, dec = wcs.pixel_to_sky(x, y)
    sky = image.sky_projection.pixel_to_sky(x=x, y=y)
    np.testing.assert_allclose(ra, sky.ra.rad, rtol=0, atol=1e-14)
    np.testing.assert_allclose(dec, sky.dec.rad, rtol=0, atol=1e-14)
    np.testing.assert_allclose(wcs.sky_to_pixel(ra, dec), (x, y), rtol=0, atol=1e-6)


def test_wcs_is_nan_where_undefined(make_visit_image: Any) -> None:
    wcs = exposure_from_lsst_images(make_visit_image()).wcs
    # Not finite, and the antipode of the tangent point.
    ra, dec = np.array([np.nan, np.inf, np.radians(233.1)]), np.array([0.0, 0.0, np.radians(28.1)])
    assert np.isnan(wcs.sky_to_pixel(ra, dec)).all()
    assert np.isnan(wcs.pixel_to_sky(np.array([np.nan]), np.array([1.0]))).all()


def test_gaussian_psf(make_visit_image: Any) -> None:
    image = make_visit_image()
    psf = exposure_from_lsst_images(image).psf
    assert isinstance(psf, GaussianPsf)
    assert (psf.sigma, psf.stamp_shape) == (1.7, (25, 25))
    np.testing.assert_allclose(psf.kernel, image.psf.compute_kernel_image(x=0, y=0).array, rtol=1e-12)


def test_unknown_psf_is_logged(make_visit_image: Any, caplog: pytest.LogCaptureFixture) -> None:
    class StrangePsf:
        """Known to nobody."""

    with caplog.at_level(logging.WARNING, logger="forcedphot"):
        exposure = exposure_from_lsst_images(make_visit_image(psf=StrangePsf()))
    assert exposure.psf is None
    assert exposure.metadata["UNREAD_PSF"] == "StrangePsf"
    assert "StrangePsf" in caplog.text


def test_psf_that_lsst_images_could_not_read(make_visit_image: Any, caplog: pytest.LogCaptureFixture) -> None:
    from lsst.images.serialization import ArchiveReadError

    with caplog.at_level(logging.WARNING, logger="forcedphot"):
        exposure = exposure_from_lsst_images(make_visit_image(psf=ArchiveReadError("no Piff here")))
    assert exposure.psf is None
    assert exposure.metadata["UNREAD_PSF"] == "ArchiveReadError"
    assert "no Piff here" in caplog.text


def test_fields(make_visit_image: Any, rng: np.random.Generator) -> None:
    from lsst.images import Box as ImagesBox
    from lsst.images import fields

    box = ImagesBox.factory[5:45, -7:53]
    chebyshev = fields.ChebyshevField(box, np.array([[1.02, 0.01, 0.003], [0.02, -0.004, 0.0]]))
    corrections = {"chebyshev": chebyshev, "sum": fields.SumField([chebyshev, chebyshev])}
    ours = exposure_from_lsst_images(make_visit_image(aperture_corrections=corrections)).aperture_corrections
    assert isinstance(ours["chebyshev"], ChebyshevField)
    assert isinstance(ours["sum"], LsstImagesField)
    x, y = rng.uniform(-7, 53, 20), rng.uniform(5, 45, 20)
    for name, field in corrections.items():
        assert isinstance(ours[name], Field)
        np.testing.assert_allclose(ours[name].evaluate(x, y), field(x=x, y=y), rtol=1e-14)


@pytest.mark.parametrize(
    ("unit", "scaling_unit", "mean"),
    [
        (u.nJy, None, 1.0),
        (u.uJy, None, 1000.0),
        (u.nJy, u.nJy / u.electron, 1.0),  # applied already
        (u.electron, u.nJy / u.electron, 2.5),
        (u.electron, u.uJy / u.electron, 2500.0),
        (u.electron, None, None),
        (u.electron, u.nJy / u.adu, None),
    ],
)
def test_photo_calib(make_visit_image: Any, unit: Any, scaling_unit: Any, mean: float | None) -> None:
    from lsst.images import Box as ImagesBox
    from lsst.images import fields

    scaling = None
    if scaling_unit is not None:
        scaling = fields.ChebyshevField(ImagesBox.factory[5:45, -7:53], np.array([[2.5]]), unit=scaling_unit)
    calibration = exposure_from_lsst_images(make_visit_image(unit=unit, photometric_scaling=scaling)).photo_calib
    if mean is None:
        assert calibration is None
    else:
        assert calibration.mean == pytest.approx(mean)
        assert (calibration.mean_err, calibration.field) == (0.0, None)


def test_photo_calib_that_varies(make_visit_image: Any) -> None:
    from lsst.images import Box as ImagesBox
    from lsst.images import fields

    scaling = fields.ChebyshevField(
        ImagesBox.factory[5:45, -7:53], np.array([[2.0, 0.5]]), unit=u.nJy / u.electron
    )
    image = make_visit_image(unit=u.electron, photometric_scaling=scaling)
    calibration = exposure_from_lsst_images(image).photo_calib
    assert calibration.mean == pytest.approx(2.0)
    x, y = np.array([-7.5, 22.5, 52.5]), np.zeros(3)
    np.testing.assert_allclose(calibration.scale(x, y), [1.5, 2.0, 2.5])


def test_cell_coadd(make_cell_coadd: Any) -> None:
    image = make_cell_coadd()
    exposure = exposure_from_lsst_images(image)
    assert exposure.bbox == Box(2040, 1020, 60, 40)
    assert str(exposure.identity) == "band=i, skymap=skymap, tract=7, patch=14"
    assert isinstance(exposure.psf, CellPsf)
    # Columns of cells start at x = 2040, 2060, 2080; rows at y = 1020, 1040.
    x, y = np.array([2040.0, 2059.5, 2079.4, 2090.0, 2039.0]), np.array([1020.0, 1030.0, 1030.0, 1050.0, 1030.0])
    images, valid, *_ = exposure.psf.kernel_images(x, y)
    np.testing.assert_array_equal(valid, [True, True, True, False, False])
    np.testing.assert_array_equal(images[:3, 2, 3], [1.0, 0.75, 0.75])
    correction = exposure.aperture_corrections["base_PsfFlux_instFlux"]
    assert isinstance(correction, CellField)
    np.testing.assert_array_equal(correction.evaluate(x, y), [1.0, 1.1, 1.1, np.nan, np.nan])


def test_cell_coadd_without_patch(make_cell_coadd: Any) -> None:
    assert exposure_from_lsst_images(make_cell_coadd(with_patch=False)).identity.patch is None


def test_difference_image_is_a_visit_image(make_visit_image: Any) -> None:
    from lsst.images import DifferenceImage

    assert exposure_from_lsst_images(make_visit_image(cls=DifferenceImage)).identity.visit == 12


@pytest.mark.parametrize("other", [None, np.zeros((3, 3)), "visit_image.fits"])
def test_anything_else_is_refused(other: object) -> None:
    with pytest.raises(TypeError, match="VisitImage, DifferenceImage or CellCoadd"):
        exposure_from_lsst_images(other)


@settings(deadline=None, max_examples=40)
@given(
    n_planes=st.integers(1, 64),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32, np.int16]),
    planes_first=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_mask_bits(n_planes: int, dtype: Any, planes_first: bool, seed: int) -> None:
    from lsst.images import Box as ImagesBox
    from lsst.images import Mask, MaskPlane, MaskSchema

    schema = MaskSchema([MaskPlane(f"P{i}", "") for i in range(n_planes)], dtype=dtype)
    shape = (4, 5, schema.mask_size)
    # Files are read with the planes first, and the axes moved.
    array = np.moveaxis(np.zeros((shape[2], 4, 5), dtype), 0, -1) if planes_first else np.zeros(shape, dtype)
    mask = Mask(array, schema=schema, bbox=ImagesBox.factory[0:4, 0:5])
    rng = np.random.default_rng(seed)
    expected = {f"P{i}": rng.random((4, 5)) < 0.3 for i in range(n_planes)}
    for name, pixels in expected.items():
        mask.set(name, pixels)
    if schema.mask_size * np.dtype(dtype).itemsize > 8:
        with pytest.raises(ExposureError, match="64"):
            mask_from_lsst_images(mask)
        return
    ours = mask_from_lsst_images(mask)
    for name, pixels in expected.items():
        np.testing.assert_array_equal((ours.array >> ours.planes[name]) & 1, pixels)


@pytest.mark.parametrize(("n_planes", "shared"), [(8, True), (16, True), (20, False), (32, True), (64, True)])
def test_mask_is_a_view_where_it_can_be(make_visit_image: Any, n_planes: int, shared: bool) -> None:
    image = make_visit_image(n_planes=n_planes)
    assert np.shares_memory(exposure_from_lsst_images(image).mask.array, image.mask.array) == shared


def test_mask_of_too_many_planes(make_visit_image: Any) -> None:
    with pytest.raises(ExposureError, match="72 bits a pixel"):
        exposure_from_lsst_images(make_visit_image(n_planes=65))


def test_file_round_trip(make_cell_coadd: Any, tmp_path: Path) -> None:
    image = make_cell_coadd()
    path = tmp_path / "coadd.with.an.odd.name"
    from lsst.images.serialization import write_archive

    write_archive(image, tmp_path / "coadd.fits")
    (tmp_path / "coadd.fits").rename(path)
    exposure = read_lsst_images(path)
    np.testing.assert_array_equal(exposure.image, image.image.array)
    np.testing.assert_array_equal(exposure.variance, image.variance.array)
    assert exposure.identity.patch == 14


def test_file_of_another_kind(make_cell_coadd: Any, tmp_path: Path) -> None:
    from lsst.images.serialization import write_archive

    write_archive(make_cell_coadd().image, tmp_path / "image.fits")
    with pytest.raises(FileFormatError, match=r"image\.fits cannot be measured: .*VisitImage"):
        read_lsst_images(tmp_path / "image.fits")


def test_damaged_file_is_named(make_cell_coadd: Any, tmp_path: Path) -> None:
    from lsst.images.serialization import write_archive

    path = tmp_path / "damaged.fits"
    write_archive(make_cell_coadd(), path)
    content = path.read_bytes()
    start = content.index(b'{"schema')
    path.write_bytes(content[: start + 1] + b"\xff" * 50 + content[start + 51 :])
    with pytest.raises(FileFormatError, match=r"damaged\.fits cannot be read by lsst\.images"):
        read_lsst_images(path)


@pytest.mark.parametrize(
    "case",
    ["dp2/visit_gaussian/visit_image.fits", "dp2/piff_pixel/visit_image.fits", "dp2/cell_coadd/deep_coadd.fits"],
)
def test_positions_of_the_pipelines(golden: Any, case: str) -> None:
    path = golden(case)
    catalog, measured = (Table.read(path.parent / name) for name in ("catalog.ecsv", "measured.ecsv"))
    x, y = read_lsst_images(path).wcs.sky_to_pixel(
        *(catalog[name].quantity.to_value("rad") for name in ("coord_ra", "coord_dec"))
    )
    np.testing.assert_allclose(x, measured["base_TransformedCentroidFromCoord_x"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(y, measured["base_TransformedCentroidFromCoord_y"], rtol=0, atol=1e-6)


def hostile_copy(source: Path, target: Path, setting: str) -> None:
    """Copy a file of a Piff PSF, with another text in place of its interpolant."""
    content = source.read_bytes()
    start = content.index(b"galsim.Lanczos(")
    stop = content.index(b'"', start)
    assert len(setting) <= stop - start
    target.write_bytes(content[:start] + setting.ljust(stop - start).encode() + content[stop:])


def test_piff_settings_are_not_run(golden: Any, tmp_path: Path) -> None:
    marker, file = Path(tempfile.gettempdir()) / f"ran-{uuid.uuid4().hex[:8]}", tmp_path / "hostile.fits"
    setting = f"__import__('pathlib').Path('{marker}').touch()"
    hostile_copy(golden("dp2/piff_pixel") / "visit_image.fits", file, setting)

    with pytest.raises(UnsafeContentError, match=r"hostile\.fits: its Piff PSF has the setting .__import__"):
        Exposure.read(file)

    assert not marker.exists()
    # The file is such that Piff itself would have run it.
    from lsst.images.serialization import read_archive

    read_archive(str(file))
    assert marker.exists()
    marker.unlink()


@pytest.mark.parametrize(
    ("text", "is_harmless"),
    [
        ("galsim.Lanczos(11)", True),
        ("galsim.Lanczos(7, conserve_dc=True)", True),
        ("galsim.Cubic(gsparams=galsim.GSParams(128,8192,0.005,1e-05))", True),
        ("Lanczos(__import__('os').system('true'))", False),
        ("galsim.Lanczos(exit())", False),
        ("[print for _ in (1,)]", False),
        ("PixelGrid", True),
        ("fits:PSF/PIFF/INTERP/SOLUTION[1]", True),
        ("lambda: 0", True),
        ("f'{exit()}'", False),
    ],
)
def test_piff_settings_that_may_pass(text: str, is_harmless: bool) -> None:
    assert is_harmless == bool(_HARMLESS.fullmatch(text) or _INTERPOLANT.fullmatch(text))


@pytest.mark.parametrize("name", ["piff_pixel/visit_image", "visit_gaussian/visit_image", "cell_coadd/deep_coadd"])
def test_components_are_those_of_the_whole(golden: Any, name: str) -> None:
    folder, file = name.split("/")
    path = golden(f"dp2/{folder}") / f"{file}.fits"
    whole = Exposure.read(path)
    x, y = np.array([whole.x0 + 50.3]), np.array([whole.y0 + 60.8])

    def part(component: str) -> Any:
        return Exposure.read_component(path, component)

    for component in ("bbox", "identity", "unit", "photo_calib", "visit_info", "detector", "summary_stats"):
        # Numbers that are not known are NaN, which equals nothing: compare what is printed.
        assert repr(part(component)) == repr(getattr(whole, component)), component
    assert part("filter").band == whole.identity.band
    assert part("metadata") == whole.metadata
    np.testing.assert_array_equal(part("wcs").pixel_to_sky(x, y), whole.wcs.pixel_to_sky(x, y))
    np.testing.assert_array_equal(part("psf").images(x, y).images, whole.psf.images(x, y).images)
    for field, values in part("aperture_corrections").items():
        np.testing.assert_array_equal(values.evaluate(x, y), whole.aperture_corrections[field].evaluate(x, y))
    for plane in ("image", "variance"):
        np.testing.assert_array_equal(part(plane), getattr(whole, plane))
    np.testing.assert_array_equal(part("mask").array, whole.mask.array)
    with pytest.raises(ExposureError, match="no component 'weather'"):
        part("weather")
