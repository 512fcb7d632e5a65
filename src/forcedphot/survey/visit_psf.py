"""PSFs of visits: Piff models of the pipelines' kind, made of profiles that vary over the focal plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..conventions import FloatArray
from ..psf.piff import PiffPsf
from .plan import PIXEL_SCALE_ARCSEC, DetectorPlan, VisitPlan

if TYPE_CHECKING:
    import galsim

STAMP_SIZE_PIX = 41
"""Side of the PSF's stamps; beyond them, stars have no light."""

_STREAM = 11  # of random numbers, which no other part of the survey draws from
_ORDER = 2
_NODES_PER_SIDE = 4
_LANCZOS_ORDER = 11
_GRADIENT = 0.02
"""Standard deviation over visits of the change from the boresight to the edge, of size and of ellipticity."""
_FOCUS = 0.03  # how much larger the PSF is at the edge of the focal plane
_ASTIGMATISM = 0.015


@dataclass(frozen=True, slots=True)
class Seeing:
    """Size and shape of the PSF over the focal plane of a visit.

    Parameters
    ----------
    fwhm_pix, ellipticity
        At the boresight; the second is e1, e2, (a^2 - b^2) / (a^2 + b^2) along the x axis and the diagonal.
    gradients
        Of the logarithm of the FWHM, e1 and e2 (rows) along x and y (columns), from the boresight to the edge.
    field_radius_pix
        From the boresight to the edge.
    """

    fwhm_pix: float
    ellipticity: tuple[float, float]
    gradients: FloatArray
    field_radius_pix: float

    @classmethod
    def of_visit(cls, visit: VisitPlan) -> Seeing:
        """Draw the seeing of a visit."""
        rng = np.random.default_rng([visit.detectors[0].seed, _STREAM])
        edges = [
            abs(middle) + side / 2
            for detector in visit.detectors
            for middle, side in zip(detector.focal_plane_pix, detector.box.shape[::-1], strict=True)
        ]
        return cls(
            visit.seeing_fwhm_arcsec / PIXEL_SCALE_ARCSEC,
            visit.ellipticity,
            rng.normal(0.0, _GRADIENT, (3, 2)),
            max(edges),
        )

    def profile(self, focal_x_pix: float, focal_y_pix: float) -> galsim.GSObject:
        """Return the PSF at a place in the focal plane, without the pixel: flux 1, units of pixels."""
        import galsim

        place = np.array([focal_x_pix, focal_y_pix]) / self.field_radius_pix
        growth, e1, e2 = self.gradients @ place
        e1 += self.ellipticity[0] + _ASTIGMATISM * (place[0] ** 2 - place[1] ** 2)
        e2 += self.ellipticity[1] + _ASTIGMATISM * 2.0 * place[0] * place[1]
        fwhm = self.fwhm_pix * np.exp(growth + _FOCUS * place @ place)
        return galsim.Kolmogorov(fwhm=float(fwhm)).shear(e1=float(e1), e2=float(e2))


@dataclass(frozen=True, slots=True)
class VisitPsf:
    """The PSF of one detector in one visit.

    Parameters
    ----------
    seeing
        What the model was made of.
    middle_pix, focal_plane_pix
        The same point, in the detector's pixel frame and in the focal plane.
    psf
        The model: a `piff.SimplePSF` of a PixelGrid and a BasisPolynomial in pixel coordinates. Point sources are
        drawn with it, so it is what they look like, not an estimate.
    """

    seeing: Seeing
    middle_pix: tuple[float, float]
    focal_plane_pix: tuple[float, float]
    psf: PiffPsf

    @property
    def piff(self) -> Any:
        """The Piff object of `psf`, as `lsst.images.psfs.PiffWrapper` wants it."""
        return self.psf.piff_psf

    def profile(self, x: float, y: float) -> galsim.GSObject:
        """Return the profile at a position on the detector that the model approximates, as `Seeing.profile`."""
        return self.seeing.profile(
            x - self.middle_pix[0] + self.focal_plane_pix[0], y - self.middle_pix[1] + self.focal_plane_pix[1]
        )


def visit_psf(visit: VisitPlan, detector: DetectorPlan) -> VisitPsf:
    """Make the PSF of one detector in one visit.

    Pixel images of the profile at nodes all over the detector become a PixelGrid, each of whose points is a
    polynomial of the position, fitted to the nodes.
    """
    seeing = Seeing.of_visit(visit)
    box = detector.box
    middle = (box.x0 + (box.width - 1) / 2, box.y0 + (box.height - 1) / 2)
    steps = np.linspace(-0.5, 0.5, _NODES_PER_SIDE)
    offsets = np.stack(np.meshgrid(steps * box.width, steps * box.height), axis=-1).reshape(-1, 2)
    grids = np.array([_pixel_image(seeing.profile(*place)) for place in offsets + detector.focal_plane_pix])
    piff_psf = _fitted_grid(offsets + middle, grids)
    return VisitPsf(seeing, middle, detector.focal_plane_pix, PiffPsf(piff_psf, STAMP_SIZE_PIX))


def _pixel_image(profile: galsim.GSObject) -> FloatArray:
    """Draw a profile, centred, with the pixel, sum 1, shape (stamp size, stamp size)."""
    image: FloatArray = profile.drawImage(
        nx=STAMP_SIZE_PIX, ny=STAMP_SIZE_PIX, scale=1.0, method="auto", dtype=np.float64
    ).array
    return image / image.sum()


def _fitted_grid(positions: FloatArray, grids: FloatArray) -> Any:
    """Fit a Piff PSF.

    Parameters
    ----------
    positions
        x, y in pixels, shape (n, 2).
    grids
        Centred images of the PSF there, shape (n, size, size).
    """
    import galsim
    import piff

    model = piff.PixelGrid(PIXEL_SCALE_ARCSEC, grids.shape[-1], interp=galsim.Lanczos(_LANCZOS_ORDER))
    interp = piff.BasisPolynomial(_ORDER)
    powers = np.array(np.nonzero(interp._mask))
    # Piff's coordinates are arcseconds along the pixel axes; scaled, the polynomials are well conditioned.
    scale = PIXEL_SCALE_ARCSEC * np.abs(positions).max()
    places = PIXEL_SCALE_ARCSEC * positions / scale
    terms = places[:, :1] ** powers[0] * places[:, 1:] ** powers[1]
    coefficients = np.linalg.pinv(terms) @ grids.reshape(len(grids), -1)
    interp.q = np.ascontiguousarray((coefficients / scale ** powers.sum(axis=0)[:, np.newaxis]).T)
    psf = piff.SimplePSF(model, interp)
    psf.wcs, psf.pointing, psf.stars = {0: galsim.PixelScale(PIXEL_SCALE_ARCSEC)}, None, []
    return psf
