"""Changes of coordinates: AstTransform, over Starlink AST, and the derivatives of any of them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..conventions import FloatArray
from ..errors import FileFormatError
from .wcs import Wcs, transform_with_ast

_STEP = 1.0  # of finite differences, pixels: WCS are smooth, and good to 1e-9 pixels


class AstTransform:
    """A change of pixel coordinates held as an AST Mapping, from the source's to the warped image's.

    Parameters
    ----------
    mapping
        A ``starlink.Ast.Mapping`` of two coordinates to two; held, and used by one thread at a time.
    """

    def __init__(self, mapping: Any) -> None:
        self._mapping = mapping

    @classmethod
    def from_text(cls, lines: Iterable[str]) -> "AstTransform":
        """Read the text dump that AST's Channel writes.

        Raises
        ------
        FileFormatError
            If the text is no invertible mapping of two coordinates to two.
        """
        import starlink.Ast as Ast

        try:
            mapping = Ast.Channel(list(lines)).read()
        except Ast.AstError as error:
            raise FileFormatError(f"The transform is not readable AST text: {error}") from error
        if not isinstance(mapping, Ast.Mapping):
            raise FileFormatError(f"The transform should be an AST Mapping; it is a {type(mapping).__name__}.")
        if not (mapping.Nin == mapping.Nout == 2 and mapping.TranInverse):
            inverse = "an inverse" if mapping.TranInverse else "no inverse"
            raise FileFormatError(
                f"The transform should take two coordinates to two, and back; it takes {mapping.Nin} to "
                f"{mapping.Nout}, and has {inverse}."
            )
        return cls(mapping)

    def to_source(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where positions of the warped image come from.

        Parameters
        ----------
        x, y
            Pixels, shape (n,).

        Returns
        -------
        x, y in the source's pixels, shape (n,); NaN where they are undefined.
        """
        source_x, source_y = transform_with_ast(lambda points: self._mapping.tran(points, False), x, y)
        return source_x, source_y


def linearize(
    transform: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]], x: FloatArray, y: FloatArray
) -> FloatArray:
    """Return the derivatives of a change of coordinates at many positions (afw's linearizeTransform).

    Parameters
    ----------
    transform
        Takes and returns two coordinates, each of shape (m,); NaN where it is undefined.
    x, y
        Positions in the coordinates that it takes, pixels, shape (n,).

    Returns
    -------
    Shape (n, 2, 2): ``[i, a, b]`` is the derivative of the a-th coordinate that it returns by the b-th
    that it takes; by central differences, good to about 1e-9 between images. NaN where the transform
    is undefined at the position or within a pixel of it.
    """
    zero, step = np.zeros_like(x), np.full_like(x, _STEP)
    dx = np.concatenate([step, -step, zero, zero])
    dy = np.concatenate([zero, zero, step, -step])
    moved = np.stack(transform(np.tile(x, 4) + dx, np.tile(y, 4) + dy)).reshape(2, 2, 2, len(x))
    derivatives: FloatArray = (moved[:, :, 0] - moved[:, :, 1]) / (2.0 * _STEP)
    return np.ascontiguousarray(np.moveaxis(derivatives, 2, 0))


def linearize_between(source: Wcs, target: Wcs, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the derivatives of one image's pixel coordinates by another's, through the sky.

    Parameters
    ----------
    source, target
        WCS of the image that positions are in, and of that which they are mapped to.
    x, y
        Positions in the source's pixel frame, shape (n,).

    Returns
    -------
    Shape (n, 2, 2), as `linearize` returns them; ellipses map as ``J Q J^T``.
    """
    return linearize(lambda x, y: target.sky_to_pixel(*source.pixel_to_sky(x, y)), x, y)
