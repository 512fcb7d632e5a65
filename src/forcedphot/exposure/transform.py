"""AstTransform: a change of pixel coordinates, over Starlink AST."""

from collections.abc import Iterable
from typing import Any

from ..conventions import FloatArray
from ..errors import FileFormatError
from .wcs import transform_with_ast


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
