"""Stored PSF models that no example file has, and such as cannot be."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from forcedphot.errors import FileFormatError, ForcedPhotError
from forcedphot.io.afw_fits.archive import Archive, UnsupportedObjectError
from forcedphot.io.afw_fits.persistables import PERSISTABLES
from forcedphot.psf import DoubleGaussianPsf, KernelImagePsf, LinearCombinationPsf, Psf, PsfexPsf

from . import fits_in_memory

type Rows = Mapping[str, Any] | list[Mapping[str, Any]]
"""One row of a table, or several: values by column."""


def make_archive(objects: Mapping[int, tuple[str, Rows] | tuple[str, Rows, Rows]]) -> Archive:
    """Make an archive in memory: by id the class and the rows of one or two tables."""
    hdus, index = [], []
    for object_id, (class_name, *tables) in objects.items():
        for order, rows in enumerate(tables):
            rows = [rows] if isinstance(rows, Mapping) else rows
            columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            hdus.append(fits.table_to_hdu(Table(columns)))
            index.append((object_id, len(hdus), order, 0, len(rows), class_name, "module"))
    names = ("id", "cat.archive", "cat.persistable", "row0", "nrows", "name", "module")
    index_hdu = fits.table_to_hdu(Table(rows=index, names=names))
    return Archive(fits_in_memory.stored([fits.PrimaryHDU(), index_hdu, *hdus]), 1, PERSISTABLES)


def read(objects: Mapping[int, Any]) -> Psf:
    """Read object 1."""
    return make_archive(objects).read(1, Psf)  # type: ignore[type-abstract]


def kernel_cards(width: int, height: int, **others: Any) -> dict[str, Any]:
    return {
        "dimensions_x": width,
        "dimensions_y": height,
        "center_x": width // 2,
        "center_y": height // 2,
        **others,
    }


def test_double_gaussian_kernel() -> None:
    psf = read(
        {
            1: ("KernelPsf", {"kernel": 2}),
            2: ("AnalyticKernel", kernel_cards(21, 17, kernelfunction=3)),
            3: ("DoubleGaussianFunction2D", {"sigma1": 1.5, "sigma2": 3.0, "ampl2": 0.2}),
        }
    )
    assert isinstance(psf, KernelImagePsf)
    expected = DoubleGaussianPsf(1.5, 3.0, 0.2, 21, 17).kernel
    np.testing.assert_allclose(psf.kernel, expected, rtol=0, atol=1e-15)


def test_elliptical_gaussian_kernel() -> None:
    angle = 0.3
    psf = read(
        {
            1: ("KernelPsf", {"kernel": 2}),
            2: ("AnalyticKernel", kernel_cards(31, 31, kernelfunction=3)),
            3: ("GaussianFunction2D", {"sigma1": 3.0, "sigma2": 1.5, "angle": angle}),
        }
    )
    xx, yy, xy = psf.moments(np.zeros(1), np.zeros(1))[0]
    # The long axis is turned from x towards y by the angle.
    assert 0.5 * np.arctan2(2 * xy, xx - yy) == pytest.approx(angle, abs=1e-3)
    assert np.sqrt(xx * yy - xy**2) == pytest.approx(4.5, rel=1e-3)


COMPONENTS = np.arange(1.0, 19.0).reshape(2, 9)


def combination(**columns: Any) -> dict[int, Any]:
    return {
        1: ("PcaPsf", {"kernel": 2}),
        2: ("LinearCombinationKernel", kernel_cards(3, 3, components=[3, 4]) | columns),
        3: ("FixedKernel", kernel_cards(3, 3, image=COMPONENTS[0])),
        4: ("FixedKernel", kernel_cards(3, 3, image=COMPONENTS[1])),
        5: ("PolynomialFunction2D", {"coefficients": [1.0]}),
        6: ("PolynomialFunction2D", {"coefficients": [0.0, 0.5, 0.25]}),
    }


def test_linear_combination_that_varies() -> None:
    psf = read(combination(spatialfunctions=[5, 6]))
    assert isinstance(psf, LinearCombinationPsf)
    image = psf.kernel_images(np.array([4.0]), np.array([8.0])).images[0]
    expected = (COMPONENTS[0] + 4.0 * COMPONENTS[1]).reshape(3, 3)
    np.testing.assert_allclose(image, expected / expected.sum(), rtol=1e-14)


def test_linear_combination_that_does_not() -> None:
    image = read(combination(amplitudes=[2.0, 1.0])).kernel_images(np.zeros(1), np.zeros(1)).images[0]
    expected = (2.0 * COMPONENTS[0] + COMPONENTS[1]).reshape(3, 3)
    np.testing.assert_allclose(image, expected / expected.sum(), rtol=1e-14)


def psfex(scalars: Mapping[str, Any] | None = None, **arrays: Any) -> dict[int, Any]:
    return {
        1: (
            "PsfexPsf",
            {"_pixstep": np.float32(0.5), **(scalars or {})},
            {
                "group": [0, 0],
                "degree": [0],
                "_size": [9, 7, 1],
                "_comp": np.ones(63, dtype=np.float32),
                "_context_first": [0.0, 0.0],
                "_context_second": [1.0, 1.0],
                **arrays,
            },
        )
    }


def test_psfex_without_a_third_dimension() -> None:
    psf = read(psfex(_size=[9, 7]))
    assert isinstance(psf, PsfexPsf)
    assert psf.stamp_shape == (3, 5)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (psfex(group=[0, 1], degree=[0, 0]), "one polynomial of x and y"),
        (psfex(_context_first=[0.0, 0.0, 0.0]), "one polynomial of x and y"),
        (
            {
                1: ("KernelPsf", {"kernel": 2}),
                2: ("AnalyticKernel", kernel_cards(3, 3, spatialfunctions=[4, 4], kernelfunction=3)),
            },
            "depend on the position",
        ),
        (combination(spatialfunctions=[5, 6]) | {6: ("SplineFunction", {"knots": [1.0]})}, "SplineFunction"),
        (combination(spatialfunctions=[5, 6]) | {4: combination(spatialfunctions=[5, 5])[2]}, "refers to itself"),
    ],
)
def test_what_is_not_supported(objects: Any, message: str) -> None:
    with pytest.raises((UnsupportedObjectError, FileFormatError), match=message):
        read(objects)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (psfex(_size=[9, 8, 1]), "63 pixels for 1 grids of 9 x 8"),
        (psfex(_size=[-9, -7, 1]), "63 pixels"),
        (psfex(_size=[9, 7, 0], _comp=np.ones(0)), "1 pixels for 0 grids"),
        (psfex(degree=[2**30]), "degree 1073741824"),
        (psfex({"_pixstep": np.float32(np.nan)}), "step nan"),
        (psfex(_context_second=[0.0, 1.0]), "scale"),
        (combination(spatialfunctions=[5]), "2 components and 1 amplitudes"),
        (combination(spatialfunctions=[5, 3]), "PolynomialFunction|Polynomial is expected"),
        (combination(spatialfunctions=[5, 6], dimensions_x=5, center_x=2), "components of other sizes"),
        (combination(spatialfunctions=[5, 6], dimensions_x=2**30), "1073741824 x 3 pixels"),
        (combination(spatialfunctions=[5, 99]), "no object 99"),
        # One image again and again, which would fill the memory.
        (combination(**kernel_cards(4001, 4001), components=[3] * 5), "5 components of 4001 x 4001"),
        ({1: ("KernelPsf", {"kernel": 1})}, "kernel of the class KernelPsf"),
        (
            {
                1: ("KernelPsf", {"kernel": 2}),
                2: ("AnalyticKernel", kernel_cards(3, 3, kernelfunction=3)),
                3: ("GaussianFunction2D", {"sigma1": -1.0, "sigma2": 1.5, "angle": 0.0}),
            },
            "sigma1 of a GaussianFunction2D is -1",
        ),
    ],
)
def test_what_cannot_be(objects: Any, message: str) -> None:
    with pytest.raises(ForcedPhotError, match=message):
        read(objects)
