"""Exposure and its parts: mask, fields, calibration, WCS, and what describes it."""

from .coadd_inputs import CoaddInputs
from .detector import Amplifier, Detector, Orientation
from .exposure import Exposure, Identity
from .fields import CellField, ChebyshevField, ConstantField, Field, ProductField
from .filter_label import FilterLabel
from .mask import Mask
from .photo_calib import PhotoCalib
from .summary_stats import SummaryStats
from .visit_info import VisitInfo
from .wcs import AstropyWcs, AstWcs, Wcs

__all__ = [
    "Amplifier",
    "AstWcs",
    "AstropyWcs",
    "CellField",
    "ChebyshevField",
    "CoaddInputs",
    "ConstantField",
    "Detector",
    "Exposure",
    "Field",
    "FilterLabel",
    "Identity",
    "Mask",
    "Orientation",
    "PhotoCalib",
    "ProductField",
    "SummaryStats",
    "VisitInfo",
    "Wcs",
]
