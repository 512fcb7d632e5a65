"""Point-spread functions: the protocol and one module a model."""

from .base import KernelImages, Psf, Stamps
from .cell import CellPsf
from .kernel_image import DoubleGaussianPsf, GaussianPsf, KernelImagePsf
from .piff import PiffPsf

__all__ = [
    "CellPsf",
    "DoubleGaussianPsf",
    "GaussianPsf",
    "KernelImagePsf",
    "KernelImages",
    "PiffPsf",
    "Psf",
    "Stamps",
]
