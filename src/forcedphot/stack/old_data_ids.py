"""Data IDs as they were: filters by the camera's names, patches by column and row, CCDs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetType

_ONLY_ONE = {"tract": "skymap", "patch": "skymap", "visit": "instrument", "detector": "instrument"}
"""What an old repository had one of, and the dimensions that need it today."""


def translate(butler: Butler, dataset_type: DatasetType, old: Mapping[str, Any]) -> dict[str, Any]:
    """Turn an old data ID into one of today.

    Parameters
    ----------
    butler
        Where to look up filters and patches.
    dataset_type
        Whose data ID it is; parts that it does not depend on are left out, as the old Butler did.
    old
        ``filter``, as ``HSC-R``, or ``HSC-R^HSC-I`` where all filters have one dataset; ``patch``, as ``1,1``, or
        its number; ``ccd`` or ``detector``; ``tract``, ``visit``, and dimensions of today.

    Raises
    ------
    ConfigurationError
        If there is no such filter or patch, more than one filter is given where there can be one only, or the
        repository has more than one sky map or instrument, and none is given.
    """
    wanted = set(dataset_type.dimensions.names)
    new = {"detector" if name == "ccd" else name: value for name, value in old.items() if name != "filter"}
    for name, group in _ONLY_ONE.items():
        if name in new and group not in new:
            new[group] = _the_only(butler, group)
    if "filter" in old:
        bands = [_band(butler, name) for name in str(old["filter"]).split("^")]
        if "band" in wanted and len(bands) > 1:
            raise ConfigurationError(f"{dataset_type.name} is of one filter, not of {old['filter']}.")
        new.setdefault("band", bands[0])
    if "," in str(new.get("patch", "")):
        new["patch"] = _patch(butler, new)
    return {name: value for name, value in new.items() if name in wanted}


def _the_only(butler: Butler, dimension: str) -> str:
    names = sorted(record.dataId[dimension] for record in butler.query_dimension_records(dimension))
    if len(names) != 1:
        raise ConfigurationError(f"Say which {dimension} is meant: there are {', '.join(map(str, names))}.")
    return str(names[0])


def _band(butler: Butler, physical_filter: str) -> str:
    records = butler.query_dimension_records("physical_filter")
    bands = {record.name: record.band for record in records}
    if physical_filter not in bands:
        raise ConfigurationError(f"There is no filter {physical_filter}; there are {', '.join(sorted(bands))}.")
    return str(bands[physical_filter])


def _patch(butler: Butler, data_id: Mapping[str, Any]) -> int:
    text = str(data_id["patch"])
    if "tract" not in data_id:
        raise ConfigurationError(f"The patch {text} needs a tract.")
    column, _, row = text.partition(",")
    if not (column.strip().isdecimal() and row.strip().isdecimal()):
        raise ConfigurationError(f"A patch is column,row as in '1,1', or a number; not {text!r}.")
    found = butler.query_dimension_records(
        "patch",
        where="skymap = :skymap AND tract = :tract AND patch.cell_x = :column AND patch.cell_y = :row",
        bind={
            "skymap": data_id["skymap"],
            "tract": data_id["tract"],
            "column": int(column),
            "row": int(row),
        },
        explain=False,
    )
    if not found:
        raise ConfigurationError(f"Tract {data_id['tract']} has no patch {text}.")
    return int(found[0].id)
