"""What every format of results does."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from ..tables import ColumnMetadata
from ..votable_types import votable_type


class ResultWriter(ABC):
    """Turns a result into bytes, batch by batch.

    Parameters
    ----------
    schema
        Arrow's, of all batches.
    columns
        What is known of the columns; types are Arrow's names.
    about
        What a reader may want to know of the query, as its text.
    """

    def __init__(
        self, schema: pa.Schema, columns: Sequence[ColumnMetadata], about: Mapping[str, str] | None = None
    ) -> None:
        self.schema = schema
        self.columns = columns
        self.kinds = [votable_type(column) for column in columns]
        self.about = about or {}

    def begin(self) -> bytes:
        """Return what is before the first row."""
        return b""

    @abstractmethod
    def rows(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        """Yield rows."""

    def end(self, overflow: bool) -> Iterator[bytes]:  # noqa: ARG002
        """Yield what is after the last row; ``overflow`` tells that rows were cut off."""
        yield b""

    def broken(self, message: str) -> bytes | None:  # noqa: ARG002
        """Return what tells a reader that rows are missing by an error; None if the format cannot."""
        return None

    def close(self) -> None:
        """Let go of what the writer holds."""
        return
