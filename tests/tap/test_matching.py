"""Uploads matched with tables against astropy, by brute force; with pixels and without, in all forms of a join."""

import math

import astropy.units as u
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forcedphot.tap.adql import translate
from forcedphot.tap.engine import UPLOAD_SCHEMA, Engine
from forcedphot.tap.errors import QueryError
from forcedphot.tap.matching import PIXEL_COLUMN, touched_pixels
from forcedphot.tap.sky_index import healpix_numbers, number_ranges
from forcedphot.tap.tables import memory_table

from .conftest import ask, positions

_RA, _DEC = positions()
_SKY = SkyCoord(_RA, _DEC, unit="deg")


def near(seed: int, count: int, offset: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draw positions near some of the tables', those where coordinates are odd among them."""
    rng = np.random.default_rng(seed)
    chosen = np.r_[rng.choice(len(_RA), count - 4, replace=False), len(_RA) - 4 : len(_RA)]
    turned = _SKY[chosen].directional_offset_by(
        rng.uniform(0, 360, count) * u.deg, rng.uniform(0, offset, count) * u.deg
    )
    return turned.ra.deg, turned.dec.deg


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    radius=st.one_of(st.floats(1e-4, 1.0), st.sampled_from([0.005, 1.0])),
    wraps=st.sampled_from([0.0, 360.0, -360.0]),
)
@example(seed=1, radius=0.3, wraps=0.0)
def test_matches_are_astropys(engine: Engine, seed: int, radius: float, wraps: float) -> None:
    ra, dec = near(seed, 60, 1.2 * radius)
    rows, targets, distances, _ = _SKY.search_around_sky(SkyCoord(ra, dec, unit="deg"), (radius + 1e-7) * u.deg)
    pairs = list(zip(rows.tolist(), targets.tolist(), strict=True))
    surely = {pair for pair, distance in zip(pairs, distances.deg, strict=True) if distance < radius - 1e-9}
    upload = {"t": pa.table({"n": np.arange(60), "ra": ra + wraps, "dec": dec})}
    found = {}
    for table in ("indexed", "plain"):
        condition = f"CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, {radius!r})) = 1"
        matched = ask(
            engine, f"SELECT n, id FROM TAP_UPLOAD.t AS t JOIN sky.{table} AS s ON {condition}", uploads=upload
        )
        found[table] = set(matched)
        assert len(found[table]) == len(matched)
    assert found["indexed"] == found["plain"]
    assert surely <= found["indexed"] <= set(pairs)


_FORMS = {
    "on": "{0} JOIN {1} ON CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, 0.2)) = 1",
    "other way round": "{1} JOIN {0} ON 1 = CONTAINS(POINT(t.ra, t.dec), CIRCLE(POINT(s.ra, s.dec), 0.2))",
    "where": "{0}, {1} WHERE CONTAINS(POINT('ICRS', s.ra, s.dec), CIRCLE('ICRS', t.ra, t.dec, 0.1 * 2)) = 1",
    "distance": "{0} CROSS JOIN {1} WHERE DISTANCE(POINT(s.ra, s.dec), POINT(t.ra, t.dec)) <= 0.2",
    "more": "{0} JOIN {1} ON s.id >= 0 AND (0.2 >= DISTANCE(t.ra, t.dec, s.ra, s.dec)) WHERE t.n < 1000",
}


@pytest.mark.parametrize("form", _FORMS)
def test_all_forms_of_a_match_are_joined_by_pixels(engine: Engine, form: str) -> None:
    ra, dec = near(5, 80, 0.3)
    upload = {"t": pa.table({"n": np.arange(80), "RA": ra, "dec": dec})}
    expected = len(_SKY.search_around_sky(SkyCoord(ra, dec, unit="deg"), 0.2 * u.deg)[0])
    tables = {**engine.tables, "tap_upload.t": memory_table(f"{UPLOAD_SCHEMA}.t", upload["t"])}
    query = f"SELECT COUNT(*) FROM {_FORMS[form].format('TAP_UPLOAD.t AS t', 'sky.indexed AS s')}"
    assert PIXEL_COLUMN in translate(query, tables).sql
    assert ask(engine, query, uploads=upload) == [(expected,)]
    assert ask(engine, query.replace("indexed", "plain"), uploads=upload) == [(expected,)]


_UNMATCHED = {
    "outer": "sky.indexed AS s RIGHT JOIN TAP_UPLOAD.t AS t ON {match}",
    "or": "sky.indexed AS s, TAP_UPLOAD.t AS t WHERE {match} OR s.id = t.n",
    "not": "sky.indexed AS s, TAP_UPLOAD.t AS t WHERE NOT {match} AND s.id < 5",
    "radius of a row": "sky.indexed AS s JOIN TAP_UPLOAD.t AS t ON {match}".replace("{match}", "{varied}"),
    "beyond": "sky.indexed AS s, TAP_UPLOAD.t AS t WHERE DISTANCE(s.ra, s.dec, t.ra, t.dec) > 0.2 AND s.id < 5",
    "exists": "sky.indexed AS s WHERE EXISTS (SELECT 1 FROM TAP_UPLOAD.t AS t WHERE {match})",
    "sub-query": "sky.indexed AS s JOIN (SELECT * FROM TAP_UPLOAD.t) AS t ON {match}",
    "twice": "sky.indexed AS s, TAP_UPLOAD.t AS t, TAP_UPLOAD.t AS v WHERE {match} AND v.n < 3",
    "of columns": "sky.indexed AS s, TAP_UPLOAD.t AS t (n, a, b) WHERE "
    "CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.a, t.b, 0.2)) = 1",
}


@pytest.mark.parametrize("case", _UNMATCHED)
def test_pixels_change_no_result(engine: Engine, case: str) -> None:
    ra, dec = near(6, 40, 0.3)
    upload = {"t": pa.table({"n": np.arange(40), "ra": ra, "dec": dec})}
    match = "CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, 0.2)) = 1"
    varied = "CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, 0.1 + 0.1 * t.n / (t.n + 1))) = 1"
    query = f"SELECT s.id, COUNT(*) FROM {_UNMATCHED[case].format(match=match, varied=varied)} GROUP BY s.id"
    plain = ask(engine, query.replace("sky.indexed", "sky.plain"), uploads=upload)
    assert sorted(ask(engine, query, uploads=upload), key=str) == sorted(plain, key=str) != []


def test_names_of_pixels_are_no_obstacle(engine: Engine) -> None:
    ra, dec = near(7, 40, 0.3)
    rows = pa.table({"n": np.arange(40), "ra": ra, "dec": dec})
    own = {"pixels 0": rows, "pixels 1": rows.slice(0, 3), "t": rows.append_column(PIXEL_COLUMN, rows.column("n"))}
    match = "CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, 0.2)) = 1"
    counts = [
        ask(engine, f"SELECT COUNT(*), MAX(v.n) FROM {tables} WHERE {match}", uploads=own)
        for tables in (
            'sky.indexed AS s, TAP_UPLOAD."pixels 0" AS t, TAP_UPLOAD."pixels 1" AS v',
            'sky.plain AS s, TAP_UPLOAD."pixels 0" AS t, TAP_UPLOAD."pixels 1" AS v',
            'sky.indexed AS s, TAP_UPLOAD.t AS t, TAP_UPLOAD."pixels 1" AS v',
        )
    ]
    assert counts[0] == counts[1] == counts[2]
    for hidden in (f't."{PIXEL_COLUMN}"', f'"{PIXEL_COLUMN}"'):
        with pytest.raises(QueryError, match="no column"):
            ask(
                engine,
                f'SELECT {hidden} FROM sky.indexed AS s, TAP_UPLOAD."pixels 0" AS t WHERE {match}',
                uploads=own,
            )


def test_positions_that_are_none_match_nothing(engine: Engine) -> None:
    odd = pa.table(
        {
            "ra": pa.array([0.0, math.nan, None, math.inf, 0.0, 1e300]),
            "dec": pa.array([0.0, 0.0, 0.0, 0.0, 95.0, -90.0]),
        }
    )
    query = "SELECT t.ra, COUNT(*) FROM TAP_UPLOAD.t AS t JOIN sky.indexed AS s ON {} GROUP BY t.ra"
    query = query.format("CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, 0.5)) = 1")
    found = {row[0] for row in ask(engine, query, uploads={"t": odd})}
    assert 0.0 in found
    assert found <= {0.0, 1e300}
    assert ask(engine, query, uploads={"t": odd.slice(0, 0)}) == []
    words = {"t": pa.table({"ra": ["1"], "dec": ["2"]})}
    with pytest.raises(Exception, match="cannot be run"):
        ask(engine, query, uploads=words)


def test_touched_pixels_hold_all_that_is_near() -> None:
    ra, dec = near(8, 200, 0.5)
    for radius, order in ((0.001, 12), (0.2, 7), (1.0, 4)):
        rows, pixels = touched_pixels(ra, dec, radius, order)
        touched = set(zip(rows.tolist(), pixels.tolist(), strict=True))
        assert len(touched) == len(rows)
        own = healpix_numbers(_RA, _DEC) >> (2 * (29 - order))
        matches = _SKY.search_around_sky(SkyCoord(ra, dec, unit="deg"), radius * u.deg)
        pairs = {(int(row), int(own[target])) for row, target in zip(matches[0], matches[1], strict=True)}
        assert pairs <= touched


@pytest.mark.parametrize("most", [None, 1, 2, 3, 100])
def test_ranges_hold_all_pixels(most: int | None) -> None:
    pixels = np.array([3, 4, 9, 10, 11, 40, 47])
    ranges = number_ranges(pixels, 28, most)
    numbers = [number for first, last in ranges for number in range(first, last + 1)]
    assert {4 * pixel + part for pixel in pixels.tolist() for part in range(4)} <= set(numbers)
    assert numbers == sorted(set(numbers))
    assert len(ranges) == min(most or 4, 4)
    if most == 2:
        assert ranges == [(12, 47), (160, 191)]
