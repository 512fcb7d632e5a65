"""Forced sources of full-size images under pipetask: rows a second, what a quantum costs beside them, scaling."""

import ctypes
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef, FileDataset

from forcedphot.conventions import FloatArray
from forcedphot.survey.images import difference_image, visit_image
from forcedphot.survey.plan import SurveyPlan
from forcedphot.survey.profiles import Size, find_profile
from forcedphot.survey.repository import create_repository, runs
from forcedphot.survey.sky import Sky, make_sky
from forcedphot.survey.visits import VisitArrays, simulate_visit
from forcedphot.survey.work import find_plan
from measuring import keep, print_table

type Figures = dict[str, Any]

N_IMAGES, N_FEW = 12, 2
N_STARS = 16_700
DP1_ROWS = 268_796_943
"""Of the table ForcedSource of Data Preview 1: some 17,000 for each of its images."""

IMAGE_SIZE = Size("image", ("r",), 2, (1, 1), 4072, (1, 1), 4072, 50, 4, N_STARS, 300, 30, 10)
VISIT_TASK, TABLE_TASK = "forcedPhotVisit", "objectForcedSource"
PR_SET_CHILD_SUBREAPER = 36
"""Of Linux' prctl."""

STEPS = {
    "prepare": ("quantum.prep", "quantum.start"),
    "read": ("quantum.start", f"{VISIT_TASK}.runStart"),
    "measure": (f"{VISIT_TASK}.runStart", f"{VISIT_TASK}.runEnd"),
    "write": (f"{VISIT_TASK}.runEnd", "quantum.end"),
}
"""What a quantum does, from one entry of its metadata to another."""


def make_repository(folder: Path) -> Path:
    """Make a repository with one image of each kind, under the names of several visits."""
    drawn = SurveyPlan(find_profile("dp1"), IMAGE_SIZE, 1)
    sky = make_sky(drawn)
    visit = drawn.visits[0]
    detector = visit.detectors[0]
    arrays = simulate_visit(drawn, visit, detector, sky)
    made = {
        "visit_image": visit_image(drawn, visit, detector, arrays),
        "difference_image": difference_image(drawn, visit, detector, arrays),
    }
    plan = find_plan("dp1", "small", 1)
    patch = {"skymap": plan.profile.skymap, "tract": plan.profile.tract}
    places = [
        {"instrument": plan.profile.instrument, "visit": each.id, "detector": each.detectors[0].id}
        for each in plan.visits[:N_IMAGES]
    ]
    with create_repository(folder / "survey", plan) as butler:
        for name, image in made.items():
            _put_copies(butler, name, image, places, runs(plan.profile)["images"])
        objects = objects_on(sky, arrays, plan.patches[0].id)
        butler.put(objects, "object", patch, run=runs(plan.profile)["catalogs"])
    return folder / "survey"


def _put_copies(butler: Butler, name: str, image: Any, places: Sequence[dict[str, Any]], run: str) -> None:
    """Write a file once, and register it for all places."""
    path = Path(butler.getURI(butler.put(image, name, places[0], run=run)).ospath)
    for number, place in enumerate(places[1:]):
        copy = path.with_name(f"{number}-{path.name}")
        os.link(path, copy)
        data_id = butler.registry.expandDataId(place)
        ref = DatasetRef(butler.get_dataset_type(name), data_id, run=run)
        butler.ingest(FileDataset(copy, [ref]), transfer="direct")


def objects_on(sky: Sky, arrays: VisitArrays, patch: int) -> Table:
    """Make a table of the objects that a perfect detection would find on the image."""
    truth = sky.truth()
    exposure = arrays.visit_exposure()
    assert exposure.wcs is not None
    ra, dec = (np.asarray(truth[name]) for name in ("ra", "dec"))
    inside = exposure.bbox.contains(*exposure.wcs.sky_to_pixel(np.radians(ra), np.radians(dec)))
    ids = np.asarray(truth["id"])[inside]
    return Table(
        {
            "objectId": ids,
            "coord_ra": ra[inside],
            "coord_dec": dec[inside],
            "parentObjectId": np.zeros_like(ids),
            "patch": np.full(len(ids), patch),
        }
    )


def pipetask(repository: Path, output: str, where: str, n_processes: int) -> list[Any]:
    pipeline = files("forcedphot") / "pipelines" / "dp1-forced-visit.yaml"
    return [
        *("pipetask", "--log-level", "ERROR", "run", "-b", repository, "-i", "LSSTComCam/DP1", "-o", output),
        *("-p", f"{pipeline}#{VISIT_TASK},{TABLE_TASK}", "-c", f"{VISIT_TASK}:doDiaObjects=False"),
        *("-d", where, "-j", n_processes, "--register-dataset-types", "--timeout", 3600),
    ]


def forcedphot_run(repository: Path, output: str, where: str, n_processes: int) -> list[Any]:
    return [
        *("forcedphot", "run", repository, "--quiet", "--what", "visits", "-o", output),
        *("-c", f"{VISIT_TASK}:doDiaObjects=false", "-d", where, "-j", n_processes),
    ]


def run(
    command: Callable[..., list[Any]], repository: Path, output: str, n_images: int, n_processes: int
) -> Figures:
    """Run the pipeline on some images; return wall and CPU seconds of the whole command."""
    visits = ", ".join(str(visit.id) for visit in find_plan("dp1", "small", 1).visits[:n_images])
    program, *arguments = map(str, command(repository, output, f"visit IN ({visits})", n_processes))
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([Path(sys.executable).with_name(program), *arguments], check=True)
    wall = time.perf_counter() - start
    _wait_for_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    name = command.__name__.replace("_", " ")
    return {"command": name, "images": n_images, "processes": n_processes, "wall, s": wall, "CPU, s": cpu}


def _adopt_orphans() -> None:
    """Become the parent of processes that outlive theirs, as servers of forks do: their CPU counts (Linux)."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "orphans cannot be adopted")


def _wait_for_orphans() -> None:
    with suppress(ChildProcessError):
        while True:
            os.wait()


def read_metadata(repository: Path, output: str, task: str) -> list[Any]:
    """Return what the middleware has noted of each quantum of a task, in the order in which they ran."""
    with Butler.from_config(str(repository), collections=output) as butler:
        found = [butler.get(ref) for ref in butler.query_datasets(f"{task}_metadata")]
    return sorted(found, key=lambda each: str(each["quantum.startUtc"]))


def count_rows(repository: Path, output: str) -> int:
    with Butler.from_config(str(repository), collections=output) as butler:
        return sum(len(butler.get(ref)) for ref in butler.query_datasets("object_forced_source"))


def seconds_of(metadata: Sequence[Any], begin: str, end: str) -> FloatArray:
    return np.array([each[f"{end}CpuTime"] - each[f"{begin}CpuTime"] for each in metadata], dtype=np.float64)


def describe_quanta(metadata: Sequence[Any], rows: int) -> list[Figures]:
    """Tell how long a quantum needs for what it does; the first, which loads compiled kernels, does not count."""
    steps = {name: seconds_of(metadata, *ends)[1:] for name, ends in STEPS.items()}
    return [
        {"step": name, "CPU, s": float(np.median(times)), "us a row": float(np.median(times)) / rows * 1e6}
        for name, times in steps.items()
    ]


def project(quanta: Sequence[Figures], table_cpu: float, rows: int, rows_of_table: int) -> Figures:
    """Tell what a table as large as DP1's costs, if its images have as many rows as this one."""
    measure = next(each["CPU, s"] for each in quanta if each["step"] == "measure")
    quantum = sum(each["CPU, s"] for each in quanta)
    of_table = table_cpu / rows_of_table
    return {
        "rows a second and core, measurement": rows / measure,
        "rows a second and core, whole quantum": rows / quantum,
        "rows a second and core, with tables by patch": 1 / (quantum / rows + of_table),
        "overhead of a quantum, s": quantum - measure,
        "DP1's ForcedSource, core hours": DP1_ROWS * (quantum / rows + of_table) / 3600,
    }


def main() -> None:
    logging.disable(logging.WARNING)
    _adopt_orphans()
    with tempfile.TemporaryDirectory() as folder:
        repository = make_repository(Path(folder))
        few = run(pipetask, repository, "u/bench/few", N_FEW, 1)
        one = run(pipetask, repository, "u/bench/one", N_IMAGES, 1)
        two = run(pipetask, repository, "u/bench/two", N_IMAGES, 2)
        ours = run(forcedphot_run, repository, "u/bench/ours", N_IMAGES, 2)
        one_by_one = read_metadata(repository, "u/bench/one", VISIT_TASK)
        tables = read_metadata(repository, "u/bench/one", TABLE_TASK)
        apart = read_metadata(repository, "u/bench/two", VISIT_TASK)
        n_rows = count_rows(repository, "u/bench/one")
        assert n_rows == count_rows(repository, "u/bench/two") == count_rows(repository, "u/bench/ours")
    assert len(one_by_one) == N_IMAGES
    rows = n_rows // N_IMAGES
    quanta = describe_quanta(one_by_one, rows)
    table_cpu = float(seconds_of(tables, "quantum.prep", "quantum.end").sum())
    memory = [each["quantum.endMaxResidentSetSize"] / 1e6 for each in apart]
    projection = project(quanta, table_cpu, rows, n_rows)
    slope = (one["CPU, s"] - few["CPU, s"]) / (N_IMAGES - N_FEW)
    whole = {
        "rows of an image": rows,
        **projection,
        "CPU of one more image, whole command, s": slope,
        "CPU beside all images, whole command, s": few["CPU, s"] - N_FEW * slope,
        "peak memory of a quantum's process, MB": float(np.median(memory)),
        "gain of two processes, pipetask": one["wall, s"] / two["wall, s"],
        "gain of two processes, forcedphot run": one["wall, s"] / ours["wall, s"],
    }
    commands = [few, one, two, ours]
    print_table("Commands", commands)
    print_table(f"A quantum: {rows:,} objects on 4072 x 4072 pixels and their difference", quanta)
    print_table("All together", [{"figure": name, "value": value} for name, value in whole.items()])
    keep("pipelines", {"commands": commands, "quanta": quanta, "whole": whole})


if __name__ == "__main__":
    main()
