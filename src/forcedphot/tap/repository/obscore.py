"""ivoa.ObsCore: the images of a repository, a row each, as ObsCore 1.1 describes observations."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..holdings import HeldColumn, HeldSchema
from ..known_schemas import OBSCORE, KnownTable, known_schema
from ..tables import ColumnMetadata
from .discovery import FoundImage

if TYPE_CHECKING:
    from lsst.sphgeom import Region

AUTHORITY = "forcedphot"
"""Of identifiers: these are of the copies in a repository, not of those at Rubin's archive."""

_NAME = "ObsCore"

# of ObsCore 1.1; Rubin's schema leaves them out
_FURTHER = (
    ColumnMetadata(
        "access_estsize",
        "int64",
        "kbyte",
        "phys.size;meta.file",
        "Access.size",
        "Estimated size of dataset: in kilobytes",
    ),
    ColumnMetadata(
        "pol_states",
        "string",
        ucd="meta.code;phys.polarization",
        utype="Char.PolarizationAxis.stateList",
        description="List of polarization states present in the data file",
    ),
)

_UTYPES = {
    "Access.format": "Access.Format",
    "Access.reference": "Access.Reference",
    "Access.size": "Access.Size",
    "Curation.publisherDID": "Curation.PublisherDID",
    "DataID.collection": "DataID.Collection",
    "DataID.title": "DataID.Title",
    "Provenance.ObsConfig.Facility.name": "Provenance.ObsConfig.facility.name",
    "Provenance.ObsConfig.Instrument.name": "Provenance.ObsConfig.instrument.name",
    "Target.name": "Target.Name",
}
"""ObsCore's own where Rubin's schema spells them otherwise; clients compare them letter by letter."""

_FACILITIES = {"LSST": "Rubin:Simonyi", "LATISS": "Rubin:1.2m", "HSC": "Subaru", "Suprime": "Subaru"}
"""By the beginning of the instrument's name."""

_RUBIN_BANDS_NM = {
    "u": (324.0, 395.0),
    "g": (405.0, 552.0),
    "r": (552.0, 691.0),
    "i": (691.0, 818.0),
    "z": (818.0, 921.0),
    "y": (922.0, 997.0),
}
_HSC_BANDS_NM = {
    "g": (405.65, 545.15),
    "r": (542.35, 692.65),
    "i": (692.4, 849.8),
    "z": (851.5, 928.1),
    "y": (936.95, 1015.45),
}
"""Where the throughput is half of the largest (Kawanomoto et al. 2018)."""

_DIFFERENCES = ("DifferenceImage",)
_FITS_BLOCK = 2880


def obscore_schema(
    images: Sequence[FoundImage],
    url_of: Callable[[str], str],
    label: str,
    detectors: Mapping[tuple[int, int], Mapping[str, Any]],
) -> HeldSchema:
    """Make the schema ivoa.

    Parameters
    ----------
    images
        Their data ids have records.
    url_of
        Makes the URL of a file of a dataset's id.
    label
        Of the repository, for identifiers.
    detectors
        Further values by visit and detector, and by column.
    """
    schema = known_schema(OBSCORE)
    known = schema.tables[_NAME]
    further = {column.name: HeldColumn(column, principal=True, standard=True) for column in _FURTHER}
    columns = {name: _with_utype(column) for name, column in {**known.columns, **further}.items()}
    table = KnownTable(_NAME, known.description, columns)
    instruments: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if "instrument" in image.ref.dataId:
            instruments[image.collection].add(str(image.ref.dataId["instrument"]))
    rows = [_row(image, instruments[image.collection], url_of, label, detectors) for image in images]
    values = {name: [row.get(name) for row in rows] for name in table.columns}
    return HeldSchema(OBSCORE, schema.description, (table.fill(f"{OBSCORE}.{_NAME}", values),))


def _with_utype(column: HeldColumn) -> HeldColumn:
    utype = column.metadata.utype
    if not utype or not column.standard:
        return column
    return replace(column, metadata=replace(column.metadata, utype=f"obscore:{_UTYPES.get(utype, utype)}"))


def _row(
    image: FoundImage,
    instruments: Iterable[str],
    url_of: Callable[[str], str],
    label: str,
    detectors: Mapping[tuple[int, int], Mapping[str, Any]],
) -> dict[str, Any]:
    ref, data_id = image.ref, image.ref.dataId
    values = dict(data_id.mapping)
    is_coadd = "patch" in values
    # a coadd's own data id has no instrument; one that all visits of the survey have is its, too
    known = {str(values["instrument"])} if "instrument" in values else set(instruments)
    instrument = known.pop() if len(known) == 1 else None
    named = ("tract", "patch", "band") if is_coadd else ("visit", "detector")
    observation = "-".join(str(values[name]) for name in named if name in values)
    identifier = quote(label)
    stat = image.path.stat()
    row: dict[str, Any] = {
        "dataproduct_type": "image",
        "dataproduct_subtype": f"lsst.{ref.datasetType.name}",
        "obs_title": f"{ref.datasetType.name} {observation}",
        "calib_level": 3 if is_coadd or ref.datasetType.storageClass_name in _DIFFERENCES else 2,
        "obs_collection": image.collection,
        "obs_id": observation,
        "obs_publisher_did": f"ivo://{AUTHORITY}/{identifier}?repo={identifier}&id={ref.id}",
        "access_url": url_of(str(ref.id)),
        "access_format": "application/fits",
        "access_estsize": max(1, round(stat.st_size / 1000)),
        "o_ucd": "phot.flux.density",
        "t_xel": 1,
        "em_xel": 1,
        "pol_xel": -1,  # polarization is not measured
        "facility_name": _facility(instrument),
        "instrument_name": instrument,
        "lsst_visit": values.get("visit"),
        "lsst_detector": values.get("detector"),
        "lsst_tract": values.get("tract"),
        "lsst_patch": values.get("patch"),
        "lsst_band": values.get("band"),
        "lsst_filter": values.get("physical_filter"),
    }
    row |= _spectral(instrument, values.get("band")) | describe_region(data_id.region)
    size = _image_size(image.path, stat.st_mtime_ns)
    if size is not None:
        row |= {"s_xel1": size[0], "s_xel2": size[1]}
    if "visit" in values:
        row |= _of_visit(data_id.records["visit"])
        row |= detectors.get((values["visit"], values.get("detector", -1)), {})
    return row


def _of_visit(record: Any) -> dict[str, Any]:
    row = {"target_name": record.target_name, "t_exptime": record.exposure_time}
    row["t_resolution"] = record.exposure_time
    if record.timespan is not None and record.timespan.begin is not None and record.timespan.end is not None:
        row |= {"t_min": float(record.timespan.begin.tai.mjd), "t_max": float(record.timespan.end.tai.mjd)}
    return row


def _facility(instrument: str | None) -> str | None:
    names = (name for start, name in _FACILITIES.items() if (instrument or "").startswith(start))
    return next(names, instrument)


def _spectral(instrument: str | None, band: str | None) -> dict[str, float]:
    bands = _HSC_BANDS_NM if instrument == "HSC" else _RUBIN_BANDS_NM
    if band not in bands:
        return {}
    low, high = bands[band]
    return {"em_min": low * 1e-9, "em_max": high * 1e-9, "em_res_power": (low + high) / 2 / (high - low)}


def describe_region(region: "Region | None") -> dict[str, Any]:
    """Return ObsCore's columns of a region: its centre, extent and, of polygons, outline."""
    from lsst.sphgeom import ConvexPolygon, LonLat

    if region is None:
        return {}
    circle = region.getBoundingCircle()
    polygon: Any = region if isinstance(region, ConvexPolygon) else None
    center = LonLat(circle.getCenter() if polygon is None else polygon.getCentroid())
    row: dict[str, Any] = {
        "s_ra": center.getLon().asDegrees(),
        "s_dec": center.getLat().asDegrees(),
        "s_fov": 2.0 * circle.getOpeningAngle().asDegrees(),
    }
    if polygon is not None:
        # DALI wants vertices counter-clockwise as seen from within the sphere; sphgeom has them so from without
        vertices = [LonLat(vertex) for vertex in reversed(polygon.getVertices())]
        angles = [angle.asDegrees() for place in vertices for angle in (place.getLon(), place.getLat())]
        row["s_region"] = " ".join(["POLYGON ICRS", *(f"{angle:.9f}" for angle in angles)])
    return row


@lru_cache(maxsize=1_000_000)
def _image_size(path: Path, _modified_ns: int) -> tuple[int, int] | None:
    """Read width and height of the first image of a FITS file, from its header alone."""
    from astropy.io import fits

    try:
        with path.open("rb") as file:
            for _ in range(2):  # the image is the primary one, or the first extension
                header = fits.Header.fromfile(file)
                sizes = [header.get(f"ZNAXIS{axis}", header.get(f"NAXIS{axis}")) for axis in (1, 2)]
                if header.get("ZNAXIS", header["NAXIS"]) == 2 and None not in sizes:
                    return int(sizes[0]), int(sizes[1])
                bits = abs(header["BITPIX"]) * math.prod(header[f"NAXIS{n + 1}"] for n in range(header["NAXIS"]))
                data = bits // 8 if header["NAXIS"] else 0
                file.seek(math.ceil(data / _FITS_BLOCK) * _FITS_BLOCK, 1)
    except (OSError, EOFError, KeyError, ValueError):
        return None
    return None
