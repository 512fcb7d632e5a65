"""Forced measurement with a reference catalog, as the golden data's README describes it, and its comparison."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.aperture_correction import ApplyApCorrTask
from forcedphot.catalog.footprint import FootprintColumn
from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.exposure import Wcs
from forcedphot.measurement import ForcedMeasurementTask
from forcedphot.measurement_config import ForcedMeasurementConfig

from .tolerances import KERNEL_IMAGE, PsfTolerance, allowed_difference


def reference_catalog(path: Path, aliases: Mapping[str, str] | None = None) -> SourceCatalog:
    """Read a reference table: its slots' columns become aliases again."""
    table = Table.read(path)
    if aliases is None:
        aliases = {"slot_Centroid": "ref_centroid", "slot_Shape": "ref_shape"}
    names = [name for name in table.colnames if not any(name.startswith(alias) for alias in aliases)]
    fields = [
        Field(
            name,
            table[name].dtype.name,
            table[name].description or "",
            str(table[name].unit or ""),
            is_angle=name in ("coord_ra", "coord_dec"),
        )
        for name in names
    ]
    columns = {name: np.ascontiguousarray(table[name]) for name in names}
    return SourceCatalog(Schema(fields, aliases), columns)


def configure(
    names: Iterable[str],
    slots: Mapping[str, str | None],
    plugin_config: Mapping[str, Mapping[str, Any]] | None = None,
) -> ForcedMeasurementConfig:
    """Choose plugins, their slots and settings."""
    config = ForcedMeasurementConfig()
    config.plugins.names = list(names)
    for slot, target in slots.items():
        setattr(config.slots, slot, target)
    for name, settings in (plugin_config or {}).items():
        if name in config.plugins.names:
            update(config.plugins[name], settings)
    return config


def update(config: Any, settings: Mapping[str, Any]) -> None:
    """Set fields of a configuration, nested ones too."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            update(getattr(config, key), value)
        else:
            setattr(config, key, value)


def measure_case(
    folder: Path,
    names: Sequence[str] | None = None,
    *,
    footprints: FootprintColumn | None = None,
    reference_wcs: Wcs | None = None,
    reference_aliases: Mapping[str, str] | None = None,
    exposure_id: int | None = None,
    with_aperture_corrections: bool = True,
    **slots: str | None,
) -> tuple[Table, Table]:
    """Return our table and the pipelines'.

    Parameters
    ----------
    folder
        A case of all_plugins or neighbours.
    names
        Plugins to run; those of the case if None. The centroid's always runs.
    footprints
        One a source; from the PSF's shape if None.
    slots
        Plugins of slots, instead of the case's: a slot whose plugin does not run is to be None. The slot of
        PSF fluxes is ``psf_flux``.
    """
    options = yaml.safe_load((folder / "config.yaml").read_text())
    if "psf_flux" in slots:
        slots["psfFlux"] = slots.pop("psf_flux")
    chosen = options["plugins"] if names is None else list(names)
    targets = {**options["slots"], **slots}
    targets = {
        slot: target if target and any(target.startswith(name) for name in chosen) else None
        for slot, target in targets.items()
    }
    config = configure(chosen, targets, options.get("plugin_config"))
    config.doReplaceWithNoise = options["doReplaceWithNoise"]
    reference = reference_catalog(folder / "reference.ecsv", reference_aliases)
    config.copyColumns = options.get("copyColumns", dict(config.copyColumns))
    exposure = Exposure.read(exposure_path(folder))
    task = ForcedMeasurementTask(refSchema=reference.schema, config=config)
    corrections = ApplyApCorrTask(schema=task.schema, fluxes=task.corrected_fluxes)
    catalog = task.generateMeasCat(exposure, reference)
    if footprints is None:
        task.attachPsfShapeFootprints(catalog, exposure, scaling=options.get("psf_footprint_scaling", 3.0))
    else:
        catalog.footprints = footprints
    task.run(catalog, exposure, reference, reference_wcs or exposure.wcs, exposureId=exposure_id)
    if exposure.aperture_corrections is not None and with_aperture_corrections:
        corrections.run(catalog, exposure.aperture_corrections, bbox=exposure.bbox)
    return catalog.asAstropy(), Table.read(folder / "measured.ecsv")


def exposure_path(folder: Path) -> Path:
    """Return the case's image, which may be another case's."""
    own = folder / "exposure.fits"
    if own.exists():
        return own
    other = (folder / "exposure.txt").read_text().split()[-1]
    return (folder / other / "exposure.fits").resolve()


def differences(
    ours: Table,
    expected: Table,
    names: Iterable[str] | None = None,
    *,
    psf: PsfTolerance = KERNEL_IMAGE,
    rows: Any = None,
) -> list[str]:
    """Say in which columns two tables differ by more than allowed.

    Parameters
    ----------
    names
        Columns to compare; all of the pipelines' table, and their order, if None.
    rows
        Rows to compare; all if None.
    """
    found = []
    if names is None:
        names = expected.colnames
        if ours.colnames != expected.colnames:
            found.append(f"columns: {set(ours.colnames) ^ set(expected.colnames) or 'order'}")
    missing = [name for name in names if name not in expected.colnames or name not in ours.colnames]
    if missing:
        return [*found, f"missing: {missing}"]
    chosen = slice(None) if rows is None else rows
    for name in names:
        a, b = ours[name], expected[name]
        found += [
            f"{name}.{attribute}: {getattr(a, attribute)} is not {getattr(b, attribute)}"
            for attribute in ("dtype", "unit", "description")
            if getattr(a, attribute) != getattr(b, attribute)
        ]
        values, reference = np.asarray(a)[chosen], np.asarray(b)[chosen]
        if values.dtype.kind != "f":
            bad = values != reference
        else:
            allowed = allowed_difference(expected, name, psf=psf, is_variance_scaled=False)[chosen]
            bad = np.isnan(values) != np.isnan(reference)
            with np.errstate(invalid="ignore"):
                bad |= np.abs(values.astype(np.float64) - reference) > allowed
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            found.append(
                f"{name}: {int(bad.sum())} rows, the first is {row}: {values[row]!r} is not {reference[row]!r}"
            )
    return found
