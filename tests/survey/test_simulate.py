"""Surveys as a whole: the same for a seed, and complete after any interruption."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from lsst.daf.butler import Butler

from forcedphot.errors import ExposureError, OutputError, SimulationError
from forcedphot.exposure import Exposure
from forcedphot.survey import SimulatedSurvey, simulate
from forcedphot.survey.plan import SurveyPlan
from forcedphot.survey.products import Datasets, Product
from forcedphot.survey.profiles import PROFILES
from forcedphot.survey.repository import open_repository, stored_plan
from forcedphot.survey.simulate import _alone, _result, all_steps, missing_steps
from forcedphot.survey.work import Step, find_plan

_KILLED = """
import os, signal
from forcedphot.survey import simulate
from forcedphot.survey.products import Datasets

if __name__ == "__main__":
    add = Datasets.add

    def die_before_it_is_committed(self, files):
        with self._butler.transaction():
            places = add(self, files)
            if {role!r} in [product.role for product in files]:
                os.kill(os.getpid(), signal.SIGKILL)
        return places

    Datasets.add = die_before_it_is_committed
    simulate({path!r}, size="tiny", n_processes=2, progress=False)
"""


def start(path: Path, role: str) -> subprocess.Popen[bytes]:
    code = _KILLED.format(path=str(path), role=role)
    script = path.with_suffix(".py")
    script.write_text(code, encoding="utf-8")
    return subprocess.Popen([sys.executable, script])  # noqa: S603


def datasets_of(survey: Path) -> dict[Product, Path]:
    plan = stored_plan(survey)
    with open_repository(survey, plan) as butler:
        return Datasets(butler, plan).existing()


def files_of(survey: Path) -> set[Path]:
    """All files but the database, by their places in the repository."""
    return {path.relative_to(survey) for path in survey.rglob("*") if path.is_file() and "sqlite" not in path.name}


def parents() -> dict[int, int]:
    """Return the parent of each process that has not ended."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(status.parent.name)] = int(parent)
    return found


def descendants_of(process_id: int) -> set[int]:
    found, n_found, alive = {process_id}, 0, parents()
    while len(found) > n_found:
        n_found = len(found)
        found |= {child for child, parent in alive.items() if parent in found}
    return found - {process_id}


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for child processes in /proc")
def test_killed_and_started_again(
    simulated: Callable[[str], SimulatedSurvey], own_survey: Callable[[str], SimulatedSurvey]
) -> None:
    expected, survey = simulated("dp1").repository, own_survey("dp1").repository
    complete = set(datasets_of(expected))
    missing = {product for product in complete if is_left_for_later(product)}
    remove(survey, missing)
    # While an image is put, its file is in place and the database does not know of it; then among the catalogs.
    for role in ("visit_image", "object"):
        left = files_of(survey) - stored_files_of(survey)
        process = start(survey, role)
        descendants: set[int] = set()
        while process.poll() is None:
            descendants |= descendants_of(process.pid)
            time.sleep(0.05)
        assert process.returncode == -signal.SIGKILL
        assert len(descendants) >= 2
        wait_until(lambda alive=descendants: alive.isdisjoint(parents()))  # type: ignore[misc]
        assert files_of(survey) - stored_files_of(survey) - left
    before = datasets_of(survey)
    made = missing.intersection(before)
    assert {product.role for product in made} >= {"visit_image", "difference_image"}
    assert {product.role for product in missing - made} >= {"object", "forced_source"}
    # Somebody removes a file that the database knows of.
    before.pop(next(product for product in before if product.role == "difference_image")).unlink()
    times = {product: path.stat().st_mtime_ns for product, path in before.items()}
    result = simulate(survey, size="tiny", n_processes=3, progress=False)
    assert result.n_new == result.n_datasets - len(before)
    after = datasets_of(survey)
    assert {product: after[product].stat().st_mtime_ns for product in before} == times
    assert_same(expected, survey)


def is_left_for_later(product: Product) -> bool:
    """Choose what is removed of a complete survey: some of all that is made on images, coadds and catalogs."""
    visit, detector, patch = find_plan("dp1", "tiny", 1).visits[0].id, PROFILES["dp1"].detectors[0], 14
    if product.role in ("visit_image", "difference_image"):
        return (product.visit, product.detector) == (visit, detector)
    if product.role in ("coadd", "template"):
        return (product.patch, product.band) == (patch, "i")
    if product.role == "source":
        return product.visit == visit
    return product.role not in ("dia_source", "dia_object")


def remove(survey: Path, products: set[Product]) -> None:
    plan = stored_plan(survey)
    with open_repository(survey, plan) as butler:
        places = {path: product for product, path in Datasets(butler, plan).existing().items()}
        refs = butler.query_all_datasets(plan.profile.collection, find_first=False, limit=None)
        chosen = [ref for ref in refs if places[Path(butler.getURI(ref).ospath)] in products]
        assert len(chosen) == len(products)
        butler.pruneDatasets(chosen, disassociate=True, unstore=True, purge=True)


def stored_files_of(survey: Path) -> set[Path]:
    return {path.relative_to(survey) for path in datasets_of(survey).values()}


def assert_same(expected: Path, survey: Path) -> None:
    """Check that two surveys have the same datasets and nothing else, catalogs by bytes and images by pixels."""
    before, after = datasets_of(expected), datasets_of(survey)
    assert set(before) == set(after)
    assert files_of(expected) == files_of(survey)
    for product, path in before.items():
        if product.role not in ("visit_image", "difference_image", "coadd", "template"):
            assert path.read_bytes() == after[product].read_bytes(), product
        else:
            first, second = Exposure.read(path), Exposure.read(after[product])
            np.testing.assert_array_equal(first.image, second.image)
            np.testing.assert_array_equal(first.variance, second.variance)
            np.testing.assert_array_equal(first.mask.array, second.mask.array)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_dataset_is_there_once(simulated: Callable[[str], SimulatedSurvey], profile: str) -> None:
    survey = simulated(profile)
    plan = find_plan(profile, "tiny", 1)
    wanted = {
        product for step in all_steps(plan) for product in step.outputs if product.role in plan.profile.datasets
    }
    assert {product.role for product in wanted} == set(plan.profile.datasets)
    assert set(datasets_of(survey.repository)) == wanted
    assert survey.n_new == survey.n_datasets == len(wanted)
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        refs = butler.query_all_datasets(find_first=False, limit=None)
        assert len(refs) == len(wanted)
        assert all(butler.exists(ref, full_check=True) for ref in refs)


def test_a_complete_survey_is_left_alone(simulated: Callable[[str], SimulatedSurvey]) -> None:
    survey = simulated("dp1")
    times = {path: (survey.repository / path).stat().st_mtime_ns for path in files_of(survey.repository)}
    again = simulate(survey.repository, size="tiny", seed=1, n_processes=1, progress=False)
    assert (again.n_new, again.n_datasets) == (0, survey.n_datasets)
    times.pop(Path(".simulate.lock"))
    assert {path: (survey.repository / path).stat().st_mtime_ns for path in times} == times


def test_only_one_simulates_in_a_repository(simulated: Callable[[str], SimulatedSurvey]) -> None:
    survey = simulated("dp1")
    with _alone(survey.repository), pytest.raises(OutputError, match="Another process is simulating"):
        simulate(survey.repository, size="tiny", seed=1, n_processes=1, progress=False)


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (BrokenProcessPool(), SimulationError, r"died, perhaps of too little memory, while truth"),
        (
            OSError(28, "No space left on device"),
            OutputError,
            r"truth, coadd \(patch 3, band r\) cannot be made: .* space",
        ),
        (ExposureError("There is no PSF."), ExposureError, "There is no PSF"),
    ],
)
def test_what_goes_wrong_in_a_process_is_reported(raised: Exception, error: type[Exception], message: str) -> None:
    future: Future[dict[Product, Path]] = Future()
    future.set_exception(raised)
    with pytest.raises(error, match=message) as caught:
        _result(future, Step(_nothing, (), (Product("truth"), Product("coadd", patch=3, band="r"))))
    assert caught.value is not raised or caught.value.__notes__ == [
        "This happened while truth, coadd (patch 3, band r) was made."
    ]


def test_a_program_that_cannot_be_started_again_is_told(tmp_path: Path) -> None:
    code = f"from forcedphot.survey import simulate; simulate({str(tmp_path / 'survey')!r}, size='tiny')"
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "SimulationError: " in done.stderr.splitlines()[-1]
    assert datasets_of(tmp_path / "survey") == {}


def _nothing(plan: SurveyPlan, step: Step, files: object) -> dict[Product, object]:
    return {}


def test_steps_that_are_missing() -> None:
    a, b, c, d = (Product(name) for name in "abcd")
    first, second, third = Step(_nothing, (), (a,)), Step(_nothing, (a,), (b, c)), Step(_nothing, (c,), (d,))
    steps, stored = [first, second, third], {"b", "d"}
    assert missing_steps(steps, set(), stored) == steps
    assert missing_steps(steps, {b, d}, stored) == []
    assert missing_steps(steps, {d}, stored) == [first, second]
    assert missing_steps(steps, {b}, stored) == steps  # c, which is not stored, has to be made again
    assert missing_steps(steps, {b, c}, stored) == [third]
    assert missing_steps(steps, set(), {"a"}) == [first]


@pytest.mark.parametrize("size", ["tiny", "small"])
@pytest.mark.parametrize("profile", PROFILES)
def test_steps_are_in_an_order_in_which_they_can_be_done(profile: str, size: str) -> None:
    made: set[Product] = set()
    for step in all_steps(find_plan(profile, size, 1)):
        assert made.issuperset(step.inputs)
        assert made.isdisjoint(step.outputs)
        made.update(step.outputs)
