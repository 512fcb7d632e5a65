"""Measuring what was detected: centroids, then shapes, then all else, with neighbours replaced by noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from ..aperture_correction import ApplyApCorrTask
from ..catalog.footprint import PEAK_SCHEMA, Footprint
from ..catalog.schema import Field, Schema
from ..catalog.source_catalog import SourceCatalog
from ..catalog_calculation import CatalogCalculationTask
from ..errors import ExposureError
from ..exposure import Exposure
from ..id_generator import IdGenerator
from ..measurement import ForcedMeasurementTask
from ..neighbours import NeighbourReplacement, NoiseReplacerConfig
from ..plugins.base import INVALID_PSF_FLAG, missing_component
from ..references import MINIMAL_SCHEMA

KRON = "ext_photometryKron_KronFlux"
"""Begins the fields of Kron fluxes."""

VISIT_PLUGINS = (
    "base_Blendedness",
    "base_CircularApertureFlux",
    "base_GaussianFlux",
    "base_LocalBackground",
    "base_LocalPhotoCalib",
    "base_LocalWcs",
    "base_PixelFlags",
    "base_PsfFlux",
    "base_Variance",
    "ext_shapeHSM_HsmPsfMoments",
    "ext_shapeHSM_HsmPsfMomentsDebiased",
    "ext_shapeHSM_HsmShapeRegauss",
    "ext_shapeHSM_HsmSourceMoments",
)
"""What is measured of sources on a visit image, beside centroids and shapes."""

COADD_PLUGINS = (*VISIT_PLUGINS, KRON, "ext_shapeHSM_HsmSourceMomentsRound")
"""What is measured of objects on a coadd, each at its own centroid."""

FORCED_PLUGINS = (
    "base_CircularApertureFlux",
    "base_GaussianFlux",
    "base_LocalBackground",
    "base_PixelFlags",
    "base_PsfFlux",
    KRON,
)
"""What is measured of objects on a coadd at the reference's centroid."""

DIFFERENCE_PLUGINS = ("base_CircularApertureFlux", "base_PixelFlags", "base_PsfFlux")
"""What is measured of sources on a difference image."""

_N_RADIUS_SIGMAS = 6.0
_COADD_PLANES = ("CLIPPED", "SENSOR_EDGE", "INEXACT_PSF")
"""Mask planes that make flags too, on images that have them."""


_SLOTS = {
    "slot_Centroid": "base_SdssCentroid",
    "slot_Shape": "base_SdssShape",
    "slot_PsfShape": "base_SdssShape_psf",
    "slot_PsfFlux": "base_PsfFlux",
    "slot_GaussianFlux": "base_GaussianFlux",
    "slot_ModelFlux": "base_GaussianFlux",
    "slot_ApFlux": "base_CircularApertureFlux_12_0",
    "slot_CalibFlux": "base_CircularApertureFlux_12_0",
}
_CALCULATIONS = {
    "base_FootprintArea": ("slot_PsfFlux_instFlux",),
    "base_ClassificationExtendedness": ("slot_ModelFlux_instFlux", "slot_PsfFlux_instFlux"),
    "base_ClassificationSizeExtendedness": ("slot_Shape_xx", "slot_PsfShape_xx"),
}


def family_catalog(
    footprints: Sequence[Footprint], children: Sequence[Sequence[Footprint]], ids: IdGenerator
) -> SourceCatalog:
    """Make a catalog of footprints, and after them of their children.

    Parameters
    ----------
    footprints
        Those without a parent. What their peaks record beside `PEAK_SCHEMA` becomes flags, of any of its peaks.
    children
        Of each, in the order of its peaks; none if it has one peak.
    ids
        Makes the ids, with counters from 1.
    """
    schema = MINIMAL_SCHEMA.copy()
    schema.add_field("deblend_nChild", "int32", "Number of children this object has (defaults to 0)")
    schema.add_field("deblend_nPeaks", "int32", "Number of initial peaks in the blend")
    for axis in ("x", "y"):
        schema.add_field(
            f"deblend_peak_center_{axis}", "int32", f"Center {axis} coordinate of the first peak", "pixel"
        )
    recorded = footprints[0].peaks.schema if footprints else PEAK_SCHEMA
    flags = [schema.add(field) for field in recorded if field.name not in PEAK_SCHEMA]
    everything = [*footprints, *chain.from_iterable(children)]
    n_children = np.array([len(family) for family in children], dtype=np.int32)
    columns = schema.allocate(len(everything))
    columns["id"][:] = ids.arange(1, len(everything) + 1)
    columns["deblend_nChild"][: len(footprints)] = n_children
    columns["deblend_nPeaks"][:] = [len(footprint.peaks) for footprint in everything]
    for axis in ("x", "y"):
        columns[f"deblend_peak_center_{axis}"][:] = [footprint.peaks[f"i_{axis}"][0] for footprint in everything]
    columns["parent"][len(footprints) :] = np.repeat(columns["id"][: len(footprints)], n_children)
    for name in flags:
        columns[name][:] = [bool(footprint.peaks[name].any()) for footprint in everything]
    return SourceCatalog(schema, columns, footprints=everything)


def measure(
    exposure: Exposure, detected: SourceCatalog, plugins: Sequence[str], *, exposure_id: int = 0
) -> SourceCatalog:
    """Measure sources at their own centroids, those of the maxima near their first peaks.

    Parameters
    ----------
    exposure
        The image, with all its parts.
    detected
        What `family_catalog` made; its columns begin the result.
    plugins
        What to measure.
    exposure_id
        Seed of the noise in place of neighbours.

    Returns
    -------
    Row for row, with the fields of base_SdssCentroid, base_SdssShape and the plugins, slots, and extendedness
    where there are Gaussian fluxes. Fluxes are in the image's unit, and corrected where the image says how.
    """
    centred = _pass(exposure, detected, ("base_SdssCentroid",), "base_PeakCentroid", exposure_id)
    centred.schema.set_alias("slot_Centroid", "base_SdssCentroid")
    shaped = _pass(exposure, centred, ("base_SdssShape",), "base_TransformedCentroid", exposure_id)
    shaped.schema.set_alias("slot_Centroid", "base_SdssCentroid")
    shaped.schema.set_alias("slot_Shape", "base_SdssShape")
    if KRON in plugins:
        radius = Field(f"{KRON}_radius", "float32", "Kron radius (sqrt(a*b))")
        shaped = shaped.with_columns({radius: _kron_radii(exposure, shaped, exposure_id)})
    # The plugin copies the radius, under the same name.
    copied = {field.name: field.name for field in shaped.schema if field.name != f"{KRON}_radius"}
    return _measured(exposure, shaped, plugins, copied, _SLOTS, exposure_id)


def measure_forced(
    exposure: Exposure,
    reference: SourceCatalog,
    plugins: Sequence[str],
    *,
    copied: Mapping[str, str],
    exposure_id: int = 0,
) -> SourceCatalog:
    """Measure sources at the centroids, and with the shapes, of a reference on the same pixels.

    Parameters
    ----------
    exposure
        The image.
    reference
        With slots of centroids and shapes, this image's footprints, and Kron radii if they are needed.
    plugins
        What to measure.
    copied
        Columns to copy, and their new names.
    exposure_id
        Seed of the noise in place of neighbours.
    """
    slots = {**_SLOTS, "slot_Centroid": "base_TransformedCentroid", "slot_Shape": "base_TransformedShape"}
    return _measured(exposure, reference, plugins, copied, slots, exposure_id)


def _measured(
    exposure: Exposure,
    reference: SourceCatalog,
    plugins: Sequence[str],
    copied: Mapping[str, str],
    slots: Mapping[str, str],
    exposure_id: int,
) -> SourceCatalog:
    tasks = _tasks(
        *_hashable(reference.schema),
        tuple(plugins),
        "base_TransformedCentroid",
        "base_TransformedShape",
        tuple(copied.items()),
        tuple(slots.items()),
        tuple(
            name for name in _COADD_PLANES if exposure.mask is not None and exposure.mask.find(name) is not None
        ),
    )
    catalog = _run(tasks.measurement, exposure, reference, exposure_id)
    if exposure.aperture_corrections is not None:
        tasks.corrections.run(catalog, exposure.aperture_corrections, bbox=exposure.bbox)
    tasks.calculations.run(catalog)
    if exposure.wcs is None:
        raise ExposureError(missing_component(exposure, "WCS"))
    centroid = catalog["slot_Centroid_x"], catalog["slot_Centroid_y"]
    catalog["coord_ra"], catalog["coord_dec"] = exposure.wcs.pixel_to_sky(*centroid)
    return catalog


def _pass(
    exposure: Exposure, reference: SourceCatalog, plugins: tuple[str, ...], centroid: str, exposure_id: int
) -> SourceCatalog:
    """Put the fields of some plugins behind the reference's own."""
    own = tuple((field.name, field.name) for field in reference.schema)
    tasks = _tasks(*_hashable(reference.schema), plugins, centroid, None, own, ())
    catalog = _run(tasks.measurement, exposure, reference, exposure_id)
    passing = (f"{centroid}_", INVALID_PSF_FLAG)
    schema = Schema(field for field in catalog.schema if not field.name.startswith(passing))
    return SourceCatalog(schema, catalog.columns, catalog.metadata, footprints=catalog.footprints)


class _Tasks(NamedTuple):
    measurement: ForcedMeasurementTask
    corrections: ApplyApCorrTask
    calculations: CatalogCalculationTask


def _hashable(schema: Schema) -> tuple[tuple[Field, ...], tuple[tuple[str, str], ...]]:
    return tuple(schema), tuple(schema.aliases.items())


# Making tasks takes longer than measuring some hundred sources; the images of a survey need the same few.
@cache
def _tasks(
    fields: tuple[Field, ...],
    aliases: tuple[tuple[str, str], ...],
    plugins: tuple[str, ...],
    centroid: str,
    shape: str | None,
    copied: tuple[tuple[str, str], ...],
    slots: tuple[tuple[str, str], ...],
    planes: tuple[str, ...] = (),
) -> _Tasks:
    """Make the tasks for a reference of some fields and aliases; slots that no field fills are left out."""
    config = ForcedMeasurementTask.ConfigClass()
    config.plugins.names = list(dict.fromkeys([centroid, *([shape] if shape else []), *plugins]))
    config.slots.centroid, config.slots.shape, config.slots.psfShape = centroid, shape, None
    config.copyColumns = {source: target for source, target in copied if target not in ("id", "parent")}
    for where in ("masksFpAnywhere", "masksFpCenter"):
        setattr(config.plugins["base_PixelFlags"], where, list(planes))
    measurement = ForcedMeasurementTask(refSchema=Schema(fields, dict(aliases)), config=config)
    schema = measurement.schema
    for slot, target in slots:
        if any(field.name.startswith(f"{target}_") for field in schema):
            schema.set_alias(slot, target)
    corrections = ApplyApCorrTask(schema=schema, fluxes=measurement.corrected_fluxes)
    calculation_config = CatalogCalculationTask.ConfigClass()
    calculation_config.plugins.names = [
        name for name, needed in _CALCULATIONS.items() if all(schema.has(field) for field in needed)
    ]
    return _Tasks(measurement, corrections, CatalogCalculationTask(schema=schema, config=calculation_config))


def _run(
    task: ForcedMeasurementTask, exposure: Exposure, reference: SourceCatalog, exposure_id: int
) -> SourceCatalog:
    catalog = task.generateMeasCat(exposure, reference)
    catalog["id"], catalog["parent"] = reference["id"], reference["parent"]
    catalog.footprints = reference.footprints
    task.run(catalog, exposure, reference, exposureId=exposure_id)
    return catalog


def _kron_radii(exposure: Exposure, shaped: SourceCatalog, exposure_id: int) -> Any:
    from ..kernels.kron import measure_kron_radii, psf_kron_radius

    x, y = shaped["slot_Centroid_x"] - exposure.x0, shaped["slot_Centroid_y"] - exposure.y0
    moments = np.stack([shaped[f"slot_Shape_{part}"] for part in ("xx", "yy", "xy")], axis=1)
    psf = np.stack([shaped[f"base_SdssShape_psf_{part}"] for part in ("xx", "yy", "xy")], axis=1)
    assert shaped.footprints is not None  # noqa: S101 - detected sources have them
    replacement = NeighbourReplacement(
        NoiseReplacerConfig(), exposure, shaped.footprints, shaped["id"], shaped["parent"], exposure_id
    )
    radii = np.full(len(shaped), np.nan)
    rows = np.flatnonzero(exposure.bbox.contains(shaped["slot_Centroid_x"], shaped["slot_Centroid_y"]))
    for group in replacement.groups(rows, shaped["slot_Centroid_x"][rows], shaped["slot_Centroid_y"][rows]):
        with replacement.inserted(group) as seen:
            radii[group] = measure_kron_radii(
                seen.image,
                x[group],
                y[group],
                moments[group],
                n_sigma=_N_RADIUS_SIGMAS,
                n_iterations=1,
                smoothing_sigma=-1.0,
            ).radius
    # NaN where no radius could be measured; then it is the PSF's, too.
    return np.fmax(radii, psf_kron_radius(psf, -1.0)).astype(np.float32)
