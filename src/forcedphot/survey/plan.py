"""SurveyPlan: tract, patches, visits and detectors of a simulated survey, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..conventions import Box
from .profiles import Profile, Size

if TYPE_CHECKING:
    from astropy.wcs import WCS

PIXEL_SCALE_ARCSEC = 0.2
EXPOSURE_TIME_S = 30.0

_SECONDS_PER_DAY = 86_400.0
_DETECTOR_GAP_PIX = 20
_DITHER_PIX = 25.0
_SKY_SIGMA_NJY = {"g": 22.0, "r": 27.0, "i": 40.0}
_GAIN_ELECTRONS_PER_NJY = {"g": 1.1, "r": 1.0, "i": 0.75}
_RADIAL_DISTORTION = 2e-9  # of the distance from the boresight, times its square in pixels^2


@dataclass(frozen=True, slots=True, eq=False)
class DetectorPlan:
    """One detector in one visit.

    Parameters
    ----------
    id
        The detector's.
    box
        Its pixels; the origin is (0, 0).
    wcs
        TAN-SIP, of the image.
    focal_plane_pix
        x, y of its middle from the boresight.
    seed
        Of its noise and defects.
    """

    id: int
    box: Box
    wcs: WCS
    focal_plane_pix: tuple[float, float]
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class VisitPlan:
    """One visit.

    Parameters
    ----------
    id, day_obs, seq_num
        Of the visit.
    band, physical_filter
        Of the filter.
    mjd
        TAI, of the exposure's beginning.
    ra_deg, dec_deg, rotation_deg
        Boresight, ICRS, and the angle of the focal plane's y axis, from north to east.
    seeing_fwhm_arcsec, ellipticity
        Of the PSF at the boresight; the second is e1, e2.
    sky_sigma_njy
        Noise of a pixel of empty sky.
    gain
        Electrons per nJy.
    detectors
        In the order of the profile.
    """

    id: int
    day_obs: int
    seq_num: int
    band: str
    physical_filter: str
    mjd: float
    ra_deg: float
    dec_deg: float
    rotation_deg: float
    seeing_fwhm_arcsec: float
    ellipticity: tuple[float, float]
    sky_sigma_njy: float
    gain: float
    detectors: tuple[DetectorPlan, ...]

    @property
    def middle_mjd(self) -> float:
        """TAI, of the exposure's middle."""
        return self.mjd + EXPOSURE_TIME_S / 2 / _SECONDS_PER_DAY


@dataclass(frozen=True, slots=True, eq=False)
class PatchPlan:
    """One patch with data.

    Parameters
    ----------
    id, column, row
        Of the patch in its tract.
    inner, outer
        Boxes in the tract's pixel frame, without and with the overlap.
    """

    id: int
    column: int
    row: int
    inner: Box
    outer: Box


@dataclass(frozen=True)
class SurveyPlan:
    """Everything that is decided before anything is drawn; the same for the same profile, size and seed.

    Parameters
    ----------
    profile, size, seed
        What it follows from.
    """

    profile: Profile
    size: Size
    seed: int

    @cached_property
    def tract_box(self) -> Box:
        """All patches, with data or without, in the tract's pixel frame."""
        side = self.profile.patches_per_side * self.size.patch_inner_pix
        border = self.size.patch_border_pix
        return Box(-border, -border, side + 2 * border, side + 2 * border)

    @cached_property
    def tract_inner_box(self) -> Box:
        """The inner boxes of all patches, in the tract's pixel frame."""
        side = self.profile.patches_per_side * self.size.patch_inner_pix
        return Box(0, 0, side, side)

    @cached_property
    def tract_wcs(self) -> WCS:
        """TAN, centred on the patches with data."""
        from astropy.wcs import WCS

        field = self.field_box
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval = [self.profile.ra_deg, self.profile.dec_deg]
        # FITS counts pixels from 1.
        wcs.wcs.crpix = [field.x0 + (field.width + 1) / 2, field.y0 + (field.height + 1) / 2]
        wcs.wcs.cd = PIXEL_SCALE_ARCSEC / 3600 * np.array([[-1.0, 0.0], [0.0, 1.0]])
        wcs.wcs.set()
        return wcs

    @cached_property
    def field_box(self) -> Box:
        """The inner boxes of all patches with data, in the tract's pixel frame."""
        (column, row), inner = self.profile.first_patch, self.size.patch_inner_pix
        rows, columns = self.size.patches_shape
        return Box(column * inner, row * inner, columns * inner, rows * inner)

    @cached_property
    def patches(self) -> tuple[PatchPlan, ...]:
        """The patches with data."""
        (column, row), (rows, columns) = self.profile.first_patch, self.size.patches_shape
        return self._patches(range(column, column + columns), range(row, row + rows))

    @cached_property
    def all_patches(self) -> tuple[PatchPlan, ...]:
        """All patches of the tract."""
        return self._patches(range(self.profile.patches_per_side), range(self.profile.patches_per_side))

    def _patches(self, columns: range, rows: range) -> tuple[PatchPlan, ...]:
        inner, border = self.size.patch_inner_pix, self.size.patch_border_pix
        return tuple(
            PatchPlan(
                row * self.profile.patches_per_side + column,
                column,
                row,
                Box(column * inner, row * inner, inner, inner),
                Box(column * inner - border, row * inner - border, inner + 2 * border, inner + 2 * border),
            )
            for row in rows
            for column in columns
        )

    @cached_property
    def visits(self) -> tuple[VisitPlan, ...]:
        """All visits, band by band; a band is observed every few nights."""
        return tuple(
            self._visit(band, number, index)
            for index, (band, number) in enumerate(
                (band, number)
                for band in sorted(self.size.bands, key=lambda band: (band != "i", band))
                for number in range(self.size.n_visits)
            )
        )

    def _visit(self, band: str, number: int, index: int) -> VisitPlan:
        from astropy.time import Time

        rng = np.random.default_rng([self.seed, 1, index])
        night = self.profile.first_day_mjd + 4 * number + index % 2
        mjd = night + 1.2 + 0.002 * index  # after midnight: the day of an observation begins at noon
        scale = PIXEL_SCALE_ARCSEC / 3600
        dither = rng.uniform(-_DITHER_PIX, _DITHER_PIX, 2) * scale
        ra = self.profile.ra_deg + dither[0] / np.cos(np.radians(self.profile.dec_deg))
        dec = self.profile.dec_deg + dither[1]
        rotation = rng.uniform(-6.0, 6.0)
        sigma = _SKY_SIGMA_NJY[band] * rng.uniform(0.9, 1.15)
        return VisitPlan(
            id=self.profile.first_visit + index,
            day_obs=int(Time(night, format="mjd", scale="tai").strftime("%Y%m%d")),
            seq_num=index + 1,
            band=band,
            physical_filter=self.profile.physical_filters[band],
            mjd=mjd,
            ra_deg=ra,
            dec_deg=dec,
            rotation_deg=rotation,
            seeing_fwhm_arcsec=float(rng.uniform(0.75, 1.05)),
            ellipticity=(float(rng.normal(0.0, 0.02)), float(rng.normal(0.0, 0.02))),
            sky_sigma_njy=float(sigma),
            gain=_GAIN_ELECTRONS_PER_NJY[band],
            detectors=tuple(
                self._detector(place, index, ra, dec, rotation)
                for place in range(int(np.prod(self.size.detectors_shape)))
            ),
        )

    def _detector(self, place: int, index: int, ra: float, dec: float, rotation_deg: float) -> DetectorPlan:
        rows, columns = self.size.detectors_shape
        width = self.size.detector_size_pix
        pitch = width + _DETECTOR_GAP_PIX
        row, column = divmod(place, columns)
        middle = ((column - (columns - 1) / 2) * pitch, (row - (rows - 1) / 2) * pitch)
        return DetectorPlan(
            self.profile.detectors[place],
            Box(0, 0, width, width),
            _distorted_wcs(ra, dec, rotation_deg, middle, width),
            middle,
            self.seed * 1_000_003 + index * 101 + place,
        )


def _distorted_wcs(ra: float, dec: float, rotation_deg: float, middle: tuple[float, float], size: int) -> WCS:
    """Return a WCS whose reference pixel is the boresight, with the distortion of a wide field, r + k r^3."""
    from astropy.wcs import WCS, Sip

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(size + 1) / 2 - middle[0], (size + 1) / 2 - middle[1]]
    c, s = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
    wcs.wcs.cd = PIXEL_SCALE_ARCSEC / 3600 * np.array([[-c, s], [s, c]])
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = _RADIAL_DISTORTION
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs
