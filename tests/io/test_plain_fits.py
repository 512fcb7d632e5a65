"""Images of other surveys: a FITS image and what goes with it, in and out."""

import dataclasses
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable, Sip
from hypothesis import given
from hypothesis import strategies as st

import forcedphot
from forcedphot import Exposure
from forcedphot.conventions import Box, CellGrid
from forcedphot.errors import ExposureError, FileFormatError
from forcedphot.exposure import AstropyWcs, ConstantField, Mask, PhotoCalib
from forcedphot.io.plain_fits import _with_bad, inverse_of
from forcedphot.psf import CellPsf, GaussianPsf, KernelImagePsf
from forcedphot.simulation import simulate_exposure

SHAPE = 60, 70


def tan_wcs(sip: bool = False) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if sip else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.1, 2.2], [35, 30]
    wcs.wcs.cd = np.array([[-0.2, 0.01], [0.01, 0.2]]) / 3600
    if sip:
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], b[1, 1] = 1e-5, -2e-5
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


@pytest.fixture
def planes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "image": rng.normal(10, 2, SHAPE).astype(np.float32),
        "variance": rng.uniform(1, 2, SHAPE).astype(np.float32),
        "mask": (rng.uniform(size=SHAPE) < 0.1).astype(np.int16) * 5,
    }


@pytest.fixture
def files(planes: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """A file a plane, and one of all, as ZTF, DECam and HST have them."""
    header = tan_wcs(sip=True).to_header(relax=True)
    header["INSTRUME"], header["FILTER"], header["BUNIT"] = "DECam", "r DECam", "adu"
    fits.writeto(tmp_path / "image.fits", planes["image"], header)
    fits.writeto(tmp_path / "variance.fits", planes["variance"])
    fits.writeto(tmp_path / "mask.fits", planes["mask"])
    weight = 1 / planes["variance"]
    weight[3, 4], weight[5, 6] = 0.0, np.nan
    dy, dx = np.mgrid[-8:9, -8:9]
    kernel = np.exp(-0.5 * (dx**2 + dy**2) / 4)
    fits.writeto(tmp_path / "psf.fits", kernel)
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(planes["image"], header, "SCI"),
        fits.CompImageHDU(np.sqrt(planes["variance"]), name="ERR", compression_type="GZIP_2", quantize_level=0.0),
        fits.ImageHDU(weight, name="WHT"),
        fits.ImageHDU(planes["mask"], name="DQ"),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "all.fits")
    return tmp_path


def test_separate_files(files: Path, planes: dict[str, np.ndarray]) -> None:
    exposure: Any = Exposure.from_fits(
        files / "image.fits",
        variance=files / "variance.fits",
        mask=files / "mask.fits",
        psf=files / "psf.fits",
        zero_point=25.0,
    )
    np.testing.assert_array_equal(exposure.image, planes["image"])
    np.testing.assert_array_equal(exposure.variance, planes["variance"])
    np.testing.assert_array_equal(exposure.mask.array, planes["mask"] != 0)
    assert exposure.mask.planes == {"BAD": 0}
    assert (exposure.unit, exposure.identity.instrument, exposure.identity.physical_filter) == (
        u.adu,
        "DECam",
        "r DECam",
    )
    assert isinstance(exposure.psf, KernelImagePsf)
    assert exposure.photo_calib.mean == pytest.approx(10 ** (0.4 * 6.4))
    x, y = np.array([0.0, 69.0]), np.array([0.0, 59.0])
    np.testing.assert_allclose(
        np.degrees(exposure.wcs.pixel_to_sky(x, y)), tan_wcs(sip=True).all_pix2world(x, y, 0), atol=1e-11
    )
    table = forcedphot.measure(exposure, SkyCoord([150.1], [2.2], unit="deg"), progress=False)
    assert table["base_PsfFlux_flux"].unit == u.nJy
    assert np.isfinite(table["base_PsfFlux_flux"][0])


def test_one_file(files: Path, planes: dict[str, np.ndarray]) -> None:
    image = f"{files}/all.fits[SCI,1]"
    exposure: Any = Exposure.from_fits(image, error="[ERR]", mask="[4]", mask_planes={"SAT": 0, "OTHER": 2})
    np.testing.assert_allclose(exposure.variance, planes["variance"], rtol=1e-6)
    np.testing.assert_array_equal(exposure.mask.array, planes["mask"])
    assert exposure.mask.planes == {"SAT": 0, "OTHER": 2}


def test_pixels_without_weight(files: Path, planes: dict[str, np.ndarray]) -> None:
    image = f"{files}/all.fits[SCI]"
    for mask in (None, "[DQ]"):
        exposure: Any = Exposure.from_fits(image, weight="[WHT]", mask=mask)
        assert np.isposinf(exposure.variance[[3, 5], [4, 6]]).all()
        bad = exposure.mask.array >> exposure.mask.planes["BAD"] & 1
        expected = np.zeros(SHAPE, bool) if mask is None else planes["mask"] != 0
        expected[[3, 5], [4, 6]] = True
        np.testing.assert_array_equal(bad, expected)
        good = np.isfinite(exposure.variance)
        np.testing.assert_allclose(exposure.variance[good], planes["variance"][good], rtol=1e-6)


def test_part(files: Path, planes: dict[str, np.ndarray]) -> None:
    box = Box(20, 10, 30, 25)
    part: Any = Exposure.from_fits(f"{files}/all.fits[1]", error="[ERR]", mask="[DQ]", bbox=box)
    assert part.bbox == box
    cut = np.s_[10:35, 20:50]
    np.testing.assert_array_equal(part.image, planes["image"][cut])
    np.testing.assert_array_equal(part.mask.array, planes["mask"][cut] != 0)
    whole: Any = Exposure.from_fits(files / "image.fits")
    x = np.array([25.0])
    assert part.wcs.pixel_to_sky(x, x) == whole.wcs.pixel_to_sky(x, x)
    with pytest.raises(ExposureError, match="is not inside the image"):
        Exposure.from_fits(files / "image.fits", bbox=Box(60, 0, 20, 20))


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_weights(values: list[float]) -> None:
    weight = np.array([values], np.float32)
    variance, bad = inverse_of(weight)
    assert variance.dtype == np.float32
    assert (variance > 0)[~bad & (weight < 1e30)].all()
    np.testing.assert_array_equal(bad, ~((weight > 0) & np.isfinite(weight)))
    assert np.isposinf(variance[bad]).all()


def test_no_bit_to_spare() -> None:
    bad = np.array([[True, False]])
    full = Mask(np.array([[1, 255]], np.uint8), {f"P{i}": i for i in range(8)})
    with pytest.raises(FileFormatError, match="no bit to spare"):
        _with_bad(full, bad)
    unnamed = _with_bad(Mask(np.array([[3, 3]], np.uint8), {"SAT": 0}), bad)
    assert unnamed.array.tolist() == [[3, 1]]
    named = _with_bad(Mask(np.array([[1, 2]], np.uint8), {"SAT": 0, "BAD": 1}), bad)
    assert named.array.tolist() == [[3, 2]]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"variance": "variance.fits", "weight": "[WHT]"}, "give one of them"),
        ({"variance": "small.fits"}, r"small\.fits cannot be used: its shape is \(2, 3\); the image's is"),
        ({"mask": "[NONE]"}, "it has no such HDU"),
        ({"mask": "table.fits"}, "nothing in it is of the kind"),
        ({"psf": "table.fits"}, "nothing in it is of the kind"),
        ({"variance": "absent.fits"}, r"absent\.fits"),
    ],
)
def test_what_does_not_fit(
    files: Path, options: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    fits.writeto("small.fits", np.zeros((2, 3)))
    fits.BinTableHDU.from_columns([fits.Column("a", "D", array=[1.0])]).writeto("table.fits")
    with pytest.raises((ExposureError, OSError), match=reason):
        Exposure.from_fits("all.fits[SCI]", **options)  # type: ignore[arg-type]


def test_tabulated_distortions(tmp_path: Path) -> None:
    wcs = tan_wcs()
    table = np.random.default_rng(1).uniform(-0.5, 0.5, (8, 8)).astype(np.float32)
    wcs.cpdis1 = DistortionLookupTable(table, (1.0, 1.0), (1.0, 1.0), (10.0, 10.0))
    wcs.cpdis2 = DistortionLookupTable(table[::-1].copy(), (1.0, 1.0), (1.0, 1.0), (10.0, 10.0))
    hdus = wcs.to_fits(relax=True)
    hdus.insert(1, fits.ImageHDU(np.zeros(SHAPE, np.float32), hdus[0].header, name="SCI"))
    hdus[0] = fits.PrimaryHDU()
    hdus.writeto(tmp_path / "hst.fits")
    exposure: Any = Exposure.from_fits(f"{tmp_path}/hst.fits[SCI]")
    x, y = np.array([20.0, 50.0]), np.array([10.0, 40.0])
    expected = wcs.all_pix2world(x, y, 0)
    np.testing.assert_allclose(np.degrees(exposure.wcs.pixel_to_sky(x, y)), expected, atol=1e-11)
    assert np.abs(np.array(expected) - wcs.wcs_pix2world(x, y, 0)).max() > 1e-7
    given_all = dataclasses.replace(exposure, variance=exposure.image + 1, psf=GaussianPsf(2.0, 15))
    with pytest.raises(ExposureError, match="distortions that are kept in tables"):
        given_all.to_lsst_images()
    with pytest.raises(
        ExposureError, match=r"none that a FITS header can hold: positions would be up to 0\.\d+ arcsec"
    ):
        given_all.write(tmp_path / "plain.fits", "fits")


def test_a_wcs_that_fits_approximates(golden: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exposure: Any = Exposure.read(golden("exposures/hsc_calexp.fits"))
    exposure.write(tmp_path / "plain.fits", "fits")
    assert "A FITS header holds the WCS of this image to" in caplog.text
    read: Any = Exposure.read(tmp_path / "plain.fits")
    x, y = np.array([0.0, 63.0, 20.0]), np.array([0.0, 31.0, 5.0])
    sky = np.degrees(exposure.wcs.pixel_to_sky(x, y))
    np.testing.assert_allclose(np.degrees(read.wcs.pixel_to_sky(x, y)), sky, rtol=0, atol=1e-7)


def test_a_wcs_that_is_fitted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Bent(AstropyWcs):
        def _to_sky(self, pixels: np.ndarray) -> np.ndarray:
            return super()._to_sky(pixels + 1e-5 * (pixels[::-1] - 30.0) ** 2)

    exposure = Exposure.from_arrays(np.ones(SHAPE), wcs=Bent(tan_wcs()))
    exposure.write(tmp_path / "plain.fits", "fits")
    assert "A FITS header holds the WCS of this image to" in caplog.text
    read: Any = Exposure.read(tmp_path / "plain.fits")
    x, y = np.array([0.0, 69.0, 20.0]), np.array([0.0, 59.0, 5.0])
    sky, straight = (np.degrees(wcs.pixel_to_sky(x, y)) for wcs in (exposure.wcs, AstropyWcs(tan_wcs())))
    assert np.abs(np.array(straight) - sky).max() > 5e-7
    np.testing.assert_allclose(np.degrees(read.wcs.pixel_to_sky(x, y)), sky, rtol=0, atol=1e-7)


def test_a_wcs_of_another_kind() -> None:
    class Flat:
        def pixel_to_sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return x / 1e6, y / 1e6

        def sky_to_pixel(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return ra * 1e6, dec * 1e6

    image = np.ones((20, 20))
    exposure = Exposure.from_arrays(image, variance=image, wcs=Flat(), psf=np.ones((3, 3)))
    with pytest.raises(ExposureError, match=r"lsst\.images has no WCS like Flat"):
        exposure.to_lsst_images()


def test_wcs_of_swarp_and_ztf(tmp_path: Path) -> None:
    header = tan_wcs().to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    header["PV1_1"], header["PV1_4"], header["PV2_1"], header["PV2_4"] = 1.0, 0.5, 1.0, 0.3
    fits.writeto(tmp_path / "tpv.fits", np.ones(SHAPE), header)
    exposure: Any = Exposure.from_fits(tmp_path / "tpv.fits", psf=GaussianPsf(2.0, 15), bbox=Box(10, 20, 50, 40))
    x, y = np.array([20.0, 50.0]), np.array([30.0, 40.0])
    sky = exposure.wcs.pixel_to_sky(x, y)
    np.testing.assert_allclose(np.degrees(sky), WCS(header).all_pix2world(x, y, 0), atol=1e-11)
    assert np.abs(np.degrees(sky) - tan_wcs().all_pix2world(x, y, 0)).max() > 1e-7
    full = dataclasses.replace(exposure, variance=exposure.image)
    for name, to in (("plain.fits", "fits"), ("visit.fits", "visit-image")):
        full.write(tmp_path / name, to)
        read: Any = Exposure.read(tmp_path / name)
        assert read.bbox == exposure.bbox
        np.testing.assert_allclose(np.degrees(read.wcs.pixel_to_sky(x, y)), np.degrees(sky), rtol=0, atol=1e-9)


def test_written_and_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exposure: Any = simulate_exposure(shape=(130, 120), n_sources=3, origin=(30, -40), seed=3).exposure
    calibrated = dataclasses.replace(
        exposure,
        photo_calib=PhotoCalib(2.5, 0.1),
        metadata={"SEEING": 0.7, "AR_HDU": 5, "LONG NAME": "x", "E": "ä"},
    )
    calibrated.write(tmp_path / "plain.fits", "fits")
    assert "A plain FITS file has no place for aperture_corrections" in caplog.text
    read: Any = Exposure.read(tmp_path / "plain.fits")
    np.testing.assert_array_equal(read.image, exposure.image)
    np.testing.assert_array_equal(read.variance, exposure.variance)
    np.testing.assert_array_equal(read.mask.array, exposure.mask.array)
    assert (read.mask.planes, read.bbox, read.unit) == (exposure.mask.planes, exposure.bbox, exposure.unit)
    assert read.metadata["SEEING"] == 0.7
    assert "AR_HDU" not in read.metadata
    assert read.photo_calib.mean == pytest.approx(2.5)
    assert read.photo_calib.mean_err == pytest.approx(0.1)
    x, y = np.array([31.0, 100.0]), np.array([-30.0, 20.0])
    np.testing.assert_allclose(
        np.degrees(read.wcs.pixel_to_sky(x, y)), np.degrees(exposure.wcs.pixel_to_sky(x, y)), rtol=0, atol=1e-9
    )
    for psf in (read.psf, Exposure.from_fits(f"{tmp_path}/plain.fits[IMAGE]", psf="[PSF]").psf):
        np.testing.assert_allclose(psf.kernel_images(x, y).images, exposure.psf.kernel_images(x, y).images)
    part = Exposure.read(tmp_path / "plain.fits", bbox=Box(40, -20, 5, 6))
    np.testing.assert_array_equal(part.psf.kernel, read.psf.kernel)


def test_what_others_call_psf_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    planes = {"IMAGE": np.ones((8, 9)), "PSF": np.ones((4, 4))}
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(plane, name=name) for name, plane in planes.items())]
    fits.HDUList(hdus).writeto(tmp_path / "plain.fits")
    assert Exposure.read(tmp_path / "plain.fits").psf is None
    assert "the PSF cannot be read (HDU 3 (PSF)): A PSF kernel image has odd height and width" in caplog.text


def test_cards_that_fits_has_no_place_for(tmp_path: Path) -> None:
    metadata = {
        "X" * 72: "text",
        "Y" * 69: 12345678,
        "CONTINUE": "x",
        "NAN": float("nan"),
        "A LONGER NAME": "z" * 99,
    }
    Exposure.from_arrays(np.ones((8, 9)), metadata=metadata).write(tmp_path / "plain.fits", "fits")
    written = fits.getheader(tmp_path / "plain.fits", 0)
    assert [name for name in metadata if name in written] == ["A LONGER NAME"]


def test_a_psf_that_is_undefined_at_the_centre(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernels = np.ones((1, 3, 3, 5)) / 15.0
    kernels[0, 1] = np.nan
    exposure = Exposure.from_arrays(np.ones((6, 9)), psf=CellPsf(kernels, CellGrid(Box(0, 0, 9, 6), 3, 6)))
    exposure.write(tmp_path / "plain.fits", "fits")
    np.testing.assert_allclose(Exposure.read(tmp_path / "plain.fits").psf.kernel, 1 / 15)
    nowhere = dataclasses.replace(exposure, psf=CellPsf(kernels * np.nan, CellGrid(Box(0, 0, 9, 6), 3, 6)))
    nowhere.write(tmp_path / "nowhere.fits", "fits")
    assert "The CellPsf is left out" in caplog.text
    assert Exposure.read(tmp_path / "nowhere.fits").psf is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
def test_masks_keep_their_bits(tmp_path: Path, rng: np.random.Generator, dtype: type) -> None:
    n_bits = 8 * np.dtype(dtype).itemsize
    array = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (8, 9), dtype, endpoint=True)
    exposure = Exposure.from_arrays(
        np.ones((8, 9)), variance=np.ones((8, 9)), mask=Mask(array, {"TOP": n_bits - 1})
    )
    exposure.write(tmp_path / "plain.fits", "fits")
    read: Any = Exposure.read(tmp_path / "plain.fits").mask
    np.testing.assert_array_equal(read.array >> read.planes["TOP"] & 1, array >> dtype(n_bits - 1) & 1)


def test_a_bare_image_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    varying = Exposure.from_arrays(np.ones((8, 9)), photo_calib=PhotoCalib(2.0, field=ConstantField(2.0)))
    varying.write(tmp_path / "plain.fits", "fits")
    assert "the calibration's variation" in caplog.text
    assert Exposure.read(tmp_path / "plain.fits").image.shape == (8, 9)


def test_a_varying_psf_is_said(tmp_path: Path, golden: Any, caplog: pytest.LogCaptureFixture) -> None:
    exposure = Exposure.read(golden("driver/piff_pixel/exposure.fits"))
    exposure.write(tmp_path / "plain.fits", "fits")
    assert "The PiffPsf becomes its kernel image at" in caplog.text


@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_masks_have_no_blank_pixels(tmp_path: Path, kind: Any, dtype: type) -> None:
    bits: np.ndarray[Any, Any] = np.arange(12, dtype=dtype).reshape(3, 4)
    bits[0, 0] = -1
    mask = kind(bits, name="MASK")
    mask.header.update(BLANK=-1, MP_BAD=3)
    image = fits.ImageHDU(np.ones((3, 4), np.float32), name="IMAGE")
    fits.HDUList([fits.PrimaryHDU(), image, mask]).writeto(tmp_path / "plain.fits")
    read: Any = Exposure.read(tmp_path / "plain.fits").mask
    np.testing.assert_array_equal(read.array, bits)
    assert read.array[0, 0] >> read.planes["BAD"] & 1


def test_a_wcs_instead_of_one_that_cannot_be_read(tmp_path: Path) -> None:
    header = tan_wcs().to_header()
    header["CTYPE1"] = "RA---BON"  # which has to have parameters
    fits.writeto(tmp_path / "image.fits", np.ones((3, 4)), header)
    with pytest.raises(FileFormatError, match=r"image\.fits"):
        Exposure.from_fits(tmp_path / "image.fits")
    wcs = AstropyWcs(tan_wcs())
    assert Exposure.from_fits(tmp_path / "image.fits", wcs=wcs).wcs is wcs
