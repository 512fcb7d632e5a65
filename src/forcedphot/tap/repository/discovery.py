"""What a repository has at a moment: files of tables by schema, and images."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigurationError
from .names import OTHER_TABLES, RUBIN_TABLES, TABLE_STORAGE_CLASSES

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, CollectionInfo, DatasetRef, DatasetType

IMAGE_STORAGE_CLASSES = frozenset(
    {
        "CellCoadd",
        "DifferenceImage",
        "VisitImage",
        "Exposure",
        "ExposureF",
        "ExposureI",
        "MultipleCellCoadd",
    }
)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table.

    Parameters
    ----------
    schema, name
        Those under which it is queried.
    dataset_type
        What the Butler calls it.
    files
        In the order of data ids.
    """

    schema: str
    name: str
    dataset_type: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image: its dataset, expanded; its file; and the collection that it is shown as part of."""

    ref: "DatasetRef"
    path: Path
    collection: str


@dataclass(frozen=True, slots=True)
class Group:
    """Collections whose tables are one schema, or are Rubin's schemas.

    Parameters
    ----------
    name
        The collection as the Butler calls it.
    runs
        Those of its RUN collections that are searched, the first that has a data id being the one.
    schema
        Name of the schema of all tables; None for the survey, whose tables are in Rubin's.
    """

    name: str
    runs: tuple[str, ...]
    schema: str | None = None


@dataclass(slots=True)
class Found:
    """All that there is."""

    groups: tuple[Group, ...] = ()
    tables: list[FoundTable] = field(default_factory=list)
    images: list[FoundImage] = field(default_factory=list)


def find(butler: "Butler", collections: Sequence[str] = ()) -> Found:
    """Find the tables and the images of a repository.

    Parameters
    ----------
    butler
        Opened just now: it does not see what others register later.
    collections
        Where to search, in this order; by default everywhere, see `find_groups`.

    Raises
    ------
    ConfigurationError
        If there is no such collection.
    """
    types = {item.name: item for item in butler.registry.queryDatasetTypes()}
    found = Found(find_groups(butler, types, collections))
    present = {info.name: info.dataset_types or frozenset() for info in _collections(butler)}
    for group in found.groups:
        names = frozenset[str]().union(*(present[run] for run in group.runs)) & types.keys()
        for table, dataset_type in _name_tables(group, types, names).items():
            refs = butler.query_datasets(dataset_type, group.runs, limit=None, explain=False)
            paths = _local_files(butler, refs)
            ordered = sorted(paths, key=lambda ref: tuple(map(str, ref.dataId.required_values)))
            if paths:
                files = tuple(paths[ref] for ref in ordered)
                found.tables.append(FoundTable(*table, dataset_type, files))
        for name in sorted(names):
            if types[name].storageClass_name in IMAGE_STORAGE_CLASSES:
                found.images += _images(butler, name, group)
    return found


def find_groups(
    butler: "Butler", types: Mapping[str, "DatasetType"], collections: Sequence[str] = ()
) -> tuple[Group, ...]:
    """Decide which collections are the survey, whose tables have Rubin's names, and name the others.

    The survey is the collection with the most of Rubin's tables; of equals, the one with the fewest RUN
    collections, so that a chain of somebody's results before the survey is not it. What others have besides is a
    group each: a chain, or a RUN collection that is in none.
    """
    infos = {info.name: info for info in _collections(butler)}
    if collections:
        if unknown := [name for name in collections if name not in infos]:
            raise ConfigurationError(
                f"The repository has no collection {unknown[0]!r}; it has {', '.join(sorted(infos))}."
            )
        runs = dict.fromkeys(run for name in collections for run in _runs(infos, name))
        return (Group(", ".join(collections), tuple(runs)),)
    members = {name: _runs(infos, name) for name in infos}
    table_types = {name for name, item in types.items() if item.storageClass_name in TABLE_STORAGE_CLASSES}

    def rank(name: str) -> tuple[int, int, str]:
        present = infos[name].dataset_types or frozenset()
        rubin = {RUBIN_TABLES[item] for item in present & table_types if item in RUBIN_TABLES}
        return -len(rubin), len(members[name]), name

    ranked = sorted((name for name in infos if members[name]), key=rank)
    if not ranked:
        return ()
    groups = [Group(ranked[0], members[ranked[0]])]
    taken, schemas = set(members[ranked[0]]), {OTHER_TABLES}
    # a chain takes its RUN collections before they stand for themselves
    for name in sorted(ranked[1:], key=lambda name: (not infos[name].children, len(members[name]), name)):
        if runs_left := tuple(run for run in members[name] if run not in taken):
            taken.update(runs_left)
            schema = _identifier(name, schemas)
            schemas.add(schema)
            groups.append(Group(name, runs_left, schema))
    return tuple(groups)


def _collections(butler: "Butler") -> "Iterable[CollectionInfo]":
    from lsst.daf.butler import CollectionType

    kinds = {CollectionType.RUN, CollectionType.CHAINED}
    infos: Iterable[CollectionInfo] = butler.collections.query_info(
        "*", kinds, flatten_chains=False, include_summary=True
    )
    return infos


def _runs(infos: "Mapping[str, CollectionInfo]", name: str) -> tuple[str, ...]:
    """List the RUN collections of a collection in the order of their search."""
    if name not in infos:  # TAGGED and CALIBRATION collections are not searched
        return ()
    info = infos[name]
    if not info.children:
        return (name,) if info.type.name == "RUN" else ()
    return tuple(dict.fromkeys(run for child in info.children for run in _runs(infos, child)))


def _identifier(collection: str, taken: Iterable[str]) -> str:
    """Make a name for queries of a collection's, as u_me_forced of u/me/forced."""
    name = re.sub(r"\W+", "_", collection, flags=re.ASCII).strip("_")
    if not name[:1].isalpha():
        name = f"c_{name}"
    known = {other.lower() for other in (*taken, *(table.schema for table in RUBIN_TABLES.values()))}
    known |= {"tap_schema", "tap_upload", "ivoa"}
    numbers = (f"{name}_{number}" for number in range(2, len(known) + 3))
    return next(candidate for candidate in (name, *numbers) if candidate.lower() not in known)


def _name_tables(
    group: Group, types: "Mapping[str, DatasetType]", names: Iterable[str]
) -> dict[tuple[str, str], str]:
    """Return dataset types by schema and table."""
    present = {name for name in names if types[name].storageClass_name in TABLE_STORAGE_CLASSES}
    tables: dict[tuple[str, str], str] = {}
    taken: set[tuple[str, str]] = set()
    for name, rubin in RUBIN_TABLES.items():
        key = (group.schema or rubin.schema, rubin.table)
        if name in present and key not in tables:
            tables[key] = name
        if name in present:
            taken.add(key)
    for name in sorted(present - set(RUBIN_TABLES)):
        tables[group.schema or OTHER_TABLES, name] = name
    return tables


def _images(butler: "Butler", dataset_type: str, group: Group) -> list[FoundImage]:
    """List all images: of one data id, those of all RUN collections, as each is a dataset."""
    refs = butler.query_datasets(
        dataset_type, group.runs, find_first=False, with_dimension_records=True, limit=None, explain=False
    )
    paths = _local_files(butler, refs)
    return [FoundImage(ref, path, group.name) for ref, path in paths.items()]


def _local_files(butler: "Butler", refs: "Sequence[DatasetRef]") -> "dict[DatasetRef, Path]":
    """Find files; datasets that are not stored, or not on this machine, are left out."""
    paths = {}
    for ref, uris in butler.get_many_uris(refs, allow_missing=True).items():
        uri = uris.primaryURI
        path = Path(uri.ospath) if uri is not None and uri.scheme == "file" else None
        if path is not None and path.is_file():
            paths[ref] = path
        else:
            _LOG.info("%s is not a file on this machine, and left out", ref)
    return paths
