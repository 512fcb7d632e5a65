"""How kernels are compared with their twins, and the images and positions that they are compared on."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from forcedphot.conventions import FloatArray

type FloatImage = npt.NDArray[np.float32]

PARITY = 1e-5 if numba.config.DISABLE_JIT else 1e-12
"""Of the sum of the terms' sizes: some thousand float64 additions in another order, 2^-53 each. Kernels
that are not compiled follow numpy's rules for scalars, and add float32 pixels up in float32."""

SHAPE = 41, 47
"""(height, width) of the images."""

HARD_POSITIONS = np.array(
    [
        (20.0, 20.0),
        (20.5, 20.5),
        (20.5, 21.0),
        (21.0, 19.5),
        (23.3, 17.8),
        (np.nextafter(20.5, 0.0), np.nextafter(20.5, 21.0)),
        (10.0, 10.0),
        (12.5, 9.5),
        (0.0, 0.0),
        (-0.5, -0.5),
        (46.0, 40.0),
        (np.nextafter(46.5, 0.0), np.nextafter(40.5, 0.0)),
        (0.0, 20.0),
        (46.3, 20.0),
        (20.0, 0.4),
        (20.0, 40.4),
        (3.0, 37.0),
        (2.5, 2.5),
        (43.5, 37.5),
    ]
)
"""x, y in array coordinates: exact and half pixels, edges, corners, and stamps partly off the image."""


def assert_close(found: Any, expected: Any, scale: Any, tolerance: float = PARITY) -> None:
    """Require equal shapes, NaN and infinity in the same places, and |difference| <= tolerance * scale."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    scale = np.asarray(scale, dtype=np.float64)
    assert found.shape == expected.shape == scale.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    difference = np.abs(found[finite] - expected[finite])
    allowed = tolerance * scale[finite]
    assert np.isfinite(allowed).all()
    worst = np.max(difference - allowed, initial=-1.0)
    assert (difference <= allowed).all(), f"the largest difference is {worst:.3g} beyond the tolerance"


def noise_image(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> tuple[FloatImage, FloatImage]:
    """Draw an image of noise and sources as bright as it, and a variance that differs from pixel to pixel."""
    image = rng.normal(3.0, 100.0, shape).astype(np.float32)
    variance = rng.uniform(1.0, 1000.0, shape).astype(np.float32)
    return image, variance


def positions(rng: np.random.Generator, n_random: int = 40) -> tuple[FloatArray, FloatArray]:
    """Return the hard positions, and random ones anywhere on the image."""
    height, width = SHAPE
    x = np.concatenate([HARD_POSITIONS[:, 0], rng.uniform(-0.5, width - 0.5, n_random)])
    y = np.concatenate([HARD_POSITIONS[:, 1], rng.uniform(-0.5, height - 0.5, n_random)])
    return x, y


def read_only[T: np.generic](array: npt.NDArray[T]) -> npt.NDArray[T]:
    """Copy an array and protect the copy."""
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def strided[T: np.generic](array: npt.NDArray[T]) -> npt.NDArray[T]:
    """Lay out an array of the same values so that neither axis is contiguous."""
    height, width = array.shape
    spread = np.zeros((2 * height, 3 * width), dtype=array.dtype)
    spread[::2, ::3] = array
    return spread[::2, ::3]


LAYOUTS = {"read-only": read_only, "strided": strided}
