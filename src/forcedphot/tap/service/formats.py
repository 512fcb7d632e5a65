"""The formats of results, and how requests name them."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..engine import QueryResult
from ..errors import QueryError, QueryLimitError
from .errors import ServiceError
from .fits_table import Fits
from .parquet_table import Parquet
from .text_tables import Csv, Tsv
from .votable import Binary2, Tabledata
from .writer import ResultWriter


@dataclass(frozen=True, slots=True)
class Format:
    """A format of results.

    Parameters
    ----------
    media_type
        As it is declared, and sent.
    names
        Short names; the first is the usual one.
    extension
        Of files.
    writer
        What writes it.
    ivo_id
        IVOA's identifier, if it has one.
    further
        Other media types by which it may be asked for.
    """

    media_type: str
    names: tuple[str, ...]
    extension: str
    writer: type[ResultWriter]
    ivo_id: str | None = None
    further: tuple[str, ...] = ()


_TAP = "ivo://ivoa.net/std/TAPRegExt#output-votable-"
_VOTABLE = "application/x-votable+xml"

FORMATS = (
    Format(_VOTABLE, ("votable",), "vot", Binary2, further=("application/xml",)),
    Format(
        f"{_VOTABLE};serialization=binary2", ("votable/b2", "votable/binary2"), "vot", Binary2, f"{_TAP}binary2"
    ),
    Format(
        f"{_VOTABLE};serialization=tabledata", ("votable/td", "votable/tabledata"), "vot", Tabledata, f"{_TAP}td"
    ),
    Format("text/xml", ("xml",), "xml", Tabledata),
    Format("text/csv;header=present", ("csv",), "csv", Csv, further=("text/csv",)),
    Format("text/tab-separated-values", ("tsv",), "tsv", Tsv),
    Format("application/fits", ("fits",), "fits", Fits),
    Format("application/vnd.apache.parquet", ("parquet",), "parquet", Parquet, further=("application/parquet",)),
)
"""The first is the one for those who do not ask."""

_BY_NAME = {
    name: known for known in reversed(FORMATS) for name in (*known.names, known.media_type, *known.further)
}


def find_format(name: str | None) -> Format:
    """Return the format that a request asks for by RESPONSEFORMAT.

    Raises
    ------
    ServiceError
        If there is none of that name.
    """
    if not name or not name.strip():
        return FORMATS[0]
    wanted = "".join(name.lower().split()).replace('"', "")
    found = _BY_NAME.get(wanted) or _BY_NAME.get(wanted.replace(";charset=utf-8", ""))
    if found is None:
        known = ", ".join(form.names[0] for form in FORMATS)
        raise ServiceError(f"there is no format {name[:100]!r}; there are {known}, and their media types")
    return found


def serialize(
    result: QueryResult, form: Format, about: Mapping[str, str], mark_errors: bool = False
) -> Iterator[bytes]:
    """Yield a result as bytes.

    Parameters
    ----------
    result
        Which is closed afterwards.
    form
        The format.
    about
        What a reader may want to know of the query.
    mark_errors
        Whether an error that comes when there are bytes already is told in the result, if the format can.

    Raises
    ------
    QueryError, QueryLimitError
        If there is an error, before the first bytes in any case.
    """
    with result:
        batches = iter(result)
        first = next(batches, None)
        with contextlib.closing(form.writer(result.schema, result.columns, about)) as writer:
            # until the first rows, so that what is wrong with them is an answer of its own
            held = writer.begin()
            try:
                for batch in itertools.chain([first] if first is not None else [], batches):
                    for part in writer.rows(batch):
                        yield held + part
                        held = b""
                for part in writer.end(result.overflow):
                    yield held + part
                    held = b""
            except (QueryError, QueryLimitError) as error:
                mark = writer.broken(str(error)) if mark_errors and not held else None
                if mark is None:
                    raise
                yield mark
            except OSError as error:
                raise QueryLimitError(f"The result cannot be kept: {error.strerror}.") from error
