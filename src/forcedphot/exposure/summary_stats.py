"""SummaryStats: what the pipelines found out about a visit image as a whole."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_UNKNOWN_CORNERS = (math.nan,) * 4


def _named(name: str, default: Any = math.nan) -> Any:
    """Declare a field with the name that the pipelines have for it."""
    return field(default=default, metadata={"name": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryStats:
    """Statistics of a visit image; NaN where they are unknown.

    Parameters
    ----------
    psf_sigma_pixels
        Determinant radius of the PSF.
    ra_deg, dec_deg
        Centre of the image.
    zenith_distance_deg
        Of the centre.
    effective_time_s
        Exposure time that would give the same depth under standard conditions.
    others
        Further statistics by the pipelines' own names, in their own units.
    """

    psf_sigma_pixels: float = _named("psfSigma")
    psf_area_pixels2: float = _named("psfArea")
    psf_ixx_pixels2: float = _named("psfIxx")
    psf_iyy_pixels2: float = _named("psfIyy")
    psf_ixy_pixels2: float = _named("psfIxy")
    ra_deg: float = _named("ra")
    dec_deg: float = _named("dec")
    ra_corners_deg: tuple[float, ...] = _named("raCorners", _UNKNOWN_CORNERS)
    dec_corners_deg: tuple[float, ...] = _named("decCorners", _UNKNOWN_CORNERS)
    pixel_scale_arcsec: float = _named("pixelScale")
    zenith_distance_deg: float = _named("zenithDistance")
    exposure_time_s: float = _named("expTime")
    zero_point_mag: float = _named("zeroPoint")
    magnitude_limit: float = _named("magLim")
    sky_background_adu: float = _named("skyBg")
    sky_noise_adu: float = _named("skyNoise")
    mean_variance_adu2: float = _named("meanVar")
    astrometric_offset_mean_arcsec: float = _named("astromOffsetMean")
    astrometric_offset_std_arcsec: float = _named("astromOffsetStd")
    n_psf_stars: int = _named("nPsfStar", 0)
    effective_time_s: float = _named("effTime")
    others: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_pipeline_names(cls, values: Mapping[str, Any]) -> "SummaryStats":
        """Build from values by the pipelines' names; what is neither a number nor a list of corners is left out.

        Raises
        ------
        ValueError, TypeError
            If a statistic is not of its type.
        """
        remaining = {"dec": values["decl"], **values} if "decl" in values else dict(values)
        known: dict[str, Any] = {}
        for member in fields(cls):
            name = member.metadata.get("name")
            if name in remaining:
                value, default = remaining.pop(name), member.default
                if isinstance(default, tuple):
                    known[member.name] = tuple(float(corner) for corner in value)
                else:
                    known[member.name] = int(value) if isinstance(default, int) else float(value)
        others = {
            str(name): float(value)
            for name, value in remaining.items()
            if isinstance(value, int | float) and name not in ("version", "decl")
        }
        return cls(**known, others=others)
