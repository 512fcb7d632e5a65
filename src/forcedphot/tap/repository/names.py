"""Which dataset types are which of Rubin's tables."""

from types import MappingProxyType
from typing import NamedTuple

from ..known_schemas import DP02, DP1


class RubinTable(NamedTuple):
    """A table of one of Rubin's schemas."""

    schema: str
    table: str


RUBIN_TABLES = MappingProxyType(
    {
        "object": RubinTable(DP1, "Object"),
        "source": RubinTable(DP1, "Source"),
        "object_forced_source": RubinTable(DP1, "ForcedSource"),
        "dia_object": RubinTable(DP1, "DiaObject"),
        "dia_source": RubinTable(DP1, "DiaSource"),
        "dia_object_forced_source": RubinTable(DP1, "ForcedSourceOnDiaObject"),
        "visit_table": RubinTable(DP1, "Visit"),
        "visit_detector_table": RubinTable(DP1, "CcdVisit"),
        "objectTable_tract": RubinTable(DP02, "Object"),
        "objectTable": RubinTable(DP02, "Object"),
        "sourceTable_visit": RubinTable(DP02, "Source"),
        "sourceTable": RubinTable(DP02, "Source"),
        "forcedSourceTable_tract": RubinTable(DP02, "ForcedSource"),
        "forcedSourceTable": RubinTable(DP02, "ForcedSource"),
        "diaObjectTable_tract": RubinTable(DP02, "DiaObject"),
        "diaSourceTable_tract": RubinTable(DP02, "DiaSource"),
        "diaSourceTable": RubinTable(DP02, "DiaSource"),
        "forcedSourceOnDiaObjectTable_tract": RubinTable(DP02, "ForcedSourceOnDiaObject"),
        "forcedSourceOnDiaObjectTable": RubinTable(DP02, "ForcedSourceOnDiaObject"),
        "visitTable": RubinTable(DP02, "Visit"),
        "ccdVisitTable": RubinTable(DP02, "CcdVisit"),
    }
)
"""By dataset type. Where two are the same table, whose rows they both hold, the first that is there is it."""

COADD_PATCHES = "CoaddPatches"
"""A table of both schemas; it is made from the patches that coadds are of."""

TABLE_STORAGE_CLASSES = frozenset({"ArrowAstropy", "ArrowNumpy", "ArrowTable", "DataFrame"})
"""How the Butler stores tables, if in Parquet files."""

OTHER_TABLES = "datasets"
"""Schema of the survey's tables that Rubin has not."""

POSITIONS = (("ra", "dec"), ("coord_ra", "coord_dec"), ("ra", "decl"))
"""Columns that may be a table's position; where Rubin's tables have two, documents search by the first."""
