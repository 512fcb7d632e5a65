"""Every plugin of forced measurement, one added at a time; the pipelines' 15; neighbours replaced by noise."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from forcedphot import Exposure, ForcedMeasurementTask, SourceCatalog
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.psf import GaussianPsf
from forcedphot.references import REFERENCE_SCHEMA
from measuring import keep, make_exposure, make_positions, print_table, seconds

N = 10_000
SIGMA_PIX = 1.9
BASE = ["base_TransformedCentroid"]
NEEDED = {
    "base_GaussianFlux": ["base_TransformedShape"],
    "base_Variance": ["base_TransformedShape"],
    "base_Blendedness": ["base_TransformedShape"],
    "ext_shapeHSM_HigherOrderMomentsSource": ["ext_shapeHSM_HsmSourceMoments"],
    "ext_shapeHSM_HigherOrderMomentsPSF": ["ext_shapeHSM_HsmPsfMoments"],
}
"""Plugins that others start from."""
FIFTEEN = [
    "base_Blendedness",
    "base_CircularApertureFlux",
    "base_GaussianFlux",
    "base_InputCount",
    "base_LocalBackground",
    "base_LocalPhotoCalib",
    "base_LocalWcs",
    "base_PixelFlags",
    "base_PsfFlux",
    "base_ScaledApertureFlux",
    "base_SdssCentroid",
    "base_SdssShape",
    "base_TransformedCentroid",
    "base_TransformedShape",
    "base_Variance",
]
BUDGET_MICROSECONDS = 150.0
ORIGINAL_MICROSECONDS = {
    "base_GaussianFlux": 10.0,
    "base_PixelFlags": 24.0,
    "base_Blendedness": 24.0,
    "base_PsfFlux": 47.0,
    "base_InputCount": 80.0,
    "base_Variance": 92.0,
    "base_SdssCentroid": 93.0,
    "base_SdssShape": 116.0,
    "base_LocalBackground": 119.0,
    "base_CircularApertureFlux": 160.0,
    "ext_shapeHSM_HsmSourceMoments": 260.0,
    "ext_shapeHSM_HsmPsfMoments": 340.0,
    "base_TransformedShape": 900.0,
    "base_LocalWcs": 934.0,
    "ext_photometryKron_KronFlux": 1470.0,
    "ext_convolved_ConvolvedFlux": 3800.0,
    "base_ScaledApertureFlux": 5335.0,
    "15 plugins": 2700.0,
}
PLUGINS = [
    *sorted(name for name in ORIGINAL_MICROSECONDS if "_" in name),
    "base_PeakLikelihoodFlux",
    "base_CompensatedGaussianFlux",
    "base_CompensatedTophatFlux",
    "base_LocalPhotoCalib",
]


def reference(exposure: Exposure, n: int) -> SourceCatalog:
    """Make a reference of galaxies, as large as the PSF and up to twice that."""
    table, x, y = make_positions(exposure, n)
    rng = np.random.default_rng(3)
    schema = REFERENCE_SCHEMA.copy()
    for name in ("x", "y", "xx", "yy", "xy"):
        schema.add_field(f"ref_{name}", "float64", "", "pixel")
    schema.add_field("ext_photometryKron_KronFlux_radius", "float32", "", "pixel")
    schema.set_alias("slot_Centroid", "ref")
    schema.set_alias("slot_Shape", "ref")
    columns = schema.allocate(n)
    columns["id"][:] = table["objectId"]
    for name in ("coord_ra", "coord_dec"):
        columns[name][:] = np.radians(table[name])
    columns["ref_x"][:], columns["ref_y"][:] = x, y
    columns["ref_xx"][:], columns["ref_yy"][:] = SIGMA_PIX**2 * rng.uniform(1, 4, (2, n))
    columns["ref_xy"][:] = 0.3 * SIGMA_PIX**2 * rng.uniform(-1, 1, n)
    columns["ext_photometryKron_KronFlux_radius"][:] = rng.uniform(2.5, 5.0, n)
    return SourceCatalog(schema, columns)


def time_us(exposure: Exposure, sources: SourceCatalog, plugins: Sequence[str], *, replace: bool = False) -> float:
    """Return the time of a whole run, microseconds a source."""
    config = ForcedMeasurementConfig()
    config.plugins.names = list(dict.fromkeys([*BASE, *plugins]))
    config.slots.shape = "base_TransformedShape" if "base_TransformedShape" in plugins else None
    config.doReplaceWithNoise = replace
    task = ForcedMeasurementTask(refSchema=sources.schema, config=config)

    def run() -> None:
        catalog = task.generateMeasCat(exposure, sources)
        task.attachPsfShapeFootprints(catalog, exposure)
        task.run(catalog, exposure, sources)

    return seconds(run, repeats=3) / len(sources) * 1e6


def row(name: str, ours: float, all_of_it: float) -> dict[str, Any]:
    original = ORIGINAL_MICROSECONDS.get(name)
    return {
        "plugin": name,
        "us a source": ours,
        "whole run": all_of_it,
        "the original's, us": original or "",
        # Below a microsecond the difference of two runs is noise.
        "ratio": "" if not original else original / ours if ours > 1.0 else f"> {original:.0f}",
    }


def main() -> None:
    logging.disable(logging.WARNING)
    exposure = make_exposure(GaussianPsf(SIGMA_PIX, 25))
    sources = reference(exposure, N)
    rows = []
    for name in PLUGINS:
        before = NEEDED.get(name, [])
        whole = time_us(exposure, sources, [*before, name])
        rows.append(row(name, whole - time_us(exposure, sources, before), whole))
    whole = time_us(exposure, sources, FIFTEEN)
    rows.append(row("15 plugins", whole, whole))
    print_table(f"Forced measurement, {N:,} sources, one thread", rows)
    print(f"15 plugins: {whole:.0f} us a source, budget {BUDGET_MICROSECONDS:.0f}")

    neighbours = []
    for n in (1_000, N):
        few = sources[:n]
        plain, replaced = (time_us(exposure, few, FIFTEEN, replace=replace) for replace in (False, True))
        neighbours.append(
            {
                "sources": n,
                "as they are, us": plain,
                "neighbours replaced, us": replaced,
                "ratio": replaced / plain,
            }
        )
    print_table("15 plugins with neighbours replaced by noise", neighbours)
    keep("forced", {"plugins": rows, "neighbours": neighbours})


if __name__ == "__main__":
    main()
