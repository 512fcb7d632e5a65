"""Inputs that cannot be used: what needs them is not made, and the message names them; all else is."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lsst.daf.butler import Butler, CollectionType
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from forcedphot.errors import ExposureError, FileFormatError, InputTableError, UnknownFieldError
from forcedphot.exposure import Exposure
from forcedphot.survey import SimulatedSurvey
from forcedphot.tasks import ForcedSourceTableTask
from forcedphot.tasks.datasets import naming, read_calibrated, read_exposure

VISIT = 2024110800245
TRACT = {"skymap": "lsst_cells_v1", "tract": 5063}
PATCH = {**TRACT, "patch": 15}


@pytest.fixture(scope="module")
def survey(own_survey: Callable[[str], SimulatedSurvey]) -> SimulatedSurvey:
    return own_survey("dp1")


@pytest.fixture(scope="module")
def butler(survey: SimulatedSurvey) -> Iterator[Butler]:
    with Butler.from_config(str(survey.repository), writeable=True, collections=survey.collection) as butler:
        yield butler


@pytest.fixture
def run(survey: SimulatedSurvey, request: pytest.FixtureRequest) -> Iterator[Callable[..., Butler]]:
    """Measure on one detector, and return a Butler of what was made."""
    butlers: list[Butler] = []

    def execute(detector: int, inputs: tuple[str, ...] = (), *, is_partial_a_failure: bool = True) -> Butler:
        butlers.append(
            SimplePipelineExecutor.prep_butler(
                str(survey.repository),
                [*inputs, survey.collection],
                f"u/{request.node.name}/{len(butlers)}",  # runs of the same second have the same name
            )
        )
        executor = SimplePipelineExecutor.from_pipeline_filename(
            str(files("forcedphot") / "pipelines" / "dp1-forced-visit.yaml"),
            butler=butlers[-1],
            where=f"visit={VISIT} AND detector={detector} AND patch=15",
            raise_on_partial_outputs=is_partial_a_failure,
        )
        executor.run(register_dataset_types=True)
        return butlers[-1]

    yield execute
    for each in butlers:
        each.close()


def data_id(detector: int) -> dict[str, Any]:
    return {"instrument": "LSSTComCam", "visit": VISIT, "detector": detector}


@contextmanager
def damaged(butler: Butler, name: str, detector: int, filling: bytes = b"") -> Iterator[None]:
    """Cut off the last two thirds of an image's file, or replace their bytes."""
    path = Path(butler.getURI(name, data_id(detector)).ospath)
    content = path.read_bytes()
    n_kept = len(content) // 3
    path.write_bytes(content[:n_kept] + filling * (len(content) - n_kept))
    yield
    path.write_bytes(content)


def test_a_damaged_visit_image_is_named(butler: Butler, run: Callable[..., Butler]) -> None:
    message = r"visit_image of \{.*detector: 4.*\} cannot be read: "
    with damaged(butler, "visit_image", 4), pytest.raises(FileFormatError, match=message) as raised:
        run(4, is_partial_a_failure=False)
    assert str(VISIT) in str(raised.value)
    collections = butler.collections.query("u/*", CollectionType.RUN)
    assert collections
    assert not butler.query_all_datasets(collections, name="*forced_source*")


def test_a_damaged_difference_image_costs_its_fluxes_only(butler: Butler, run: Callable[..., Butler]) -> None:
    with damaged(butler, "difference_image", 5, b"?"):
        made = run(5, is_partial_a_failure=False)
        with pytest.raises(FileFormatError, match=r"difference_image of \{.*detector: 5"):
            run(5)
    table = made.get("object_forced_source", PATCH, collections=made.run)
    assert np.isfinite(table["psfFlux"]).mean() > 0.9
    assert np.isnan(table["psfDiffFlux"]).all()
    assert table["psfDiffFlux_flag"].all()
    metadata = made.get("forcedPhotVisit_metadata", data_id(5), collections=made.run)
    assert "difference_image of {" in metadata["forcedPhotVisit"]["failure"]["message"]


def test_objects_are_measured_without_a_usable_table_of_dia_objects(
    butler: Butler, run: Callable[..., Butler]
) -> None:
    table = butler.get("dia_object", TRACT)
    table.remove_column("ra")
    butler.collections.register("broken")
    butler.put(table, "dia_object", TRACT, run="broken")
    made = run(5, ("broken",), is_partial_a_failure=False)
    assert len(made.get("object_forced_source", PATCH, collections=made.run)) > 0
    assert not made.exists("dia_object_forced_source", PATCH, collections=made.run)
    metadata = made.get("forcedPhotVisit_metadata", data_id(5), collections=made.run)
    message = metadata["forcedPhotVisit"]["failure"]["message"]
    assert message.startswith("The table dia_object of {")
    assert message.endswith("has no column ra.")
    with pytest.raises(InputTableError, match="dia_object of"):
        run(5, ("broken",))


def quantum_of(butler: Butler, name: str, detector: int, dataset: object) -> tuple[Any, Any]:
    """Return what a quantum reads with, if it finds this dataset, and the dataset's ref."""
    [ref] = butler.query_datasets(name, where=f"visit={VISIT} AND detector={detector}")
    ref = ref.expanded(butler.registry.expandDataId(ref.dataId))
    return SimpleNamespace(get=lambda _: dataset, quantum=SimpleNamespace(dataId=ref.dataId)), ref


def test_images_without_what_is_needed_are_named(butler: Butler) -> None:
    image = Exposure.read(butler.getURI("visit_image", data_id(5)).ospath)
    bare = dataclasses.replace(image, wcs=None)
    with pytest.raises(ExposureError, match=r"visit_image of \{.*detector: 5.*\}: .*no WCS"):
        read_exposure(*quantum_of(butler, "visit_image", 5, bare))
    bare = dataclasses.replace(image, photo_calib=None, unit=None)
    with pytest.raises(ExposureError, match=r"visit_image of \{.*detector: 5.*\}: .*nor a unit"):
        read_calibrated(*quantum_of(butler, "visit_image", 5, bare))
    assert read_calibrated(*quantum_of(butler, "visit_image", 5, image)).identity.detector == 5


def test_a_damaged_table_of_a_visit_is_named(butler: Butler) -> None:
    def fail() -> None:
        raise OSError("half of it is missing")

    quantum, ref = quantum_of(butler, "visit_image", 5, SimpleNamespace(get=fail))
    quantum.quantum.dataId = butler.registry.expandDataId(PATCH)
    task = ForcedSourceTableTask(config=ForcedSourceTableTask.ConfigClass())
    with pytest.raises(FileFormatError, match=r"of \{.*detector: 5.*\} cannot be read: half of it is missing"):
        task.runQuantum(quantum, SimpleNamespace(visitTables=[ref]), None)


def test_errors_of_any_kind_are_named() -> None:
    ref = SimpleNamespace(datasetType=SimpleNamespace(name="table"), dataId="{patch: 1}")
    for error in (UnknownFieldError("a", ["b"]), LookupError("lost")):
        message = str(error)
        with pytest.raises(type(error)) as raised, naming(ref):
            raise error
        assert str(raised.value) == f"table of {{patch: 1}}: {message}"
