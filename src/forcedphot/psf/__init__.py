"""Point-spread functions: the protocol and one module a model."""

from .base import KernelImages, Psf, Stamps
from .cell import CellPsf
from .coadd import CoaddInput, CoaddPsf
from .kernel_image import DoubleGaussianPsf, GaussianPsf, KernelImagePsf
from .linear_combination import LinearCombinationPsf
from .piff import PiffPsf
from .psfex import PsfexPsf
from .warped import PixelTransform, WarpedPsf, WarpingKernel

__all__ = [
    "CellPsf",
    "CoaddInput",
    "CoaddPsf",
    "DoubleGaussianPsf",
    "GaussianPsf",
    "KernelImagePsf",
    "KernelImages",
    "LinearCombinationPsf",
    "PiffPsf",
    "PixelTransform",
    "Psf",
    "PsfexPsf",
    "Stamps",
    "WarpedPsf",
    "WarpingKernel",
]
