"""Forced measurement with a reference catalog: no flux where there is none, and none of a neighbour's."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from astropy.wcs import WCS

from forcedphot import Exposure, ForcedMeasurementTask, SourceCatalog
from forcedphot.catalog.footprint import PEAK_SCHEMA, Footprint
from forcedphot.conventions import FloatArray
from forcedphot.exposure import AstropyWcs
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.psf import GaussianPsf
from forcedphot.references import REFERENCE_SCHEMA

SIGMA = 1.7
FWHM = SIGMA * math.sqrt(8.0 * math.log(2.0))
RADII = [3.0, 6.0, 12.0]
APERTURES = [f"base_CircularApertureFlux_{radius:.1f}".replace(".", "_") for radius in RADII]
FLUXES = ["base_PsfFlux", "base_GaussianFlux", *APERTURES]

N_BLANK = 10_000
SPACING = 28.0
"""Pixels between positions: more than any aperture is wide."""

LIMIT = 3.3
"""In standard errors; of the means and rms of 5 fluxes one goes beyond it in 100 right programs."""

N_PAIRS = 400
SEPARATION = 3.0 * FWHM
RATIO = 3_000.0
"""Of the neighbour's flux to the source's."""


def tangent_plane(side: int) -> AstropyWcs:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [53.0, -28.0], [side / 2, side / 2]
    wcs.wcs.cd = np.diag([-0.2 / 3600, 0.2 / 3600])
    return AstropyWcs(wcs)


def reference(wcs: AstropyWcs, x: FloatArray, y: FloatArray, shape: tuple[float, float, float]) -> SourceCatalog:
    """Make a reference catalog of sources with one shape (xx, yy, xy)."""
    schema = REFERENCE_SCHEMA.copy()
    for name in ("x", "y", "xx", "yy", "xy"):
        schema.add_field(f"ref_{name}", "float64", "", "pixel")
    schema.set_alias("slot_Centroid", "ref")
    schema.set_alias("slot_Shape", "ref")
    columns = schema.allocate(len(x))
    columns["id"][:] = np.arange(1, len(x) + 1)
    columns["coord_ra"][:], columns["coord_dec"][:] = wcs.pixel_to_sky(x, y)
    for name, values in zip(("x", "y", "xx", "yy", "xy"), (x, y, *shape), strict=True):
        columns[f"ref_{name}"][:] = values
    return SourceCatalog(schema, columns)


def measure(
    exposure: Exposure, sources: SourceCatalog, footprints: Sequence[Footprint] | None = None
) -> SourceCatalog:
    """Measure fluxes; with footprints, neighbours are replaced by noise."""
    config = ForcedMeasurementConfig()
    config.plugins.names = [
        "base_TransformedCentroid",
        "base_TransformedShape",
        "base_PsfFlux",
        "base_GaussianFlux",
        "base_CircularApertureFlux",
    ]
    config.plugins["base_CircularApertureFlux"].radii = RADII
    config.doReplaceWithNoise = footprints is not None
    task = ForcedMeasurementTask(refSchema=sources.schema, config=config)
    catalog = task.generateMeasCat(exposure, sources)
    if footprints is not None:
        catalog.footprints = np.empty(len(footprints), dtype=object)
        catalog.footprints[:] = footprints
    task.run(catalog, exposure, sources)
    return catalog


def pulls(catalog: SourceCatalog, name: str, truth: FloatArray | float) -> FloatArray:
    values: FloatArray = (catalog[f"{name}_instFlux"] - truth) / catalog[f"{name}_instFluxErr"]
    return values


@cache
def blank() -> SourceCatalog:
    side = int(math.sqrt(N_BLANK) * SPACING) + 100
    rng = np.random.default_rng(20261121)
    # Alike for all pixels: the error of a Gaussian flux follows from the variance at the source's centre.
    variance = np.full((side, side), 9.0)
    exposure = Exposure.from_arrays(
        rng.normal(0.0, 3.0, (side, side)), variance=variance, psf=GaussianPsf(SIGMA, 25), wcs=tangent_plane(side)
    )
    y, x = (values.ravel() * SPACING + 50.0 + rng.uniform(-1, 1, N_BLANK) for values in np.indices((100, 100)))
    return measure(exposure, reference(tangent_plane(side), x, y, (5.0, 3.5, -0.8)))


@pytest.mark.parametrize("name", FLUXES)
def test_blank_sky_has_no_flux(name: str) -> None:
    found = pulls(blank(), name, 0.0)
    assert len(found) == N_BLANK
    assert abs(found.mean()) < LIMIT / math.sqrt(N_BLANK)
    assert abs(math.sqrt((found**2).mean()) - 1.0) < LIMIT / math.sqrt(2 * N_BLANK)


@pytest.mark.parametrize("name", FLUXES)
def test_a_sky_left_in_would_be_seen(name: str) -> None:
    """A tenth of each flux's error."""
    sky = 0.1 * blank()[f"{name}_instFluxErr"]
    assert abs(pulls(blank(), name, sky).mean()) > LIMIT / math.sqrt(N_BLANK)


@cache
def pairs() -> tuple[SourceCatalog, SourceCatalog, FloatArray]:
    """Measure faint sources beside bright ones as they are, and with the bright ones replaced by noise."""
    rng = np.random.default_rng(7)
    side, size = 20 * 70 + 60, 37
    psf = GaussianPsf(SIGMA, size)
    y, x = (values.ravel() * 70.0 + 60.0 + rng.uniform(-1, 1, N_PAIRS) for values in np.indices((20, 20)))
    angle = rng.uniform(0, 2 * np.pi, N_PAIRS)
    x, y = np.append(x, x + SEPARATION * np.cos(angle)), np.append(y, y + SEPARATION * np.sin(angle))
    faint = np.full(N_PAIRS, 400.0)
    flux = np.append(faint, RATIO * faint)
    stamps = psf.images(x, y)
    light = np.zeros((side, side))
    boxes = [np.s_[y0 : y0 + size, x0 : x0 + size] for x0, y0 in zip(stamps.x0, stamps.y0, strict=True)]
    for box, stamp, total in zip(boxes, stamps.images, flux, strict=True):
        light[box] += total * stamp
    variance = np.full((side, side), 16.0)
    image = light + rng.normal(0.0, 4.0, light.shape)
    footprints = []
    for i, box in enumerate(boxes):
        # Each has its part of the pixels, in the proportion of the models: what a deblender would give it.
        with np.errstate(invalid="ignore"):
            part = np.nan_to_num(flux[i] * stamps.images[i] / light[box])
        rows = np.arange(stamps.y0[i], stamps.y0[i] + size)
        spans = np.stack([rows, np.full(size, stamps.x0[i]), np.full(size, stamps.x0[i] + size - 1)], axis=1)
        footprints.append(
            Footprint(
                spans=spans.astype(np.int32),
                peaks=SourceCatalog(PEAK_SCHEMA, PEAK_SCHEMA.allocate(0), kind="BASE"),
                image=(part * image[box]).astype(np.float32).ravel(),
            )
        )
    wcs = tangent_plane(side)
    exposure = Exposure.from_arrays(image, variance=variance, psf=psf, wcs=wcs)
    sources = reference(wcs, x, y, (SIGMA**2, SIGMA**2, 0.0))
    return measure(exposure, sources)[:N_PAIRS], measure(exposure, sources, footprints)[:N_PAIRS], faint


@pytest.mark.parametrize("name", ["base_PsfFlux", "base_GaussianFlux", APERTURES[1]])
def test_a_bright_neighbour_is_removed(name: str) -> None:
    beside, replaced, faint = pairs()
    # All of a Gaussian of the source's own shape but what is beyond the aperture.
    inside = 1.0 - math.exp(-0.5 * (RADII[1] / SIGMA) ** 2) if "Aperture" in name else 1.0
    limit = LIMIT / math.sqrt(N_PAIRS)
    assert abs(pulls(replaced, name, inside * faint).mean()) < limit
    assert pulls(beside, name, inside * faint).mean() > 2.0 * limit
