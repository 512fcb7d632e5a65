"""The driver against the pipelines' own tables, on the same images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.table import Table

from forcedphot import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask

from .tolerances import KERNEL_IMAGE, PIFF, RESAMPLED, PsfTolerance, allowed_difference

CASES = [
    "driver/visit_gaussian",
    "driver/visit_options",
    "driver/coadd_offset",
    "driver/coadd_psf",
    "driver/kernel_psf",
    "driver/piff_pixel",
    "driver/piff_sky",
    "driver/psfex",
    "driver/scale_variance",
    "driver/hsc_cosmos_g",
    "driver/hsc_cosmos_r",
    "driver/hsc_cosmos_z",
    "dp2/visit_gaussian",
    "dp2/piff_pixel",
    "dp2/cell_coadd",
]


PSFS = {"piff": PIFF, "psfex": RESAMPLED, "coadd_psf": RESAMPLED}
"""By a part of the case's name; the PSFs of all others are kernel images."""


def configure(options: dict[str, Any]) -> ForcedMeasurementDriverConfig:
    """Set up the driver as the golden data's README says, with the case's options."""
    config = ForcedMeasurementDriverConfig()
    config.measurement.slots.psfFlux = "base_PsfFlux"
    config.measurement.slots.centroid = "base_TransformedCentroidFromCoord"
    config.measurement.slots.shape = None
    config.measurement.doReplaceWithNoise = False
    config.doApCorr = options.get("doApCorr", True)
    config.doScaleVariance = options.get("doScaleVariance", False)
    for option, plugin in {
        "radii": "base_CircularApertureFlux",
        "badMaskPlanes": "base_PsfFlux",
        "masksFpAnywhere": "base_PixelFlags",
        "masksFpCenter": "base_PixelFlags",
    }.items():
        if option in options:
            setattr(config.measurement.plugins[plugin], option, options[option])
    return config


def measure_case(folder: Path) -> tuple[Table, Table, dict[str, Any]]:
    """Return our table, the pipelines' table, and the case's options."""
    options = yaml.safe_load((folder / "config.yaml").read_text()) or {}
    (image,) = folder.glob("*.fits")
    ours = ForcedMeasurementDriverTask(config=configure(options)).runFromAstropy(
        Table.read(folder / "catalog.ecsv"),
        image,
        id_column_name="objectId",
        ra_column_name="coord_ra",
        dec_column_name="coord_dec",
        psf_footprint_scaling=options.get("psf_footprint_scaling", 3.0),
    )
    return ours, Table.read(folder / "measured.ecsv"), options


def differences(ours: Table, expected: Table, *, psf: PsfTolerance, is_variance_scaled: bool) -> list[str]:
    """Say in which columns two tables differ by more than allowed."""
    if ours.colnames != expected.colnames:
        return [f"columns: {set(ours.colnames) ^ set(expected.colnames) or 'order'}"]
    found = []
    for name in expected.colnames:
        a, b = ours[name], expected[name]
        found += [
            f"{name}.{attribute}: {getattr(a, attribute)} is not {getattr(b, attribute)}"
            for attribute in ("dtype", "unit", "description")
            if getattr(a, attribute) != getattr(b, attribute)
        ]
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype.kind != "f":
            bad = a != b
        elif name.startswith("slot_"):
            # An alias: the same as the column before it.
            original = ours[ours.colnames[ours.colnames.index(name) - 1]]
            bad = ~((a == np.asarray(original)) | (np.isnan(a) & np.isnan(np.asarray(original))))
        else:
            allowed = allowed_difference(expected, name, psf=psf, is_variance_scaled=is_variance_scaled)
            bad = np.isnan(a) != np.isnan(b)
            with np.errstate(invalid="ignore"):
                bad |= np.abs(a.astype(np.float64) - b) > allowed
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            found.append(f"{name}: {int(bad.sum())} rows, the first is {row}: {a[row]!r} is not {b[row]!r}")
    return found


@pytest.mark.parametrize("case", CASES)
def test_driver_agrees_with_the_pipelines(case: str, golden: Callable[[str], Path]) -> None:
    ours, expected, options = measure_case(golden(case))

    is_scaled = "expected_variance_scale" in options
    psf = next((tolerance for part, tolerance in PSFS.items() if part in case), KERNEL_IMAGE)
    assert differences(ours, expected, psf=psf, is_variance_scaled=is_scaled) == []
    if is_scaled:
        assert ours.meta["VARIANCE_SCALE"] == pytest.approx(options["expected_variance_scale"], rel=0.01)


def test_the_comparison_notices_what_it_should(golden: Callable[[str], Path]) -> None:
    _, expected, _ = measure_case(golden("dp2/visit_gaussian"))
    changes: list[Callable[[Table], Any]] = [
        lambda table: table["base_PsfFlux_flag"].__setitem__(3, ~table["base_PsfFlux_flag"][3]),
        lambda table: table["base_PsfFlux_npixels"].__setitem__(3, 624),
        lambda table: table["base_PsfFlux_instFlux"].__imul__(1 + 1e-3),
        lambda table: table["base_CircularApertureFlux_9_0_instFluxErr"].__imul__(1 + 5e-3),
        lambda table: table["base_PsfFlux_instFlux"].__setitem__(5, np.nan),
        lambda table: table["base_TransformedCentroidFromCoord_x"].__iadd__(1e-5),
        lambda table: table["base_PsfFlux_apCorr"].__imul__(1 + 1e-7),
        lambda table: table["slot_PsfFlux_chi2"].__imul__(1 + 1e-2),
        lambda table: table.remove_column("parent"),
        lambda table: setattr(table["base_PsfFlux_area"], "unit", "arcsec2"),
    ]
    assert differences(expected, expected, psf=KERNEL_IMAGE, is_variance_scaled=False) == []
    for change in changes:
        changed = expected.copy()
        change(changed)
        assert differences(changed, expected, psf=KERNEL_IMAGE, is_variance_scaled=False) != []
