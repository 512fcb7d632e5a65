"""simulate: a survey in a Butler repository, made by several processes, and made on after an interruption."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path

from ..errors import ConfigurationError, ForcedPhotError, OutputError, SimulationError
from .catalog_steps import catalog_steps
from .image_steps import image_steps
from .labels import INDEX_NAME, add_label, check_label
from .plan import SurveyPlan
from .products import Datasets, Product, write_product
from .repository import create_repository, is_survey, open_repository
from .work import Step, find_plan

_IMPORTED = (
    "astropy.table",
    "felis.datamodel",
    "forcedphot.kernels.gaussian_flux",
    "forcedphot.survey.association",
    "forcedphot.survey.coadds",
    "forcedphot.survey.images",
    "forcedphot.survey.object_table",
    "forcedphot.survey.objects",
    "forcedphot.survey.row_ids",
    "forcedphot.survey.visits",
    "galsim",
    "lsst.images.cells",
    "lsst.images.serialization",
    "piff",
    "pyarrow.parquet",
    "scipy.signal",
    "sep",
)
"""What steps need: imported once for all processes."""

_SCRATCH_PREFIX = "making-"
_LOCK_FILE = ".simulate.lock"


@dataclass(frozen=True, slots=True)
class SimulatedSurvey:
    """A survey that is there.

    Parameters
    ----------
    repository
        Folder of the Butler's repository.
    label, index
        What ``Butler(label)`` opens, if DAF_BUTLER_REPOSITORY_INDEX is the path of this file.
    collection
        The collection with everything.
    n_datasets, n_new
        Datasets in it, and how many of them were made now.
    """

    repository: Path
    label: str
    index: Path
    collection: str
    n_datasets: int
    n_new: int


def simulate(
    repository: str | Path,
    *,
    profile: str = "dp1",
    size: str = "small",
    seed: int = 1,
    n_processes: int | None = None,
    label: str | None = None,
    index: str | Path | None = None,
    connection: str | None = None,
    progress: bool = True,
) -> SimulatedSurvey:
    """Simulate a survey, in a Butler repository of its own; what is there already is not made again.

    Programs that call it are started again by its processes: they should do so in a block that begins with
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    repository
        Folder, which is made; or that of the same survey, which is completed.
    profile
        Whose names, ids and places it has: dp1, dp02 or hsc.
    size
        How much there is: tiny, small or medium.
    seed
        Another number, not negative, another survey; otherwise all is the same, to the last bit.
    n_processes
        How many at once; as many as there are cores if None.
    label
        What the repository is registered as; the profile's name if None.
    index
        File with labels of repositories, which need not exist; repos.yaml beside the repository if None.
    connection
        URI of a PostgreSQL database instead of SQLite; see `create_repository`.
    progress
        Show a progress bar on standard error.

    Raises
    ------
    ConfigurationError
        If there is no such profile or size, a number is out of range, the repository is of another survey, or the
        label is taken.
    OutputError
        If the folder has something else in it, is being written by another process, or cannot be written.
    SimulationError
        If a process died; what was made until then stays.
    """
    plan = find_plan(profile, size, seed)
    if seed < 0:
        raise ConfigurationError(f"The seed is a number from 0, not {seed}.")
    if n_processes is not None and n_processes < 1:
        raise ConfigurationError(f"At least one process is needed, not {n_processes}.")
    path = Path(repository).absolute()
    label = plan.profile.label if label is None else label
    index = path.with_name(INDEX_NAME) if index is None else Path(index).absolute()
    check_label(index, label, path)
    # Processes take their time to start: the repository is made meanwhile.
    with _processes(n_processes) as pool:
        butler = (open_repository if is_survey(path) else create_repository)(path, plan, connection)
        with butler, _alone(path), _scratch_folder(path) as scratch:
            survey = _Survey(plan, Datasets(butler, plan), scratch)
            n_before = survey.n_datasets
            survey.complete(pool, progress=progress)
    add_label(index, label, path)
    n_datasets = survey.n_datasets
    return SimulatedSurvey(path, label, index, plan.profile.collection, n_datasets, n_datasets - n_before)


class _Survey:
    """The datasets of a survey while they are made; only this process writes them."""

    def __init__(self, plan: SurveyPlan, datasets: Datasets, scratch: Path) -> None:
        self._plan, self._datasets, self._scratch = plan, datasets, scratch
        datasets.forget_lost()
        self.files = datasets.existing()

    @property
    def n_datasets(self) -> int:
        return len(self._stored(self.files))

    def complete(self, pool: ProcessPoolExecutor, *, progress: bool) -> None:
        """Make what is missing."""
        waiting = missing_steps(all_steps(self._plan), set(self.files), set(self._plan.profile.datasets))
        running: dict[Future[dict[Product, Path]], Step] = {}
        with _progress(len(waiting), show=progress) as advance:
            while waiting or running:
                for step in [step for step in waiting if all(product in self.files for product in step.inputs)]:
                    waiting.remove(step)
                    running[self._submit(pool, step)] = step
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._keep(_result(future, running.pop(future)))
                    advance()

    def _submit(self, pool: ProcessPoolExecutor, step: Step) -> Future[dict[Product, Path]]:
        plan = (self._plan.profile.name, self._plan.size.name, self._plan.seed)
        files = {product: self.files[product] for product in step.inputs}
        try:
            return pool.submit(_make, plan, step, files, self._scratch)
        except BrokenProcessPool as error:
            raise SimulationError(
                "The processes died before there was work for them. A program that calls simulate should be a "
                'file, and call it in a block that begins with if __name__ == "__main__":.'
            ) from error

    def _keep(self, made: Mapping[Product, Path]) -> None:
        """Move new datasets into the repository; what only leads to them stays where it is."""
        new = {product: path for product, path in made.items() if product not in self.files}
        self.files |= new | self._datasets.add(self._stored(new))

    def _stored(self, files: Mapping[Product, Path]) -> dict[Product, Path]:
        return {product: path for product, path in files.items() if product.role in self._plan.profile.datasets}


def all_steps(plan: SurveyPlan) -> list[Step]:
    """List all that there is to do for a survey, inputs before what is made of them."""
    return [*image_steps(plan), *catalog_steps(plan)]


def missing_steps(possible: Iterable[Step], existing: set[Product], stored: set[str]) -> list[Step]:
    """Choose the steps that make what is missing, and what only leads to it.

    Parameters
    ----------
    possible
        In an order in which they could be done.
    existing
        What need not be made.
    stored
        Roles of what shall exist in the end.

    Returns
    -------
    In the same order.
    """
    in_order = list(possible)
    wanted = {product for step in in_order for product in step.outputs if product.role in stored} - existing
    chosen = []
    for step in reversed(in_order):
        if wanted.intersection(step.outputs):
            chosen.append(step)
            wanted |= set(step.inputs) - existing
    return chosen[::-1]


def _make(
    plan: tuple[str, str, int], step: Step, files: Mapping[Product, Path], folder: Path
) -> dict[Product, Path]:
    """Do a step, in a process of the pool, and return the files of its outputs."""
    made = step.make(find_plan(*plan), step, files)
    return {product: write_product(made[product], folder, file_name(product)) for product in step.outputs}


def file_name(product: Product) -> str:
    """Return a name for a product's file, without an ending."""
    return "-".join(str(value) for value in product if value is not None)


def _result(future: Future[dict[Product, Path]], step: Step) -> dict[Product, Path]:
    names = ", ".join(map(str, step.outputs))
    try:
        return future.result()
    except ForcedPhotError as error:
        error.add_note(f"This happened while {names} was made.")
        raise
    except BrokenProcessPool as error:
        raise SimulationError(
            f"A process died, perhaps of too little memory, while {names} or something beside it was made. "
            "What is complete stays; start again with fewer processes."
        ) from error
    except OSError as error:
        raise OutputError(f"{names} cannot be made: {error}. What is complete stays; start again.") from error


@contextmanager
def _processes(n_processes: int | None) -> Iterator[ProcessPoolExecutor]:
    """Start a pool of processes that end with this one, even if that is killed."""
    context = _context()
    with ProcessPoolExecutor(n_processes or _n_cores(), context, initializer=_end_with_parent) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _context() -> BaseContext:
    """Return what starts processes: if possible, one that imports all while there is nothing else to do."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    forkserver.ensure_running()
    return context


def _n_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - for the type checker

    def wait_for_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_parent, daemon=True).start()


@contextmanager
def _alone(repository: Path) -> Iterator[None]:
    """Keep other processes from simulating in the same repository; the lock ends with the process."""
    with (repository / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"Another process is simulating in {repository}; wait until it ends.") from error
        yield


@contextmanager
def _scratch_folder(repository: Path) -> Iterator[Path]:
    """Give a folder on the repository's disk for incomplete files, and remove what killed processes left."""
    for left_over in repository.glob(f"{_SCRATCH_PREFIX}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH_PREFIX, dir=repository, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _progress(n_steps: int, *, show: bool) -> Iterator[Callable[[], None]]:
    if not show or not n_steps:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Simulating", total=n_steps)
        yield lambda: bar.advance(task)
