"""AstTransform: mappings from text; derivatives of changes of coordinates."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import starlink.Ast as Ast

from forcedphot.conventions import FloatArray
from forcedphot.errors import FileFormatError
from forcedphot.exposure import Exposure
from forcedphot.exposure.transform import AstTransform, linearize, linearize_between


def text(mapping: Ast.Object) -> list[str]:
    lines: list[str] = []

    class Sink:
        def astsink(self, line: str) -> None:
            lines.append(line.split("#")[0].strip())

    Ast.Channel(None, Sink()).write(mapping)
    return [line for line in lines if line]


def test_source_is_the_inverse() -> None:
    mapping = Ast.CmpMap(Ast.MatrixMap([[0.9, 0.1], [-0.2, 1.1]]), Ast.ShiftMap([3.0, -5.0]), True)
    transform = AstTransform.from_text(text(mapping))
    source = np.array([[1.0, 20.0, -7.0], [4.0, 2.0, 9.0]])
    x, y = np.array([[0.9, 0.1], [-0.2, 1.1]]) @ source + np.array([[3.0], [-5.0]])
    np.testing.assert_allclose(transform.to_source(x, y), source, rtol=0, atol=1e-12)
    x[1] = np.nan
    assert np.isnan(transform.to_source(x, y)).tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["nonsense"], "not readable AST text"),
        ([], "NoneType"),
        (text(Ast.UnitMap(3)), "takes 3 to 3"),
        (text(Ast.MatrixMap([[1.0, 1.0], [1.0, 1.0]])), "and back"),
        (text(Ast.KeyMap()), "it is a KeyMap"),
    ],
)
def test_what_is_no_change_of_pixels(lines: list[str], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        AstTransform.from_text(lines)


def test_derivatives_of_a_polynomial() -> None:
    def transform(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return 2.0 * x + 0.01 * x * y, np.where(x > 90.0, np.nan, 3.0 * y - 0.02 * y**2)

    x, y = np.array([1.0, -7.5, 89.5, np.nan]), np.array([4.0, 30.25, 1.0, 1.0])
    found = linearize(transform, x, y)
    zero = np.zeros_like(x)
    expected = np.moveaxis(np.array([[2.0 + 0.01 * y, 0.01 * x], [zero, 3.0 - 0.04 * y]]), 2, 0)
    np.testing.assert_allclose(found[:2], expected[:2], rtol=0, atol=1e-13)
    # Beyond 90 it is undefined.
    assert np.isnan(found[2, 1, 0])
    assert np.isfinite(found[2, 0]).all()
    assert np.isnan(found[3]).any()
    assert linearize(transform, x[:0], y[:0]).shape == (0, 2, 2)


def test_derivatives_between_images(golden: Callable[[str], Path], rng: np.random.Generator) -> None:
    folder = golden("all_plugins/kron_hsm_convolved")
    source = Exposure.read_component(folder / "reference_exposure.fits", "wcs")
    target = Exposure.read_component(folder / "exposure.fits", "wcs")
    x, y = rng.uniform(0.0, 400.0, (2, 50))
    found = linearize_between(source, target, x, y)

    # Over a distance by which positions differ by much more than their errors, Richardson's extrapolation.
    def difference(step: float, along_x: float, along_y: float) -> FloatArray:
        def moved(sign: float) -> FloatArray:
            sky = source.pixel_to_sky(x + sign * step * along_x, y + sign * step * along_y)
            return np.stack(target.sky_to_pixel(*sky))

        return (moved(1.0) - moved(-1.0)) / (2.0 * step)

    for axis, along in enumerate([(1.0, 0.0), (0.0, 1.0)]):
        expected = (4.0 * difference(20.0, *along) - difference(40.0, *along)) / 3.0
        np.testing.assert_allclose(found[:, :, axis], expected.T, rtol=0, atol=2e-9)
    # The images differ in rotation and scale.
    assert np.abs(found[0] - np.eye(2)).max() > 0.01
    inverse = linearize_between(target, source, *target.sky_to_pixel(*source.pixel_to_sky(x, y)))
    np.testing.assert_allclose(found @ inverse, np.broadcast_to(np.eye(2), (50, 2, 2)), rtol=0, atol=1e-8)
