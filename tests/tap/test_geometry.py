"""Shapes in queries against astropy, by brute force: equal rows, at the poles and at RA 0 too."""

import math
from pathlib import Path

import astropy.units as u
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord, angular_separation, position_angle
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from forcedphot.tap.engine import Engine
from forcedphot.tap.errors import QueryError
from forcedphot.tap.sky_index import healpix_numbers, healpix_ranges
from forcedphot.tap.tables import memory_table, parquet_table

from .conftest import ask, positions

_RA, _DEC = positions()
_SOME = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

right_ascensions = st.one_of(st.floats(0, 360), st.floats(-1, 1), st.sampled_from([0.0, 180.0, 360.0]))
declinations = st.one_of(
    st.floats(-90, 90), st.floats(88, 90), st.floats(-90, -88), st.sampled_from([-90.0, 90.0])
)
radii = st.one_of(st.floats(0, 3), st.floats(0, 180), st.sampled_from([0.001, 90.0]))


def separations(ra: float, dec: float) -> npt.NDArray[np.float64]:
    radians = angular_separation(*np.radians([ra, dec]), np.radians(_RA), np.radians(_DEC))
    return np.degrees(np.asarray(radians, dtype=np.float64))


def ids(engine: Engine, condition: str, table: str) -> set[object]:
    return {row[0] for row in ask(engine, f"SELECT id FROM sky.{table} WHERE {condition}")}


@_SOME
@given(ra=right_ascensions, dec=declinations, radius=radii)
@example(ra=0.0, dec=90.0, radius=1.0)
@example(ra=360.0, dec=-90.0, radius=1.0)
@example(ra=0.0, dec=0.0, radius=2.0)
def test_circles_hold_what_astropy_finds(engine: Engine, ra: float, dec: float, radius: float) -> None:
    distance = separations(ra, dec)
    surely = set(np.flatnonzero(distance < radius - 1e-9))
    perhaps = set(np.flatnonzero(distance <= radius + 1e-9))
    condition = f"1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {ra!r}, {dec!r}, {radius!r}))"
    plain, indexed = (ids(engine, condition, table) for table in ("plain", "indexed"))
    assert plain == indexed
    assert surely <= plain <= perhaps


@_SOME
@given(ra=right_ascensions, dec=declinations)
def test_distances_are_astropys(engine: Engine, ra: float, dec: float) -> None:
    rows = ask(engine, f"SELECT DISTANCE(POINT(ra, dec), POINT({ra!r}, {dec!r})) FROM sky.plain ORDER BY id")
    np.testing.assert_allclose(np.array(rows)[:, 0], separations(ra, dec), rtol=1e-12, atol=1e-12)


def winding(vertices: list[tuple[float, float]]) -> npt.NDArray[np.float64]:
    """Sum the angles under which each position sees a polygon's sides: a whole turn inside, none outside."""
    ra, dec = np.radians(_RA), np.radians(_DEC)
    total = np.zeros(len(ra))
    for first, second in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        angles = [position_angle(ra, dec, *np.radians(vertex)).to_value(u.rad) for vertex in (first, second)]
        total += (angles[1] - angles[0] + np.pi) % (2 * np.pi) - np.pi
    return total


@st.composite
def polygons(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Draw stars around a middle, most of them not convex."""
    middle = SkyCoord(draw(right_ascensions), draw(declinations), unit="deg")
    scale = draw(st.sampled_from([0.5, 3.0, 60.0]))
    lengths = draw(st.lists(st.floats(0.3, 1.0), min_size=3, max_size=9))
    turns = 2 * np.pi * np.arange(len(lengths)) / len(lengths)
    rim = middle.directional_offset_by(turns * u.rad, np.array(lengths) * scale * u.deg)
    return list(zip(rim.ra.deg.tolist(), rim.dec.deg.tolist(), strict=True))


@_SOME
@given(vertices=polygons(), is_reversed=st.booleans())
def test_polygons_hold_what_they_wind_around(
    engine: Engine, vertices: list[tuple[float, float]], is_reversed: bool
) -> None:
    numbers = ", ".join(f"{ra!r}, {dec!r}" for ra, dec in (vertices[::-1] if is_reversed else vertices))
    middle = SkyCoord(*np.array(vertices).T, unit="deg").cartesian.mean()
    near = SkyCoord(_RA, _DEC, unit="deg").cartesian.dot(middle).value > 0
    turns = np.abs(winding(vertices)) / (2 * np.pi)
    assume(np.all(np.abs(turns - np.round(turns)) < 1e-6))
    expected = set(np.flatnonzero((np.round(turns) % 2 == 1) & near))
    condition = f"CONTAINS(POINT(ra, dec), POLYGON({numbers})) = 1"
    plain, indexed = (ids(engine, condition, table) for table in ("plain", "indexed"))
    assert plain == indexed
    assert plain == expected


@_SOME
@given(vertices=polygons())
def test_polygons_of_columns_are_those_of_numbers(engine: Engine, vertices: list[tuple[float, float]]) -> None:
    inside = ids(engine, f"CONTAINS(POINT(ra, dec), POLYGON({_joined(vertices)})) = 1", "plain")
    # a sum with a column is no number, so that the polygon is projected for each row
    shifted = ", ".join(f"{ra!r} + 0 * flux0, {dec!r} + 0 * flux0" for ra, dec in vertices)
    query = f"SELECT id FROM (SELECT id, ra, dec, 0 AS flux0 FROM sky.plain) AS t \
        WHERE CONTAINS(POINT(ra, dec), POLYGON({shifted})) = 1"
    assert {row[0] for row in ask(engine, query)} == inside


def _joined(vertices: list[tuple[float, float]]) -> str:
    return ", ".join(f"{ra!r}, {dec!r}" for ra, dec in vertices)


def test_what_is_far_from_a_corner_is_still_inside(engine: Engine) -> None:
    wide = "POLYGON(300, -40, 60, -40, 60, 40, 300, 40)"
    inside = ids(engine, f"CONTAINS(POINT(ra, dec), {wide}) = 1", "plain")
    for ra, is_inside in ((-55, 1), (55, 1), (125, 0), (235, 0), (180, 0)):
        query = f"SELECT TOP 1 CONTAINS(POINT({ra}, 0), {wide}) FROM sky.plain"
        assert ask(engine, query) == [(is_inside,)]
    meets = f"INTERSECTS(CIRCLE(ra, dec, 0), {wide}) = 1"
    assert ids(engine, meets, "plain") == inside


def test_polygons_can_have_many_corners(engine: Engine) -> None:
    turns = 2 * np.pi * np.arange(200) / 200
    corners = SkyCoord(0.0, 1.0, unit="deg").directional_offset_by(turns * u.rad, 2.0 * u.deg)
    vertices = _joined(list(zip(corners.ra.deg.tolist(), corners.dec.deg.tolist(), strict=True)))
    inside = ids(engine, f"CONTAINS(POINT(ra, dec), POLYGON({vertices})) = 1", "indexed")
    distance = separations(0.0, 1.0)
    assert set(np.flatnonzero(distance < 1.999)) <= inside <= set(np.flatnonzero(distance <= 2.0))


def test_polygons_can_be_tiny() -> None:
    size = 9e-7
    data = pa.table({"ra": [241.0, 241.0], "dec": [39.0 + 0.9 * size, 39.0 + 1.1 * size]})
    engine = Engine([memory_table("sky.near", data, "ra", "dec")])
    corners = _joined([(241.0, 39.0 + size), (241.0 - size, 39.0 - size), (241.0 + size, 39.0 - size)])
    query = f"SELECT dec FROM sky.near WHERE CONTAINS(POINT(ra, dec), POLYGON({corners})) = 1"
    assert ask(engine, query) == [(39.0 + 0.9 * size,)]


def test_a_box_is_the_polygon_of_its_corners(engine: Engine) -> None:
    box = ids(engine, "CONTAINS(POINT(ra, dec), BOX(359.5, 0.5, 3, 2)) = 1", "indexed")
    assert box == ids(
        engine, "CONTAINS(POINT(ra, dec), POLYGON(1, 1.5, 358, 1.5, 358, -0.5, 1, -0.5)) = 1", "plain"
    )
    assert len(box) > 500


def test_shapes_in_shapes(engine: Engine) -> None:
    def value(expression: str) -> object:
        return ask(engine, f"SELECT TOP 1 {expression} FROM sky.plain")[0][0]

    assert value("CONTAINS(CIRCLE(10, 80, 1), CIRCLE(10, 80.5, 1.6))") == 1
    assert value("CONTAINS(CIRCLE(10, 80, 1), CIRCLE(10, 80.5, 1.4))") == 0
    assert value("CONTAINS(CIRCLE(10, 80, 1), CIRCLE(190, -80, 180))") == 1
    assert value("CONTAINS(CIRCLE(10, 80, 1), CIRCLE(190, -80, 179.5))") == 0
    assert value("INTERSECTS(CIRCLE(0.5, 0, 1), CIRCLE(358.6, 0, 1))") == 1
    assert value("INTERSECTS(CIRCLE(0.5, 0, 1), CIRCLE(358.4, 0, 1))") == 0
    assert value("INTERSECTS(POINT(0.5, 0), BOX(0, 0, 2, 2))") == 1
    assert value("CONTAINS(BOX(5, 5, 1, 1), CIRCLE(5, 5, 0.8))") == 1
    assert value("AREA(CIRCLE(5, 5, 180))") == pytest.approx(4 * math.pi * math.degrees(1) ** 2)
    assert value("AREA(CIRCLE(5, 5, 0.001))") == pytest.approx(math.pi * 1e-6, rel=1e-9)
    assert value("AREA(POLYGON(0, 0, 90, 0, 0, 90))") == pytest.approx(math.pi / 2 * math.degrees(1) ** 2)
    assert value("COORD1(CENTROID(POLYGON(350, -2, 10, -2, 10, 2, 350, 2)))") == pytest.approx(0, abs=1e-9)
    assert value("COORD2(CENTROID(POLYGON(0, 0, 90, 0, 0, 90)))") == pytest.approx(
        math.degrees(math.asin(1 / math.sqrt(3)))
    )
    assert value("POINT('ICRS', 1.5, -2)") == [1.5, -2.0]


def test_the_opposite_of_a_circle_is_the_rest(engine: Engine) -> None:
    circle = "CONTAINS(POINT(ra, dec), CIRCLE(0, 0, 2))"
    inside, outside = (ids(engine, f"{circle} = {value}", "indexed") for value in (1, 0))
    assert inside | outside == set(range(len(_RA)))
    assert not inside & outside
    assert ids(engine, f"NOT ({circle} = 1)", "indexed") == outside
    assert ids(engine, f"{circle} <> 1 OR id = -1", "indexed") == outside


def test_an_unknown_position_is_neither_inside_nor_outside(engine: Engine) -> None:
    upload = {"p": pa.table({"ra": [1.0, math.nan], "dec": [1.0, 1.0]})}
    for value, count in ((1, 1), (0, 0)):
        query = f"SELECT ra FROM TAP_UPLOAD.p WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 1, 5)) = {value}"
        assert len(ask(engine, query, uploads=upload)) == count


def test_infinite_positions_are_unknown(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ra": [1.0, math.inf, 3.0], "dec": [1.0, 2.0, -math.inf]}), tmp_path / "a.parquet")
    engine = Engine([parquet_table("sky.odd", [tmp_path / "a.parquet"], "ra", "dec")])
    assert ask(engine, "SELECT ra FROM sky.odd WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 1, 5)) = 1") == [(1.0,)]
    distances = "SELECT DISTANCE(ra, dec, 1, 1), CONTAINS(POINT(ra, dec), BOX(1, 1, 2, 2)) FROM sky.odd"
    assert ask(engine, distances) == [(0.0, 1), (None, None), (None, None)]


def test_only_what_is_compared_with_one_is_skipped(engine: Engine) -> None:
    inside = "CONTAINS(POINT(flux, dec), CIRCLE(1, 1, 1))"
    known = ids(engine, f"{inside} = 1", "plain")
    unknown = ids(engine, "flux IS NULL", "plain")
    assert ids(engine, f"COALESCE({inside}, 1) = 1", "plain") == known | unknown
    assert ids(engine, f"{inside} = 01", "plain") == known
    assert ids(engine, f"{inside} <> 00", "plain") == known


def test_positions_by_other_names_are_found(engine: Engine) -> None:
    query = "SELECT id FROM sky.{} AS s{} WHERE CONTAINS(POINT({}), CIRCLE(20, 10, 9)) = 1 ORDER BY id"
    swapped = ask(engine, query.format("plain", "", "dec, ra"))
    assert ask(engine, query.format("indexed", " (id, dec, ra, flux, band)", "ra, dec")) == swapped != []


def test_positions_are_matched_as_astropy_does(engine: Engine) -> None:
    rng = np.random.default_rng(3)
    chosen = rng.choice(len(_RA), 300, replace=False)
    ra, dec = _RA[chosen], np.clip(_DEC[chosen] + 0.01, -90, 90)
    ours, theirs = SkyCoord(ra, dec, unit="deg"), SkyCoord(_RA, _DEC, unit="deg")
    rows, targets, _, _ = theirs.search_around_sky(ours, 0.05 * u.deg)
    condition = "CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, 0.05)) = 1"
    query = f"SELECT t.n, s.id FROM TAP_UPLOAD.t AS t JOIN sky.indexed AS s ON {condition}"
    upload = {"t": pa.table({"n": np.arange(300), "ra": ra, "dec": dec})}
    assert set(ask(engine, query, uploads=upload)) == set(zip(rows.tolist(), targets.tolist(), strict=True))


@_SOME
@given(ra=right_ascensions, dec=declinations, radius=st.floats(0, 25))
def test_ranges_cover_circles(ra: float, dec: float, radius: float) -> None:
    numbers = healpix_numbers(_RA, _DEC)
    inside = numbers[separations(ra, dec) <= radius]
    ranges = healpix_ranges(ra, dec, radius)
    assert all(any(first <= number <= last for first, last in ranges) for number in inside.tolist())


def test_ranges_leave_most_of_the_sky_out() -> None:
    for radius in (1 / 3600, 0.1, 2.0):
        ranges = healpix_ranges(33.3, -5.5, radius)
        covered = sum(last - first + 1 for first, last in ranges) / (12 * 4**29)
        assert covered < 30 * (1 - math.cos(math.radians(radius))) / 2 + 1e-12
        assert len(ranges) < 20


def test_small_circles_are_read_at_once() -> None:
    found = [healpix_ranges(ra, dec, 1 / 3600) for ra, dec in zip(_RA[:300], _DEC[:300], strict=True)]
    assert sum(len(ranges) == 1 for ranges in found) > 280
    assert max(len(ranges) for ranges in found) <= 4
    # at most about a pixel of a tenth of a degree
    assert max(last - first for ranges in found for first, last in ranges) < 2 * 4**20


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ("CIRCLE(1, 2, 200)", "radius between 0 and 180"),
        ("CIRCLE(1, 92, 2)", "declination between"),
        ("CIRCLE('GALACTIC', 1, 2, 2)", "coordinate system 'ICRS'"),
        ("CIRCLE(1, 2)", "a position and a radius"),
        ("POLYGON(1, 2, 3, 4)", "3 to 200 vertices"),
        ("POLYGON(1, 2, 3, 4, 5)", "pairs"),
        ("POLYGON(0, 0, 120, 0, 240, 0)", "hemisphere"),
        ("BOX(0, 89, 1, 4)", "pole"),
        ("ra", "expected POINT, CIRCLE"),
        ("POINT(1, 2)", "needs a region"),
    ],
)
def test_shapes_that_cannot_be_are_refused_with_their_place(engine: Engine, shape: str, problem: str) -> None:
    with pytest.raises(QueryError, match=problem) as caught:
        engine.query(f"SELECT id FROM sky.plain\nWHERE CONTAINS(POINT(ra, dec), {shape}) = 1")
    assert caught.value.place is not None
    assert caught.value.place.line == 2
    assert caught.value.place.column >= 7
