"""Old, damaged and hostile catalogs of afw."""

import contextlib
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.errors import FileFormatError, ForcedPhotError, InputTableError
from forcedphot.io.afw_table.columns import parse_format
from forcedphot.io.afw_table.reader import read_afw_table
from forcedphot.io.afw_table.writer import write_afw_table
from forcedphot.io.catalogs import read_catalog

from .test_afw_table_round_trip import assert_same, there_and_back

Golden = Callable[[str], Path]

BLOCK = 2880
SMALL_MEMORY = 64 << 20


@pytest.fixture
def change(golden: Golden, tmp_path: Path) -> Callable[..., Path]:
    """Write a copy of a catalog with some of its bytes replaced; lengths stay."""

    def write(*replacements: tuple[bytes, bytes], start: int = 0) -> Path:
        data = golden("tables/forced_heavy.fits").read_bytes()
        head, rest = data[:start], data[start:]
        for old, new in replacements:
            assert len(old) == len(new)
            assert old in rest
            rest = rest.replace(old, new, 1)
        path = tmp_path / "changed.fits"
        path.write_bytes(head + rest)
        return path

    return write


Change = Callable[..., Path]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"TFORM2  = '1K      '", b"TFORM2  = '1Z      '", "HDU 2: '1Z' is no format"),
        (
            b"TFORM2  = '1K      '",
            b"TFORM2  = '9999999K'",
            r"HDU 2: its columns take \d+ bytes a row, .* 597",
        ),
        (b"TFORM1  = '69X     '", b"TFORM1  = '68X     '", "HDU 2: it has 68 flags, but a name of flag 69"),
        (
            b"FLAGCOL =                    1",
            b"FLAGCOL =                    2",
            "HDU 2: its flags should be in column 2",
        ),
        (
            b"FLAGCOL =                    1",
            b"FLAGCOL =                   99",
            "HDU 2: its flags should be in column 99",
        ),
        (b"TFIELDS =                   80", b"TFIELDS =                   99", "HDU 2 is damaged: KeyError"),
        (b"TFIELDS =                   80", b"TFIELDS =                   79", "HDU 2: it has 79 columns"),
        (b"TUNIT3  = 'rad     '", b"TUNIT3  = 'deg     '", "HDU 2: the angle coord_ra is in deg"),
        (b"ALIAS   = 'slot_Centroid:", b"ALIAS   = 'slot_Centroid_", "HDU 2: 'slot_Centroid_base.* is no alias"),
        (b"TTYPE5  = 'parent  '", b"TTYPE5  = 'id      '", "HDU 2 is damaged: .*The field id is declared twice"),
        (b"AR_HDU  =                    3", b"AR_HDU  =                   33", "HDU 33: HDU 33 should be"),
        (b"AR_HDU  =                    3", b"AR_HDU  =                    4", "HDU 4: .* has no column"),
        (b"AR_HDU  =                    3", b"AR_HDU  =                   -3", "should be the archive's index"),
        (b"NAXIS2  =                   50", b"NAXIS2  =           9999999999", "truncated"),
        (b"NAXIS2  =                   50", b"NAXIS2  =                   -1", "HDU"),
        (b"AFW_TABLE_VERSION = 3", b"AFW_TABLE_VERSION = X", "HDU 2 is damaged"),
    ],
)
def test_damaged_cards_are_named(change: Change, old: bytes, new: bytes, message: str) -> None:
    path = change((old, new))
    with pytest.raises(FileFormatError, match=message) as caught:
        read_afw_table(path)
    assert str(path) in str(caught.value)


def offset_of(path: Path, hdu: int) -> int:
    with fits.open(path) as hdus:
        return int(hdus[hdu].fileinfo()["datLoc"])


@pytest.mark.parametrize(
    ("hdu", "form", "old", "new", "message"),
    [
        (2, ">5i", (2, 2, 0, 0, 27), (2, 2, 0, 0, 28), "footprint of 756 pixels has values of shape"),
        (2, ">5i", (2, 2, 0, 0, 27), (2, 2, 0, 0, 9999), "rows 0..9998 of a table of 1350"),
        (2, ">5i", (2, 2, 0, 0, 27), (700, 2, 0, 0, 27), "the archive has no object 2"),
        (2, ">5i", (2, 2, 0, 0, 27), (2, 1, 0, 0, 27), "a table of spans has no column 'y'"),
        (4, ">3i", (276, 247, 273), (276, 273, 247), "a span ends before it starts"),
        (6, ">2q", (729, 0), (729, 1 << 40), "outside the heap"),
        (6, ">2q", (729, 0), (-5, 0), "outside the heap"),
        (6, ">2q", (729, 0), (200_000, 0), "more than the heap has"),
        (6, ">2q", (729, 0), (728, 0), r"729 pixels has values of shape \(728,\)"),
    ],
)
def test_damaged_footprints_are_named(
    golden: Golden,
    change: Change,
    hdu: int,
    form: str,
    old: tuple[int, ...],
    new: tuple[int, ...],
    message: str,
) -> None:
    start = offset_of(golden("tables/forced_heavy.fits"), hdu)
    path = change((struct.pack(form, *old), struct.pack(form, *new)), start=start)
    with pytest.raises(FileFormatError, match=f"HDU 3.*{message}"):
        read_afw_table(path)
    assert len(read_afw_table(path, footprints=False)) == 50


def test_objects_that_share_rows_are_refused(golden: Golden, change: Change) -> None:
    index = offset_of(golden("tables/forced_heavy.fits"), 2)
    # Each of many objects could be all spans: the file is small, what it stands for is not.
    pairs = [((2 * i + 2, 2, 0, 27 * i, 27), (2 * i + 2, 2, 0, 0, 1350)) for i in range(2)]
    path = change(*((struct.pack(">5i", *a), struct.pack(">5i", *b)) for a, b in pairs), start=index)
    with pytest.raises(FileFormatError, match=r"footprint of 36450 pixels|share rows of a table of 1350"):
        read_afw_table(path)


def test_rows_that_share_their_heap_are_refused(tmp_path: Path) -> None:
    n = 20_000
    schema = Schema([Field("ragged", "float64", size=0)])
    columns = schema.allocate(n)
    columns["ragged"][0] = np.arange(n, dtype=np.float64)
    write_afw_table(SourceCatalog(schema, columns, kind="BASE"), tmp_path / "bomb.fits")
    data = bytearray((tmp_path / "bomb.fits").read_bytes())
    start = offset_of(tmp_path / "bomb.fits", 1)
    data[start : start + 16 * n] = struct.pack(">2q", n, 0) * n
    (tmp_path / "bomb.fits").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="HDU 2: its rows refer to more than the heap has"):
        read_afw_table(tmp_path / "bomb.fits")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < SMALL_MEMORY


def test_texts_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    n, length = 3000, 200_000
    schema = Schema([Field("text", "str", size=0)])
    columns = {"text": np.array(["x" * length] + [""] * (n - 1), dtype=object)}
    write_afw_table(SourceCatalog(schema, columns, kind="BASE"), tmp_path / "bomb.fits")
    with pytest.raises(FileFormatError, match="3000 texts of up to 200000 characters"):
        read_afw_table(tmp_path / "bomb.fits")
    with pytest.raises(InputTableError, match=r"bomb\.fits"):
        read_catalog(tmp_path / "bomb.fits")


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.fits").write_text("no FITS file")
    with pytest.raises(FileFormatError, match=r"text\.fits: no FITS file"):
        read_afw_table(tmp_path / "text.fits")
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputTableError, match="has no table"):
        read_afw_table(tmp_path / "image.fits")
    with pytest.raises(FileFormatError, match="HDU 1: it is no table"):
        read_afw_table(tmp_path / "image.fits", hdu=0)
    fits.HDUList([fits.PrimaryHDU(), fits.TableHDU.from_columns([fits.Column("a", "I4", array=[1])])]).writeto(
        tmp_path / "ascii.fits"
    )
    with pytest.raises(FileFormatError, match="HDU 2: it is no binary table"):
        read_afw_table(tmp_path / "ascii.fits")


def test_truncated_files(golden: Golden, tmp_path: Path) -> None:
    data = golden("tables/forced_heavy.fits").read_bytes()
    for size in (0, 1, 100, BLOCK, 10 * BLOCK, len(data) // 2, len(data) - BLOCK):
        (tmp_path / "short.fits").write_bytes(data[:size])
        with pytest.raises((FileFormatError, InputTableError), match=r"short\.fits"):
            read_afw_table(tmp_path / "short.fits")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_damage_is_an_error_or_harmless(
    golden: Golden, tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(golden("tables/forced_heavy.fits").read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    (tmp_path / "damaged.fits").write_bytes(data)
    with contextlib.suppress(ForcedPhotError):
        read_afw_table(tmp_path / "damaged.fits")


def write_table(path: Path, columns: list[fits.Column], cards: dict[str, Any]) -> Path:
    hdu = fits.BinTableHDU.from_columns(columns)
    for key, value in cards.items():
        hdu.header[key] = value
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


@pytest.fixture
def oldest(tmp_path: Path) -> Path:
    """A catalog of version 0, as it was before there were aliases, with footprints in its columns."""
    packed = np.array([[4.0, 1.0, 9.0], [16.0, -2.0, 25.0]], dtype=np.float32)
    moments = np.arange(1, 13, dtype=np.float32).reshape(2, 6)
    ragged: dict[str, list[list[float]]] = {
        "spans": [[5, 2, 4, 6, 3, 3], [1, 1, 1]],
        "peaks": [[3.0, 5.2, 99.0], []],
        "heavy_pix": [[1.0, 2.0, 3.0, 4.0], []],
        "heavy_mask": [[1, 2, 3, 4], []],
        "heavy_var": [[0.1, 0.2, 0.3, 0.4], []],
    }
    forms = {"spans": "PJ()", "peaks": "PE()", "heavy_pix": "PE()", "heavy_mask": "PJ()", "heavy_var": "PE()"}
    columns = [
        fits.Column("flags", "2X", array=np.array([[True, False], [False, True]])),
        fits.Column("id", "K", array=[7, 8]),
        fits.Column("coord", "2D", unit="rad", array=[[0.1, 0.2], [0.3, 0.4]]),
        fits.Column("flux_psf", "D", unit="dn", array=[1.5, 2.5]),
        fits.Column("flux_psf_err", "D", unit="dn", array=[0.5, 0.25]),
        fits.Column("centroid_sdss", "2D", unit="pixels", array=[[1.0, 2.0], [3.0, 4.0]]),
        fits.Column("centroid_sdss_err", "3E", unit="pixels^2", array=packed),
        fits.Column("shape_sdss", "3D", unit="pixels^2", array=[[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]),
        fits.Column("shape_sdss_err", "6E", unit="pixels^4", array=moments),
        *(
            fits.Column(name, forms[name], array=np.array([np.array(row) for row in rows], dtype=object))
            for name, rows in ragged.items()
        ),
    ]
    classes = ["", "Scalar", "Coord", "Scalar", "Scalar", "Point", "Covariance(Point)", "Moments"]
    classes.append("Covariance(Moments)")
    cards: dict[str, Any] = {f"TCCLS{i + 1}": name for i, name in enumerate(classes) if name}
    cards |= {"FLAGCOL": 1, "TFLAG1": ("flux_psf_flags", "it failed"), "TFLAG2": "centroid_sdss_flags"}
    cards |= {
        "HIERARCH PSF_FLUX_SLOT": "flux_psf",
        "HIERARCH CENTROID_SLOT": "centroid_sdss",
        "HIERARCH SHAPE_SLOT": "shape_sdss",
    }
    cards |= {"SPANCOL": 10, "PEAKCOL": 11, "HVYPIXCO": 12, "HVYMSKCO": 13, "HVYVARCO": 14, "AFW_TYPE": "SOURCE"}
    return write_table(tmp_path / "oldest.fits", columns, cards)


def test_version_0_gets_the_names_of_today(oldest: Path) -> None:
    catalog = read_afw_table(oldest)
    schema = catalog.schema
    assert [schema[name].type for name in ("coord_ra", "coord_dec")] == ["Angle", "Angle"]
    assert catalog["coord_dec"].tolist() == [0.2, 0.4]
    assert catalog["slot_PsfFlux_instFlux"].tolist() == [1.5, 2.5]
    assert catalog["flux_psf_instFluxErr"].tolist() == [0.5, 0.25]
    assert catalog["slot_PsfFlux_flag"].tolist() == catalog["flux_psf_flags"].tolist() == [True, False]
    assert schema["flux_psf_flag"].doc == "it failed"
    assert catalog["slot_Centroid_y"].tolist() == [2.0, 4.0]
    assert catalog["slot_Centroid_xErr"].tolist() == [2.0, 4.0]
    assert catalog["centroid_sdss_yErr"].tolist() == [3.0, 5.0]
    assert catalog["centroid_sdss_x_y_Cov"].tolist() == [1.0, -2.0]
    assert schema.find("centroid_sdss_xErr").field.unit == "pixels"
    assert catalog["slot_Shape_xy"].tolist() == [1.0, 4.0]
    assert catalog["shape_sdss_yyErr"][0] == pytest.approx(np.sqrt(3.0))
    assert catalog["shape_sdss_xyErr"][0] == pytest.approx(np.sqrt(6.0))
    assert [catalog[f"shape_sdss_{pair}_Cov"][0] for pair in ("xx_yy", "xx_xy", "yy_xy")] == [2.0, 4.0, 5.0]
    assert schema.find("shape_sdss_xxErr").field.unit == "pixels^2"
    assert not schema.getNames() & {"spans", "peaks", "heavy_pix", "flags"}


def test_version_0_is_written_as_the_newest(oldest: Path, tmp_path: Path) -> None:
    catalog = read_afw_table(oldest)
    assert_same(there_and_back(catalog, tmp_path), catalog)


def test_version_0_has_footprints_in_columns(oldest: Path) -> None:
    catalog = read_afw_table(oldest)
    assert catalog.footprints is not None
    heavy, plain = catalog.footprints
    assert heavy.spans.tolist() == [[5, 2, 4], [6, 3, 3]]
    assert heavy.image.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert (heavy.mask.dtype, heavy.variance.dtype) == (np.int32, np.float32)
    assert [heavy.peaks[name].tolist() for name in ("i_x", "i_y", "peakValue")] == [[3], [5], [99.0]]
    assert (plain.is_heavy, plain.area, len(plain.peaks)) == (False, 1, 0)
    assert read_afw_table(oldest, footprints=False).footprints is None


@pytest.mark.parametrize(
    ("card", "value", "message"),
    [
        ("PEAKCOL", None, "only some of the columns of footprints"),
        ("HVYVARCO", None, "only some of the columns of footprints"),
        ("SPANCOL", 99, "HDU 2 is damaged"),
        ("HVYPIXCO", 11, "footprint of 4 pixels has values of shape"),
        ("PEAKCOL", 12, "not three numbers each"),
    ],
)
def test_old_footprints_that_do_not_fit(oldest: Path, card: str, value: int | None, message: str) -> None:
    with fits.open(oldest, mode="update") as hdus:
        hdus[1].header[card] = value
        if value is None:
            del hdus[1].header[card]
    with pytest.raises(FileFormatError, match=message):
        read_afw_table(oldest)


def test_other_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    columns = [
        fits.Column("matrix", "6D", array=np.arange(12.0).reshape(2, 6)),
        fits.Column("pair", "3E", array=np.ones((2, 3))),
        fits.Column("waves", "C", array=[1j, 2j]),
        fits.Column("none", "0D"),
        fits.Column("short", "I", array=[-1, 1]),
        fits.Column("text", "4A", array=np.array([b"ab", "cdé".encode("latin-1")])),
    ]
    cards = {
        "TCCLS1": "Covariance",
        "TCCLS2": "Array",
        "HIERARCH AFW_TABLE_VERSION": 3,
        "TDOC4": "label for field",
    }
    with caplog.at_level("WARNING"):
        catalog = read_afw_table(write_table(tmp_path / "other.fits", columns, cards))
    assert "Column waves has a format that catalogs do not have" in caplog.text
    assert catalog.kind == "BASE"
    assert catalog["matrix_2Err"].tolist() == pytest.approx([np.sqrt(5.0), np.sqrt(11.0)])
    assert catalog["matrix_0_1_Cov"].tolist() == [1.0, 7.0]
    assert (catalog.schema["pair"].type, catalog["pair"].shape) == ("ArrayF", (2, 3))
    assert catalog.schema["none"].is_variable
    assert catalog["short"].tolist() == [-1, 1]
    assert catalog["text"].tolist() == ["ab", "cdé"]


def test_formats_of_columns() -> None:
    assert parse_format("1QE(729)").descriptor == "Q"
    assert (parse_format("69X").width, parse_format("PB").width, parse_format("12A").width) == (9, 8, 12)
    for text in ("", "1", "1z", "99999999999D", "-1D"):
        with pytest.raises(FileFormatError, match="is no format of a column"):
            parse_format(text)
