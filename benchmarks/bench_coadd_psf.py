"""The PSF of a coadd of many visits: all positions together, one at a time, and in the driver."""

import logging
import math
from typing import Any

import numpy as np
import starlink.Ast as Ast
from astropy.table import Table

from bench_driver import driver
from forcedphot import Exposure
from forcedphot.conventions import Box, FloatArray
from forcedphot.exposure import AstWcs
from forcedphot.exposure.polygon import Polygon
from forcedphot.psf import CoaddInput, CoaddPsf, DoubleGaussianPsf, Psf, WarpingKernel
from measuring import keep, print_table, seconds
from piff_model import make_piff_psf

N_POSITIONS = 1000
N_ALONE = 50
COADD_SHAPE = (3400, 3400)
VISIT_SHAPE = (4000, 4072)
PIXEL_ARCSEC = 0.2
ORIGINAL_MICROSECONDS = {10: 11_000.0, 50: 130_000.0}
BUDGET_MICROSECONDS = 1300.0


def make_wcs(shape: tuple[int, int], *, angle: float, dx: float, dy: float) -> AstWcs:
    """Make a TAN WCS with SIP distortions, turned, its centre some pixels off the coadd's."""
    height, width = shape
    scale = PIXEL_ARCSEC / 3600.0
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    # AST counts pixels from 1 where we do from 0: with our number, its coordinates are ours.
    header = {"CRVAL1": 53.1, "CRVAL2": -27.8, "CRPIX1": (width - 1) / 2 + dx, "CRPIX2": (height - 1) / 2 + dy}
    header |= {"CD1_1": -cosine, "CD1_2": sine, "CD2_1": sine, "CD2_2": cosine}
    header |= {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-7, "B_1_1": -3e-7}
    cards = [f"{key:<8}= {value!r:>20}" for key, value in header.items()]
    names = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "RADESYS": "ICRS"}
    cards += [f"{key:<8}= '{value:<8}'" for key, value in names.items()]
    return AstWcs(Ast.FitsChan(cards).read())


def make_coadd_psf(n_inputs: int, psf: Psf) -> CoaddPsf:
    """Make the PSF of visits that are turned and shifted at random, all with the same PSF."""
    rng = np.random.default_rng(5)
    height, width = VISIT_SHAPE
    corners = (
        np.array([10.0, width - 10.0, width - 10.0, 10.0]),
        np.array([10.0, 10.0, height - 10.0, height - 10.0]),
    )
    inputs = [
        CoaddInput(
            psf,
            make_wcs(VISIT_SHAPE, angle=6.28 * rng.random(), dx=100.0 * rng.random(), dy=100.0 * rng.random()),
            Box(0, 0, width, height),
            rng.uniform(0.5, 2.0),
            Polygon(*corners),
        )
        for _ in range(n_inputs)
    ]
    return CoaddPsf(inputs, make_wcs(COADD_SHAPE, angle=0.0, dx=0.0, dy=0.0), WarpingKernel("lanczos3"))


def make_positions(n: int) -> tuple[FloatArray, FloatArray]:
    """Draw positions that all inputs contain."""
    rng = np.random.default_rng(n)
    height, width = COADD_SHAPE
    x, y = rng.uniform(0.1, 0.9, (2, n))
    return x * width, y * height


def time_psf(name: str, n_inputs: int, psf: Psf) -> dict[str, Any]:
    coadd_psf = make_coadd_psf(n_inputs, psf)
    x, y = make_positions(N_POSITIONS)

    def evaluate(step: int, n: int) -> None:
        for start in range(0, n, step):
            kernels = coadd_psf.kernel_images(x[start : start + step], y[start : start + step])
            assert kernels.valid.all()
            kernels.shifted_to(x[start : start + step], y[start : start + step])
            kernels.moments()

    together = seconds(lambda: evaluate(250, N_POSITIONS), repeats=3) / N_POSITIONS * 1e6
    alone = seconds(lambda: evaluate(1, N_ALONE), repeats=3) / N_ALONE * 1e6
    image = np.random.default_rng(6).normal(0.0, 1.0, COADD_SHAPE).astype(np.float32)
    exposure = Exposure.from_arrays(image, variance=np.ones_like(image), wcs=coadd_psf.wcs, psf=coadd_psf)
    ra, dec = coadd_psf.wcs.pixel_to_sky(x, y)
    table = Table({"objectId": np.arange(len(x)), "coord_ra": np.degrees(ra), "coord_dec": np.degrees(dec)})
    task = driver("base_PsfFlux", "base_PixelFlags")
    in_driver = seconds(lambda: task.runFromAstropy(table, exposure), repeats=3) / N_POSITIONS * 1e6
    return {
        "inputs": n_inputs,
        "their PSF": name,
        "us a position": together,
        "one at a time, us": alone,
        "ratio": alone / together,
        "driver without apertures, us": in_driver,
        "the original's, us": ORIGINAL_MICROSECONDS[n_inputs],
        "its ratio to ours": ORIGINAL_MICROSECONDS[n_inputs] / in_driver,
    }


def main() -> None:
    logging.disable(logging.WARNING)
    gaussian = DoubleGaussianPsf(1.9, 4.0, 0.1, 27)
    piff = make_piff_psf(VISIT_SHAPE, seed=1)
    models: dict[str, Psf] = {"double Gaussian 27x27": gaussian, "Piff 25x25": piff}
    rows = [time_psf(name, n_inputs, psf) for n_inputs in (10, 50) for name, psf in models.items()]
    print_table(f"CoaddPsf, images and moments at {N_POSITIONS:,} positions, one thread", rows)
    keep("coadd_psf", {"budget_us": BUDGET_MICROSECONDS, "coadd_psf": rows})


if __name__ == "__main__":
    main()
