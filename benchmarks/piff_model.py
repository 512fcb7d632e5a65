"""A Piff model like the pipelines' own, made instead of fitted."""

import galsim
import numpy as np
import piff

from forcedphot.psf import PiffPsf


def make_piff_psf(shape: tuple[int, int], *, seed: int, size: int = 25) -> PiffPsf:
    """Make a PixelGrid with Lanczos(11) in pixel coordinates that varies as a polynomial of order 2."""
    rng = np.random.default_rng(seed)
    model = piff.PixelGrid(0.2, size, interp=galsim.Lanczos(11))
    interp = piff.BasisPolynomial(2, keys=("x", "y"))
    grid = np.arange(size) - size // 2
    core = np.exp(-0.5 * (grid[:, np.newaxis] ** 2 / 2.0**2 + grid**2 / 1.9**2)).ravel()
    order = np.sum(np.nonzero(interp._mask), axis=0)
    interp.q = rng.normal(0.0, 0.02, (size**2, len(order))) * core[:, np.newaxis]
    interp.q /= float(max(shape)) ** order
    interp.q[:, 0] = core
    psf = piff.SimplePSF(model, interp)
    psf.wcs, psf.pointing = {0: galsim.PixelScale(0.2)}, None
    return PiffPsf(psf, size)
