"""Detector: which chip took an image, and its amplifiers."""

import math
from dataclasses import dataclass

from ..conventions import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Amplifier:
    """One of a detector's amplifiers; numbers are NaN where they are unknown.

    Parameters
    ----------
    box
        Its pixels in the trimmed, assembled image.
    saturation_adu
        Level above which pixels are saturated.
    suspect_level_adu
        Level above which pixels are suspect.
    """

    name: str
    box: Box
    gain_electron_per_adu: float = math.nan
    read_noise_electron: float = math.nan
    saturation_adu: float = math.nan
    suspect_level_adu: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """Where a detector is in the focal plane: its reference pixel's place there, and three rotations."""

    focal_plane_x_mm: float
    focal_plane_y_mm: float
    focal_plane_z_mm: float = 0.0
    reference_x_pixel: float
    reference_y_pixel: float
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A detector as the camera's description has it.

    Parameters
    ----------
    number
        Its id in the camera.
    purpose
        SCIENCE, FOCUS, GUIDER, WAVEFRONT or UNKNOWN.
    box
        Its pixels.
    pixel_width_mm, pixel_height_mm
        Size of a pixel.
    physical_type
        Such as CCD, ITL or E2V; None where it is unknown.
    """

    name: str
    number: int
    serial: str
    purpose: str
    box: Box
    orientation: Orientation | None = None
    pixel_width_mm: float = math.nan
    pixel_height_mm: float = math.nan
    physical_type: str | None = None
    amplifiers: tuple[Amplifier, ...] = ()
