"""Exposure and its parts: mask, fields, calibration, WCS."""

from .exposure import Exposure, Identity
from .fields import CellField, ChebyshevField, ConstantField, Field
from .mask import Mask
from .photo_calib import PhotoCalib
from .wcs import AstropyWcs, AstWcs, Wcs

__all__ = [
    "AstWcs",
    "AstropyWcs",
    "CellField",
    "ChebyshevField",
    "ConstantField",
    "Exposure",
    "Field",
    "Identity",
    "Mask",
    "PhotoCalib",
    "Wcs",
]
