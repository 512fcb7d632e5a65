"""Readers of stored PSF models and of what they are made of.

Importing this module registers them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...conventions import FloatArray
from ...errors import ExposureError, FileFormatError
from ...psf.base import Psf
from ...psf.kernel_image import DoubleGaussianPsf, GaussianPsf, KernelImagePsf
from ...psf.linear_combination import LinearCombinationPsf
from ...psf.piff import PiffPsf
from ...psf.psfex import PsfexPsf
from .archive import StoredObject, UnsupportedObjectError
from .persistables import persistable
from .piff_pickle import read_piff_psf

_MAX_SIDE = 4095
_MAX_GRID_SIDE = 16_383
_MAX_COMPONENT_NUMBERS = 2**26
_KERNELS = frozenset({"AnalyticKernel", "FixedKernel", "LinearCombinationKernel"})


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel: images whose amplitudes are polynomials of the position."""

    images: FloatArray
    """Shape (components, height, width), centred on the middle pixel; not normalised."""
    coefficients: FloatArray
    """Shape (components, terms): of 1, x, y, x^2, x y, y^2, ..."""


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A polynomial of x and y; coefficients of 1, x, y, x^2, x y, y^2, ..."""

    coefficients: FloatArray


@dataclass(frozen=True, slots=True)
class GaussianFunction:
    """A sum of elliptical Gaussians about 0: the amplitude, xx, yy, xy (pixel^2) of each."""

    terms: tuple[tuple[float, float, float, float], ...]


@persistable("GaussianPsf", "SingleGaussianPsf")
def _gaussian_psf(stored: StoredObject) -> GaussianPsf:
    width, height = _dimensions(stored)
    return GaussianPsf(_sigma(stored, "sigma"), width, height)


@persistable("DoubleGaussianPsf")
def _double_gaussian_psf(stored: StoredObject) -> DoubleGaussianPsf:
    width, height = _dimensions(stored)
    rows = stored.rows()
    b = rows.number("b")
    # Without a second Gaussian its size says nothing.
    sigma2 = rows.number("sigma2") if b == 0.0 else _sigma(stored, "sigma2")
    return DoubleGaussianPsf(_sigma(stored, "sigma1"), sigma2, b, width, height)


@persistable("PiffPsf")
def _piff_psf(stored: StoredObject) -> PiffPsf:
    try:
        return read_piff_psf(stored.rows().bytes("bytes"))
    except ExposureError as error:
        raise UnsupportedObjectError(stored.class_name, f" where it cannot be drawn: {error}") from error


@persistable("PsfexPsf")
def _psfex_psf(stored: StoredObject) -> PsfexPsf:
    scalars, arrays = stored.rows(0), stored.rows(1)
    degree, group = arrays.array("degree").astype(np.int64), arrays.array("group")
    offset, scale = arrays.array("_context_first"), arrays.array("_context_second")
    if len(offset) != 2 or len(scale) != 2 or len(degree) != 1 or group.any():
        raise UnsupportedObjectError(
            stored.class_name, " where they depend on other than one polynomial of x and y"
        )
    width, height, *rest = arrays.array("_size").astype(np.int64).tolist()
    pixels = arrays.array("_comp")
    n_grids = rest[0] if rest else 1
    if (
        not (0 < width <= _MAX_GRID_SIDE and 0 < height <= _MAX_GRID_SIDE)
        or len(pixels) != n_grids * width * height
    ):
        raise FileFormatError(f"a PsfexPsf has {len(pixels)} pixels for {n_grids} grids of {width} x {height}")
    return PsfexPsf(
        pixels.reshape(n_grids, height, width),
        int(degree[0]),
        scalars.number("_pixstep"),
        (float(offset[0]), float(offset[1])),
        (float(scale[0]), float(scale[1])),
    )


@persistable("KernelPsf", "PcaPsf")
def _kernel_psf(stored: StoredObject) -> Psf:
    kernel_id = stored.rows().integer("kernel")
    if kernel_id in stored.archive and stored.archive.class_name(kernel_id) not in _KERNELS:
        kernel_class = stored.archive.class_name(kernel_id)
        raise UnsupportedObjectError(stored.class_name, f" with a kernel of the class {kernel_class}")
    try:
        kernel = stored.read(kernel_id, Kernel)
    except UnsupportedObjectError as error:
        raise UnsupportedObjectError(stored.class_name, f": {error}") from error
    if len(kernel.images) == 1 and not kernel.coefficients[:, 1:].any():
        return KernelImagePsf(kernel.images[0] * kernel.coefficients[0, 0])
    return LinearCombinationPsf(kernel.images, kernel.coefficients)


@persistable("FixedKernel")
def _fixed_kernel(stored: StoredObject) -> Kernel:
    width, height = _kernel_dimensions(stored)
    return Kernel(stored.rows().array("image").reshape(1, height, width), np.ones((1, 1)))


@persistable("AnalyticKernel")
def _analytic_kernel(stored: StoredObject) -> Kernel:
    rows = stored.rows()
    if "spatialfunctions" in rows and rows.array("spatialfunctions").size:
        raise UnsupportedObjectError(stored.class_name, " where their parameters depend on the position")
    width, height = _kernel_dimensions(stored)
    function = stored.read(rows.integer("kernelfunction"), GaussianFunction)
    y, x = np.ogrid[-(height // 2) : height - height // 2, -(width // 2) : width - width // 2]
    image = np.zeros((1, height, width))
    for amplitude, xx, yy, xy in function.terms:
        image += amplitude * np.exp(-0.5 * (yy * x**2 - 2.0 * xy * x * y + xx * y**2) / (xx * yy - xy**2))
    return Kernel(image, np.ones((1, 1)))


@persistable("LinearCombinationKernel")
def _linear_combination_kernel(stored: StoredObject) -> Kernel:
    rows = stored.rows()
    width, height = _kernel_dimensions(stored)
    component_ids = [int(i) for i in rows.array("components")]
    # They may be one and the same, and a file then describes more than it holds.
    if len(component_ids) * width * height > _MAX_COMPONENT_NUMBERS:
        raise FileFormatError(f"a {stored.class_name} has {len(component_ids)} components of {width} x {height}")
    components = [_fixed(stored, i) for i in component_ids]
    if any(image.shape != (height, width) for image in components):
        raise FileFormatError(f"a {stored.class_name} of {width} x {height} pixels has components of other sizes")
    if "spatialfunctions" in rows:
        polynomials = [stored.read(int(i), Polynomial).coefficients for i in rows.array("spatialfunctions")]
    else:
        polynomials = [np.array([amplitude]) for amplitude in rows.array("amplitudes")]
    if not components or len(polynomials) != len(components):
        raise FileFormatError(
            f"a {stored.class_name} has {len(components)} components and {len(polynomials)} amplitudes"
        )
    n_terms = max(len(polynomial) for polynomial in polynomials)
    if len(polynomials) * n_terms > _MAX_COMPONENT_NUMBERS:
        raise FileFormatError(f"a {stored.class_name} has {len(polynomials)} polynomials of {n_terms} terms")
    coefficients = np.zeros((len(polynomials), n_terms))
    for row, polynomial in zip(coefficients, polynomials, strict=True):
        row[: len(polynomial)] = polynomial
    return Kernel(np.array(components), coefficients)


def _fixed(stored: StoredObject, kernel_id: int) -> FloatArray:
    """Read a component that does not depend on the position, shape (height, width)."""
    try:
        kernel = stored.read(kernel_id, Kernel)
    except UnsupportedObjectError as error:
        raise UnsupportedObjectError(stored.class_name, f": {error}") from error
    if len(kernel.images) != 1:
        raise UnsupportedObjectError(stored.class_name, " whose components are linear combinations")
    image: FloatArray = kernel.images[0]
    return image


@persistable("PolynomialFunction2D", "PolynomialFunction2F")
def _polynomial(stored: StoredObject) -> Polynomial:
    return Polynomial(stored.rows().array("coefficients"))


@persistable("GaussianFunction2D", "GaussianFunction2F")
def _gaussian_function(stored: StoredObject) -> GaussianFunction:
    variance1, variance2 = _sigma(stored, "sigma1") ** 2, _sigma(stored, "sigma2") ** 2
    angle = stored.rows().number("angle")
    cosine, sine = np.cos(angle), np.sin(angle)
    xx = variance1 * cosine**2 + variance2 * sine**2
    yy = variance1 * sine**2 + variance2 * cosine**2
    return GaussianFunction(((1.0, xx, yy, (variance1 - variance2) * sine * cosine),))


@persistable("DoubleGaussianFunction2D", "DoubleGaussianFunction2F")
def _double_gaussian_function(stored: StoredObject) -> GaussianFunction:
    variance1, variance2 = _sigma(stored, "sigma1") ** 2, _sigma(stored, "sigma2") ** 2
    amplitude = stored.rows().number("ampl2")
    return GaussianFunction(((1.0, variance1, variance1, 0.0), (amplitude, variance2, variance2, 0.0)))


def _dimensions(stored: StoredObject) -> tuple[int, int]:
    """Return the width and height of a kernel image."""
    rows = stored.rows()
    width, height = rows.integer("dimensions_x"), rows.integer("dimensions_y")
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise FileFormatError(f"a {stored.class_name} is {width} x {height} pixels large")
    return width, height


def _kernel_dimensions(stored: StoredObject) -> tuple[int, int]:
    """Return the width and height of a kernel whose centre is its middle pixel."""
    rows = stored.rows()
    width, height = _dimensions(stored)
    if (rows.integer("center_x"), rows.integer("center_y")) != (width // 2, height // 2):
        raise UnsupportedObjectError(stored.class_name, " where their centre is not the middle pixel")
    return width, height


def _sigma(stored: StoredObject, name: str) -> float:
    sigma = stored.rows().number(name)
    if not (sigma > 0 and np.isfinite(sigma)):
        raise FileFormatError(f"the {name} of a {stored.class_name} is {sigma}")
    return sigma
