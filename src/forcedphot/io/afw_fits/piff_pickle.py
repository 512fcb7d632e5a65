"""Building Piff PSFs from pickles: the allow-list, and a builder for each class that drawing needs.

Builders call constructors with numbers that they have checked, never with strings, and never set
attributes from the pickle. That also makes models of older Piff versions work, whose pickles lack
attributes that newer ones have. The stars that a model was fitted to are left behind.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import FileFormatError, ForcedPhotError, UnsafeContentError
from ...psf.piff import PiffPsf
from .restricted_pickle import ClassName, Record, read_pickle

_MAX_SIDE = 1000
_MAX_ORDER = 20
_MAX_KEYS = 4
_MAX_LANCZOS = 100

_NUMPY_MODULES = ("numpy._core.multiarray", "numpy.core.multiarray")

ALLOWED_CLASSES = frozenset(
    {
        *((module, name) for module in _NUMPY_MODULES for name in ("_reconstruct", "scalar")),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy", "dtype"),
        ("numpy", "float32"),
        ("numpy", "float64"),
        ("numpy", "ndarray"),
        ("galsim.bounds", "BoundsI"),
        ("galsim.gsparams", "GSParams"),
        ("galsim.image", "Image"),
        ("galsim.interpolant", "Cubic"),
        ("galsim.interpolant", "Lanczos"),
        ("galsim.interpolant", "Linear"),
        ("galsim.interpolant", "Quintic"),
        ("galsim.interpolatedimage", "InterpolatedImage"),
        ("galsim.position", "PositionD"),
        ("galsim.position", "PositionI"),
        ("galsim.wcs", "AffineTransform"),
        ("galsim.wcs", "JacobianWCS"),
        ("galsim.wcs", "OffsetWCS"),
        ("galsim.wcs", "PixelScale"),
        ("piff.basis_interp", "BasisPolynomial"),
        ("piff.outliers", "ChisqOutliers"),
        ("piff.outliers", "MADOutliers"),
        ("piff.pixelgrid", "PixelGrid"),
        ("piff.simplepsf", "SimplePSF"),
        ("piff.star", "Star"),
        ("piff.star", "StarData"),
        ("piff.star", "StarFit"),
    }
)
"""(module, name) of what a PiffPsf pickle may name. Nothing of it is called with the pickle's arguments."""


def read_piff_psf(data: bytes) -> PiffPsf:
    """Read the pickle of (width, height, piff object) that a PiffPsf is stored as.

    Raises
    ------
    UnsafeContentError
        If it names anything outside `ALLOWED_CLASSES`; nothing of it is run.
    FileFormatError
        If it is damaged, or no model that is supported.
    ExposureError
        If the model is none that `PiffPsf` can draw.
    """
    content = read_pickle(data, ALLOWED_CLASSES)
    try:
        return _piff_psf(content)
    except ForcedPhotError:
        raise
    except Exception as error:  # parts that are missing or of another type, arrays that do not fit
        raise FileFormatError(f"A Piff PSF is damaged: {type(error).__name__}: {error}") from error


def _piff_psf(content: Any) -> PiffPsf:
    if not isinstance(content, tuple) or len(content) != 3:
        raise FileFormatError("A PiffPsf is a pickle of (width, height, PSF); this pickle is something else.")
    width = _integer(content[0], "width", 1, _MAX_SIDE)
    height = _integer(content[1], "height", 1, _MAX_SIDE)
    if width != height:
        raise FileFormatError(f"A PiffPsf has square stamps; this one has width {width}, height {height}.")
    return PiffPsf(_build(content[2]), width)


def _build(record: Any) -> Any:
    """Build the object of a record by the builder of its class."""
    if not isinstance(record, Record):
        raise FileFormatError(f"A part of a Piff PSF is a {type(record).__name__} where an object is expected.")
    builder = _BUILDERS.get((record.class_name.module, record.class_name.name))
    if builder is None:
        raise UnsafeContentError(f"A Piff PSF has a {record.class_name} where none is expected.")
    if record.arguments != () or not isinstance(record.state, dict):
        raise UnsafeContentError(f"A pickle calls {record.class_name} with arguments of its own.")
    return builder(record.state)


def _simple_psf(state: dict[Any, Any]) -> Any:
    import piff

    if state.get("pointing") is not None:
        raise FileFormatError("A Piff PSF with a telescope pointing, for a celestial WCS, is not supported.")
    psf = piff.SimplePSF(_build(state["model"]), _build(state["interp"]))
    n_parameters = np.shape(psf.interp.q)[0]
    if n_parameters != psf.model.size**2:
        raise FileFormatError(f"A PixelGrid of side {psf.model.size} has {n_parameters} parameters.")
    psf.wcs = {_integer(chip, "chip number", 0, 10**6): _build(wcs) for chip, wcs in state["wcs"].items()}
    psf.pointing = None
    psf.stars = []
    return psf


def _pixel_grid(state: dict[Any, Any]) -> Any:
    import piff

    return piff.PixelGrid(
        scale=_number(state["scale"], "PixelGrid scale", positive=True),
        size=_integer(state["size"], "PixelGrid size", 1, _MAX_SIDE),
        interp=_build(state["interp"]),
        centered=bool(state.get("_centered", True)),
        # Piff before 1.3 has no such attribute.
        fit_flux=bool(state.get("_fit_flux", False)),
    )


def _basis_polynomial(state: dict[Any, Any]) -> Any:
    import piff

    keys = tuple(state["_keys"])
    if not 1 <= len(keys) <= _MAX_KEYS or not all(isinstance(key, str) for key in keys):
        raise FileFormatError("The keys of a Piff interpolation are not a few names.")
    orders = tuple(_integer(order, "polynomial order", 0, _MAX_ORDER) for order in state["_orders"])
    max_order = _integer(_value(state["_max_order"]), "polynomial order", 0, _MAX_KEYS * _MAX_ORDER)
    interp = piff.BasisPolynomial(order=orders, keys=keys, max_order=max_order)
    coefficients = _array(state["q"])
    n_terms = len(interp.constant())
    if coefficients.ndim != 2 or coefficients.shape[1] != n_terms or coefficients.dtype.kind != "f":
        raise FileFormatError(
            f"A Piff polynomial of {n_terms} terms has coefficients of shape {coefficients.shape}."
        )
    interp.q = coefficients.astype(np.float64)
    return interp


def _lanczos(state: dict[Any, Any]) -> Any:
    import galsim

    order = _integer(state["_n"], "Lanczos order", 1, _MAX_LANCZOS)
    return galsim.Lanczos(order, conserve_dc=bool(state.get("_conserve_dc", True)))


def _cubic(_: dict[Any, Any]) -> Any:
    import galsim

    return galsim.Cubic()


def _linear(_: dict[Any, Any]) -> Any:
    import galsim

    return galsim.Linear()


def _quintic(_: dict[Any, Any]) -> Any:
    import galsim

    return galsim.Quintic()


def _position(state: dict[Any, Any]) -> Any:
    import galsim

    return galsim.PositionD(_number(state["x"], "position"), _number(state["y"], "position"))


def _pixel_scale(state: dict[Any, Any]) -> Any:
    import galsim

    return galsim.PixelScale(_number(state["_scale"], "pixel scale", positive=True))


def _offset_wcs(state: dict[Any, Any]) -> Any:
    import galsim

    scale = _number(state["_scale"], "pixel scale", positive=True)
    return galsim.OffsetWCS(scale, _build(state["_origin"]), _build(state["_world_origin"]))


def _jacobian(state: dict[Any, Any]) -> Any:
    import galsim

    elements = [_number(state[name], "WCS Jacobian") for name in ("_dudx", "_dudy", "_dvdx", "_dvdy")]
    if elements[0] * elements[3] == elements[1] * elements[2]:
        raise FileFormatError("The WCS of a Piff PSF is singular.")
    return galsim.JacobianWCS(*elements)


def _affine_transform(state: dict[Any, Any]) -> Any:
    import galsim

    local = _build(state["_local_wcs"])
    if not isinstance(local, galsim.JacobianWCS):
        raise FileFormatError("The affine WCS of a Piff PSF has no Jacobian.")
    return galsim.AffineTransform(
        local.dudx,
        local.dudy,
        local.dvdx,
        local.dvdy,
        origin=_build(state["_origin"]),
        world_origin=_build(state["_world_origin"]),
    )


_BUILDERS: dict[tuple[str, str], Callable[[dict[Any, Any]], Any]] = {
    ("galsim.interpolant", "Cubic"): _cubic,
    ("galsim.interpolant", "Lanczos"): _lanczos,
    ("galsim.interpolant", "Linear"): _linear,
    ("galsim.interpolant", "Quintic"): _quintic,
    ("galsim.position", "PositionD"): _position,
    ("galsim.wcs", "AffineTransform"): _affine_transform,
    ("galsim.wcs", "JacobianWCS"): _jacobian,
    ("galsim.wcs", "OffsetWCS"): _offset_wcs,
    ("galsim.wcs", "PixelScale"): _pixel_scale,
    ("piff.basis_interp", "BasisPolynomial"): _basis_polynomial,
    ("piff.pixelgrid", "PixelGrid"): _pixel_grid,
    ("piff.simplepsf", "SimplePSF"): _simple_psf,
}


def _number(value: Any, what: str, *, positive: bool = False) -> float:
    number = _value(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise FileFormatError(f"The {what} of a Piff PSF is a {type(number).__name__}, not a number.")
    if not np.isfinite(number) or (positive and number <= 0):
        raise FileFormatError(f"The {what} of a Piff PSF is {number}.")
    return float(number)


def _integer(value: Any, what: str, low: int, high: int) -> int:
    number = _value(value)
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        raise FileFormatError(f"The {what} of a Piff PSF should be an integer from {low} to {high}.")
    return number


def _value(value: Any) -> Any:
    """Turn a pickled numpy scalar into a Python number; leave everything else as it is."""
    if isinstance(value, Record) and value.class_name.name == "scalar":
        dtype, data = value.arguments
        return np.frombuffer(data, dtype=_dtype(dtype), count=1)[0].item()
    return value


def _array(record: Any) -> npt.NDArray[Any]:
    """Decode a pickled numpy array of numbers."""
    if not isinstance(record, Record):
        raise FileFormatError("A Piff PSF has something else where an array is expected.")
    if record.class_name.name == "_frombuffer":
        data, dtype, shape, order = record.arguments
    elif record.class_name.name == "_reconstruct":
        _, shape, dtype, is_fortran, data = record.state
        order = "F" if is_fortran else "C"
    else:
        raise FileFormatError(f"A Piff PSF has a {record.class_name} where an array is expected.")
    if order not in ("C", "F") or not isinstance(data, bytes):
        raise FileFormatError("A Piff PSF has an array that is damaged.")
    return np.frombuffer(data, dtype=_dtype(dtype)).reshape(shape, order=order)


def _dtype(record: Any) -> np.dtype[Any]:
    """Decode the dtype of integers or floats."""
    if not isinstance(record, Record) or record.class_name != ClassName("numpy", "dtype"):
        raise FileFormatError("A Piff PSF has an array without a type.")
    code, order = record.arguments[0], record.state[1]
    if code not in ("f4", "f8", "i2", "i4", "i8", "u1", "u2", "u4", "u8") or order not in ("<", ">", "|"):
        raise FileFormatError(f"A Piff PSF has an array of the type {code!r}.")
    dtype: np.dtype[Any] = np.dtype(order + code)
    return dtype
