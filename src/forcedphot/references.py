"""References: the catalog that stands for a table of positions."""

from .catalog.schema import Schema
from .catalog.source_catalog import SourceCatalog
from .conventions import FloatArray, IntArray

MINIMAL_SCHEMA = Schema()
"""The fields that every catalog of sources has."""
MINIMAL_SCHEMA.add_field("id", "int64", "unique ID")
MINIMAL_SCHEMA.add_field("coord_ra", "Angle", "position in ra/dec")
MINIMAL_SCHEMA.add_field("coord_dec", "Angle", "position in ra/dec")
MINIMAL_SCHEMA.add_field("parent", "int64", "unique ID of parent source")

REFERENCE_SCHEMA = MINIMAL_SCHEMA.copy()
"""What a table of positions says of each source."""
REFERENCE_SCHEMA.add_field("deblend_nChild", "int32", "Needed for minimal forced photometry schema")


def reference_catalog(ids: IntArray, ra: FloatArray, dec: FloatArray) -> SourceCatalog:
    """Make a catalog of sources without parents or children.

    Parameters
    ----------
    ids
        int64, shape (n,).
    ra, dec
        ICRS, radians, shape (n,); NaN where unknown.
    """
    columns = REFERENCE_SCHEMA.allocate(len(ids))
    columns["id"][:], columns["coord_ra"][:], columns["coord_dec"][:] = ids, ra, dec
    return SourceCatalog(REFERENCE_SCHEMA, columns)
