"""forcedphot inspect: what it says of an image is so."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import Result

from forcedphot.cli.inspect import describe, mask_fractions
from forcedphot.exposure import Exposure, Mask, PhotoCalib
from forcedphot.exposure.fields import ConstantField
from forcedphot.psf import KernelImages, Stamps
from forcedphot.simulation import SimulatedField

type Run = Callable[..., Result]


def test_json(run: Run, image: Path, field: SimulatedField) -> None:
    description = json.loads(run("inspect", image, "--json").stdout)
    assert description["file"] == str(image)
    assert description["size"] == {"width": 320, "height": 300}
    assert description["origin"] == {"x0": 1000, "y0": -50}
    assert description["unit"] == "nJy"
    assert description["identity"]["detector"] == 94
    assert description["psf"]["model"] == "GaussianPsf"
    assert description["psf"]["stamp"] == [25, 25]
    assert description["psf"]["fwhm_pixels"] == pytest.approx(1.7 * 2.3548, rel=1e-4)
    assert description["psf"]["fwhm_arcsec"] == pytest.approx(0.2 * 1.7 * 2.3548, rel=1e-4)
    assert description["wcs"]["pixel_scale_arcsec"] == pytest.approx(0.2, rel=1e-5)
    assert description["wcs"]["centre_deg"] == pytest.approx([53.1, -28.1])
    assert description["calibration"] == {
        "njy_per_unit": 1.0,
        "error": 0.0,
        "zero_point_mag": 31.4,
        "varies": False,
    }
    centre = np.array([1159.5]), np.array([99.5])
    corrections = field.exposure.aperture_corrections
    assert description["aperture_corrections"]["base_PsfFlux_instFlux"] == pytest.approx(
        corrections["base_PsfFlux_instFlux"].evaluate(*centre)[0]
    )
    corner = field.exposure.wcs.pixel_to_sky(np.array([999.5]), np.array([-50.5]))
    assert description["wcs"]["corners_deg"][0] == pytest.approx(np.degrees(np.ravel(corner)))
    assert description["image"]["median"] == pytest.approx(np.median(field.exposure.image), rel=1e-6)


def test_text(run: Run, image: Path) -> None:
    text = " ".join(run("inspect", image).stdout.split())
    for part in ("320 x 300 pixels, origin (1000, -50)", "GaussianPsf", "EDGE", "nJy", "zero point 31.4000 mag"):
        assert part in text


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64])
def test_mask_fractions(rng: np.random.Generator, dtype: type) -> None:
    n_bits = np.dtype(dtype).itemsize * 8
    array = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (30, 40), dtype, endpoint=True)
    mask = Mask(array, {f"P{bit}": bit for bit in (n_bits - 1, 0, 3)})
    fractions = mask_fractions(mask)
    assert list(fractions) == ["P0", "P3", f"P{n_bits - 1}"]
    for name, bit in mask.planes.items():
        expected = np.mean([(int(value) >> bit) & 1 for value in array.ravel()])
        assert fractions[name] == pytest.approx(expected)


def test_bare_image(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    exposure = Exposure.from_arrays(np.full((4, 5), np.nan))
    monkeypatch.setattr(Exposure, "read", lambda _: exposure)
    description = describe(exposure)
    for part in ("unit", "variance", "mask", "psf", "wcs", "calibration", "aperture_corrections"):
        assert description[part] is None
    for part in ("visit_info", "detector", "summary_stats", "coadd_inputs"):
        assert description[part] is None
    assert description["image"] == {"minimum": None, "median": None, "maximum": None, "not_finite": 20}
    json.dumps(description, allow_nan=False)
    text = run("inspect", "anything").stdout
    assert "No mask." in text
    assert "No aperture corrections." in text


def test_undefined_at_the_centre(field: SimulatedField, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hole:
        def images(self, x: np.ndarray, y: np.ndarray) -> Stamps:
            nothing = np.full((1, 5, 7), np.nan)
            return Stamps.placed(KernelImages.of_one_shape(nothing, np.zeros(1, dtype=bool)), x, y)

        def moments(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.full((len(x), 3), np.nan)

    exposure = dataclasses.replace(
        field.exposure,
        psf=Hole(),  # type: ignore[arg-type]
        photo_calib=PhotoCalib(2.0, field=ConstantField(2.0)),
        aperture_corrections={"a": ConstantField(np.nan)},
    )
    monkeypatch.setattr(Exposure, "read", lambda _: exposure)
    description = describe(exposure)
    assert description["psf"]["fwhm_pixels"] is None
    assert description["aperture_corrections"] == {"a": None}
    json.dumps(description, allow_nan=False)
    text = " ".join(run("inspect", "anything").stdout.split())
    assert "Hole, stamps of 7 x 5 pixels, undefined at the centre" in text
    assert "varies over the image" in text


def test_missing_file(run: Run, tmp_path: Path) -> None:
    assert "There is no file" in run("inspect", tmp_path / "none.fits", exit_code=1).stderr
    (tmp_path / "text.fits").write_text("no image")
    assert "is not a FITS file" in run("inspect", tmp_path / "text.fits", exit_code=5).stderr


def plain_image(path: Path, projection: str, scale_deg: float) -> Path:
    """Write an image whose middle is at (0, 0) deg."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{projection}", f"DEC--{projection}"]
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = [46.0, 23.0], [0.0, 0.0], [-scale_deg, scale_deg]
    fits.writeto(path, np.zeros((45, 91), np.float32), wcs.to_header())
    return path


def test_the_scale_where_right_ascensions_begin(run: Run, tmp_path: Path) -> None:
    path = plain_image(tmp_path / "meridian.fits", "TAN", 1e-4)
    assert json.loads(run("inspect", path, "--json").stdout)["wcs"]["pixel_scale_arcsec"] == pytest.approx(0.36)


def test_a_map_of_the_whole_sky_has_corners_beyond_it(run: Run, tmp_path: Path) -> None:
    path = plain_image(tmp_path / "sky.fits", "AIT", 4.0)
    description = json.loads(run("inspect", path, "--json").stdout)
    assert description["wcs"]["corners_deg"] == [[None, None]] * 4
    text = " ".join(run("inspect", path).stdout.split())
    assert "centre (0.000000, 0.000000) deg corners not on the sky" in text


@pytest.mark.parametrize("case", ["driver/visit_gaussian/exposure.fits", "dp2/cell_coadd/deep_coadd.fits"])
def test_real_files(run: Run, golden: Callable[[str], Path], case: str) -> None:
    description = json.loads(run("inspect", golden(case), "--json").stdout)
    assert description["wcs"]["pixel_scale_arcsec"] == pytest.approx(0.2, rel=1e-3)
    assert description["aperture_corrections"]["base_PsfFlux_instFlux"] == pytest.approx(1, abs=0.1)


def test_circumstances(run: Run, golden: Callable[[str], Path]) -> None:
    path = golden("exposures/hsc_calexp.fits")
    description = json.loads(run("inspect", path, "--json").stdout)
    assert description["visit_info"]["mid_mjd_tai"] == pytest.approx(56598.2510623669)
    assert description["visit_info"]["focus_z_mm"] is None
    assert description["detector"]["amplifiers"][0]["box"]["width"] == 512
    assert description["summary_stats"]["ra_corners_deg"] == [None] * 4
    assert description["coadd_inputs"] == {"visits": 0, "ccds": 0}
    text = " ".join(run("inspect", path).stdout.split())
    assert "56598.251062 MJD (TAI), 30 s, boresight (320.24991, 0.25002) deg, airmass 1.103" in text
    assert "1_42, number 4, serial 4, SCIENCE, 4 amplifiers" in text
    assert "PSF sigma 1.000 pixels" in text
    assert "0 visits, 0 detector images" in text


def test_unknown_circumstances(run: Run, golden: Callable[[str], Path]) -> None:
    text = " ".join(run("inspect", golden("exposures/pca_psf.fits")).stdout.split())
    assert "visit nothing known" in text
    assert "detector none statistics none inputs none" in text


@pytest.mark.parametrize("ending", [".fits", ".ecsv"])
def test_catalogs(run: Run, golden: Callable[[str], Path], ending: str) -> None:
    path = golden(f"tables/forced_heavy{ending}")
    description = json.loads(run("inspect", path, "--json").stdout)
    assert description["rows"] == 50
    fields = {field["name"]: field for field in description["fields"]}
    is_afw = ending == ".fits"
    assert fields["base_PsfFlux_instFlux"]["unit"] == ("count" if is_afw else "ct")
    assert "base_PsfFlux_flag" not in fields
    # In a plain table, aliases of flags are columns too.
    assert description["flags"] == (69 if is_afw else 94)
    assert description["footprints"] == (50 if is_afw else None)
    assert description["slots"].get("PsfFlux") == ("base_PsfFlux" if is_afw else None)
    text = " ".join(run("inspect", path).stdout.split())
    assert f"and {description['flags']} flags" in text
    assert f"footprints {50 if is_afw else 'none'}" in text


def test_images_of_other_surveys(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "science.fits"
    planes = [np.ones((30, 40)), np.full((30, 40), 4.0), np.eye(5)]
    hdus = [
        fits.PrimaryHDU(),
        *(fits.ImageHDU(plane, name=name) for plane, name in zip(planes, "SVP", strict=True)),
    ]
    fits.HDUList(hdus).writeto(path)
    options = ("--variance", "[V]", "--psf", "[P]", "--zero-point", "26.3")
    description = json.loads(run("inspect", f"{path}[S]", *options, "--json").stdout)
    assert description["variance"]["median"] == 4.0
    assert description["psf"]["stamp"] == [5, 5]
    assert description["calibration"]["zero_point_mag"] == pytest.approx(26.3)


def test_what_is_neither_image_nor_catalog(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    fits.writeto(path, np.zeros((2, 3, 4)))
    assert "not of a format" in run("inspect", path, exit_code=5).stderr
