"""What a request asks for: DALI's parameters from its URL and its body, and what TAP makes of them."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request

from .errors import ServiceError
from .formats import Format, find_format
from .uploads import read_upload

_MOST_FIELDS = 200
_LARGEST_FIELD = 1_000_000
_MOST_CHARACTERS = 1_000_000
_UPLOADS_AT_ONCE = 4
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_LANGUAGES = {"ADQL", "ADQL-2.0", "ADQL-2.1"}
_MOST_TABLES = 10
_PART = "param:"


@dataclass
class Parameters:
    """Parameters as they were sent; names are in upper case.

    Parameters
    ----------
    values
        Names and values, in their order.
    uploads
        Tables that came with them, by the names that UPLOAD gives them.
    """

    values: list[tuple[str, str]] = field(default_factory=list)
    uploads: dict[str, pa.Table] = field(default_factory=dict)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value for known, value in self.values if known == name]

    def one(self, *names: str) -> str | None:
        """Return the value of a parameter that has at most one; the first of several names counts.

        Raises
        ------
        ServiceError
            If it is there several times, with different values.
        """
        for name in names:
            values = list(dict.fromkeys(self.all(name)))
            if len(values) > 1:
                raise ServiceError(f"{name} is given {len(values)} times; once is enough")
            if values:
                return values[0]
        return None

    def whole_number(self, name: str, lowest: int) -> int | None:
        """Return a whole number.

        Raises
        ------
        ServiceError
            If it is none, or too small.
        """
        text = self.one(name)
        if text is None or not text.strip():
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()) or int(text) < lowest:
            raise ServiceError(f"{name} must be a whole number, {lowest} or more; it is {text[:50]!r}")
        return int(text)


class ParameterReader:
    """Reads the parameters of requests.

    Parameters
    ----------
    most_rows
        Of each table that comes with a request.
    find_document
        Returns what is at a URL, for a request that names it.
    """

    def __init__(self, most_rows: int, find_document: Callable[[Request, str], bytes]) -> None:
        self._most_rows = most_rows
        self._find_document = find_document
        # bodies wait in files; only so many are in memory at once
        self._reading = asyncio.Semaphore(_UPLOADS_AT_ONCE)

    async def read(self, request: Request) -> Parameters:
        """Read the parameters of a request's URL and body.

        Raises
        ------
        ServiceError
            If the body is no form, or a table in it cannot be used.
        """
        parameters = Parameters([(name.upper(), value) for name, value in request.query_params.multi_items()])
        if request.method != "POST":
            await self._read_uploads(request, parameters, FormData())
            return parameters
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("", "application/x-www-form-urlencoded", "multipart/form-data"):
            message = f"the body is {kind[:80]}; expected application/x-www-form-urlencoded or multipart/form-data"
            raise ServiceError(message, 415)
        async with request.form(
            max_files=_MOST_TABLES, max_fields=_MOST_FIELDS, max_part_size=_LARGEST_FIELD
        ) as form:
            texts = [(name.upper(), value) for name, value in form.multi_items() if isinstance(value, str)]
            parameters.values += texts
            if sum(len(name) + len(value) for name, value in texts) > _MOST_CHARACTERS:
                raise ServiceError(f"the parameters have more than {_MOST_CHARACTERS} characters", 413)
            await self._read_uploads(request, parameters, form)
        return parameters

    async def _read_uploads(self, request: Request, parameters: Parameters, form: FormData) -> None:
        for name, place in upload_places(parameters.all("UPLOAD")):
            async with self._reading:
                if place.lower().startswith(_PART):
                    part = form.get(place[len(_PART) :])
                    if part is None:
                        raise ServiceError(f"UPLOAD {name}: the request has no part {place[len(_PART) :][:50]!r}")
                    document = part.encode() if isinstance(part, str) else await part.read()
                else:
                    document = await run_in_threadpool(self._find_document, request, place)
                parameters.uploads[name] = await run_in_threadpool(read_upload, name, document, self._most_rows)


def upload_places(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the names of UPLOAD's tables, and where they are: "param:PART" or a URL.

    Raises
    ------
    ServiceError
        If a name is unfit, or there are too many.
    """
    seen: set[str] = set()
    for entry in (entry.strip() for value in values for entry in value.split(";")):
        if not entry:
            continue
        name, separator, place = (part.strip() for part in entry.partition(","))
        if not separator or not _NAME.fullmatch(name):
            message = f"UPLOAD {entry[:80]!r} is not NAME,param:PART with a name of letters, digits, underscores"
            raise ServiceError(message)
        if name.lower() in seen:
            raise ServiceError(f"UPLOAD has {name} twice")
        if len(seen) >= _MOST_TABLES:
            raise ServiceError(f"UPLOAD has more than {_MOST_TABLES} tables")
        seen.add(name.lower())
        yield name, place


@dataclass(frozen=True)
class TapRequest:
    """A query that is to be run.

    Parameters
    ----------
    query
        In ADQL.
    form
        Format of the result.
    max_rows
        MAXREC, if it was given.
    uploads
        Tables that came with it, by name.
    """

    query: str
    form: Format
    max_rows: int | None
    uploads: Mapping[str, pa.Table]


def tap_request(parameters: Parameters) -> TapRequest:
    """Read what TAP's parameters ask for.

    Raises
    ------
    ServiceError
        If one is missing, or has a value that means nothing.
    """
    asked = parameters.one("REQUEST")
    if asked is not None and asked.lower() != "doquery":
        raise ServiceError(f"REQUEST can be doQuery; it is {asked[:50]!r}")
    language = parameters.one("LANG")
    if language is not None and language.upper() not in _LANGUAGES:
        raise ServiceError(f"LANG can be {', '.join(sorted(_LANGUAGES))}; it is {language[:50]!r}")
    query = parameters.one("QUERY")
    if query is None or not query.strip():
        raise ServiceError("QUERY is missing: expected a query in ADQL")
    form = find_format(parameters.one("RESPONSEFORMAT", "FORMAT"))
    return TapRequest(query, form, parameters.whole_number("MAXREC", 0), parameters.uploads)
