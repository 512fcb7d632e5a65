"""Each plugin alone, with each PSF model: time a source and core, beside the pipelines' own times."""

import logging
from functools import partial
from typing import Any

import numpy as np

from bench_driver import driver
from forcedphot.psf import GaussianPsf, KernelImagePsf
from measuring import keep, make_exposure, make_positions, print_table, seconds
from piff_model import make_piff_psf

N = 20_000
ORIGINAL_MICROSECONDS = {
    ("base_PsfFlux", "kernel image 25x25"): 47.0,
    ("base_PixelFlags", "kernel image 25x25"): 24.0,
    ("base_CircularApertureFlux", "kernel image 25x25"): 160.0,
    ("default plugins", "Gaussian 25x25"): 245.0,
    ("default plugins", "Piff 25x25"): 1220.0,
}


def main() -> None:
    logging.disable(logging.WARNING)
    kernel = GaussianPsf(1.9, 25).kernel + 0.05 * GaussianPsf(3.0, 25).kernel
    models: dict[str, Any] = {
        "kernel image 25x25": KernelImagePsf(kernel),
        "Gaussian 25x25": GaussianPsf(1.9, 25),
        "Piff 25x25": make_piff_psf((4000, 4072), seed=1),
    }
    plugins = ("base_PsfFlux", "base_PixelFlags", "base_CircularApertureFlux")
    rows = []
    positions_us = 0.0
    for model, psf in models.items():
        exposure = make_exposure(psf)
        table, _, _ = make_positions(exposure, N)
        choices = {"only centroids": ("base_TransformedCentroidFromCoord",), **{name: (name,) for name in plugins}}
        for name, chosen in [*choices.items(), ("default plugins", plugins)]:
            call = partial(driver(*chosen).runFromAstropy, table, exposure)
            time_us = seconds(call, repeats=3) / N * 1e6
            original = ORIGINAL_MICROSECONDS.get((name, model), np.nan)
            if name == "only centroids":
                positions_us = time_us
            rows.append(
                {
                    "PSF": model,
                    "plugin": name,
                    "us a source": time_us,
                    "of the plugin": time_us - positions_us,
                    "the original's, us": original if np.isfinite(original) else "",
                    "ratio": original / time_us if np.isfinite(original) else "",
                }
            )
    print_table(f"Plugins alone, {N:,} sources, one thread", rows)
    keep("plugins", {"plugins": rows})


if __name__ == "__main__":
    main()
