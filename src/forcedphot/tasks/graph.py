"""Quantum graphs of forced photometry, without YAML: the same that ``pipetask run`` builds of our pipelines."""

from __future__ import annotations

import copy
import getpass
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lsst.daf.butler import Butler, ButlerUserError, CollectionType
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.quantum_graph_builder import OutputExistsError, QuantumGraphBuilderError

from ..errors import ConfigurationError, needs_extra

type What = Literal["visits", "coadds", "all"]
"""What is measured on: visit and difference images, coadds, or all of them."""

_PIPELINES = Path(str(files("forcedphot") / "pipelines"))
_SUFFIXES = MappingProxyType({"visits": "-forced-visit", "coadds": "-forced-coadd", "all": "-forced-all"})
_PERSONAL = "u/"


@dataclass(frozen=True, slots=True)
class ForcedGraph:
    """What is to be done: quanta, each the work of one task on the datasets of one data ID.

    Parameters
    ----------
    repository
        Path, URI or label of the repository.
    pipeline
        Name of the pipeline.
    inputs
        Collections that are read.
    output
        Chained collection of all runs; made when the graph is run.
    run
        Collection in it that is written.
    extend_run, clobber
        As in `build_forced_graph`.
    skip_existing_in
        Collections whose quanta are not done again.
    quantum_graph
        Of lsst.pipe.base; without quanta if all are done already.
    """

    repository: str
    pipeline: str
    inputs: tuple[str, ...]
    output: str
    run: str
    extend_run: bool
    clobber: bool
    skip_existing_in: tuple[str, ...]
    quantum_graph: Any

    def __len__(self) -> int:
        return len(self.quantum_graph)

    def data_ids(self) -> dict[str, list[Any]]:
        """Return the data IDs of the quanta, sorted, by the labels of their tasks."""
        return {label: sorted(quanta) for label, quanta in self.quantum_graph.quanta_by_task.items() if quanta}


def build_forced_graph(
    repository: str | Path,
    what: What = "all",
    where: str = "",
    *,
    inputs: Iterable[str] = (),
    output: str | None = None,
    profile: str | None = None,
    configure: Callable[[Mapping[str, Any]], None] | None = None,
    skip_existing: bool = False,
    extend_run: bool = False,
    clobber: bool = False,
) -> ForcedGraph:
    """Find out what is to be done for forced photometry of a survey; nothing is written.

    Parameters
    ----------
    repository
        Path, URI or label of the repository. If the LSST stack has written it, or it has catalogs of the storage
        class SourceCatalog, ``import forcedphot.butler`` first.
    what
        What to measure on.
    where
        The Butler's expression for what of it, such as ``visit = 2024110800245 AND detector = 4``; all if empty.
    inputs
        Collections to read; by default the chained one, not a personal one, that has all that the pipeline reads.
    output
        Chained collection to write to; ``u/$USER/forced-visits`` and the like if None. A run is a new one in it.
    profile
        Whose pipeline to take, such as ``dp1``; by default that whose inputs the repository has.
    configure
        Changes, in place, the configurations of the tasks, which it is given by their labels.
    skip_existing
        Leave out what a run in the output collection has done.
    extend_run
        Write to the last run in the output collection, instead of a new one, and leave out what is done there.
    clobber
        Remove what failed quanta have left in that run.

    Raises
    ------
    MissingExtraError
        If packages of the extra ``pipelines`` are not installed.
    ConfigurationError
        If the repository has nothing to measure, or an option does not fit.
    """
    with needs_extra("pipelines"):
        from lsst.ctrl.mpexec.cli.butler_factory import ButlerFactory
    if clobber and not extend_run:
        raise ConfigurationError("Only what an earlier run has left is clobbered: extend that run.")
    repository, output = str(repository), output or f"{_PERSONAL}{getpass.getuser()}/forced-{what}"
    with _configuration_errors(repository):
        with Butler.from_config(repository) as butler:
            name, pipeline_graph = _find_pipeline(butler, what, profile)
            inputs = tuple(inputs) or (_find_input(butler, name, pipeline_graph),)
            skipped = [output] if skip_existing and butler.collections.query(output) else []
        if configure is not None:
            configs = {label: copy.copy(task.config) for label, task in pipeline_graph.tasks.items()}
            configure(configs)
            pipeline_graph.reconfigure_tasks(**configs)
        collections = {"output": output, "inputs": inputs, "extend_run": extend_run, "replace_run": False}
        butler, search_path, run = ButlerFactory.make_butler_and_collections(
            repository, output_run=None, **collections
        )
        with butler:
            skip_existing_in = (*skipped, *([run] if extend_run else []))
            builder = AllDimensionsQuantumGraphBuilder(
                pipeline_graph,
                butler,
                where=where,
                skip_existing_in=skip_existing_in,
                clobber=clobber,
                input_collections=search_path,
                output_run=run,
            )
            metadata = {"butler_argument": repository, "data_query": where, "skip_existing_in": skip_existing_in}
            quantum_graph = builder.finish(output, metadata=metadata, attach_datastore_records=False).assemble()
    graph = ForcedGraph(
        repository, name, inputs, output, run, extend_run, clobber, skip_existing_in, quantum_graph
    )
    if not graph and not skip_existing_in:
        raise ConfigurationError(
            f"There is nothing to measure in {', '.join(inputs)} of {repository} for {name}"
            + (f" where {where}" if where else "")
            + "; with --verbose, the log says what is missing."
        )
    return graph


@contextmanager
def _configuration_errors(repository: str) -> Iterator[None]:
    """Say in one line what the middleware refuses."""
    try:
        yield
    except OutputExistsError as error:
        raise ConfigurationError(f"{error} Clobber what failed quanta have left, or start a new run.") from error
    except (ButlerUserError, QuantumGraphBuilderError, FieldValidationError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"The graph for {repository} cannot be built: {error}") from error


def _find_pipeline(butler: Butler, what: What, profile: str | None) -> tuple[str, Any]:
    """Return the name and graph of the pipeline whose inputs the repository knows."""
    known = {path.stem: path for path in sorted(_PIPELINES.glob(f"*{_SUFFIXES[what]}.yaml"))}
    if profile is not None:
        name = f"{profile}{_SUFFIXES[what]}"
        if name not in known:
            raise ConfigurationError(f"There is no pipeline {name!r}; there are {', '.join(known)}.")
        return name, Pipeline.fromFile(str(known[name])).to_graph()
    registered = {dataset_type.name for dataset_type in butler.registry.queryDatasetTypes()}
    graphs = {name: Pipeline.fromFile(str(path)).to_graph() for name, path in known.items()}
    fitting = [name for name, graph in graphs.items() if _required_inputs(graph) <= registered]
    if len(fitting) > 1:
        # Surveys share names; their own pipeline is the one that knows what else they have.
        fitting = [name for name in fitting if _inputs(graphs[name]) <= registered] or fitting
    if len(fitting) != 1:
        missing = "; ".join(
            f"{name} needs {', '.join(sorted(_required_inputs(graph) - registered)) or 'nothing else'}"
            for name, graph in graphs.items()
        )
        raise ConfigurationError(f"Name the profile: {len(fitting)} pipelines fit the repository ({missing}).")
    return fitting[0], graphs[fitting[0]]


def _required_inputs(graph: Any) -> set[str]:
    """Return the dataset types that a pipeline reads and does not make, less those that may be missing."""
    return _inputs(graph, optional=False)


def _inputs(graph: Any, *, optional: bool = True) -> set[str]:
    made = {edge.parent_dataset_type_name for task in graph.tasks.values() for edge in task.iter_all_outputs()}
    needed = {
        edge.parent_dataset_type_name
        for task in graph.tasks.values()
        for edge in task.iter_all_inputs()
        if optional or not task.is_optional(edge.connection_name)
    }
    needed |= {
        edge.parent_dataset_type_name for task in graph.tasks.values() for edge in task.init.iter_all_inputs()
    }
    return needed - made


def _find_input(butler: Butler, name: str, graph: Any) -> str:
    """Return the chained collection that has datasets of all types that a pipeline reads."""
    needed = _required_inputs(graph)
    chains = [
        info
        for info in butler.collections.query_info("*", CollectionType.CHAINED, include_summary=True)
        if not info.name.startswith(_PERSONAL) and needed <= set(info.dataset_types or ())
    ]
    inner = {child for chain in chains for child in chain.children}
    found = [chain.name for chain in chains if chain.name not in inner]
    if len(found) != 1:
        raise ConfigurationError(
            f"Name the input collections for {name}: those that have all of {', '.join(sorted(needed))} are "
            f"{', '.join(found) or 'none'}."
        )
    return str(found[0])
