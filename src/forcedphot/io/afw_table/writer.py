"""Writing catalogs as afw table files, with their footprints in an archive, so that the pipelines read them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from ...catalog.schema import Field
from ...catalog.source_catalog import SourceCatalog
from ..atomic import atomic_output
from .archive_writer import encode_footprints
from .encode import Cards, encode_table
from .table_hdu import ARCHIVE_CARD, TYPE_CARD, is_table_card

_ARCHIVE_HDU = 3  # counted from 1: behind the primary HDU and the catalog
_FOOTPRINT_FIELD = Field("footprint", "int32", "archive ID for Footprint")
_EXPOSURE_OBJECTS = (
    "wcs", "psf", "calib", "photoCalib", "apCorrMap", "validPolygon", "visitInfo", "transmissionCurve", "detector",
)  # fmt: skip


def write_afw_table(catalog: SourceCatalog, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a catalog as the Science Pipelines (lsst.afw.table) do, in the newest version of their layout.

    The file is written whole or not at all. Of metadata, only what a FITS header holds is written: numbers, truth
    values, texts, and lists of them.

    Parameters
    ----------
    catalog
        The catalog. Objects that rows of an EXPOSURE catalog refer to are written if the catalog has them; if
        not, the rows refer to none.
    path
        Where to; gzipped if its name ends with ``.gz``.
    overwrite
        Replace an existing file.

    Raises
    ------
    OutputError
        If the file exists and shall not be replaced, or cannot be written, or has no place for a column.
    """
    with atomic_output(path, overwrite=overwrite) as temporary:
        data = _primary() + _hdus(catalog)
        temporary.write_bytes(gzip.compress(data) if temporary.name.lower().endswith(".gz") else data)


def _hdus(catalog: SourceCatalog) -> bytes:
    schema, columns = catalog.schema, dict(catalog.columns)
    cards = _metadata_cards(catalog.metadata)
    archive = b""
    if catalog.kind == "SOURCE" and catalog.footprints is not None:
        schema = schema.copy()
        archive, columns[schema.add(_FOOTPRINT_FIELD)] = encode_footprints(list(catalog.footprints))
    elif catalog.archive is not None:
        archive = catalog.archive
    elif catalog.kind == "EXPOSURE":
        columns |= {name: np.zeros_like(columns[name]) for name in _EXPOSURE_OBJECTS if name in columns}
    if archive:
        cards.append((ARCHIVE_CARD, _ARCHIVE_HDU, "HDU (1-indexed) containing the archive index"))
    last: Cards = []
    if catalog.kind != "BASE":
        last.append((TYPE_CARD, catalog.kind, "Tells lsst::afw what table this is"))
    return encode_table(schema, columns, len(catalog), cards, last=last) + archive


def _metadata_cards(metadata: dict[str, Any]) -> Cards:
    cards: Cards = []
    for key, value in metadata.items():
        values = [_plain(one) for one in (value if isinstance(value, list | tuple) else [value])]
        if not is_table_card(key):
            cards += [(key, one) for one in values if isinstance(one, bool | int | float | str | None)]
    return cards


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _primary() -> bytes:
    from astropy.io import fits

    header = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])
    text: str = header.tostring()
    return text.encode("ascii")
