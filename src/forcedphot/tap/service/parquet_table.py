"""Results as Parquet, with VOTable's description of the columns in the file's metadata."""

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import QueryError
from .votable import document_start, fields
from .writer import ResultWriter


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._position += len(self._parts[-1])
        return len(self._parts[-1])

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts = []
        return taken


class Parquet(ResultWriter):
    """Types are Arrow's, units and the like are in the fields' metadata."""

    _writer: Any = None

    def begin(self) -> bytes:
        self._sink = _Sink()
        try:
            self._writer = pq.ParquetWriter(self._sink, self.schema, compression="zstd")
        except pa.ArrowException as error:
            raise QueryError(f"Parquet does not hold the result: {error}; try CAST, or another format") from None
        return self._sink.take()

    def rows(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        self._writer.write_batch(batch)
        yield self._sink.take()

    def end(self, overflow: bool) -> Iterator[bytes]:
        status = "OVERFLOW" if overflow else "OK"
        described = f"{document_start(status)}<TABLE>\n{fields(self.columns)}</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
        self._writer.add_key_value_metadata(
            {
                "IVOA.VOTable-Parquet.version": "1.0",
                "IVOA.VOTable-Parquet.content": described,
                "QUERY_STATUS": status,
            }
        )
        self._writer.close()
        yield self._sink.take()

    def close(self) -> None:
        if self._writer is not None and self._writer.is_open:
            self._writer.close()
