"""Shapes on the sphere, and what is true of them, as SQL that is exact; what can be skipped is said before it.

Angles are degrees, ICRS. A polygon's sides are great circles; it lies within a hemisphere.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..conventions import FloatArray
from .sky_index import PIXEL_READ_WHOLE_DEG, healpix_ranges

DEFINITIONS = (
    """CREATE MACRO sky_distance(ra1, dec1, ra2, dec2) AS degrees(atan2(
        sqrt(pow(cos(radians(dec2)) * sin(radians(ra2 - ra1)), 2)
            + pow(cos(radians(dec1)) * sin(radians(dec2))
                - sin(radians(dec1)) * cos(radians(dec2)) * cos(radians(ra2 - ra1)), 2)),
        sin(radians(dec1)) * sin(radians(dec2))
            + cos(radians(dec1)) * cos(radians(dec2)) * cos(radians(ra2 - ra1))))""",
    """CREATE MACRO sky_haversine(ra1, dec1, ra2, dec2) AS pow(sin(radians(dec2 - dec1) / 2), 2)
        + cos(radians(dec1)) * cos(radians(dec2)) * pow(sin(radians(ra2 - ra1) / 2), 2)""",
    """CREATE MACRO sky_east(ra0, dec0, ra, dec) AS cos(radians(dec)) * sin(radians(ra - ra0))""",
    """CREATE MACRO sky_north(ra0, dec0, ra, dec) AS cos(radians(dec0)) * sin(radians(dec))
        - sin(radians(dec0)) * cos(radians(dec)) * cos(radians(ra - ra0))""",
    """CREATE MACRO sky_toward(ra0, dec0, ra, dec) AS sin(radians(dec0)) * sin(radians(dec))
        + cos(radians(dec0)) * cos(radians(dec)) * cos(radians(ra - ra0))""",
    """CREATE MACRO side_crosses(east1, north1, east2, north2) AS
        (north1 > 0) <> (north2 > 0)
        AND 0 < (east1 * north2 - east2 * north1) / (north2 - north1)""",
    """CREATE MACRO seen(places, ra0, dec0) AS list_transform(places, lambda place: {
            'east': sky_east(ra0, dec0, place[1], place[2]),
            'north': sky_north(ra0, dec0, place[1], place[2]),
            'toward': sky_toward(ra0, dec0, place[1], place[2])})""",
    """CREATE MACRO places(words) AS CASE
        WHEN len(words) >= 8 AND len(words) % 2 = 0
            AND list_count(list_transform(words[3:], lambda word: TRY_CAST(word AS DOUBLE))) = len(words) - 2
        THEN list_transform(range(3, len(words), 2), lambda i:
            [TRY_CAST(words[i] AS DOUBLE), TRY_CAST(words[i + 1] AS DOUBLE)]) END""",
    """CREATE MACRO seen_vertices(outline, ra0, dec0) AS CASE WHEN outline LIKE 'POLYGON ICRS %' THEN
        seen(places(string_split(outline, ' ')), ra0, dec0) END""",
    """CREATE MACRO surround(vertices) AS list_transform([vertices], lambda seen:
            list_reduce(list_transform(seen, lambda vertex: vertex.toward), lambda a, b: a + b) > 0
            AND list_reduce(list_transform(range(1, len(seen) + 1), lambda i: CAST(side_crosses(
                seen[i].east,
                seen[i].north,
                seen[i % len(seen) + 1].east,
                seen[i % len(seen) + 1].north) AS INTEGER)), lambda a, b: a + b) % 2 = 1)[1]""",
    """CREATE MACRO angle_between(across, along) AS degrees(abs(atan2(across, along)))""",
    """CREATE MACRO side_distance(east1, north1, toward1, east2, north2, toward2) AS list_transform([{
            'east': north1 * toward2 - toward1 * north2,
            'north': toward1 * east2 - east1 * toward2,
            'toward': east1 * north2 - north1 * east2}], lambda normal:
        CASE WHEN normal.east * north1 >= normal.north * east1 AND normal.north * east2 >= normal.east * north2
            THEN angle_between(normal.toward, sqrt(pow(normal.east, 2) + pow(normal.north, 2)))
            ELSE least(angle_between(sqrt(pow(east1, 2) + pow(north1, 2)), toward1),
                angle_between(sqrt(pow(east2, 2) + pow(north2, 2)), toward2)) END)[1]""",
    """CREATE MACRO rim_distance(vertices) AS list_transform([vertices], lambda seen:
            list_reduce(list_transform(range(1, len(seen) + 1), lambda i: side_distance(
                seen[i].east, seen[i].north, seen[i].toward,
                seen[i % len(seen) + 1].east, seen[i % len(seen) + 1].north, seen[i % len(seen) + 1].toward
            )), lambda a, b: CASE WHEN a < b THEN a ELSE b END))[1]""",
    """CREATE MACRO farthest_vertex(outline, ra, dec) AS list_max(list_transform(
        seen_vertices(outline, ra, dec), lambda vertex:
            angle_between(sqrt(pow(vertex.east, 2) + pow(vertex.north, 2)), vertex.toward)))""",
)
"""Macros that the conditions use.

The distance is Vincenty's, which loses no digits near 0 or 180 degrees. ``sky_haversine``, the square of the
sine of half of it, loses none near 0, and is sooner planned and computed. ``sky_east``, ``sky_north`` and
``sky_toward`` are the parts of a direction, seen from another: divided by the last, the first two are the gnomonic
projection, in which great circles are straight. ``side_distance`` is how far the side between two such directions
is. ``side_crosses`` tells whether that side crosses the half circle from the position to its opposite, through the
east. ``surround`` and ``rim_distance`` take vertices as they are ``seen`` from a position; ``seen_vertices`` reads
them from a text. Lambdas stand where an expression would be written out, and planned, once for each of its uses.
"""

_MARGIN_DEG = 1e-9
"""What bounds on declination are widened by, as the exact test rounds differently."""


@dataclass(frozen=True)
class Value:
    """A number in a query: its SQL, and the number itself where it is constant."""

    sql: str
    constant: float | None = None

    @classmethod
    def of(cls, constant: float) -> "Value":
        return cls(f"{constant!r}::DOUBLE", constant)


@dataclass(frozen=True)
class Point:
    """A position.

    Parameters
    ----------
    raw_dec
        SQL of the declination just as a file holds it, which lets the database skip what it need not read.
    index
        SQL of the HEALPix number of the row, if the position is that of an ordered table.
    can_skip
        Whether rows may be left out that cannot fulfil the condition: not where it is negated, or a result, as
        a position that is not known is neither within nor without.
    alias, columns
        The table whose columns these are, and their names; empty if they are anything else.
    """

    ra: Value
    dec: Value
    can_skip: bool = False
    raw_dec: str = ""
    index: str = ""
    alias: str = ""
    columns: tuple[str, str] = ("", "")

    @property
    def constant(self) -> tuple[float, float] | None:
        if self.ra.constant is None or self.dec.constant is None:
            return None
        return self.ra.constant, self.dec.constant

    @property
    def sql(self) -> str:
        return f"{self.ra.sql}, {self.dec.sql}"


@dataclass(frozen=True)
class Circle:
    """All within a distance of a position, the rim included."""

    center: Point
    radius: Value


@dataclass(frozen=True)
class Polygon:
    """The smaller part of the sky that great circles between vertices enclose, at least three of them."""

    vertices: tuple[Point, ...]

    @property
    def constants(self) -> FloatArray | None:
        """Unit vectors of the vertices, shape (n, 3), if all are constant."""
        known = [vertex.constant for vertex in self.vertices]
        return unit_vectors([vertex for vertex in known if vertex]) if all(known) else None


@dataclass(frozen=True)
class Outline:
    """What a text outlines, as ObsCore has it: "POLYGON ICRS ra dec ra dec ..."; any other text outlines nothing.

    Parameters
    ----------
    sql
        Of the text.
    """

    sql: str


type Region = Circle | Polygon | Outline
type Shape = Point | Region


def distance_sql(first: Point, second: Point) -> str:
    """Return the SQL of the distance of two positions, degrees."""
    return f"sky_distance({first.sql}, {second.sql})"


def within_sql(first: Point, second: Point, radius: Value, comparison: str = "<=") -> str:
    """Return the condition that two positions are no farther apart than a radius.

    Rows that cannot fulfil it are skipped by their HEALPix number or declination where one position is constant,
    or matched by declination where both are columns.
    """
    if radius.constant is not None and 0 <= radius.constant <= 90:
        limit = math.sin(math.radians(radius.constant) / 2) ** 2
        exact = f"sky_haversine({first.sql}, {second.sql}) {comparison} {limit!r}::DOUBLE"
    else:
        exact = f"{distance_sql(first, second)} {comparison} {radius.sql}"
    if not (first.can_skip or second.can_skip):
        return f"({exact})"
    row, other = (second, first) if first.constant else (first, second)
    dec = row.raw_dec or row.dec.sql
    if other.constant and radius.constant is not None:
        bounds = skip_sql(row, *other.constant, radius.constant)
    else:
        low = f"{other.raw_dec or other.dec.sql} - {radius.sql} - {_MARGIN_DEG}"
        high = f"{other.raw_dec or other.dec.sql} + {radius.sql} + {_MARGIN_DEG}"
        bounds = f"{dec} >= {low} AND {dec} <= {high}"
    return f"({bounds} AND {exact})"


def skip_sql(row: Point, ra: float, dec: float, radius: float) -> str:
    """Return a condition that all positions within a circle fulfil, and few others."""
    low, high = dec - radius - _MARGIN_DEG, dec + radius + _MARGIN_DEG
    bounds = f"{row.raw_dec or row.dec.sql} BETWEEN {low!r} AND {high!r}"
    ranges = healpix_ranges(ra, dec, radius) if row.index and radius >= 0 and abs(dec) <= 90 else []
    if not ranges:
        return bounds
    alternatives = " OR ".join(f"{row.index} BETWEEN {first} AND {last}" for first, last in ranges)
    # of so few rows, declinations leave out too little to be worth reading
    return alternatives if len(ranges) == 1 and radius < PIXEL_READ_WHOLE_DEG else f"({alternatives}) AND {bounds}"


def contains_sql(outer: Region, inner: Shape) -> str:
    """Return the condition that a region holds all of another shape.

    Raises
    ------
    NotImplementedError
        For a polygon or outline in another, or in a circle of more than a hemisphere.
    """
    if isinstance(outer, Circle):
        if isinstance(inner, Point):
            return within_sql(inner, outer.center, outer.radius)
        if isinstance(inner, Circle):
            margin = Value(f"({outer.radius.sql} - {inner.radius.sql})", _difference(outer.radius, inner.radius))
            is_all = outer.radius.constant == 180
            return within_sql(inner.center, outer.center, outer.radius if is_all else margin)
        if outer.radius.constant is None or outer.radius.constant > 90:
            raise NotImplementedError("a polygon in a circle whose radius is not a number of at most 90 degrees")
        if isinstance(inner, Outline):
            return f"(farthest_vertex({inner.sql}, {outer.center.sql}) <= {outer.radius.sql})"
        corners = (within_sql(vertex, outer.center, outer.radius) for vertex in inner.vertices)
        return f"({' AND '.join(corners)})"
    if isinstance(inner, Point):
        return _holds_sql(outer, inner)
    if isinstance(inner, Circle):
        inside = _holds_sql(outer, inner.center)
        return f"({inside} AND {_rim_distance_sql(outer, inner.center)} >= {inner.radius.sql})"
    raise NotImplementedError("a polygon in another")


def intersects_sql(first: Shape, second: Shape) -> str:
    """Return the condition that two shapes have a position in common.

    Raises
    ------
    NotImplementedError
        For two polygons, as outlines are.
    """
    if isinstance(first, Point) and not isinstance(second, Point):
        return contains_sql(second, first)
    if isinstance(second, Point) and not isinstance(first, Point):
        return contains_sql(first, second)
    if isinstance(first, Circle) and isinstance(second, Circle):
        radii = first.radius.constant, second.radius.constant
        both = None if radii[0] is None or radii[1] is None else radii[0] + radii[1]
        reach = Value(f"({first.radius.sql} + {second.radius.sql})", both)
        return within_sql(first.center, second.center, reach)
    circle, other = (first, second) if isinstance(first, Circle) else (second, first)
    if isinstance(circle, Circle) and isinstance(other, Polygon | Outline):
        # Whoever meets the rim from outside has a centre that the polygon does not hold.
        center = replace(circle.center, can_skip=False)
        return f"({_holds_sql(other, center)} OR {_rim_distance_sql(other, center)} <= {circle.radius.sql})"
    raise NotImplementedError("two polygons")


def area_sql(shape: Shape) -> str:
    """Return the area, square degrees; only constant polygons have one.

    Raises
    ------
    NotImplementedError
        For a polygon of columns.
    """
    if isinstance(shape, Point):
        return "0.0::DOUBLE"
    if isinstance(shape, Outline):
        raise NotImplementedError("a column's outline")
    if isinstance(shape, Circle):
        # 2 sin^2(r/2) is 1 - cos(r) without its loss of digits
        return f"(degrees(degrees(4 * pi() * pow(sin(radians({shape.radius.sql}) / 2), 2))))"
    return Value.of(_polygon_area(shape)).sql


def centroid(shape: Shape) -> Point:
    """Return the middle of a shape: for a polygon, where its area balances.

    Raises
    ------
    NotImplementedError
        For a polygon of columns.
    """
    if isinstance(shape, Point):
        return shape
    if isinstance(shape, Circle):
        return shape.center
    if isinstance(shape, Outline):
        raise NotImplementedError("a column's outline")
    vectors = shape.constants
    if vectors is None:
        raise NotImplementedError("the centroid of a polygon of columns")
    following = np.roll(vectors, -1, axis=0)
    normals = np.cross(vectors, following)
    sines = np.linalg.norm(normals, axis=1)
    lengths = np.arctan2(sines, (vectors * following).sum(axis=1))
    # the first moment of a region on the sphere is a sum over its sides (Stokes)
    moment = (normals * (lengths / np.where(sines > 0, sines, 1.0))[:, None]).sum(axis=0)
    if moment @ vectors.sum(axis=0) < 0:
        moment = -moment
    ra, dec = _angles(moment)
    return Point(Value.of(ra), Value.of(dec))


def unit_vectors(positions: Sequence[tuple[float, float]]) -> FloatArray:
    """Turn (ra, dec) in degrees into unit vectors, shape (n, 3)."""
    ra, dec = np.radians(np.array(positions, dtype=np.float64)).T
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def _holds_sql(region: Polygon | Outline, point: Point) -> str:
    """Return the condition that a region holds a position.

    A line from the position to its opposite crosses an odd number of sides if one of them is inside: it is the
    position, if it has the middle of the vertices before it. A constant polygon is projected around its middle.
    """
    if isinstance(region, Polygon) and region.constants is not None and not point.constant:
        return _in_constant_polygon_sql(region.constants, point)
    return f"surround({_seen_sql(region, point)})"


def _rim_distance_sql(region: Polygon | Outline, point: Point) -> str:
    """Return the SQL of how far a position is from the nearest side, degrees."""
    return f"rim_distance({_seen_sql(region, point)})"


def _seen_sql(region: Polygon | Outline, point: Point) -> str:
    """Return the SQL of a region's vertices as directions from a position."""
    if isinstance(region, Outline):
        return f"seen_vertices({region.sql}, {point.sql})"
    places = ", ".join(f"[{vertex.sql}]" for vertex in region.vertices)
    return f"seen([{places}], {point.sql})"


def _difference(first: Value, second: Value) -> float | None:
    if first.constant is None or second.constant is None:
        return None
    return first.constant - second.constant


def _angles(vector: FloatArray) -> tuple[float, float]:
    x, y, z = (float(part) for part in vector)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def _polygon_area(polygon: Polygon) -> float:
    vectors = polygon.constants
    if vectors is None:
        raise NotImplementedError("the area of a polygon of columns")
    first, total = vectors[0], 0.0
    for second, third in itertools.pairwise(vectors[1:]):
        denominator = 1.0 + first @ second + second @ third + third @ first
        total += 2.0 * math.atan2(float(first @ np.cross(second, third)), float(denominator))
    return abs(math.degrees(math.degrees(total)))


def _in_constant_polygon_sql(vectors: FloatArray, point: Point) -> str:
    ra0, dec0 = _angles(vectors.sum(axis=0))
    east = np.array([-math.sin(math.radians(ra0)), math.cos(math.radians(ra0)), 0.0])
    middle = unit_vectors([(ra0, dec0)])[0]
    north = np.cross(middle, east)
    toward = vectors @ middle
    x, y = vectors @ east / toward, vectors @ north / toward
    here = f"{ra0!r}, {dec0!r}, {point.sql}"
    depth = f"sky_toward({here})"
    u, v = "place.u", "place.v"
    crossings = []
    for (x1, y1), (x2, y2) in zip(
        zip(x, y, strict=True), zip(np.roll(x, -1), np.roll(y, -1), strict=True), strict=True
    ):
        low, high = sorted((float(y1), float(y2)))
        if low == high:
            continue
        slope = float((x2 - x1) / (y2 - y1))
        side = f"{u} < {float(x1)!r} + {slope!r} * ({v} - {float(y1)!r})"
        crossings.append(f"CAST({v} > {low!r} AND {v} <= {high!r} AND {side} AS INTEGER)")
    radius = math.degrees(math.atan(np.hypot(x, y).max()))
    bounds = f"{skip_sql(point, ra0, dec0, radius + _MARGIN_DEG)} AND " if point.can_skip else ""
    place = f"{{'u': sky_east({here}) / {depth}, 'v': sky_north({here}) / {depth}}}"
    odd = f"list_transform([{place}], lambda place: ({' + '.join(crossings) or '0'}) % 2 = 1)[1]"
    return f"({bounds}{depth} > 0 AND {odd})"
