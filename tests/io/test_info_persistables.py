"""Stored objects that describe an image: all versions of their tables, and damaged ones."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from forcedphot.conventions import Box
from forcedphot.errors import ExposureError, FileFormatError
from forcedphot.exposure import (
    AstropyWcs,
    CoaddInputs,
    FilterLabel,
    PhotoCalib,
    ProductField,
    SummaryStats,
    VisitInfo,
)
from forcedphot.io.afw_fits.archive import Archive, UnsupportedObjectError
from forcedphot.io.afw_fits.persistables import PERSISTABLES
from forcedphot.io.afw_fits.reader import read_afw_component, read_afw_exposure
from forcedphot.io.afw_fits.visit_cards import photo_calib, visit_info

from . import fits_in_memory

type Golden = Callable[[str], Path]
type Table = dict[str, Any]


def stored(class_name: str, *tables: Table, others: list[tuple[int, str, Table]] | None = None) -> Archive:
    """Make an archive of object 1, and of others (id, class, table), each with tables of its own."""
    hdus: list[Any] = [fits.PrimaryHDU(), None]
    index: list[tuple[int, int, int, int, int, str]] = []
    parts = [(1, class_name, order, table) for order, table in enumerate(tables)]
    parts += [(object_id, name, 0, table) for object_id, name, table in others or []]
    for object_id, name, order, table in parts:
        columns, header = [], fits.Header()
        for column, value in table.items():
            array = np.atleast_1d(value)
            if column == "flags":
                columns.append(fits.Column("flags", f"{len(value)}X", array=np.array([list(value.values())])))
                header.update({f"TFLAG{i}": flag for i, flag in enumerate(value, 1)})
            elif isinstance(value, bytes):
                columns.append(fits.Column(column, f"{len(value)}B", array=[np.frombuffer(value, np.uint8)]))
            elif isinstance(value, str):
                columns.append(fits.Column(column, "64A", array=[value]))
            elif array.ndim == 2:
                columns.append(fits.Column(column, f"{array.shape[1]}D", array=array))
            else:
                columns.append(fits.Column(column, "K" if array.dtype.kind == "i" else "D", array=array))
        hdu = fits.BinTableHDU.from_columns(columns, header=header)
        hdus.append(hdu)
        index.append((object_id, len(hdus) - 2, order, 0, len(hdu.data), name))
    names = ("id", "cat.archive", "cat.persistable", "row0", "nrows")
    numbers = np.array([row[:5] for row in index])
    hdus[1] = fits.BinTableHDU.from_columns(
        [fits.Column(name, "J", array=numbers[:, i]) for i, name in enumerate(names)]
        + [fits.Column("name", "64A", array=[row[5] for row in index])]
    )
    return Archive(fits_in_memory.stored(hdus), 1, PERSISTABLES)


VISIT_INFO: Table = {
    "exposureid": 180802004,
    "exposuretime": 30.0,
    "darktime": 30.5,
    "tai": 1_731_132_786_240_000_256,
    "ut1": 60623.2,
    "era": 1.0,
    "boresightradec_ra": math.radians(53.1),
    "boresightradec_dec": math.radians(-28.1),
    "boresightazalt_az": 0.5,
    "boresightazalt_alt": 1.0,
    "boresightairmass": 1.21,
    "boresightrotangle": math.radians(90.0),
    "rottype": 1,
    "latitude": math.radians(-30.2),
    "longitude": math.radians(-70.7),
    "elevation": 2663.0,
    "airtemperature": 7.0,
    "airpressure": 73000.0,
    "humidity": 40.0,
}
LATER: list[Table] = [
    {"instrumentlabel": "LSSTComCam"},
    {"idnum": 2024110800263},
    {"focusz": 0.4},
    {
        "observationType": "science",
        "scienceProgram": "BLOCK-1",
        "observationReason": "",
        "object": "ECDFS",
        "flags": {"hasSimulatedContent": True},
    },
]


@pytest.mark.parametrize("version", range(5))
def test_visit_info(version: int) -> None:
    table: Table = dict(VISIT_INFO) | ({"version": version} if version else {})
    for columns in LATER[:version]:
        table |= columns
    info = stored("VisitInfo", table).read(1, VisitInfo)
    assert (info.exposure_id, info.exposure_time_s, info.boresight_airmass) == (180802004, 30.0, 1.21)
    assert info.mid_mjd_tai == pytest.approx(60623.2591, abs=1e-8)
    assert info.boresight_ra_deg == pytest.approx(53.1)
    assert info.longitude_deg == pytest.approx(-70.7)
    assert info.rotation_type == "SKY"
    assert info.instrument == ("LSSTComCam" if version >= 1 else None)
    assert info.visit == (2024110800263 if version >= 2 else None)
    assert math.isnan(info.focus_z_mm) == (version < 3)
    assert info.object_name == ("ECDFS" if version >= 4 else None)
    assert info.observation_reason is None
    assert info.has_simulated_content == (version >= 4)


def test_visit_info_of_no_time() -> None:
    info = stored("VisitInfo", VISIT_INFO | {"tai": np.iinfo(np.int64).min, "rottype": 17}).read(1, VisitInfo)
    assert math.isnan(info.mid_mjd_tai)
    assert info.rotation_type == "UNKNOWN"


def test_visit_info_of_the_future() -> None:
    with pytest.raises(UnsupportedObjectError, match="VisitInfo cannot be read in version 5"):
        stored("VisitInfo", VISIT_INFO | {"version": 5}).read(1, VisitInfo)


@pytest.mark.parametrize(
    ("cards", "mjd"),
    [
        ({"DATE-AVG": "2024-11-09T06:13:06.240000256", "TIMESYS": "TAI"}, 60623.2591),
        ({"DATE-AVG": "2024-11-09T06:13:06.240", "TIMESYS": "UTC"}, math.nan),
        ({"DATE-AVG": "yesterday", "TIMESYS": "TAI"}, math.nan),
        ({"TIME-MID": "2013-11-02T06:00:56.788500000Z"}, 56598.2510623669),
        ({"TIME-MID": "once upon a time"}, math.nan),
    ],
)
def test_times_in_the_header(cards: dict[str, str], mjd: float) -> None:
    info = visit_info(fits.Header(cards))
    assert info is not None
    np.testing.assert_allclose(info.mid_mjd_tai, mjd, rtol=0, atol=1e-10)


def test_damaged_cards_count_as_absent() -> None:
    info = visit_info(fits.Header({"EXPTIME": "30.0", "BORE-RA": "north", "EXPID": "one", "IDNUM": 3.5}))
    assert info is not None
    assert (info.exposure_time_s, info.exposure_id, info.visit) == (30.0, None, None)
    assert math.isnan(info.boresight_ra_deg)
    assert visit_info(fits.Header({"SEEING": 0.7})) is None


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("r", FilterLabel("r", None)),
        ("N656 ", FilterLabel("N656", None)),
        ("I2", FilterLabel(None, "I2")),
        ("r2", FilterLabel("r", "HSC-R2")),
        ("HSC-I", FilterLabel(None, "HSC-I")),
        ("_unknown_", None),
    ],
)
def test_names_of_older_filters(name: str, label: FilterLabel | None) -> None:
    assert FilterLabel.from_name(name) == label


def test_product_of_fields() -> None:
    box = {"bbox_min_x": 0, "bbox_min_y": 0, "bbox_max_x": 9, "bbox_max_y": 9}
    factors = [
        (i, "ChebyshevBoundedField", {"order_x": 0, **box, "coefficients": np.array([[value]])})
        for i, value in ((2, 3.0), (3, 0.5))
    ]
    field = stored("ProductBoundedField", {"id": np.array([2, 3])}, others=factors).read(1, ProductField)
    np.testing.assert_allclose(field.evaluate(np.zeros(4), np.zeros(4)), 1.5)


def test_product_that_contains_itself() -> None:
    with pytest.raises(FileFormatError, match="refers to itself"):
        stored("ProductBoundedField", {"id": np.array([1])}).read(1, ProductField)


def test_products_within_products_are_counted() -> None:
    box = {"bbox_min_x": 0, "bbox_min_y": 0, "bbox_max_x": 9, "bbox_max_y": 9}
    others: list[tuple[int, str, Table]] = []
    others += [(i, "ProductBoundedField", {"id": np.array([i + 1, i + 1])}) for i in range(2, 40)]
    others.append((40, "ChebyshevBoundedField", {"order_x": 0, **box, "coefficients": np.array([[1.0]])}))
    archive = stored("ProductBoundedField", {"id": np.array([2, 2])}, others=others)
    with pytest.raises(ExposureError, match="the product of 1024 others"):
        archive.read(1, ProductField)
    assert archive.read(32, ProductField).n_factors == 256


def test_product_of_nothing() -> None:
    with pytest.raises(FileFormatError, match="no factors"):
        stored("ProductBoundedField", {"id": np.zeros(0, np.int64)}).read(1, ProductField)


def test_photo_calib_in_maggies() -> None:
    box = {"bbox_min_x": 0, "bbox_min_y": 0, "bbox_max_x": 9, "bbox_max_y": 9}
    field = (2, "ChebyshevBoundedField", {"order_x": 0, **box, "coefficients": np.array([[2e-12]])})
    table = {"calibrationMean": 1e-12, "calibrationErr": 1e-14, "field": 2}
    constant = stored("PhotoCalib", table | {"flags": {"isConstant": True}}, others=[field]).read(1, PhotoCalib)
    assert constant.mean == pytest.approx(3.6307805477010)
    assert constant.field is None
    varying = stored("PhotoCalib", table | {"flags": {"isConstant": False}}, others=[field]).read(1, PhotoCalib)
    assert varying.scale(np.zeros(1), np.zeros(1))[0] == pytest.approx(2 * constant.mean)


@pytest.mark.parametrize("mean", [0.0, -1.0, math.nan, math.inf])
def test_photo_calib_of_images_that_were_never_calibrated(mean: float) -> None:
    table = {"version": 1, "calibrationMean": mean, "calibrationErr": 0.0, "field": 0}
    with pytest.raises(UnsupportedObjectError, match=f"PhotoCalib cannot be read where the mean is {mean}"):
        stored("PhotoCalib", table | {"flags": {"isConstant": True}}).read(1, PhotoCalib)


@pytest.mark.parametrize("flux", [0.0, -1.0, "bright", None, 1e-320])
def test_fluxes_of_magnitude_0_that_are_none(flux: Any) -> None:
    assert photo_calib(fits.Header({"FLUXMAG0": flux})) is None


def test_calib() -> None:
    calibration = stored("Calib", {"fluxmag0": 1e12, "fluxmag0.err": 1e10}).read(1, PhotoCalib)
    assert (calibration.mean, calibration.mean_err) == pytest.approx((3.6307805477010, 0.036307805477))
    with pytest.raises(UnsupportedObjectError, match=r"magnitude 0 has the flux 0\.0"):
        stored("Calib", {"fluxmag0": 0.0, "fluxmag0.err": 0.0}).read(1, PhotoCalib)


@pytest.mark.parametrize("file", ["afw_HSC-0908120-056-small", "obs_small", "coadd_inputs_v1"])
def test_older_wcs_is_that_of_the_header(golden: Golden, tmp_path: Path, file: str) -> None:
    source, path = golden(f"exposures/{file}.fits"), tmp_path / "without_header.fits"
    expected = read_afw_exposure(source)
    with fits.open(source) as hdus:
        for card in [name for name in hdus[1].header if name.startswith(("CTYPE", "A_", "B_", "AP_", "BP_"))]:
            del hdus[1].header[card]
        hdus.writeto(path)
    wcs = read_afw_component(path, "wcs")
    assert isinstance(wcs, AstropyWcs)
    box = expected.bbox
    x, y = np.linspace(box.x0, box.x_stop, 9), np.linspace(box.y_stop, box.y0, 9)
    assert expected.wcs is not None
    ra, dec = expected.wcs.pixel_to_sky(x, y)
    np.testing.assert_allclose(wcs.pixel_to_sky(x, y), (ra, dec), rtol=0, atol=1e-14)
    np.testing.assert_allclose(wcs.sky_to_pixel(ra, dec), (x, y), rtol=0, atol=1e-6)


TAN_WCS: Table = {
    "crval": np.array([[10.0, 45.0]]),
    "crpix": np.array([[5.0, 5.0]]),
    "cd": np.array([[5e-5, 0.0, 0.0, 5e-5]]),
    "ctype1": "RA---TAN",
    "ctype2": "DEC--TAN",
    "equinox": 2000.0,
    "radesys": "FK5",
    "cunit1": "deg",
    "cunit2": "deg",
}


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ([TAN_WCS | {"cd": np.zeros((1, 4))}], Exception),
        ([TAN_WCS | {"cd": np.zeros((1, 3))}], ValueError),
        ([TAN_WCS | {"ctype1": "LINEAR", "ctype2": "LINEAR"}], UnsupportedObjectError),
        ([TAN_WCS, {name: np.zeros((1, 5)) for name in ("A", "B", "Ap", "Bp")}], FileFormatError),
        ([TAN_WCS, {"A": np.zeros((1, 4))}], FileFormatError),
    ],
)
def test_damaged_older_wcs(tables: list[Table], error: type[Exception]) -> None:
    with pytest.raises(error):
        stored("TanWcs", *tables).read(1, AstropyWcs)


def test_summary_stats() -> None:
    text = (
        b"psfSigma: 1.7\nnPsfStar: 42\ndecl: -28.1\nraCorners: [1, 2, 3, 4]\nversion: 0\nfuture: 3\nnames: [a]\n"
    )
    stats = stored("ExposureSummaryStats", {"bytes": text}).read(1, SummaryStats)
    assert (stats.psf_sigma_pixels, stats.n_psf_stars, stats.dec_deg) == (1.7, 42, -28.1)
    assert stats.ra_corners_deg == (1.0, 2.0, 3.0, 4.0)
    assert stats.others == {"future": 3.0}


@pytest.mark.parametrize(
    "text",
    [
        b"just a text",
        b"- a\n- list",
        b"psfSigma: [1, 2]",
        b"nPsfStar: .nan",
        b"raCorners: 5",
        b"psfSigma: !!python/object/apply:os.getcwd []",
        b"psfSigma: {",
        b"\xff\xfe\x00",
        b"a: " + b"[\n" * 50_000,
        b"a: " + b"{\n" * 50_000,
        b"- " * 40_000,
        b"a: 1 # and so on\n" * 10_000,
        b"a: &a [1]\nb: &b [*a, *a]\nnPsfStar: [*b, *b]",
    ],
    ids=lambda text: text[:20].decode("latin-1"),
)
def test_damaged_summary_stats(text: bytes) -> None:
    with pytest.raises(FileFormatError, match="summary statistics"):
        stored("ExposureSummaryStats", {"bytes": text}).read(1, SummaryStats)


def test_coadd_inputs_without_the_second_table() -> None:
    with pytest.raises(FileFormatError, match="CoaddInputs has 1 tables; one is missing"):
        stored("CoaddInputs", {"id": 1}).read(1, CoaddInputs)


CORNERS: Table = {"bbox_min_x": 3, "bbox_min_y": -2, "bbox_max_x": 12, "bbox_max_y": 5}
CORNER_TABLE: Table = {"id": 5} | CORNERS
TRIANGLE: Table = {"vertices_x": np.array([3.0, 9.0, 3.0]), "vertices_y": np.array([-2.0, -2.0, 4.0])}


def test_coadd_inputs_of_texts_and_ids() -> None:
    table: Table = {"id": 5, "wcs": 9, "filter": "r", "flags": {"good": True}, "weight": 0.5} | CORNERS
    inputs = stored("CoaddInputs", table, table, others=[(9, "TanWcs", TAN_WCS)]).read(1, CoaddInputs)
    assert inputs.ccds.colnames == ["id", "weight", *CORNERS]


def test_regions_of_coadd_inputs() -> None:
    table = CORNER_TABLE | {"wcs": 9, "validPolygon": 8}
    others = [(9, "TanWcs", TAN_WCS), (8, "Polygon", TRIANGLE)]
    (region,) = stored("CoaddInputs", {"id": 1}, table, others=others).read(1, CoaddInputs).ccd_regions
    assert region.box == Box(3, -2, 10, 8)
    assert region.valid_polygon is not None
    assert region.valid_polygon.x.tolist() == [3.0, 9.0, 3.0]
    assert region.wcs is not None
    ra, dec = region.wcs.pixel_to_sky(np.array([5.0]), np.array([5.0]))
    # The cards are those of FK5.
    np.testing.assert_allclose(np.degrees([ra, dec]), [[10.0], [45.0]], rtol=0, atol=3e-5)


@pytest.mark.parametrize("columns", [{}, {"wcs": 0, "validPolygon": 0}, {"wcs": 9}])
def test_coadd_inputs_without_a_wcs_that_can_be_read(columns: Table) -> None:
    archive = stored("CoaddInputs", {"id": 1}, CORNER_TABLE | columns, others=[(9, "NovelWcs", {"id": 0})])
    inputs = archive.read(1, CoaddInputs)
    assert [(region.wcs, region.valid_polygon) for region in inputs.ccd_regions] == [(None, None)]
    assert not inputs.all_located


def test_coadd_inputs_that_refer_to_what_is_missing() -> None:
    for columns in ({"wcs": 9}, {"validPolygon": 9}):
        with pytest.raises(FileFormatError, match="no object 9"):
            stored("CoaddInputs", {"id": 1}, CORNER_TABLE | columns).read(1, CoaddInputs)
    with pytest.raises(FileFormatError, match="bbox_min_x"):
        stored("CoaddInputs", {"id": 1}, {"id": 5}).read(1, CoaddInputs)


def test_inputs_of_a_coadd_lie_on_it(golden: Golden) -> None:
    inputs = read_afw_component(golden("exposures/coadd_inputs_v1.fits"), "coadd_inputs")
    wcs = read_afw_component(golden("exposures/coadd_inputs_v1.fits"), "wcs")
    assert inputs.all_located
    assert all(region.valid_polygon is not None for region in inputs.ccd_regions)
    assert wcs is not None
    ra, dec = wcs.pixel_to_sky(np.array([104.0, 99.0]), np.array([105.0, 105.0]))
    assert inputs.count_ccds(ra, dec, in_valid_polygon=True).tolist() == [3, 0]


def test_damaged_detector(golden: Golden, tmp_path: Path) -> None:
    path = tmp_path / "damaged.fits"
    with fits.open(golden("exposures/hsc_calexp.fits")) as hdus:
        hdus["ARCHIVE_INDEX"].data["nrows"][hdus["ARCHIVE_INDEX"].data["id"] == 3] = 0
        hdus.writeto(path)
    with pytest.raises(FileFormatError, match=r"damaged\.fits: the DETECTOR cannot be read"):
        read_afw_exposure(path)
    assert read_afw_component(path, "filter") == FilterLabel("300", "HSC-I")


def test_transmission_curves_are_left_out(golden: Golden, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="forcedphot"):
        read_afw_exposure(golden("exposures/hsc_calexp.fits"))
    assert "the TRANSMISSION_CURVE is not read" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
