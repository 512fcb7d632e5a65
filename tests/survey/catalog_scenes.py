"""Patches and images of stars with known positions and fluxes, for tests of what detects and measures them."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from astropy.table import Table

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.exposure import ChebyshevField, Exposure, Mask
from forcedphot.psf import GaussianPsf
from forcedphot.simulation import PLANES, Noise, simulate_exposure
from forcedphot.survey.visits import aperture_corrections

SKY_SIGMA = 10.0


class Scene(NamedTuple):
    """Images by band, and the stars on all of them."""

    exposures: dict[str, Exposure]
    x: FloatArray
    y: FloatArray
    flux: FloatArray

    def nearest(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, IntArray]:
        """Return how far positions are from the nearest star, and which it is."""
        distance = np.hypot(x[:, None] - self.x, y[:, None] - self.y)
        return distance.min(axis=1), distance.argmin(axis=1)


def stars(
    x: FloatArray,
    y: FloatArray,
    flux: FloatArray,
    *,
    side: int = 300,
    sigmas: dict[str, float] | None = None,
    seed: int = 0,
    colours: dict[str, float] | None = None,
) -> Scene:
    """Draw stars on square images, with Gaussian PSFs of given sigmas in pixels.

    Parameters
    ----------
    colours
        Factors of the fluxes in each band; 1 if not given.
    """
    exposures = {}
    for number, (band, sigma) in enumerate((sigmas or {"i": 1.7}).items()):
        psf = GaussianPsf(sigma, 31)
        empty = simulate_exposure(
            shape=(side, side), n_sources=0, psf=psf, noise=Noise(SKY_SIGMA, np.inf)
        ).exposure
        image = np.random.default_rng([seed, number]).normal(0.0, SKY_SIGMA, (side, side)).astype(np.float32)
        psf.images(x, y).add_to(image, 0, 0, flux * (colours or {}).get(band, 1.0))
        mask = Mask(np.zeros((side, side), dtype=np.int32), PLANES)
        corrections = aperture_corrections(psf, empty.bbox)
        one = ChebyshevField(empty.bbox, np.ones((1, 1)))
        exposures[band] = dataclasses.replace(
            empty,
            image=image,
            variance=np.full_like(image, SKY_SIGMA**2),
            mask=mask,
            aperture_corrections={**corrections, "base_PsfFlux_instFlux": one},
            identity=dataclasses.replace(
                empty.identity, instrument="camera", visit=7, detector=3, band=band, physical_filter=f"{band}_1"
            ),
        )
    return Scene(exposures, x, y, flux)


def grid_of_stars(
    n_per_side: int = 6, *, side: int = 300, flux: tuple[float, float] = (800.0, 20000.0), **arguments: Any
) -> Scene:
    """Draw isolated stars, each somewhere in a cell of its own."""
    rng = np.random.default_rng(17)
    pitch = side / (n_per_side + 1)
    steps = pitch * (1 + np.arange(n_per_side))
    x, y = (values.ravel() + rng.uniform(-2.0, 2.0, n_per_side**2) for values in np.meshgrid(steps, steps))
    fluxes = np.exp(rng.uniform(np.log(flux[0]), np.log(flux[1]), n_per_side**2))
    return stars(x, y, fluxes, side=side, **arguments)


def psf_flux_err(sigma: float) -> float:
    """Return the error of the flux of a star under a Gaussian PSF."""
    return float(SKY_SIGMA * np.sqrt(4 * np.pi) * sigma)


def units_and_types(table: Table) -> dict[str, tuple[str, str]]:
    return {name: (str(table[name].unit or ""), table[name].dtype.kind) for name in table.colnames}
