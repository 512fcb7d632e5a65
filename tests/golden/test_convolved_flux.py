"""Fluxes in wider seeings against the pipelines', forced and with sources' own radii; what differs is listed."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.footprint import FootprintColumn
from forcedphot.catalog.schema import Columns, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import IntArray
from forcedphot.plugins import ForcedPlugin, SourceBatch, registry

from .forced import differences, measure_case, reference_catalog, update
from .single_frame import read_footprints
from .tolerances import KERNEL_IMAGE, allowed_difference

NAME = "ext_convolved_ConvolvedFlux"
RADIUS = "ext_photometryKron_KronFlux_radius"
ALIASES = {"slot_Centroid": "base_SdssCentroid", "slot_Shape": "base_SdssShape"}


@pytest.fixture(scope="module")
def folder(golden: Callable[[str], Path]) -> Path:
    return golden("all_plugins/kron_hsm_convolved")


def test_forced(folder: Path) -> None:
    ours, expected = measure_case(
        folder,
        ["base_TransformedCentroid", NAME],
        reference_wcs=Exposure.read(folder / "reference_exposure.fits").wcs,
        reference_aliases=ALIASES,
    )
    names = [name for name in expected.colnames if name.startswith(NAME)]
    assert [name for name in ours.colnames if name.startswith(NAME)] == names
    reference = Table.read(folder / "reference.ecsv")
    # Of these the pipelines' fluxes are 0 with an error of 0.
    is_zero = np.asarray(reference[RADIUS]) == 0.0
    kron = [name for name in names if "_kron_" in name]
    assert differences(ours, expected, [name for name in names if name not in kron]) == []
    # A failure that theirs does not flag stops the correction's flag, too.
    unflagged = [name for name in kron if not name.endswith("_kron_flag")]
    assert differences(ours, expected, unflagged, rows=~is_zero) == []
    for seeing in range(3):
        prefix = f"{NAME}_{seeing}_kron"
        assert not np.asarray(expected[f"{prefix}_instFluxErr"])[is_zero].any()
        is_nan = np.isnan(ours[f"{prefix}_instFlux"])
        np.testing.assert_array_equal(is_nan, np.isnan(expected[f"{prefix}_instFlux"]) | is_zero)
        np.testing.assert_array_equal(ours[f"{prefix}_flag"], is_nan)
        # They leave an undefined radius or shape without a flag.
        silent = is_nan & ~np.asarray(expected[f"{prefix}_flag"])
        np.testing.assert_array_equal(silent, is_zero | np.isnan(reference[RADIUS]))
        assert is_nan.sum() < 12
    assert ours[f"{NAME}_0_deconv"].all()
    assert not ours[f"{NAME}_1_deconv"].any()


@pytest.mark.parametrize("options", ["", "_options"])
def test_with_its_own_radius(folder: Path, options: str) -> None:
    settings = yaml.safe_load((folder / "config.yaml").read_text())["reference_options"][NAME] if options else {}
    path = folder / f"reference_measured{options}.ecsv"
    expected = Table.read(path)
    ours = measure(folder, path, settings)
    has_radius = np.asarray(expected[RADIUS]) > 0
    names = [name for name in expected.colnames if name.startswith(NAME) and name in ours]
    assert len([name for name in names if name.endswith("_instFlux")]) == (6 if options else 12)
    compared = set()
    for name in names:
        golden, values = np.asarray(expected[name]), ours[name]
        if values.dtype == bool:
            # In forced measurement the pipelines do not set the general flag for a bad centroid.
            if not name.endswith("_kron_flag") and name != f"{NAME}_flag":
                np.testing.assert_array_equal(values, golden, err_msg=name)
            continue
        rows = has_radius if "_kron_" in name else np.ones(len(golden), dtype=bool)
        prefix = name.removesuffix("_instFlux").removesuffix("_instFluxErr")
        if f"{prefix}_apCorr" in expected.colnames:
            values = values * np.nan_to_num(np.asarray(expected[f"{prefix}_apCorr"]), nan=1.0)
        np.testing.assert_array_equal(np.isnan(values[rows]), np.isnan(golden[rows]), err_msg=name)
        if name.endswith("_seeing"):
            np.testing.assert_allclose(values, golden, rtol=1e-6)
            continue
        allowed = allowed_difference(expected, name, psf=KERNEL_IMAGE, is_variance_scaled=False)
        rows &= np.isfinite(golden)
        assert (np.abs(values - golden)[rows] <= allowed[rows]).all(), name
        assert rows.sum() > 60
        compared.add(name)
    assert len(compared) == (12 if options else 24)


def measure(folder: Path, path: Path, settings: Mapping[str, Any]) -> Columns:
    """Measure the reference image with the shapes and radii measured on it."""
    reference = reference_catalog(path, ALIASES)
    footprints = read_footprints(folder / "reference_footprints.npz")
    plugin, batch = prepare(Exposure.read(folder / "reference_exposure.fits"), reference, footprints, settings)
    plugin.measure(batch)
    plugin.flag_bad_slots(batch)
    return batch.columns


def prepare(
    exposure: Exposure,
    reference: SourceCatalog,
    footprints: FootprintColumn,
    settings: Mapping[str, Any],
    rows: IntArray | None = None,
) -> tuple[ForcedPlugin, SourceBatch]:
    """Make a plugin, and a batch whose sources are where the reference catalog has them in the same image."""
    config = registry[NAME].ConfigClass()
    update(config, settings)
    config.validate()
    schema = Schema()
    schema.set_alias("slot_Centroid", "base_SdssCentroid")
    schema.add_field("base_SdssCentroid_flag", "bool", "")
    plugin = registry[NAME](config, NAME, schema, {}, reference.schema)
    rows = np.arange(len(reference)) if rows is None else rows
    columns = schema.allocate(len(rows))
    columns["base_SdssCentroid_flag"][:] = reference["base_SdssCentroid_flag"][rows]
    batch = SourceBatch(
        exposure,
        columns,
        schema,
        np.asarray(reference["slot_Centroid_x"][rows], dtype=np.float64),
        np.asarray(reference["slot_Centroid_y"][rows], dtype=np.float64),
        reference=reference,
        rows=rows,
        reference_wcs=exposure.wcs,  # type: ignore[arg-type]
        footprints=footprints,
    )
    return plugin, batch


@pytest.mark.parametrize("i", [3, 17, 40])
def test_nothing_beyond_the_reach_is_read(folder: Path, i: int) -> None:
    reference = reference_catalog(folder / "reference_measured.ecsv", ALIASES)
    exposure = Exposure.read(folder / "reference_exposure.fits")
    footprints = read_footprints(folder / "reference_footprints.npz")
    settings = {"aperture": {"radii": [3.0, 4.5, 12.0]}}
    plugin, batch = prepare(exposure, reference, footprints, settings, np.array([i]))
    plugin.measure(batch)
    reach = float(np.broadcast_to(plugin.reach(batch), 1)[0])
    rows, pixels = np.indices(exposure.image.shape)
    distance = np.hypot(pixels - batch.x_in_array, rows - batch.y_in_array)
    assert 12.0 < reach < 150.0
    for limit, is_enough in ((reach, True), (6.0, False)):
        image = np.where(distance <= limit, exposure.image, np.float32(np.nan))
        _, again = prepare(dataclasses.replace(exposure, image=image), reference, footprints, settings, batch.rows)
        plugin.measure(again)
        same = [np.array_equal(again.columns[name], batch.columns[name], equal_nan=True) for name in batch.columns]
        assert all(same) == is_enough
