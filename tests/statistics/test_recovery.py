"""Fluxes of simulated sources are the true ones, with the errors that they say; of the blank sky, zero."""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure, ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.conventions import FloatArray
from forcedphot.psf import GaussianPsf, KernelImagePsf, Psf
from forcedphot.simulation import SimulatedField, simulate_exposure

N_SOURCES = 10_000
SPACING = 26.0
"""Between sources: stamps of 25 pixels do not overlap."""

N_BLANK = 5_000
RADII = [3.0, 4.5, 6.0, 9.0, 12.0, 17.0]

MEAN_LIMIT = 3.0
"""In standard errors, two-sided: of 1000 right programs 3 fail, with these seeds always or never."""
RMS_LIMIT = 0.03
"""Four standard errors, 1 / sqrt(2 n), of the rms of 10,000 pulls."""

BLANK_LIMIT = 3.3
"""In standard errors, for mean and rms of 7 fluxes: 14 two-sided tests of which one fails in 74 right
programs (Bonferroni: 14 x 0.00097)."""


class Pulls(NamedTuple):
    """Of (measured - true) / error."""

    mean: float
    rms: float
    n: int


def pulls(table: Table, name: str, truth: npt.ArrayLike) -> Pulls:
    flux, error = np.asarray(table[f"{name}_instFlux"]), np.asarray(table[f"{name}_instFluxErr"])
    values = (flux - np.asarray(truth)) / error
    assert np.isfinite(values).all()
    return Pulls(float(values.mean()), float(np.sqrt((values**2).mean())), len(values))


def faults(found: Pulls, mean_limit: float, rms_limit: float) -> list[str]:
    """Say what is wrong with pulls: a mean beyond a number of standard errors, or an rms too far from 1."""
    said = []
    if not abs(found.mean) < mean_limit / math.sqrt(found.n):
        said.append(f"bias: mean pull {found.mean:.4f}, standard error {1 / math.sqrt(found.n):.4f}")
    if not abs(found.rms - 1.0) < rms_limit:
        said.append(f"errors: rms pull {found.rms:.4f}")
    return said


@cache
def driver() -> ForcedMeasurementDriverTask:
    config = ForcedMeasurementDriverConfig()
    config.measurement.plugins["base_CircularApertureFlux"].radii = RADII
    return ForcedMeasurementDriverTask(config=config)


def moffat(size: int = 25) -> KernelImagePsf:
    """An elliptical profile with wings, drawn into a kernel image."""
    rows, columns = np.indices((size, size)) - size // 2
    radius_squared = columns**2 + 1.3 * rows**2 + 0.4 * rows * columns
    return KernelImagePsf((1.0 + radius_squared / 9.0) ** -3.0)


PSFS: dict[str, Psf] = {"Gaussian": GaussianPsf(1.7, 25), "kernel image": moffat()}


@cache
def recovered(name: str) -> tuple[Table, FloatArray]:
    """Measure isolated sources, from below the noise to a thousand times above it; return them and the truth."""
    side = int(math.sqrt(N_SOURCES) * SPACING) + 100
    field: SimulatedField = simulate_exposure(
        shape=(side, side),
        n_sources=N_SOURCES,
        seed=20260518,
        psf=PSFS[name],
        min_separation=SPACING,
        flux_range=(30.0, 300_000.0),
    )
    return driver().runFromAstropy(field.catalog, field.exposure), np.asarray(
        field.catalog["flux"], dtype=np.float64
    )


@cache
def blank() -> Table:
    """Measure positions on an image of noise whose size differs from pixel to pixel."""
    side = int(math.sqrt(N_BLANK)) * 36 + 100
    spots = np.random.default_rng(11)
    variance = spots.uniform(0.5, 20.0, (side, side))
    image = spots.normal(0.0, np.sqrt(variance))
    places: Any = simulate_exposure(
        shape=(side, side), n_sources=N_BLANK, seed=12, min_separation=35.0, kind="visit"
    )
    exposure = Exposure.from_arrays(
        image, variance=variance, psf=PSFS["kernel image"], wcs=places.exposure.wcs, mask=places.exposure.mask
    )
    return driver().runFromAstropy(places.catalog, exposure)


@pytest.mark.parametrize("name", PSFS)
def test_point_sources_are_recovered(name: str) -> None:
    table, truth = recovered(name)
    assert len(table) == N_SOURCES
    assert faults(pulls(table, "base_PsfFlux", truth), MEAN_LIMIT, RMS_LIMIT) == []


@pytest.mark.parametrize("name", PSFS)
def test_faint_and_bright_sources_are_recovered(name: str) -> None:
    """A bias that grows with flux would hide among sources below the noise."""
    table, truth = recovered(name)
    for sample in np.array_split(np.argsort(truth), 4):
        found = pulls(table[sample], "base_PsfFlux", truth[sample])
        # Of 8 samples' two numbers each, 16 in all, one goes beyond 3.5 standard errors in 134 right programs.
        assert faults(found, 3.5, 3.5 / math.sqrt(2 * found.n)) == []


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_biased_flux_is_reported(factor: float) -> None:
    table, truth = recovered("Gaussian")
    biased = Table(
        {f"base_PsfFlux_{end}": table[f"base_PsfFlux_{end}"].copy() for end in ("instFlux", "instFluxErr")}
    )
    biased["base_PsfFlux_instFlux"] *= factor
    assert any("bias" in fault for fault in faults(pulls(biased, "base_PsfFlux", truth), MEAN_LIMIT, RMS_LIMIT))


@pytest.mark.parametrize("factor", [0.96, 1.04])
def test_wrong_errors_are_reported(factor: float) -> None:
    table, truth = recovered("Gaussian")
    wrong = Table(
        {f"base_PsfFlux_{end}": table[f"base_PsfFlux_{end}"].copy() for end in ("instFlux", "instFluxErr")}
    )
    wrong["base_PsfFlux_instFluxErr"] *= factor
    assert any("errors" in fault for fault in faults(pulls(wrong, "base_PsfFlux", truth), MEAN_LIMIT, RMS_LIMIT))


@pytest.mark.parametrize(
    "name",
    ["base_PsfFlux", *(f"base_CircularApertureFlux_{radius:.1f}".replace(".", "_") for radius in RADII)],
)
def test_blank_sky_has_no_flux(name: str) -> None:
    found = pulls(blank(), name, 0.0)
    assert found.n == N_BLANK
    assert faults(found, BLANK_LIMIT, BLANK_LIMIT / math.sqrt(2 * found.n)) == []


@pytest.mark.parametrize("radius", RADII)
def test_a_sky_left_in_is_reported(radius: float) -> None:
    """A thirtieth of a pixel's noise under every pixel."""
    name = f"base_CircularApertureFlux_{radius:.1f}".replace(".", "_")
    sky = 0.03 * math.sqrt(10.0) * math.pi * radius**2
    assert faults(pulls(blank(), name, sky), BLANK_LIMIT, BLANK_LIMIT / math.sqrt(2 * N_BLANK)) != []
