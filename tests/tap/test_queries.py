"""Queries that are to be answered: those of Rubin's documents, and the parts of ADQL."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forcedphot.tap.engine import Engine
from forcedphot.tap.errors import QueryError
from forcedphot.tap.tables import ColumnMetadata, memory_table, parquet_table

from .conftest import ask


@pytest.fixture(scope="module")
def survey() -> Engine:
    """A small survey in memory: objects, sources, forced sources and visits."""
    rng = np.random.default_rng(1)
    n = 400
    ra, dec = 53.1 + rng.uniform(-0.2, 0.2, n), -28.1 + rng.uniform(-0.2, 0.2, n)
    objects = {
        "objectId": 611254385447534870 + np.arange(n),
        "coord_ra": ra,
        "coord_dec": dec,
        "r_psfMag": np.where(np.arange(n) % 7 == 0, np.nan, rng.uniform(15, 28, n)),
        "r_psfFlux": rng.uniform(10, 1e5, n),
        "refExtendedness": (np.arange(n) % 2).astype(np.float64),
        "tract": np.full(n, 5063),
        "patch": np.arange(n) % 3,
    }
    visits = {"visit": np.arange(6), "band": np.array(list("griggr")), "expMidptMJD": 60000.0 + np.arange(6)[::-1]}
    forced = {"objectId": np.repeat(objects["objectId"][:50], 6), "visit": np.tile(np.arange(6), 50)}
    forced["psfFlux"] = rng.normal(100, 5, 300)
    sources = {"sourceId": np.arange(n), "ra": ra, "dec": dec, "psfFlux": objects["r_psfFlux"]}
    sources |= {"extendedness": objects["refExtendedness"], "visit": np.full(n, 7), "detector": np.arange(n) % 2}
    tables = {"Object": objects, "Visit": visits, "ForcedSource": forced, "Source": sources}
    return Engine([memory_table(f"dp1.{name}", pa.table(columns)) for name, columns in tables.items()])


def test_the_objects_of_the_document_on_coadds(survey: Engine) -> None:
    query = """SELECT TOP 50 objectId, coord_ra, coord_dec, r_psfMag, r_psfFlux
    FROM dp1.Object
    WHERE CONTAINS(POINT('ICRS', coord_ra, coord_dec),
    CIRCLE('ICRS', 53.1, -28.1, 0.1)) = 1
    AND refExtendedness < 0.5
    AND r_psfMag < 26 AND r_psfMag > 17
    AND tract = 5063
    AND patch = 1"""
    table = survey.tables["dp1.object"].data
    assert table is not None
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    ra0, dec0 = math.radians(53.1), math.radians(-28.1)
    ra, dec = np.radians(columns["coord_ra"]), np.radians(columns["coord_dec"])
    cosine = np.sin(dec) * math.sin(dec0) + np.cos(dec) * math.cos(dec0) * np.cos(ra - ra0)
    wanted = (np.degrees(np.arccos(cosine)) <= 0.1) & (columns["refExtendedness"] < 0.5) & (columns["patch"] == 1)
    wanted &= (columns["r_psfMag"] < 26) & (columns["r_psfMag"] > 17)
    rows = ask(survey, query)
    assert {row[0] for row in rows} == set(columns["objectId"][wanted].tolist())
    assert 3 < len(rows) < 50


def test_the_sources_of_the_document_on_visit_images(survey: Engine) -> None:
    query = """SELECT TOP 50 sourceId, ra, dec, psfFlux
    FROM dp1.Source
    WHERE CONTAINS(POINT('ICRS', ra, dec),
    CIRCLE('ICRS', 53.1, -28.1, 0.1)) = 1
    AND extendedness < 0.5
    AND visit = 7
    AND detector = 0"""
    rows = ask(survey, query)
    assert 10 < len(rows) <= 50
    assert all(isinstance(row[0], int) and row[0] % 2 == 0 for row in rows)


def test_light_curves(survey: Engine) -> None:
    query = """SELECT o.objectId, v.expMidptMJD, f.psfFlux FROM dp1.ForcedSource AS f
    JOIN dp1.Visit AS v ON f.visit = v.visit
    JOIN dp1.Object o ON o.objectId = f.objectId
    WHERE v.band = 'g' AND o.objectId = 611254385447534871 ORDER BY v.expMidptMJD"""
    assert [row[1] for row in ask(survey, query)] == [60001.0, 60002.0, 60005.0]


def test_counts_by_band(survey: Engine) -> None:
    query = """SELECT band, COUNT(*) AS n, AVG(psfFlux) FROM dp1.ForcedSource NATURAL JOIN dp1.Visit
    GROUP BY band HAVING COUNT(*) > 50 ORDER BY n DESC, band"""
    assert [row[:2] for row in ask(survey, query)] == [("g", 150), ("r", 100)]


def test_the_nearest_come_first(engine: Engine) -> None:
    rows = ask(engine, "SELECT TOP 5 id, DISTANCE(ra, dec, 0.0, 0.0) AS d FROM sky.indexed ORDER BY d")
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)  # type: ignore[type-var]
    near = "SELECT id FROM sky.indexed WHERE DISTANCE(POINT(ra, dec), POINT(0, 0)) < 1 ORDER BY id"
    circle = "SELECT id FROM sky.plain WHERE 0.5 * 2 > DISTANCE(POINT(0, 0), POINT(ra, dec)) ORDER BY id"
    assert ask(engine, near) == ask(engine, circle) != []


def test_sets(engine: Engine) -> None:
    first, second = "SELECT id FROM sky.plain WHERE id < 6", "SELECT id FROM sky.indexed WHERE id >= 3 AND id < 8"

    def numbers(operation: str, end: str = "") -> list[object]:
        return sorted(row[0] for row in ask(engine, f"{first} {operation} {second} {end}"))  # type: ignore[type-var]

    assert numbers("UNION") == list(range(8))
    assert len(numbers("UNION ALL")) == 11
    assert numbers("INTERSECT") == [3, 4, 5]
    assert numbers("EXCEPT") == [0, 1, 2]
    assert numbers("UNION", "ORDER BY id OFFSET 6") == [6, 7]


def test_sub_queries(engine: Engine) -> None:
    assert ask(engine, "SELECT COUNT(*) FROM sky.plain WHERE id IN (SELECT id FROM sky.indexed WHERE id < 9)") == [
        (9,)
    ]
    correlated = (
        "SELECT id FROM sky.plain AS a WHERE EXISTS (SELECT 1 FROM sky.indexed b WHERE b.id = a.id AND id < 2)"
    )
    assert sorted(ask(engine, correlated)) == [(0,), (1,)]
    common = "WITH few (n, f) AS (SELECT id, flux FROM sky.plain WHERE id < 4) SELECT MAX(n), SUM(n) FROM few"
    assert ask(engine, common) == [(3, 6)]
    assert ask(engine, "SELECT t.n FROM (SELECT id + 1 AS n FROM sky.plain WHERE id = 4) AS t") == [(5,)]


def test_joins(engine: Engine) -> None:
    assert ask(engine, "SELECT COUNT(*) FROM sky.plain JOIN sky.indexed USING (id)") == [(16004,)]
    assert ask(engine, 'SELECT COUNT(*) FROM "sky.plain" JOIN "sky"."indexed" USING (id)') == [(16004,)]
    join = "sky.plain a LEFT OUTER JOIN sky.indexed b ON a.id = b.id AND b.id > 1"
    outer = f"SELECT a.id, b.id FROM {join} WHERE a.id < 3"
    assert sorted(ask(engine, outer), key=str) == [(0, None), (1, None), (2, 2)]
    comma = "SELECT COUNT(*) FROM sky.plain AS a, sky.indexed AS b WHERE a.id = b.id AND a.id < 5"
    assert ask(engine, comma) == [(5,)]


def test_natural_joins_are_by_the_columns_that_are_seen(tmp_path: Path) -> None:
    number = np.arange(5.0)
    columns = {
        "Source": {"visit": number, "coord_ra": number, "coord_dec": number},
        "Visit": {"visit": number, "ra": number + 1, "dec": number + 1},
        "Object": {"id": number, "x": number, "y": number},
    }
    for name, values in columns.items():
        pq.write_table(pa.table(values), tmp_path / name)
    tables = [parquet_table(f"dp1.{name}", [tmp_path / name], ra, dec) for name, (_, ra, dec) in columns.items()]
    engine = Engine(tables)
    joined = ask(engine, "SELECT * FROM dp1.Source NATURAL JOIN dp1.Visit ORDER BY visit")
    assert joined == [(n, n, n, n + 1, n + 1) for n in number.tolist()]
    outer = (
        "SELECT COUNT(*), COUNT(dec) FROM dp1.Source NATURAL LEFT JOIN (SELECT * FROM dp1.Visit WHERE visit < 2) v"
    )
    assert ask(engine, outer) == [(5, 2)]
    with pytest.raises(QueryError, match="columns in common"):
        engine.query("SELECT * FROM dp1.Source NATURAL JOIN dp1.Object")


def test_names_of_folders_are_no_columns(tmp_path: Path) -> None:
    file = tmp_path / "id=7" / "a.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table({"id": [1, 2]}), file)
    assert ask(Engine([parquet_table("sky.few", [file])]), "SELECT id FROM sky.few") == [(1,), (2,)]


def test_results_are_ordered_by_their_columns_or_else_the_tables(engine: Engine) -> None:
    query = "SELECT TOP 1 a.id, -a.id AS ra FROM sky.plain a JOIN sky.indexed b ON a.id = b.id ORDER BY {}"
    assert ask(engine, query.format("id")) == [(0, 0)]
    assert ask(engine, query.format("ra")) == [(16003, -16003)]
    (smallest,) = ask(engine, "SELECT TOP 1 id FROM sky.plain ORDER BY -ra DESC, id")
    assert ask(engine, query.format("-a.ra DESC, id"))[0][0] == smallest[0]


def test_values(engine: Engine) -> None:
    def value(expression: str) -> object:
        return ask(engine, f"SELECT {expression} FROM sky.plain WHERE id = 11")[0][0]

    assert value("LOG(EXP(2.0))") == pytest.approx(2.0)
    assert value("LOG10(1000) + LOG10(-1)") is None
    assert value("SQRT(-flux)") is None
    assert value("POWER(id - 11, -1) + 1") is None
    assert value("POWER(-2, 3) + POWER(id - 11, 0)") == -7
    assert value("SIN(POWER(10, 400))") is None
    assert 0 <= float(str(value("RAND(5)"))) < 1
    assert value("MOD(id, 4) + POWER(2, 3) + ABS(-1)") == 12
    assert value("ROUND(PI(), 2) + TRUNCATE(2.789, 1)") == pytest.approx(5.84)
    assert value("CAST(flux AS INTEGER)") in (5, 6)
    assert value("CAST(id AS VARCHAR) || '-' || UPPER(band) || LOWER('A')") == "11-Ya"
    assert value("CAST('abcdef' AS VARCHAR(3)) || CAST(id AS CHAR(10))") == "abc11"
    assert value("id / 2") == 5.5
    assert value("0.123456789012345678 * 0.123456789012345678") == pytest.approx(0.015241578753238836)
    assert value("id / 0") is None
    assert value("COALESCE(NULL, flux)") == 5.5
    assert value("CASE WHEN flux > 5 THEN 'bright' ELSE 'faint' END") == "bright"
    assert value("scisql_nanojanskyToAbMag(3630.780547701014)") == pytest.approx(22.5)
    assert value("IN_UNIT(flux, 'uJy')") == pytest.approx(0.0055)
    assert value('"flux" - FLUX') == 0
    assert value("'it''s'") == "it's"


def test_nan_is_in_no_range(engine: Engine) -> None:
    count = "SELECT COUNT(*), COUNT(flux), MAX(flux) FROM sky.plain"
    assert ask(engine, count) == [(16004, 14403, 8001.5)]
    assert ask(engine, f"{count} WHERE flux > 0 OR flux <= 0")[0][0] == 14403
    assert ask(engine, "SELECT COUNT(*) FROM sky.indexed WHERE flux IS NULL") == [(1601,)]


def test_results_say_what_their_columns_are(engine: Engine) -> None:
    values = "ra, flux AS f, MAX(flux) AS m, COUNT(*), DISTANCE(ra, dec, 1, 2), flux - 1"
    query = f"SELECT {values} FROM sky.plain GROUP BY 1, 2, dec"
    with engine.query(query) as result:
        names = [column.name for column in result.columns]
        units = [column.unit for column in result.columns]
        assert result.columns[0].description == "Right ascension"
        assert result.columns[0].datatype == "double"
        assert result.schema.field("ra").metadata[b"ucd"] == b"pos.eq.ra;meta.main"
    assert names == ["ra", "f", "m", "count", "distance", "col_6"]
    assert units == ["deg", "nJy", "nJy", "", "deg", ""]


def test_stars_show_all_columns_but_the_index(engine: Engine) -> None:
    with engine.query("SELECT TOP 1 a.*, b.* FROM sky.indexed a JOIN sky.plain b ON a.id = b.id") as result:
        names = [column.name for column in result.columns]
    assert names == ["id", "ra", "dec", "flux", "band", "id_2", "ra_2", "dec_2", "flux_2", "band_2"]


def test_names_of_tap_schema_are_no_obstacle() -> None:
    rows = pa.table(
        {"column_name": ["ra"], "size": [1], "principal": [1], "datatype": ["double"], "unit": ["deg"]}
    )
    engine = Engine(
        [memory_table(f"TAP_SCHEMA.{name}", rows) for name in ("columns", "tables", "keys", "schemas")]
    )
    for name in ("columns", "tables", "keys", "schemas"):
        assert ask(engine, f'SELECT column_name, "size", principal FROM tap_schema.{name}') == [("ra", 1, 1)]


def test_uploads_keep_what_is_known_of_them(engine: Engine) -> None:
    data = pa.table([pa.array([1.5])], schema=pa.schema([pa.field("mag", pa.float64(), metadata={"unit": "mag"})]))
    with engine.query("SELECT * FROM TAP_UPLOAD.Mine", uploads={"mine": data}) as result:
        assert result.columns == (ColumnMetadata("mag", "double", "mag"),)
        assert result.read_all().to_pylist() == [{"mag": 1.5}]
