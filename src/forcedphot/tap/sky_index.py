"""A table's order on the sky: HEALPix numbers that let a search skip what is far away.

Numbers are those of order 29 in the nested scheme, as HATS catalogs have them; rows that are near
on the sky have near numbers, so that few groups of rows of an ordered file hold what a circle holds.
"""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

INDEX_COLUMN = "_healpix_29"
ORDER = 29
ROWS_PER_GROUP = 122_880
"""Each group costs a search some microseconds, even where it is skipped: more than reading a larger one."""

_DICTIONARY_BYTES = 65_536
"""Columns of more different values than fill it, as numbers of objects are, are read faster as they are."""

_PAGE_BYTES = 65_536
"""Of what is wanted of a group, only these are uncompressed."""

_LARGEST_RADIUS_DEG = 30.0
"""Circles beyond it are searched without the index: they hold much of the sky."""

_FINEST_ORDER = 22
PIXEL_DEG = math.degrees(math.sqrt(math.pi / 3))
"""Size of a pixel of order 0."""

_ORDER_READ_WHOLE = 9
PIXEL_READ_WHOLE_DEG = PIXEL_DEG / (1 << _ORDER_READ_WHOLE)
"""Size of pixels so small that reading what lies between their parts costs less than leaving it out."""


def healpix_numbers(ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Number positions.

    Parameters
    ----------
    ra, dec
        ICRS, degrees, shape (n,).

    Returns
    -------
    HEALPix numbers of order 29, nested; -1 where a position is not finite.
    """
    import hpgeom

    longitude, latitude = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    numbers = np.full(len(longitude), -1, dtype=np.int64)
    finite = np.isfinite(longitude) & (np.abs(latitude) <= 90.0)
    numbers[finite] = hpgeom.angle_to_pixel(1 << ORDER, longitude[finite] % 360.0, latitude[finite])
    return numbers


def healpix_ranges(ra: float, dec: float, radius: float) -> list[tuple[int, int]]:
    """Find the numbers that a circle's positions can have.

    Parameters
    ----------
    ra, dec, radius
        ICRS, degrees.

    Returns
    -------
    First and last number of each range, in order; they cover the circle, and more. Empty where the
    circle is too large for the index to be of use.
    """
    import hpgeom

    if radius > _LARGEST_RADIUS_DEG:
        return []
    order = min(_FINEST_ORDER, max(0, math.floor(math.log2(PIXEL_DEG / max(radius, 1e-9)))))
    # a little more than asked for, as positions on the rim are rounded
    circle = (ra % 360.0, dec, radius * (1 + 1e-9) + 1e-9)
    pixels = np.sort(hpgeom.query_circle(1 << order, *circle, inclusive=True))
    return number_ranges(pixels, order, gap=1 << 2 * max(0, order - _ORDER_READ_WHOLE))


def number_ranges(
    pixels: npt.NDArray[np.int64], order: int, most: int | None = None, gap: int = 1
) -> list[tuple[int, int]]:
    """Turn pixels into ranges of numbers.

    Parameters
    ----------
    pixels
        Of one order, in order.
    order
        Theirs.
    most
        How many ranges there may be: gaps that are smallest are included then.
    gap
        The least number of pixels from one range to the next.

    Returns
    -------
    First and last number of each range, in order.
    """
    if not len(pixels):
        return []
    gaps = np.diff(pixels)
    ends = np.flatnonzero(gaps > gap)
    if most is not None and len(ends) >= most:
        ends = np.sort(ends[np.argsort(gaps[ends])[len(ends) - most + 1 :]])
    first, last = pixels[np.r_[0, ends + 1]], pixels[np.r_[ends, len(pixels) - 1]]
    shift = 2 * (ORDER - order)
    return list(zip((first << shift).tolist(), (((last + 1) << shift) - 1).tolist(), strict=True))


def write_indexed(source: Path, target: Path, ra: str, dec: str) -> None:
    """Copy a Parquet file with the HEALPix number of each row, ordered by it.

    Parameters
    ----------
    source, target
        Parquet files; all rows are held in memory once.
    ra, dec
        Names of the columns of the position, ICRS, degrees.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    if INDEX_COLUMN in table.column_names:
        table = table.drop_columns([INDEX_COLUMN])
    angles = [table.column(name).cast(pa.float64()).to_numpy() for name in (ra, dec)]
    numbers = healpix_numbers(*angles)
    order = np.argsort(numbers, kind="stable")
    table = table.append_column(INDEX_COLUMN, pa.array(numbers)).take(pa.array(order))
    pq.write_table(
        table,
        target,
        row_group_size=ROWS_PER_GROUP,
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        data_page_size=_PAGE_BYTES,
    )
