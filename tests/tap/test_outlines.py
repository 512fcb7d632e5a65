"""Columns of outlines, as s_region of ObsCore: which rows' polygons hold or meet a position or circle."""

import numpy as np
import pyarrow as pa
import pytest
from lsst.sphgeom import Angle, Circle, ConvexPolygon, LonLat, UnitVector3d

from forcedphot.tap.engine import Engine
from forcedphot.tap.errors import QueryError
from forcedphot.tap.tables import ColumnMetadata, memory_table

from .conftest import ask

_PLACES = [(0.0, 0.0), (359.9, -45.0), (180.0, 60.0), (33.0, 89.0), (250.0, -89.5), (53.1, -28.1)]


def _vector(ra: float, dec: float) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(ra % 360.0, dec))


def _near(rng: np.random.Generator, place: tuple[float, float], size: float, n: int) -> list[UnitVector3d]:
    """Make directions around a place, at poles too."""
    axis = np.array(_vector(*place))
    vectors = axis + np.radians(size) * rng.uniform(-1, 1, (n, 3))
    return [UnitVector3d(*vector) for vector in vectors.tolist()]


@pytest.fixture(scope="module")
def polygons() -> list[ConvexPolygon]:
    rng = np.random.default_rng(3)
    return [
        ConvexPolygon(_near(rng, place, size, n))
        for place in _PLACES
        for size in (0.1, 3.0)
        for n in (3, 5, 40)  # of 40, the hull has some ten
    ]


def _text(polygon: ConvexPolygon) -> str:
    places = [LonLat(vertex) for vertex in polygon.getVertices()]
    return "POLYGON ICRS " + " ".join(f"{p.getLon().asDegrees()!r} {p.getLat().asDegrees()!r}" for p in places)


@pytest.fixture(scope="module")
def engine(polygons: list[ConvexPolygon]) -> Engine:
    texts = [
        *map(_text, polygons),
        None,
        "",
        "CIRCLE ICRS 0 0 90",
        "POLYGON ICRS 1 x 2 3 4 5",
        "POLYGON ICRS 1 1 2 3 4",
    ]
    data = pa.table({"id": range(len(texts)), "s_region": texts, "note": texts})
    metadata = [ColumnMetadata("s_region", ucd="pos.outline;obs.field")]
    return Engine([memory_table("sky.images", data, metadata=metadata)])


@pytest.mark.parametrize("place", _PLACES)
def test_positions_are_in_the_outlines_that_hold_them(
    engine: Engine, polygons: list[ConvexPolygon], place: tuple[float, float]
) -> None:
    rng = np.random.default_rng(4)
    found_any = False
    for size in (0.1, 3.0):
        for vector in _near(rng, place, size, 8):
            position = LonLat(vector)
            point = f"POINT({position.getLon().asDegrees()!r}, {position.getLat().asDegrees()!r})"
            expected = [number for number, polygon in enumerate(polygons) if polygon.contains(vector)]
            for condition in (f"CONTAINS({point}, s_region) = 1", f"1 = INTERSECTS(s_region, {point})"):
                found = ask(engine, f"SELECT id FROM sky.images WHERE {condition} ORDER BY id")
                assert [row[0] for row in found] == expected
            found_any = found_any or bool(expected)
    assert found_any


@pytest.mark.parametrize("place", _PLACES)
def test_circles_and_outlines(engine: Engine, polygons: list[ConvexPolygon], place: tuple[float, float]) -> None:
    """As outlines of columns, and as polygons of the query."""
    rng = np.random.default_rng(5)
    counts = np.zeros(3, dtype=int)
    for radius in (0.03, 0.7, 9.0):
        for vector in _near(rng, place, 2.0, 2):
            center = LonLat(vector)
            region = Circle(vector, Angle.fromDegrees(radius))
            circle = f"CIRCLE({center.getLon().asDegrees()!r}, {center.getLat().asDegrees()!r}, {radius})"
            relations = {
                "INTERSECTS({circle}, {polygon})": [not polygon.isDisjointFrom(region) for polygon in polygons],
                "CONTAINS({circle}, {polygon})": [polygon.contains(region) for polygon in polygons],
                "CONTAINS({polygon}, {circle})": [polygon.isWithin(region) for polygon in polygons],
            }
            for i, (condition, is_true) in enumerate(relations.items()):
                expected = np.flatnonzero(is_true).tolist()
                counts[i] += len(expected)
                of_columns = condition.format(circle=circle, polygon="s_region")
                found = ask(engine, f"SELECT id FROM sky.images WHERE {of_columns} = 1 ORDER BY id")
                assert [row[0] for row in found] == expected
                number = int(rng.integers(len(polygons)))
                places = [LonLat(vertex) for vertex in polygons[number].getVertices()]
                vertices = ", ".join(f"{p.getLon().asDegrees()!r}, {p.getLat().asDegrees()!r}" for p in places)
                of_query = condition.format(circle=circle, polygon=f"POLYGON({vertices})")
                found = ask(engine, f"SELECT TOP 1 {of_query} FROM sky.images")
                assert found == [(int(number in expected),)]
    assert (counts > 0).all()


def test_what_is_far_from_a_corner_is_still_inside() -> None:
    data = pa.table({"s_region": ["POLYGON ICRS 300 -40 60 -40 60 40 300 40"]})
    metadata = [ColumnMetadata("s_region", ucd="pos.outline;obs.field")]
    engine = Engine([memory_table("sky.images", data, metadata=metadata)])
    for ra, is_inside in ((-55, 1), (55, 1), (125, 0), (235, 0), (180, 0)):
        assert ask(engine, f"SELECT CONTAINS(POINT({ra}, 0), s_region) FROM sky.images") == [(is_inside,)]


def test_positions_of_another_table_are_matched(engine: Engine, polygons: list[ConvexPolygon]) -> None:
    centers = [LonLat(polygon.getCentroid()) for polygon in polygons]
    upload = pa.table(
        {"ra": [p.getLon().asDegrees() for p in centers], "dec": [p.getLat().asDegrees() for p in centers]}
    )
    query = """SELECT COUNT(*) FROM TAP_UPLOAD.mine AS m
JOIN sky.images AS i ON CONTAINS(POINT(m.ra, m.dec), i.s_region) = 1"""
    expected = sum(a.contains(b.getCentroid()) for a in polygons for b in polygons)
    assert expected >= len(polygons)
    assert ask(engine, query, uploads={"mine": upload}) == [(expected,)]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("CONTAINS(BOX(0, 0, 1, 1), s_region)", "CONTAINS is not supported for a polygon in another"),
        (
            "CONTAINS(s_region, CIRCLE(0, 0, 91))",
            "CONTAINS is not supported for a polygon in a circle whose radius",
        ),
        ("INTERSECTS(BOX(0, 0, 1, 1), s_region)", "INTERSECTS is not supported for two polygons"),
        ("AREA(s_region)", "AREA is not supported for a column's outline"),
        ("CENTROID(s_region)", "not supported for a column's outline"),
        ("COORD1(s_region)", "COORD1 takes a POINT"),
        ("CONTAINS(POINT(0, 0), note)", "expected POINT, CIRCLE, BOX or POLYGON"),
    ],
)
def test_what_cannot_be_asked_of_outlines_is_said(engine: Engine, expression: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        engine.query(f"SELECT {expression} FROM sky.images")
