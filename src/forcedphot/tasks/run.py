"""Runs graphs of forced photometry with the executors of ``pipetask run``, and tells what became of the quanta."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from lsst.daf.butler import Butler
from lsst.daf.butler.cli.cliLog import CliLog
from lsst.daf.butler.logging import ButlerMDC
from lsst.pipe.base import RepeatableQuantumError
from lsst.pipe.base.mp_graph_executor import MPGraphExecutor, MPGraphExecutorError
from lsst.pipe.base.quantum_reports import ExecutionStatus, QuantumReport
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from ..errors import needs_extra
from ..io.formatters.stack_names import install
from .graph import ForcedGraph

_EXECUTOR_LOG = "lsst.pipe.base.mp_graph_executor"
_CONFIG_PATH = "DAF_BUTLER_CONFIG_PATH"
_LOGGERS = ("forcedphot", "lsst")
_PRELOADED = (
    "astropy.io.misc.yaml",
    "astropy.nddata",
    "forcedphot.io.lsst_images",
    "lsst.daf.butler.delegates.arrowtable",
    "lsst.daf.butler.direct_butler",
    "lsst.daf.butler.formatters.json",
    "lsst.daf.butler.formatters.logs",
    "lsst.daf.butler.formatters.parquet",
    "lsst.daf.butler.registry.collections.synthIntKey",
    "lsst.daf.butler.registry.datasets.byDimensions",
    "lsst.daf.butler.registry.dimensions.static",
    "lsst.images.cells",
    "lsst.images.formatters",
    "piff",
    "pyarrow.dataset",
    "forcedphot.tasks.preloaded",
)
"""Modules that are imported late, and slow to import; the last takes along what the others have."""

_NO_TIMEOUT_S = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class FailedQuantum:
    """A quantum that failed.

    Parameters
    ----------
    task
        Label of the task.
    data_id
        What it worked on.
    message
        What went wrong.
    """

    task: str
    data_id: dict[str, Any]
    message: str

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.data_id.items())
        return f"{self.task} ({values}): {self.message}"


@dataclass(frozen=True, slots=True)
class ForcedRun:
    """What became of the quanta of a graph.

    Parameters
    ----------
    graph
        What was to be done.
    n_done
        Quanta that were done, with or without work.
    n_without_work
        Of these, those that had nothing to write.
    failed
        Those that failed.
    n_blocked
        Those that could not begin since others, which they need, had failed.
    """

    graph: ForcedGraph
    n_done: int
    n_without_work: int
    failed: tuple[FailedQuantum, ...]
    n_blocked: int


def run_forced_graph(graph: ForcedGraph, *, n_processes: int = 1, progress: bool = False) -> ForcedRun:
    """Run all quanta of a graph, as ``pipetask run`` does: with provenance, metadata and logs.

    What fails stops nothing but what depends on it.

    Parameters
    ----------
    graph
        What is to be done.
    n_processes
        How many quanta at once. With more than one, each has a process of its own: a copy of a server that has the
        tasks loaded.
    progress
        Show a progress bar on standard error.

    Raises
    ------
    MissingExtraError
        If packages of the extra ``pipelines`` are not installed.
    """
    with needs_extra("pipelines"):
        from lsst.ctrl.mpexec.cli.butler_factory import ButlerFactory
    quantum_graph = graph.quantum_graph
    with (
        _captured_logs(),
        ButlerFactory.make_write_butler(
            graph.repository,
            quantum_graph.pipeline_graph,
            output=graph.output,
            output_run=graph.run,
            inputs=graph.inputs,
            extend_run=graph.extend_run,
            replace_run=False,
        ) as butler,
    ):
        quantum_graph.pipeline_graph.register_dataset_types(butler)
        quantum_graph.write_init_outputs(butler, skip_existing=graph.extend_run)
        quantum_graph.write_configs(butler, compare_existing=graph.extend_run)
        quantum_graph.write_packages(butler, compare_existing=graph.extend_run)
        modules = {task.task_class.__module__ for task in quantum_graph.pipeline_graph.tasks.values()}
        multiprocessing.get_context("forkserver").set_forkserver_preload([*sorted(modules), *_PRELOADED])
        executor = MPGraphExecutor(
            num_proc=n_processes,
            timeout=_NO_TIMEOUT_S,
            start_method="forkserver",
            quantum_executor=_ExplainingExecutor(
                butler=butler, skip_existing_in=graph.skip_existing_in, clobber_outputs=graph.clobber
            ),
        )
        butler.registry.resetConnectionPool()
        with _progress(len(graph), show=progress), suppress(MPGraphExecutorError):  # the report has what failed
            executor.execute(quantum_graph)
        return _summary(graph, butler, executor.getReport().quantaReports)


class _ExplainingExecutor(SingleQuantumExecutor):
    """Says of an error what it came from: of a dataset that cannot be written, that the disk is full.

    The report has nothing but an error's own message. Copies in other processes bring the environment along: the
    server that these come from may have been started in another.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (dict(os.environ), pickle.dumps(self.__dict__))

    def execute(self, *arguments: Any, **keywords: Any) -> Any:
        try:
            return super().execute(*arguments, **keywords)
        except RepeatableQuantumError:  # it has a meaning for the executor
            raise
        except RuntimeError as error:
            origin = _origin(error)
            if origin is error or str(origin) in str(error):
                raise
            raise RuntimeError(f"{error} It came from {type(origin).__name__}: {origin}") from error


def _restored(environment: dict[str, str], state: bytes) -> _ExplainingExecutor:
    if environment.get(_CONFIG_PATH) != os.environ.get(_CONFIG_PATH):
        install()  # the Butler may be loaded already; it would not know the storage classes of the other's
    os.environ.update(environment)
    executor = object.__new__(_ExplainingExecutor)
    executor.__dict__.update(pickle.loads(state))  # noqa: S301 - of a process of ours
    return executor


def _origin(error: BaseException) -> BaseException:
    while (earlier := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = earlier
    return error


def _summary(graph: ForcedGraph, butler: Butler, reports: list[QuantumReport]) -> ForcedRun:
    done = [report for report in reports if report.status is ExecutionStatus.SUCCESS]
    blocked = [report for report in reports if report.status is ExecutionStatus.SKIPPED]
    failed = [report for report in reports if report.status in (ExecutionStatus.FAILURE, ExecutionStatus.TIMEOUT)]
    tasks = graph.quantum_graph.pipeline_graph.tasks.values()
    written = {
        ref.id
        for name in {edge.dataset_type_name for task in tasks for edge in task.outputs.values()}
        for ref in butler.query_datasets(name, collections=graph.run, limit=None, explain=False)
    }
    datasets = graph.quantum_graph.bipartite_xgraph
    return ForcedRun(
        graph=graph,
        n_done=len(done),
        n_without_work=sum(written.isdisjoint(datasets.successors(report.quantumId)) for report in done),
        failed=tuple(
            FailedQuantum(report.taskLabel or "", dict(report.dataId), _message(report)) for report in failed
        ),
        n_blocked=len(blocked),
    )


def _message(report: QuantumReport) -> str:
    if report.exceptionInfo is not None:
        return str(report.exceptionInfo.message)
    code = report.exitCode or 0
    if code < 0:
        return f"its process was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"its process ended with exit code {code}"


@contextmanager
def _captured_logs() -> Iterator[None]:
    """Let the middleware store with each quantum what ``pipetask`` would: all messages but those for debugging.

    What is shown is decided elsewhere, by the level of a handler.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    configuration = CliLog.configState
    # Processes of quanta set their logging up as it says.
    CliLog.configState = [
        (CliLog.initLog, False, False),
        (CliLog.setLogLevels, [(name, "INFO") for name in _LOGGERS]),
    ]
    ButlerMDC.add_mdc_log_record_factory()
    for logger in loggers:
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        logger.propagate = True
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.propagate = propagate
        ButlerMDC.restore_log_record_factory()
        CliLog.configState = configuration


class _Counter(logging.Handler):
    """Hears from the executor how many quanta are over: it tells nobody else."""

    def __init__(self, update: Callable[[int], None]) -> None:
        super().__init__(logging.INFO)
        self._update = update

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and str(record.msg).startswith("Executed %d quanta"):
            done, failed = record.args[:2]
            self._update(int(str(done)) + int(str(failed)))


@contextmanager
def _progress(n_quanta: int, *, show: bool) -> Iterator[None]:
    if not show:
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        quanta = bar.add_task("Quanta", total=n_quanta)
        counter = _Counter(lambda n_over: bar.update(quanta, completed=n_over))
        logging.getLogger(_EXECUTOR_LOG).addHandler(counter)
        try:
            yield
        finally:
            logging.getLogger(_EXECUTOR_LOG).removeHandler(counter)
