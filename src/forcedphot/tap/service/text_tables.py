"""Results as CSV and TSV."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from . import cells
from .writer import ResultWriter

_INFINITIES = cells.Infinities("NaN", "Infinity", "-Infinity")


class _TextTable(ResultWriter):
    separator = ""

    def begin(self) -> bytes:
        names = self._cleaned(pa.array([column.name for column in self.columns], pa.string())).to_pylist()
        return f"{self.separator.join(names)}\n".encode()

    def rows(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        for piece in cells.pieces(batch):
            columns = []
            for array, kind in zip(piece.columns, self.kinds, strict=True):
                simple = cells.simplified(array, kind)
                written = cells.texts(simple, _INFINITIES)
                is_text = pa.types.is_string(simple.type)
                columns.append((self._cleaned(written) if is_text else written).fill_null(""))
            lines = pc.binary_join_element_wise(*columns, self.separator).to_pylist()
            yield ("\n".join(lines) + "\n").encode()

    def _cleaned(self, written: pa.Array) -> pa.Array:
        """Return texts that a reader cannot mistake for several cells or rows."""
        raise NotImplementedError


class Csv(_TextTable):
    """Comma-separated; an empty text has quotation marks, NULL has none."""

    separator = ","

    def _cleaned(self, written: pa.Array) -> pa.Array:
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(written, '"', '""'), '"', "")
        return pc.if_else(pc.match_substring_regex(written, '[",\r\n]|^$|^\\s|\\s$'), quoted, written)


class Tsv(_TextTable):
    """Tab-separated; the format has no quotation, so that tabs and line ends in texts become spaces."""

    separator = "\t"

    def _cleaned(self, written: pa.Array) -> pa.Array:
        return pc.replace_substring_regex(written, "[\t\r\n]", " ")
