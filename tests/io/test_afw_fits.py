"""ExposureF files: every component against what afw reads, and damaged files."""

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from forcedphot.errors import FileFormatError
from forcedphot.exposure import AstropyWcs, AstWcs, ConstantField, Exposure
from forcedphot.io.afw_fits.persistables import PERSISTABLES, persistable
from forcedphot.io.afw_fits.reader import read_afw_exposure
from forcedphot.psf import (
    CoaddPsf,
    DoubleGaussianPsf,
    GaussianPsf,
    KernelImagePsf,
    LinearCombinationPsf,
    PiffPsf,
    Psf,
    PsfexPsf,
    WarpedPsf,
)

Golden = Callable[[str], Path]

PSF_CLASSES: dict[str, type[Psf]] = {
    "CoaddPsf": CoaddPsf,
    "GaussianPsf": GaussianPsf,
    "SingleGaussianPsf": GaussianPsf,
    "DoubleGaussianPsf": DoubleGaussianPsf,
    "KernelPsf": KernelImagePsf,
    "PcaPsf": LinearCombinationPsf,
    "PiffPsf": PiffPsf,
    "PsfexPsf": PsfexPsf,
    "WarpedPsf": WarpedPsf,
}

CASES = [
    "driver/coadd_offset/exposure",
    "driver/coadd_psf/exposure",
    "driver/hsc_cosmos_g/exposure",
    "driver/hsc_cosmos_r/exposure",
    "driver/hsc_cosmos_z/exposure",
    "driver/kernel_psf/exposure",
    "driver/piff_pixel/exposure",
    "driver/piff_sky/exposure",
    "driver/psfex/exposure",
    "driver/visit_gaussian/exposure",
    "driver/visit_options/exposure",
    "all_plugins/field/exposure",
    "exposures/afw_HSC-0908120-056-small",
    "exposures/afw_exposure-noversion",
    "exposures/afw_exposure-version-0",
    "exposures/afw_exposure-version-1",
    "exposures/afw_exposure-version-2",
    "exposures/coadd_inputs_v1",
    "exposures/hsc_calexp",
    "exposures/obs_small",
    "exposures/pca_psf",
    "exposures/piff_compressed",
    "exposures/psfex_psf",
    "exposures/single_gaussian_full",
    "exposures/warped_psf",
]


Case = tuple[Exposure, dict[str, Any], str]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, golden: Golden) -> Case:
    """An exposure, what afw reads from its file, and the case's name."""
    expected = json.loads(golden(f"{request.param}.json").read_text())
    return read_afw_exposure(golden(f"{request.param}.fits")), expected, request.param


def test_planes(case: Case) -> None:
    exposure, expected, _ = case
    box = exposure.bbox
    assert [box.x0, box.y0, box.width, box.height] == expected["bbox"]
    assert exposure.variance is not None
    for plane, name in ((exposure.image, "image_sum"), (exposure.variance, "variance_sum")):
        assert plane.dtype == np.float32
        assert plane.dtype.isnative
        np.testing.assert_allclose(np.nansum(plane, dtype=np.float64), expected[name], rtol=1e-12)


def test_mask(case: Case) -> None:
    exposure, expected, _ = case
    assert exposure.mask is not None
    assert exposure.mask.array.dtype.isnative
    # afw renumbers the planes of files that have them in another order than its default.
    used = {name for name, bit in exposure.mask.planes.items() if (exposure.mask.array >> bit & 1).any()}
    assert used == {name for name, bit in expected["mask_planes"].items() if expected["mask_or"] >> bit & 1}
    assert exposure.mask.planes.keys() <= expected["mask_planes"].keys()


def test_wcs(case: Case) -> None:
    exposure, expected, _ = case
    x, y = np.array(expected["positions"]).T
    ra_deg, dec_deg = np.array(expected["sky_deg"]).T
    assert exposure.wcs is not None
    ra, dec = exposure.wcs.pixel_to_sky(x, y)
    np.testing.assert_allclose(np.degrees(ra), ra_deg, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.degrees(dec), dec_deg, rtol=0, atol=1e-9)
    back = exposure.wcs.sky_to_pixel(np.radians(ra_deg), np.radians(dec_deg))
    # Where a header's SIP polynomials are the only WCS, afw takes the reverse ones for exact.
    sip = isinstance(exposure.wcs, AstropyWcs) and exposure.wcs.wcs.sip is not None
    np.testing.assert_allclose(np.transpose(back), expected["pixels_back"], rtol=0, atol=1e-3 if sip else 1e-6)


def test_psf(case: Case, golden: Golden) -> None:
    exposure, expected, name = case
    psf_class = PSF_CLASSES.get(expected.get("psf_type", ""))
    if psf_class is None:
        assert exposure.psf is None
        assert exposure.metadata.get("UNREAD_PSF") == expected.get("psf_type")
        return
    psf = exposure.psf
    assert isinstance(psf, psf_class)
    x, y = np.array(expected["positions"]).T
    stamps, moments = psf.images(x, y), psf.moments(x, y)
    with np.load(golden(f"{name}.npz")) as stored:
        for i, description in enumerate(expected["psf"]):
            if not stamps.valid[i]:
                assert description == {"error": "InvalidPsfError"}
                continue
            stamp = stored[f"stamp_{i}"]
            np.testing.assert_allclose(stamps.stamp(i), stamp, rtol=0, atol=1e-6 * stamp.max())
            assert (stamps.x0[i], stamps.y0[i]) == (description["x0"], description["y0"])
            np.testing.assert_allclose(stamps.stamp(i).sum(), description["sum"], rtol=1e-6)
            found = [description[moment] for moment in ("ixx", "iyy", "ixy")]
            np.testing.assert_allclose(moments[i], found, rtol=1e-4, atol=1e-4 * found[0])


def test_aperture_corrections(case: Case) -> None:
    exposure, expected, _ = case
    corrections = exposure.aperture_corrections or {}
    assert corrections.keys() == expected.get("aperture_corrections", {}).keys()
    x, y = np.array(expected["positions"]).T
    for name, values in expected.get("aperture_corrections", {}).items():
        np.testing.assert_allclose(corrections[name].evaluate(x, y), values, rtol=1e-10)


def test_calibration(case: Case) -> None:
    exposure, expected, _ = case
    calibration = exposure.photo_calib
    if not np.isfinite(expected["photo_calib"]["mean"]):
        assert calibration is None  # a magnitude zero point of zero flux
        return
    assert calibration is not None
    np.testing.assert_allclose(calibration.mean, expected["photo_calib"]["mean"], rtol=1e-10)
    np.testing.assert_allclose(calibration.mean_err, expected["photo_calib"]["err"], rtol=1e-10)
    x, y = np.array(expected["positions"]).T
    np.testing.assert_allclose(1000 * calibration.scale(x, y), expected["photo_calib"]["nJy_of_1000"], rtol=1e-10)


def test_identity(case: Case) -> None:
    exposure, expected, _ = case
    label = expected["filter"] or {"band": None, "physical": None}
    assert exposure.identity.band == label["band"]
    assert exposure.identity.physical_filter == label["physical"]
    assert exposure.identity.detector == expected.get("detector", {}).get("id")
    assert (exposure.identity.visit or 0) == expected["visit_info"]["id"]


Change = Callable[..., Path]


def test_unit_and_metadata(golden: Golden) -> None:
    exposure = read_afw_exposure(golden("driver/coadd_offset") / "exposure.fits")
    assert str(exposure.unit) == "nJy"
    assert exposure.metadata["EXPID"] == 1002
    assert "COMMENT" not in exposure.metadata


@pytest.mark.parametrize(("text", "unit"), [("adu", "adu"), ("furlong", None), ("", None)])
def test_units(change: Change, text: str, unit: str | None) -> None:
    exposure = read_afw_exposure(change(lambda hdus: hdus["IMAGE"].header.update(BUNIT=text)))
    assert (exposure.unit and str(exposure.unit)) == unit


def test_butler_cards_give_the_identity(change: Change) -> None:
    cards = {"INSTRUMENT": "LSSTComCam", "VISIT": 2024110800263, "DETECTOR": 4, "TRACT": 5063, "PATCH": 24}
    cards |= {"BAND": "g", "PHYSICAL_FILTER": "g_01", "SKYMAP": "lsst_cells_v1"}

    def edit(hdus: Any) -> None:
        for name, value in cards.items():
            hdus[0].header[f"HIERARCH LSST BUTLER DATAID {name}"] = value

    identity = read_afw_exposure(change(edit)).identity
    assert {name.upper(): getattr(identity, name) for name in identity.__slots__} == cards


def test_origin_without_the_alternate_wcs(change: Change) -> None:
    def edit(hdus: Any) -> None:
        for axis in (1, 2):
            del hdus["IMAGE"].header[f"CRVAL{axis}A"]

    box = read_afw_exposure(change(edit)).bbox
    assert (box.x0, box.y0) == (-50, 300)


def test_header_wcs_serves_without_an_archived_one(change: Change) -> None:
    def edit(hdus: Any) -> None:
        for name in ("SKYWCS_ID", "ARCHIVE_ID_SKYWCS"):
            hdus[0].header[name] = 0

    path = change(edit)
    exposure = read_afw_exposure(path)
    assert isinstance(exposure.wcs, AstropyWcs)
    with fits.open(path) as hdus:
        corner = fits.Header(hdus["IMAGE"].header)
    x, y = np.array([corner["CRPIX1"] - 1.0 - 50]), np.array([corner["CRPIX2"] - 1.0 + 300])
    ra, dec = exposure.wcs.pixel_to_sky(x, y)
    np.testing.assert_allclose(np.degrees([ra[0], dec[0]]), [corner["CRVAL1"], corner["CRVAL2"]], atol=1e-9)


def test_no_wcs_at_all(change: Change) -> None:
    def edit(hdus: Any) -> None:
        for name in ("SKYWCS_ID", "ARCHIVE_ID_SKYWCS"):
            hdus[0].header[name] = 0
        for axis in (1, 2):
            hdus["IMAGE"].header[f"CTYPE{axis}"] = "LINEAR"

    assert read_afw_exposure(change(edit)).wcs is None


def test_gzipped_file(golden: Golden, tmp_path: Path) -> None:
    source = golden("driver/kernel_psf") / "exposure.fits"
    path = tmp_path / "exposure.fits.gz"
    path.write_bytes(gzip.compress(source.read_bytes(), 1))
    np.testing.assert_array_equal(read_afw_exposure(path).image, read_afw_exposure(source).image)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(FileFormatError, match=r"exposure\.fits\.gz"):
        read_afw_exposure(path)


def rename(old: str, new: str) -> Callable[[Any], None]:
    def edit(hdus: Any) -> None:
        names = hdus["ARCHIVE_INDEX"].data["name"]
        names[names == old] = new

    return edit


def test_unknown_psf_leaves_the_rest_readable(change: Change, caplog: pytest.LogCaptureFixture) -> None:
    """The class that is named is the one that cannot be read, deep inside though it may be."""
    with caplog.at_level(logging.WARNING):
        exposure = read_afw_exposure(change(rename("DoubleGaussianPsf", "StrangePsf"), "driver/coadd_psf"))
    assert exposure.psf is None
    assert exposure.metadata["UNREAD_PSF"] == "StrangePsf"
    assert "StrangePsf" in caplog.text
    assert isinstance(exposure.wcs, AstWcs)
    assert exposure.aperture_corrections


@pytest.mark.parametrize(
    ("class_name", "component", "metadata"),
    [
        ("FixedKernel", "psf", {"UNREAD_PSF": "KernelPsf"}),
        ("SkyWcs", "wcs", {"UNREAD_SKYWCS": "Strange"}),
        ("PhotoCalib", "photo_calib", {"UNREAD_PHOTOCALIB": "Strange"}),
        ("ApCorrMap", "aperture_corrections", {"UNREAD_AP_CORR_MAP": "Strange"}),
        ("FilterLabel", "identity", {"UNREAD_FILTER": "Strange"}),
    ],
)
def test_unknown_classes(change: Change, class_name: str, component: str, metadata: dict[str, str]) -> None:
    exposure = read_afw_exposure(change(rename(class_name, "Strange")))
    unread = {name: value for name, value in exposure.metadata.items() if name.startswith("UNREAD")}
    assert unread == metadata
    if component == "wcs":
        assert isinstance(exposure.wcs, AstropyWcs)
    elif component == "identity":
        assert exposure.identity.band is None
    else:
        assert getattr(exposure, component) is None


def test_unknown_fields_are_left_out(change: Change, caplog: pytest.LogCaptureFixture) -> None:
    def edit(hdus: Any) -> None:
        index = hdus["ARCHIVE_INDEX"].data
        index["name"][index["id"] == 3] = "TransformBoundedField"

    exposure = read_afw_exposure(change(edit))
    assert exposure.aperture_corrections is not None
    assert len(exposure.aperture_corrections) == 3
    assert "TransformBoundedField" in caplog.text


@pytest.fixture
def registered() -> Iterator[None]:
    """Give the classes back that a test registers."""
    before = dict(PERSISTABLES)
    yield
    PERSISTABLES.clear()
    PERSISTABLES.update(before)


@pytest.mark.usefixtures("registered")
def test_new_classes_can_be_registered(change: Change) -> None:
    persistable("FlatField")(lambda stored: ConstantField(stored.rows().number("bbox_max_x")))

    def edit(hdus: Any) -> None:
        index = hdus["ARCHIVE_INDEX"].data
        index["name"][index["id"] == 3] = "FlatField"

    exposure = read_afw_exposure(change(edit))
    assert ConstantField(349.0) in (exposure.aperture_corrections or {}).values()
