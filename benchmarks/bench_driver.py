"""The driver from 10 to 100,000 positions: time a source, memory, threads; beside photutils and sep."""

import logging
import multiprocessing
import os
import warnings
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np

from forcedphot import Exposure, ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.psf import GaussianPsf
from measuring import OUTPUT, keep, make_exposure, make_positions, peak_growth_bytes, print_table, seconds

NUMBERS = (10, 100, 1_000, 10_000, 100_000)
RADII = (3.0, 4.5, 6.0, 9.0, 12.0, 17.0, 25.0, 35.0, 50.0, 70.0)
BUDGET_MICROSECONDS = 25.0
SIGMA_PIX = 1.9


def driver(*plugins: str, n_threads: int = 1) -> ForcedMeasurementDriverTask:
    """Set up the driver with some plugins besides the centroid; with its default ones if none is named."""
    config = ForcedMeasurementDriverConfig()
    config.numThreads = n_threads
    if plugins:
        config.measurement.plugins.names = ["base_TransformedCentroidFromCoord", *plugins]
        if "base_PsfFlux" not in plugins:
            config.measurement.slots.psfFlux = None
    return ForcedMeasurementDriverTask(config=config)


def time_driver(exposure: Exposure) -> list[dict[str, Any]]:
    rows = []
    for n in NUMBERS:
        table, _, _ = make_positions(exposure, n)
        repeats = 3 if n >= 10_000 else 9
        one, two = (
            seconds(partial(driver(n_threads=k).runFromAstropy, table, exposure), repeats=repeats) for k in (1, 2)
        )
        rows.append(
            {
                "positions": n,
                "call, ms": one * 1e3,
                "us a source": one / n * 1e6,
                "us, two threads": two / n * 1e6,
                "gain of two": one / two,
            }
        )
    return rows


def measure_memory(n: int) -> dict[str, Any]:
    exposure = make_exposure(GaussianPsf(SIGMA_PIX, 25))
    table, _, _ = make_positions(exposure, n)
    task = driver()
    task.runFromAstropy(table[:10], exposure)
    results = []
    growth = peak_growth_bytes(lambda: results.append(task.runFromAstropy(table, exposure)))
    assert exposure.variance is not None
    assert exposure.mask is not None
    own = exposure.image.nbytes + exposure.variance.nbytes + exposure.mask.array.nbytes
    output = sum(
        results[0][name].nbytes for name in results[0].colnames if not name.startswith("slot_")
    )  # aliases share memory
    return {
        "positions": n,
        "exposure, MB": own / 1e6,
        "growth, MB": growth / 1e6,
        "output, MB": output / 1e6,
        "(exposure + growth - output) / exposure": (own + growth - output) / own,
    }


def time_peers(exposure: Exposure) -> list[dict[str, Any]]:
    """Time photutils' and sep's fluxes at the same positions; check the values before."""
    import sep
    from photutils.aperture import CircularAperture, aperture_photometry
    from photutils.psf import CircularGaussianPRF, PSFPhotometry

    assert exposure.variance is not None
    error = np.sqrt(exposure.variance)
    few, x_few, y_few = make_positions(exposure, 300)
    many, x_many, y_many = make_positions(exposure, 10_000)
    model = CircularGaussianPRF(fwhm=SIGMA_PIX * 2.3548)
    model.x_0.fixed = model.y_0.fixed = model.fwhm.fixed = True
    photometry = PSFPhotometry(model, (25, 25), aperture_radius=5)
    from astropy.table import Table

    guesses = Table({"x_0": x_few, "y_0": y_few})

    def photutils_psf() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return photometry(exposure.image, error=error, init_params=guesses)

    def photutils_apertures() -> Any:
        apertures = [CircularAperture(np.transpose([x_few, y_few]), r) for r in RADII]
        return aperture_photometry(exposure.image, apertures, error=error)

    def sep_apertures() -> Any:
        return [sep.sum_circle(exposure.image, x_many, y_many, r, var=exposure.variance) for r in RADII]

    psf_driver, aperture_driver = driver("base_PsfFlux"), driver("base_CircularApertureFlux")
    ours = psf_driver.runFromAstropy(few, exposure)
    scatter = np.asarray(photutils_psf()["flux_fit"]) - ours["base_PsfFlux_instFlux"] / ours["base_PsfFlux_apCorr"]
    assert np.median(np.abs(scatter) / ours["base_PsfFlux_instFluxErr"]) < 0.5, "photutils measures something else"
    ours = aperture_driver.runFromAstropy(many, exposure)
    scatter = sep_apertures()[6][0] - ours["base_CircularApertureFlux_25_0_instFlux"]
    assert np.median(np.abs(scatter) / ours["base_CircularApertureFlux_25_0_instFluxErr"]) < 0.2, "sep differs"
    psf = seconds(lambda: psf_driver.runFromAstropy(many, exposure), repeats=3) / len(many)
    apertures = seconds(lambda: aperture_driver.runFromAstropy(many, exposure), repeats=3) / len(many)
    rows = []
    for name, function, n, our_time in (
        ("photutils PSFPhotometry", photutils_psf, len(few), psf),
        ("photutils apertures, ten radii", photutils_apertures, len(few), apertures),
        ("sep apertures, ten radii", sep_apertures, len(many), apertures),
    ):
        theirs = seconds(function, repeats=3) / n
        rows.append(
            {"peer": name, "us a source": theirs * 1e6, "ours, us": our_time * 1e6, "ratio": theirs / our_time}
        )
    return rows


def plot(rows: list[dict[str, Any]]) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    numbers = [row["positions"] for row in rows]
    ax.loglog(numbers, [row["us a source"] for row in rows], "o-", label="one thread")
    ax.loglog(numbers, [row["us, two threads"] for row in rows], "s--", label="two threads")
    ax.axhline(BUDGET_MICROSECONDS, color="gray", linestyle=":", label="budget")
    ax.set_xlabel("positions on a 4000 x 4072 image")
    ax.set_ylabel("time a source / us")
    ax.set_title("Forced driver, default plugins, Gaussian PSF 25 x 25")
    ax.legend()
    ax.grid(alpha=0.3)
    fig.savefig(OUTPUT / "driver_cost.png", dpi=150)


def main() -> None:
    logging.disable(logging.WARNING)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = pool.map(measure_memory, [100, 100_000], chunksize=1)
    exposure = make_exposure(GaussianPsf(SIGMA_PIX, 25))
    times = time_driver(exposure)
    peers = time_peers(exposure)
    print_table("Driver, default plugins (ten apertures), Gaussian PSF 25 x 25", times)
    print_table("Peak memory", memory)
    print_table("Peers in the same run, one thread", peers)
    keep("driver", {"times": times, "memory": memory, "peers": peers})
    plot(times)
    print(f"\nFigures and plot in {OUTPUT}{os.sep}")


if __name__ == "__main__":
    main()
