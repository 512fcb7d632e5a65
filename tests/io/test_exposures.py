"""Every public ExposureF file, part by part, against what afw reads; parts alone, and parts of images."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from forcedphot import Exposure
from forcedphot.conventions import Box
from forcedphot.errors import ExposureError
from forcedphot.exposure import AstropyWcs, FilterLabel, VisitInfo
from forcedphot.io.afw_fits.reader import COMPONENTS
from forcedphot.io.afw_fits.shuffled_tiles import read_rows

from .test_afw_fits import CASES

type Golden = Callable[[str], Path]
type Expected = dict[str, Any]

FILES = [
    "afw_HSC-0908120-056-small.fits",
    "afw_compressed.fits.fz",
    "afw_exposure-noversion.fits",
    "afw_exposure-version-0.fits",
    "afw_exposure-version-1.fits",
    "afw_exposure-version-2.fits",
    "afw_ticketdm26260.fits",
    "coadd_inputs_v1.fits",
    "hsc_calexp.fits",
    "obs_small.fits",
    "pca_psf.fits",
    "piff_compressed.fits",
    "psfex_psf.fits",
    "single_gaussian_full.fits",
    "warped_psf.fits",
]


def check_planes(exposure: Exposure, expected: Expected) -> None:
    box = exposure.bbox
    assert [box.x0, box.y0, box.width, box.height] == expected["bbox"]
    np.testing.assert_allclose(np.nansum(exposure.image, dtype=np.float64), expected["image_sum"], rtol=1e-12)
    if exposure.variance is None:
        assert expected["variance_sum"] == 0
    else:
        total = np.nansum(exposure.variance, dtype=np.float64)
        np.testing.assert_allclose(total, expected["variance_sum"], rtol=1e-12)


def check_mask(exposure: Exposure, expected: Expected) -> None:
    planes = {} if exposure.mask is None else exposure.mask.planes
    used = {name for name, bit in planes.items() if (exposure.mask.array >> bit & 1).any()}
    assert used == {name for name, bit in expected["mask_planes"].items() if expected["mask_or"] >> bit & 1}
    assert planes.keys() <= expected["mask_planes"].keys()


def check_wcs(exposure: Exposure, expected: Expected) -> None:
    if "sky_deg" not in expected:
        assert exposure.wcs is None
        return
    x, y = np.array(expected["positions"]).T
    ra_deg, dec_deg = np.array(expected["sky_deg"]).T
    ra, dec = exposure.wcs.pixel_to_sky(x, y)
    np.testing.assert_allclose(np.degrees([ra, dec]), [ra_deg, dec_deg], rtol=0, atol=1e-9)
    back = exposure.wcs.sky_to_pixel(np.radians(ra_deg), np.radians(dec_deg))
    # afw takes a header's reverse SIP polynomials for exact; ours inverts the forward ones.
    truth = expected["positions"] if isinstance(exposure.wcs, AstropyWcs) else expected["pixels_back"]
    np.testing.assert_allclose(np.transpose(back), truth, rtol=0, atol=1e-6)


def check_photo_calib(exposure: Exposure, expected: Expected) -> None:
    truth = expected.get("photo_calib", {"mean": math.inf})
    if math.isinf(truth["mean"]):
        assert exposure.photo_calib is None
        return
    calibration = exposure.photo_calib
    ours = np.array([calibration.mean, calibration.mean_err])
    np.testing.assert_allclose(ours, [truth["mean"], truth["err"]], rtol=1e-10)
    flux = 1000 * calibration.scale(*np.array(expected["positions"]).T)
    np.testing.assert_allclose(flux, truth["nJy_of_1000"], rtol=1e-10)


def check_aperture_corrections(exposure: Exposure, expected: Expected) -> None:
    corrections, truth = exposure.aperture_corrections or {}, expected.get("aperture_corrections", {})
    assert corrections.keys() == truth.keys()
    x, y = np.array(expected["positions"]).T
    for name, values in truth.items():
        np.testing.assert_allclose(corrections[name].evaluate(x, y), values, rtol=1e-10)


def check_filter(exposure: Exposure, expected: Expected) -> None:
    truth = expected["filter"] or {"band": None, "physical": None}
    assert (exposure.identity.band, exposure.identity.physical_filter) == (truth["band"], truth["physical"])


def check_visit_info(exposure: Exposure, expected: Expected) -> None:
    info, truth = exposure.visit_info or VisitInfo(), expected["visit_info"]
    assert (info.visit or 0) == truth["id"]
    date = math.nan if truth["date_mjd_tai"] is None else truth["date_mjd_tai"]
    ours = np.array([info.exposure_time_s, info.mid_mjd_tai, info.boresight_airmass])
    np.testing.assert_allclose(ours, [truth["exposure_time"], date, truth["boresight_airmass"]], rtol=1e-14)


def check_detector(exposure: Exposure, expected: Expected) -> None:
    if "detector" not in expected:
        assert exposure.detector is None
        return
    detector, truth = exposure.detector, expected["detector"]
    assert (detector.number, detector.name, len(detector.amplifiers)) == (
        truth["id"],
        truth["name"],
        truth["n_amplifiers"],
    )
    assert exposure.identity.detector == detector.number


def check_coadd_inputs(exposure: Exposure, expected: Expected) -> None:
    if "coadd_inputs" not in expected:
        assert exposure.coadd_inputs is None
        return
    inputs, truth = exposure.coadd_inputs, expected["coadd_inputs"]
    assert (len(inputs.visits), len(inputs.ccds)) == (truth["n_visits"], truth["n_ccds"])
    assert inputs.ccds["id"].tolist() == truth["ccd_ids"]


def check_valid_polygon(exposure: Exposure, expected: Expected) -> None:
    if "valid_polygon" not in expected:
        assert exposure.valid_polygon is None
        return
    # The truth repeats its first vertex.
    vertices = np.transpose([exposure.valid_polygon.x, exposure.valid_polygon.y])
    np.testing.assert_allclose(vertices, expected["valid_polygon"][: len(vertices)], rtol=1e-12)
    assert len(vertices) >= len(expected["valid_polygon"]) - 1


CHECKS = [
    check_planes,
    check_mask,
    check_wcs,
    check_photo_calib,
    check_aperture_corrections,
    check_filter,
    check_visit_info,
    check_detector,
    check_coadd_inputs,
    check_valid_polygon,
]


CHECKED = {
    "bbox", "image_sum", "variance_sum", "mask_planes", "mask_or", "positions", "sky_deg", "pixels_back",
    "photo_calib", "aperture_corrections", "filter", "visit_info", "detector", "coadd_inputs", "valid_polygon",
    "psf_type", "psf",
}  # fmt: skip
"""What is known of a file. test_afw_fits.py compares PSFs."""


def test_every_file_and_all_that_is_known_of_it_is_compared(golden: Golden) -> None:
    folder = golden("exposures/hsc_calexp.fits").parent
    assert sorted(path.name for path in folder.glob("*.fits*")) == FILES
    known = [json.loads(path.read_text()).keys() for path in folder.glob("*.json")]
    assert len(known) == len(FILES)
    assert set().union(*known) == CHECKED
    with_psf = {path.stem for path in folder.glob("*.json") if "psf" in json.loads(path.read_text())}
    assert with_psf <= {case.removeprefix("exposures/") for case in CASES}


@pytest.fixture(scope="module", params=FILES)
def case(request: pytest.FixtureRequest, golden: Golden) -> tuple[Exposure, Expected]:
    path = golden(f"exposures/{request.param}")
    expected = json.loads(path.with_name(path.name.partition(".")[0] + ".json").read_text())
    return Exposure.read(path), expected


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_component(case: tuple[Exposure, Expected], check: Callable[[Exposure, Expected], None]) -> None:
    check(*case)


def test_detector_of_hsc(golden: Golden) -> None:
    detector = Exposure.read_component(golden("exposures/hsc_calexp.fits"), "detector")
    assert (detector.serial, detector.purpose, detector.physical_type) == ("4", "SCIENCE", "CCD")
    assert detector.box == Box(0, 0, 2048, 4176)
    assert detector.pixel_width_mm == detector.pixel_height_mm == 0.015
    assert detector.orientation.focal_plane_x_mm == 191.0478
    assert detector.orientation.yaw_deg == pytest.approx(180.006, abs=1e-3)
    amplifier = detector.amplifiers[0]
    assert (amplifier.name, amplifier.box) == ("0", Box(0, 0, 512, 4176))
    assert (amplifier.gain_electron_per_adu, amplifier.read_noise_electron) == (3.9351, 1.4)
    assert (amplifier.saturation_adu, amplifier.suspect_level_adu) == (45000, 50000)


def test_names_with_blanks(golden: Golden) -> None:
    detector = Exposure.read_component(golden("exposures/afw_exposure-version-0.fits"), "detector")
    assert (detector.name, detector.serial, detector.physical_type) == ("detector 1", "xkcd722", None)
    assert [amplifier.name for amplifier in detector.amplifiers] == ["amp 1", "amp 2", "amp 3"]


def test_visit_info_of_hsc(golden: Golden) -> None:
    info = Exposure.read_component(golden("exposures/hsc_calexp.fits"), "visit_info")
    assert (info.exposure_id, info.object_name, info.rotation_type) == (180802004, "STRIPE82L", "SKY")
    assert (info.boresight_ra_deg, info.boresight_dec_deg) == (320.249908333333, 0.250025)
    assert (info.boresight_rotation_deg, info.air_pressure_pascal, info.humidity_percent) == (270, 62160, 42)
    assert info.longitude_deg == -155.476667
    assert not info.has_simulated_content


def test_summary_stats_of_hsc(golden: Golden) -> None:
    stats = Exposure.read_component(golden("exposures/hsc_calexp.fits"), "summary_stats")
    assert (stats.psf_sigma_pixels, stats.n_psf_stars) == (1.0, 0)
    assert math.isnan(stats.zero_point_mag)
    assert len(stats.ra_corners_deg) == 4
    assert math.isnan(stats.others["psfTraceRadiusDelta"])
    assert "version" not in stats.others


def test_numbers_of_coadd_inputs(golden: Golden) -> None:
    ccds = Exposure.read_component(golden("exposures/coadd_inputs_v1.fits"), "coadd_inputs").ccds
    assert ccds.colnames[:3] == ["id", "bbox_min_x", "bbox_min_y"]
    np.testing.assert_allclose(ccds["weight"], 1 / 3)
    assert ccds["goodpix"].tolist() == [100, 100, 100]
    assert ccds["weight"].dtype.isnative


@pytest.fixture
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every attempt to read pixels fail."""

    def refuse(_: Any) -> None:
        raise AssertionError("pixels were read")

    for hdu in (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU):
        monkeypatch.setattr(hdu, "data", property(refuse))
        monkeypatch.setattr(hdu, "section", property(refuse))


PIXELS = ("image", "variance", "mask")


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("name", [name for name in COMPONENTS if name not in PIXELS])
@pytest.mark.parametrize("file", ["hsc_calexp.fits", "piff_compressed.fits", "afw_compressed.fits.fz"])
def test_components_are_read_without_pixels(golden: Golden, file: str, name: str) -> None:
    component = Exposure.read_component(golden(f"exposures/{file}"), name)
    if name in ("bbox", "identity", "metadata"):
        assert component is not None


@pytest.mark.parametrize("file", ["exposures/hsc_calexp.fits", "exposures/piff_compressed.fits"])
def test_components_are_those_of_the_exposure(golden: Golden, file: str) -> None:
    path = golden(file)
    exposure = Exposure.read(path)
    for name in ("bbox", "identity", "visit_info", "unit"):
        # Texts, because NaN is not equal to itself.
        assert repr(Exposure.read_component(path, name)) == repr(getattr(exposure, name))
    for name in ("image", "variance"):
        np.testing.assert_array_equal(Exposure.read_component(path, name), getattr(exposure, name))
    np.testing.assert_array_equal(Exposure.read_component(path, "mask").array, exposure.mask.array)
    label = Exposure.read_component(path, "filter")
    assert label == FilterLabel(exposure.identity.band, exposure.identity.physical_filter)


@pytest.mark.parametrize(
    "file",
    ["exposures/piff_compressed.fits", "dp2/visit_gaussian/visit_image.fits", "dp2/cell_coadd/deep_coadd.fits"],
)
def test_a_part_of_a_plane(golden: Golden, file: str) -> None:
    path = golden(file)
    whole = Exposure.read(path)
    box = Box(whole.x0 + 31, whole.y0 + 47, 50, 61)
    cut = np.s_[47 : 47 + 61, 31 : 31 + 50]
    for name in ("image", "variance"):
        plane = Exposure.read_component(path, name, bbox=box)
        np.testing.assert_array_equal(plane, getattr(whole, name)[cut])
    mask = Exposure.read_component(path, "mask", bbox=box)
    np.testing.assert_array_equal(mask.array, whole.mask.array[cut])
    assert mask.planes == whole.mask.planes
    assert Exposure.read_component(path, "bbox", bbox=box) == whole.bbox
    for name in ("image", "bbox"):
        with pytest.raises(ExposureError, match="is not inside the image"):
            Exposure.read_component(path, name, bbox=Box(whole.x0 - 1, whole.y0, 2, 2))


def test_a_part_of_a_plane_needs_no_other_plane(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    path = golden("exposures/piff_compressed.fits")
    expected = Exposure.read_component(path, "variance", bbox=Box(10, 20, 30, 40))
    read = []

    def note(hdu: Any, first: int, stop: int) -> Any:
        read.append((hdu.header["EXTNAME"], first, stop))
        return read_rows(hdu, first, stop)

    monkeypatch.setattr("forcedphot.io.afw_fits.planes.read_rows", note)
    np.testing.assert_array_equal(Exposure.read_component(path, "variance", bbox=Box(10, 20, 30, 40)), expected)
    assert read == [("VARIANCE", 20, 60)]


def test_an_unknown_component(golden: Golden) -> None:
    for file in ("exposures/hsc_calexp.fits", "dp2/visit_gaussian/visit_image.fits"):
        with pytest.raises(ExposureError, match=r"no component 'colour'; the components are bbox, wcs,"):
            Exposure.read_component(golden(file), "colour")


PARTS = [
    "driver/kernel_psf/exposure.fits",
    "exposures/piff_compressed.fits",
    "dp2/visit_gaussian/visit_image.fits",
    "dp2/cell_coadd/deep_coadd.fits",
]


@pytest.mark.parametrize("file", PARTS)
def test_part_of_an_image(golden: Golden, file: str) -> None:
    path = golden(file)
    whole = Exposure.read(path)
    box = Box(whole.x0 + 31, whole.y0 + 47, 50, 61)
    part = Exposure.read(path, bbox=box)
    assert part.bbox == box
    cut = np.s_[47 : 47 + 61, 31 : 31 + 50]
    np.testing.assert_array_equal(part.image, whole.image[cut])
    np.testing.assert_array_equal(part.variance, whole.variance[cut])
    np.testing.assert_array_equal(part.mask.array, whole.mask.array[cut])
    assert part.mask.planes == whole.mask.planes
    assert part.image.base is None or part.image.base.size == part.image.size
    x, y = np.array([box.x0 + 20.3]), np.array([box.y0 + 10.1])
    assert part.wcs.pixel_to_sky(x, y) == whole.wcs.pixel_to_sky(x, y)
    np.testing.assert_array_equal(part.psf.images(x, y).images, whole.psf.images(x, y).images)
    assert (part.identity, part.photo_calib.mean) == (whole.identity, whole.photo_calib.mean)


@pytest.mark.parametrize("file", PARTS)
@pytest.mark.parametrize("change", [(-1, 0, 10, 10), (0, 0, 9999, 10), (0, 0, 0, 10), (5, 5, 10, -3)])
def test_box_outside(golden: Golden, file: str, change: tuple[int, int, int, int]) -> None:
    path = golden(file)
    image = Exposure.read_component(path, "bbox")
    box = Box(image.x0 + change[0], image.y0 + change[1], *change[2:])
    with pytest.raises(ExposureError, match=r"is not inside the image of .*, which covers x "):
        Exposure.read(path, bbox=box)


@pytest.mark.parametrize("box", [(0, 0, 5, 5), Box(0.5, 0, 5, 5), Box(0, 0, np.float64(5), 5)])  # type: ignore[arg-type]
def test_what_is_no_box(golden: Golden, box: Any) -> None:
    for file in ("driver/kernel_psf/exposure.fits", "dp2/visit_gaussian/visit_image.fits"):
        for read in (Exposure.read, lambda path, bbox: Exposure.read_component(path, "image", bbox=bbox)):
            with pytest.raises(
                ExposureError, match=r"is a forcedphot\.conventions\.Box, not <class .tuple.>|has whole pixels"
            ):
                read(golden(file), bbox=box)


def test_the_corners_of_an_image(golden: Golden) -> None:
    path = golden("exposures/piff_compressed.fits")
    whole = Exposure.read(path)
    box = whole.bbox
    np.testing.assert_array_equal(Exposure.read(path, bbox=box).image, whole.image)
    last = Box(box.x_stop - 1, box.y_stop - 1, 1, 1)
    assert Exposure.read(path, bbox=last).image[0, 0] == whole.image[-1, -1]


def test_only_the_tiles_needed_are_decompressed(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    from astropy.io.fits.hdu.compressed import section

    from forcedphot.io.afw_fits import shuffled_tiles

    tiles = []
    decompress, inflate = section.decompress_image_data_section, shuffled_tiles._inflate

    def count(*arguments: Any) -> Any:
        first, last = arguments[-2:]
        tiles.append(int(np.prod(np.asarray(last) - first + 1)))
        return decompress(*arguments)

    def count_one(*arguments: Any) -> bytes:
        tiles.append(1)
        return inflate(*arguments)

    monkeypatch.setattr(section, "decompress_image_data_section", count)
    monkeypatch.setattr(shuffled_tiles, "_inflate", count_one)
    Exposure.read(golden("exposures/piff_compressed.fits"), bbox=Box(100, 200, 40, 30))
    assert sorted(tiles) == [1] * 60 + [30]  # a tile is a row; astropy reads those of the image
