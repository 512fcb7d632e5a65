"""Point-spread functions: the protocol and one module a model."""

from .base import KernelImages, Psf, Stamps
from .cell import CellPsf
from .kernel_image import DoubleGaussianPsf, GaussianPsf, KernelImagePsf
from .linear_combination import LinearCombinationPsf
from .piff import PiffPsf
from .psfex import PsfexPsf

__all__ = [
    "CellPsf",
    "DoubleGaussianPsf",
    "GaussianPsf",
    "KernelImagePsf",
    "KernelImages",
    "LinearCombinationPsf",
    "PiffPsf",
    "Psf",
    "PsfexPsf",
    "Stamps",
]
