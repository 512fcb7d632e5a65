"""AstTransform: mappings from text."""

import numpy as np
import pytest
import starlink.Ast as Ast

from forcedphot.errors import FileFormatError
from forcedphot.exposure.transform import AstTransform


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
