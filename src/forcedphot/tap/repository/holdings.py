"""RepositoryHoldings: what a service over a Butler repository has, kept in step with the repository."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError
from ..engine import Engine, Limits
from ..holdings import ForeignKey, HeldSchema, HeldTable, HoldingsSnapshot
from ..known_schemas import DP02, DP1, known_schema
from ..tap_schema import with_tap_schema
from .discovery import Found, find
from .examples import examples
from .indexed_copies import IndexedCopies
from .names import COADD_PATCHES, OTHER_TABLES
from .obscore import describe_region, obscore_schema
from .parquet_tables import describe_table

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

_LOG = logging.getLogger(__name__)
_IMAGES_AT_ONCE = 5_000
"""A repository with more images is read while queries are answered with what was there before."""

_LEAST_IDLE = 20
"""How much longer than reading a repository takes it is left alone, where its changes are not seen otherwise."""


class RepositoryHoldings:
    """The tables and images of a Butler repository; see docs/tap.md for which they are.

    Parameters
    ----------
    repository
        Its folder, or what ``Butler(...)`` takes.
    files_url
        Where the service has the files of `file_routes`, as "http://127.0.0.1:8080/files".
    collections
        Where to look; by default in all.
    index_folder
        Where copies of large tables are that are ordered on the sky, see `make_copies`; None for no copies.
    limits
        Of each query.
    check_seconds
        How long the repository is taken to be as it was. If it takes long to read, it is longer.

    Raises
    ------
    ConfigurationError
        If there is no such repository, or no such collection.
    """

    def __init__(
        self,
        repository: str | Path,
        files_url: str = "/files",
        collections: Sequence[str] = (),
        index_folder: Path | None = None,
        limits: Limits | None = None,
        check_seconds: float = 2.0,
    ) -> None:
        self._repository = str(repository)
        self._label = Path(self._repository).resolve().name
        self._files_url = files_url.rstrip("/")
        self._collections = tuple(collections)
        self._copies = None if index_folder is None else IndexedCopies(index_folder, self._note_copies)
        self._limits = limits
        self._check_seconds = check_seconds
        self._lock = threading.Lock()
        self._database = _database_file(self._repository)
        self._stamp: Any = None
        self._n_copied = 0
        self._checked = time.monotonic()
        self._described: dict[Any, HeldTable | None] = {}
        self._files: dict[str, Path] = {}
        self._renewal: threading.Thread | None = None
        self._snapshot = self._read()

    def make_copies(self) -> None:
        """Begin to make copies of large tables, and remove those that are of no use: the folder is ours now."""
        if self._copies is not None:
            self._copies.begin()

    def snapshot(self) -> HoldingsSnapshot:
        """Return what there is; see `forcedphot.tap.holdings.Holdings`."""
        with self._lock:
            if (self._renewal is None or not self._renewal.is_alive()) and self._has_changed():
                if len(self._files) <= _IMAGES_AT_ONCE:
                    self._renew()
                else:
                    self._renewal = threading.Thread(target=self._renew, name="repository", daemon=True)
                    self._renewal.start()
            return self._snapshot

    def _renew(self) -> None:
        """Read the repository anew, if it can be read."""
        started = time.monotonic()
        try:
            self._snapshot = self._read()
        except Exception as error:  # noqa: BLE001 - it is being written to, or its database restarts
            _LOG.warning("The repository cannot be read now, and is taken to be as it was: %s", error)
        seconds = time.monotonic() - started
        wait = self._check_seconds if self._database else _LEAST_IDLE * seconds
        self._checked = time.monotonic() + max(0.0, wait - self._check_seconds)

    def file(self, dataset_id: str) -> Path | None:
        """Return the file of one of the images of ObsCore by the id of its dataset; None if there is none."""
        self.snapshot()
        return self._files.get(dataset_id)

    def _has_changed(self) -> bool:
        now = time.monotonic()
        if now - self._checked < self._check_seconds:
            return False
        self._checked = now
        return self._database is None or self._now() != self._stamp

    def _now(self) -> tuple[Any, int]:
        """Return what is another whenever there is something to read."""
        return _stamp(self._database) if self._database else None, self._n_copied

    def _read(self) -> HoldingsSnapshot:
        # before reading, so that what is written meanwhile is read the next time
        stamp = self._now()
        with _open(self._repository) as butler:
            found = find(butler, self._collections)
        tables = [self._with_index(table) for table in self._describe(found) if table is not None]
        if patches := _patches(found):
            present = {table.source.name.partition(".")[0] for table in tables} & {DP1, DP02}
            tables += [
                known_schema(schema).tables[COADD_PATCHES].fill(f"{schema}.{COADD_PATCHES}", patches)
                for schema in sorted(present)
            ]
        schemas = [*_schemas(tables, found), self._obscore(found, tables)]
        held, keys = with_tap_schema(schemas, list(_keys(tables)))
        self._files = {str(image.ref.id): image.path for image in found.images}
        self._stamp = stamp
        engine = Engine((table.source for schema in held for table in schema.tables), self._limits)
        return HoldingsSnapshot(held, keys, examples(held, engine.tables), engine)

    def _describe(self, found: Found) -> Iterable[HeldTable | None]:
        """Describe tables; what is known of the files of a table is kept as long as they are the same."""
        described = {}
        for table in found.tables:
            key = table, tuple((stat.st_size, stat.st_mtime_ns) for stat in map(Path.stat, table.files))
            described[key] = self._described[key] if key in self._described else describe_table(table)
        self._described = described
        return described.values()

    def _with_index(self, table: HeldTable) -> HeldTable:
        """Put ordered copies in the place of a table's files, if it has them; its position is indexed then."""
        source = table.source if self._copies is None else self._copies.replace_files(table.source)
        if source is table.source:
            return table
        columns = [
            replace(column, indexed=column.metadata.name in (source.ra, source.dec)) for column in table.columns
        ]
        return replace(table, source=source, columns=tuple(columns))

    def _note_copies(self) -> None:
        """Have the repository read anew, as a large table has got its copies."""
        self._n_copied += 1

    def _obscore(self, found: Found, tables: Sequence[HeldTable]) -> HeldSchema:
        return obscore_schema(
            found.images, lambda dataset_id: f"{self._files_url}/{dataset_id}", self._label, _detectors(tables)
        )


def _open(repository: str) -> "Butler":
    from lsst.daf.butler import Butler

    try:
        return Butler.from_config(repository, writeable=False)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise ConfigurationError(f"{repository} is no Butler repository that can be opened: {error}") from error


def _database_file(repository: str) -> Path | None:
    """Find the registry's file, which changes with the repository; None if it is in a database server."""
    from lsst.daf.butler import ButlerConfig

    with _open(repository):
        config = ButlerConfig(repository)
    connection = str(config[".registry.db"])
    root = config.configDir
    if not connection.startswith("sqlite:///") or root is None or root.scheme != "file":
        return None
    return Path(connection.removeprefix("sqlite:///").replace("<butlerRoot>", root.ospath.rstrip("/")))


def _stamp(database: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return what changes whenever the file of a database does."""
    stamps: list[tuple[int, int] | None] = []
    for file in (database, database.with_name(f"{database.name}-wal")):
        try:
            stat = file.stat()
            stamps.append((stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            stamps.append(None)
    return tuple(stamps)


def _patches(found: Found) -> Mapping[str, list[Any]]:
    """List the patches that coadds are of, for the table CoaddPatches."""
    rows = {}
    for image in found.images:
        data_id = image.ref.dataId
        if "patch" in data_id.dimensions:
            place = data_id["skymap"], data_id["tract"], data_id["patch"]
            region = describe_region(data_id.records["patch"].region)
            rows[place] = {"lsst_tract": place[1], "lsst_patch": place[2], **region}
    names = ("lsst_tract", "lsst_patch", "s_ra", "s_dec", "s_region")
    return {name: [rows[place].get(name) for place in sorted(rows)] for name in names} if rows else {}


def _schemas(tables: Sequence[HeldTable], found: Found) -> Iterable[HeldSchema]:
    """Sort tables into schemas: Rubin's first, in Rubin's order, then those of other collections."""
    order = [DP1, DP02, *(group.schema for group in found.groups if group.schema), OTHER_TABLES]
    descriptions = {name: known_schema(name).description for name in (DP1, DP02)}
    descriptions |= {group.schema: f"Tables in {group.name}" for group in found.groups if group.schema}
    descriptions[OTHER_TABLES] = "Other Parquet datasets of the survey, by dataset type"
    for name in order:
        own = [table for table in tables if table.source.name.startswith(f"{name}.")]
        names = [table.source.name.partition(".")[2] for table in own]
        known = list(known_schema(DP02 if name == DP02 else DP1).tables)
        ranked = sorted(zip(names, own, strict=True), key=lambda item: _rank(item[0], known))
        if own:
            yield HeldSchema(str(name), descriptions[name], tuple(table for _, table in ranked))


def _rank(name: str, known: Sequence[str]) -> tuple[int, str]:
    return known.index(name) if name in known else len(known), name


def _keys(tables: Sequence[HeldTable]) -> Iterable[ForeignKey]:
    """Return Rubin's foreign keys of what exists; other schemas' tables may refer to Rubin's."""
    columns = {table.source.name: table.source.columns.keys() for table in tables}
    for schema in (DP1, DP02):
        for key in known_schema(schema).keys:
            for name in columns:
                own, _, table = name.partition(".")
                if table != key.from_table or own not in (schema, *_others(columns)):
                    continue
                targets = (f"{own}.{key.to_table}", f"{schema}.{key.to_table}")
                target = next((target for target in targets if target in columns), None)
                if target is not None and all(
                    here.lower() in columns[name] and there.lower() in columns[target]
                    for here, there in key.columns
                ):
                    yield replace(key, from_table=name, to_table=target)


def _others(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names} - {DP1, DP02}


def _detectors(tables: Iterable[HeldTable]) -> dict[tuple[int, int], dict[str, Any]]:
    """Read what ObsCore wants of detectors in visits from the tables of Rubin's that have it."""
    import pyarrow.parquet as pq

    wanted = ["visitId", "detector", "seeing", "ccdVisitId"]
    detectors = {}
    for table in tables:
        if {name.lower() for name in wanted} <= table.source.columns.keys():
            for file in table.source.files:
                for row in pq.read_table(file, columns=wanted).to_pylist():
                    further = {"s_resolution": row["seeing"], "lsst_ccdvisitid": row["ccdVisitId"]}
                    detectors[row["visitId"], row["detector"]] = further
    return detectors
