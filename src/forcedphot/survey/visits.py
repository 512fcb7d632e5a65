"""Visits: the images of one detector, as the pipelines would leave them, and what goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..conventions import Box, FloatArray
from ..exposure import ChebyshevField, Exposure, Identity, Mask, PhotoCalib
from ..psf.base import Psf
from . import detector_effects
from .detector_effects import PLANES
from .drawing import draw_points, draw_scene
from .plan import DetectorPlan, SurveyPlan, VisitPlan
from .visit_psf import VisitPsf, visit_psf

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from .sky import Sky

type FloatImage = npt.NDArray[np.float32]

_VISITS_IN_TEMPLATE = 20
_NODES_PER_SIDE = 3


@dataclass(frozen=True, slots=True, eq=False)
class VisitArrays:
    """The images of one detector in one visit, calibrated in nJy, without sky.

    Cosmic rays, saturated pixels and bad columns are interpolated, and marked. Pixels without data are NaN and
    have an infinite variance.

    Parameters
    ----------
    image, variance
        float32, shape (height, width), nJy and nJy^2. The variance is that of the distribution of the noise, not
        estimated from the image.
    difference, difference_variance
        The same less a template with the same PSF, of constant sources and mean fluxes.
    mask
        Of both, with the planes `detector_effects.PLANES`; nothing is marked as detected.
    box
        Pixels.
    psf
        Of both.
    wcs
        As the plan has it.
    aperture_corrections
        Of both, by the name of the flux: what the measured fluxes of point sources are to be multiplied with, and
        the errors, which are 0. Point sources are drawn with the PSF, so PSF fluxes have the factor 1. Fluxes
        within Gaussian weights and Kron apertures need more.
    identity
        Visit, detector and band.
    """

    image: FloatImage
    variance: FloatImage
    difference: FloatImage
    difference_variance: FloatImage
    mask: Mask
    box: Box
    psf: VisitPsf
    wcs: WCS
    aperture_corrections: Mapping[str, ChebyshevField]
    identity: Identity

    def visit_exposure(self) -> Exposure:
        """Return the visit image, to be measured."""
        return self._exposure(self.image, self.variance)

    def difference_exposure(self) -> Exposure:
        """Return the difference image, to be measured."""
        return self._exposure(self.difference, self.difference_variance)

    def _exposure(self, image: FloatImage, variance: FloatImage) -> Exposure:
        from astropy import units

        return Exposure.from_arrays(
            image,
            variance=variance,
            mask=self.mask,
            psf=self.psf.psf,
            wcs=self.wcs,
            aperture_corrections=self.aperture_corrections,
            photo_calib=PhotoCalib(1.0),
            unit=units.nJy,
            identity=self.identity,
        )


def simulate_visit(plan: SurveyPlan, visit: VisitPlan, detector: DetectorPlan, sky: Sky) -> VisitArrays:
    """Take and process the image of one detector in one visit; the same for the same plan.

    Sources are where they are in the middle of the exposure. Noise is drawn first, then pixels saturate and bleed;
    defects are interpolated in the image and, since the template knows nothing of them, in the difference again.
    """
    rng = np.random.default_rng(detector.seed)
    psf = visit_psf(visit, detector)
    constant = sky.reference_point_sources(visit.band)
    reference = draw_scene(visit, detector, psf, constant, sky.galaxies)
    scene = reference - draw_points(detector, psf, constant)
    scene += draw_points(detector, psf, sky.point_sources(visit.band, visit.middle_mjd))
    image, variance = detector_effects.add_noise(rng, scene, sky_sigma=visit.sky_sigma_njy, gain=visit.gain)
    template, template_variance = detector_effects.add_noise(
        rng,
        reference,
        sky_sigma=visit.sky_sigma_njy / np.sqrt(_VISITS_IN_TEMPLATE),
        gain=visit.gain * _VISITS_IN_TEMPLATE,
    )
    saturated, suspect = detector_effects.saturate(image, detector_effects.full_well_njy(visit))
    bad, dead = detector_effects.permanent_defects(plan, detector)
    hit = detector_effects.cosmic_rays(rng, detector.box.shape) & ~dead
    interpolated = (saturated | bad | hit) & ~dead
    detector_effects.interpolate(image, interpolated | dead)
    difference = image - template
    detector_effects.interpolate(difference, interpolated | dead)
    for pixels in (image, difference):
        pixels[dead] = np.nan
    variance[dead] = np.inf
    marks = {
        "NO_DATA": dead,
        "SATURATED": saturated & ~dead,
        "COSMIC_RAY": hit,
        "BAD": bad,
        "INTERPOLATED": interpolated,
        "DETECTION_EDGE": detector_effects.border(detector.box.shape),
        "SUSPECT": suspect & ~dead,
    }
    mask = np.zeros(detector.box.shape, dtype=np.uint16)
    for name, marked in marks.items():
        mask[marked] |= np.uint16(1 << PLANES[name])
    return VisitArrays(
        image=image.astype(np.float32),
        variance=variance.astype(np.float32),
        difference=difference.astype(np.float32),
        difference_variance=(variance + template_variance).astype(np.float32),
        mask=Mask(mask, dict(PLANES)),
        box=detector.box,
        psf=psf,
        wcs=detector.wcs,
        aperture_corrections=aperture_corrections(psf.psf, detector.box),
        identity=Identity(
            instrument=plan.profile.instrument,
            visit=visit.id,
            detector=detector.id,
            band=visit.band,
            physical_filter=visit.physical_filter,
        ),
    )


def aperture_corrections(psf: Psf, box: Box) -> dict[str, ChebyshevField]:
    """Find what fluxes of point sources are to be multiplied with, from the PSF alone.

    Parameters
    ----------
    psf
        Defined all over the box.
    box
        Of the image.

    Returns
    -------
    By name: ``base_PsfFlux_instFlux``, ``base_PsfFlux_instFluxErr`` and so on.
    """
    steps = np.linspace(0.0, 1.0, _NODES_PER_SIDE)
    grid_x, grid_y = np.meshgrid(box.x0 + steps * (box.width - 1), box.y0 + steps * (box.height - 1))
    x, y = grid_x.ravel(), grid_y.ravel()
    one = np.array([[1.0]])
    gaussian, kron = _fluxes_of_points(psf, x, y)
    coefficients = {
        "base_PsfFlux": one,
        "base_GaussianFlux": _chebyshev(box, x, y, 1.0 / gaussian),
        "ext_photometryKron_KronFlux": _chebyshev(box, x, y, 1.0 / kron),
    }
    values = {f"{name}_instFlux": ChebyshevField(box, found) for name, found in coefficients.items()}
    errors = {f"{name}_instFluxErr": ChebyshevField(box, 0.0 * one) for name in coefficients}
    return values | errors


def _fluxes_of_points(psf: Psf, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Measure point sources of flux 1 without noise: within Gaussians of the PSF's moments, and Kron apertures."""
    from ..kernels.gaussian_flux import gaussian_fluxes
    from ..kernels.measured_kron import measured_kron_fluxes

    images, moments = psf.kernel_images(x, y).images.astype(np.float32), psf.moments(x, y)
    variance = np.ones(images.shape[1:], dtype=np.float32)
    middle_x, middle_y = (np.array([side // 2], dtype=np.float64) for side in variance.shape[::-1])
    is_bad_shape = np.zeros(1, dtype=bool)
    gaussian, kron = np.empty(len(x)), np.empty(len(x))
    for i, image in enumerate(images):
        shape = moments[i : i + 1]
        gaussian[i] = gaussian_fluxes(image, variance, middle_x, middle_y, shape, 0.0).flux[0]
        kron[i] = measured_kron_fluxes(image, variance, middle_x, middle_y, shape, is_bad_shape, shape).flux[0]
    return gaussian, kron


def _chebyshev(box: Box, x: FloatArray, y: FloatArray, values: FloatArray) -> FloatArray:
    """Fit the coefficients of a field, of order 2 in x and y."""
    order = _NODES_PER_SIDE - 1
    terms = np.empty((len(x), (order + 1) ** 2))
    for i in range(terms.shape[1]):
        unit = np.zeros(terms.shape[1])
        unit[i] = 1.0
        terms[:, i] = ChebyshevField(box, unit.reshape(order + 1, order + 1)).evaluate(x, y)
    coefficients: FloatArray = np.linalg.solve(terms, values)
    return coefficients.reshape(order + 1, order + 1)
