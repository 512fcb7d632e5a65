"""Plugins on the pipelines' tables of single-frame measurement: its centroids, shapes and footprints as given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.footprint import Footprint, FootprintColumn
from forcedphot.catalog.schema import Columns, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import IntArray
from forcedphot.plugins import SourceBatch, registry

_GIVEN = ("slot_Centroid_x", "slot_Centroid_y", "slot_Shape_xx", "slot_Shape_yy", "slot_Shape_xy")
_GIVEN_FLAGS = ("slot_Centroid_flag", "slot_Shape_flag")


def measure_single_frame(
    plugin_name: str,
    exposure: Exposure,
    table: Table,
    *,
    settings: Mapping[str, Any] | None = None,
    footprints: FootprintColumn | None = None,
    given: Mapping[str, npt.NDArray[Any]] | None = None,
    unreplaced: Exposure | None = None,
    rows: IntArray | None = None,
) -> tuple[Columns, Schema]:
    """Run a plugin on the rows of a table; return its columns and their schema.

    Parameters
    ----------
    settings
        Of the plugin, where they are not the default.
    footprints
        One for each row of the table.
    given
        Columns that other plugins have filled, beside those of the slots.
    unreplaced
        The exposure before neighbours were replaced by noise.
    rows
        The rows to measure; all if None.
    """
    schema = Schema()
    for slot in ("Centroid", "Shape"):
        schema.set_alias(f"slot_{slot}", f"given_{slot}")
    for name, values in (given or {}).items():
        schema.add_field(name, values.dtype.name, "")
    config = registry[plugin_name].ConfigClass()
    for name, value in (settings or {}).items():
        setattr(config, name, value)
    config.validate()
    plugin = registry[plugin_name](config, plugin_name, schema, {}, Schema())
    fields = schema.copy()
    for name in _GIVEN:
        fields.add_field(name.replace("slot_", "given_"), "float64", "")
    for name in _GIVEN_FLAGS:
        fields.add_field(name.replace("slot_", "given_"), "bool", "")
    rows = np.arange(len(table)) if rows is None else rows
    columns = fields.allocate(len(rows))
    for name in (*_GIVEN, *_GIVEN_FLAGS):
        columns[name.replace("slot_", "given_")][:] = table[name][rows]
    for name, values in (given or {}).items():
        columns[name][:] = values[rows]
    columns["base_InvalidPsf_flag"] = np.zeros(len(rows), dtype=bool)
    batch = SourceBatch(
        exposure,
        columns,
        fields,
        columns["given_Centroid_x"],
        columns["given_Centroid_y"],
        reference=SourceCatalog(Schema(), {}),
        rows=rows,
        reference_wcs=exposure.wcs,  # type: ignore[arg-type]
        footprints=footprints,
        unreplaced_image=None if unreplaced is None else unreplaced.image,
    )
    plugin.measure(batch)
    plugin.flag_bad_slots(batch)
    return columns, schema


def read_footprints(path: Path) -> FootprintColumn:
    """Read the spans of footprints, in the order of the table."""
    with np.load(path) as arrays:
        spans = [arrays[f"spans_{i}"] for i in range(len(arrays["ids"]))]
    footprints = np.empty(len(spans), dtype=object)
    footprints[:] = [footprint(rows) for rows in spans]
    return footprints


def footprint(spans: npt.NDArray[Any]) -> Footprint:
    """Make a footprint without peaks from its spans, shape (n, 3): y, x0, x1."""
    return Footprint(spans=spans.astype(np.int32), peaks=SourceCatalog(Schema(), {}))
