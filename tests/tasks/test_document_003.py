"""What document 003 lists of ForcedPhotCoaddTask: a test for each name, in the document's order."""

import dataclasses
import importlib
import logging
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lsst.daf.butler import Butler
from lsst.pex.config import Config

from forcedphot.errors import ConfigurationError
from forcedphot.exposure import Exposure
from forcedphot.survey import SimulatedSurvey
from forcedphot.tasks import DataReference, ForcedPhotCoaddConfig, ForcedPhotCoaddTask

RUN = "u/document_003"
OUTPUT = "deepCoadd_forced_src"
LISTED = (
    "attachFootprints", "canMultiprocess", "dataPrefix", "emptyMetadata", "fetchReferences", "generateMeasCat",
    "getAllSchemaCatalogs", "getExposure", "getFullMetadata", "getFullName", "getName", "getResourceConfig",
    "getSchemaCatalogs", "getTaskDict", "makeField", "makeIdFactory", "makeSubtask", "run", "runDataRef",
    "runQuantum", "timer", "writeOutput",
)  # fmt: skip


@pytest.fixture(scope="module")
def butler(own_survey: Callable[[str], SimulatedSurvey], forgotten_stack_names: None) -> Iterator[Butler]:
    survey = own_survey("hsc")
    importlib.import_module("forcedphot.butler")
    with Butler.from_config(str(survey.repository), collections=survey.collection, run=RUN) as butler:
        yield butler


@pytest.fixture(scope="module")
def data_ref(butler: Butler) -> DataReference:
    return DataReference(butler, butler.query_datasets("deepCoadd_calexp", where="band='r'")[0].dataId)


@pytest.fixture(scope="module")
def task(data_ref: DataReference) -> ForcedPhotCoaddTask:
    return ForcedPhotCoaddTask(refSchema=data_ref.get("deepCoadd_ref").schema)


@pytest.fixture(scope="module")
def arguments(task: ForcedPhotCoaddTask, data_ref: DataReference) -> dict[str, Any]:
    """Return an exposure, its WCS, the reference catalog, and that in the exposure's band."""
    exposure = task.getExposure(data_ref)
    return {
        "exposure": exposure,
        "refCat": task.fetchReferences(data_ref, exposure),
        "refCatInBand": data_ref.get("deepCoadd_meas"),
        "refWcs": exposure.wcs,
    }


def generate(task: ForcedPhotCoaddTask, data_ref: DataReference, arguments: dict[str, Any]) -> tuple[Any, int]:
    return task.generateMeasCat(data_ref.dataId, idPackerName="tract_patch", footprintData=None, **arguments)


def test_every_listed_name_has_a_test() -> None:
    assert [name for name in LISTED if not hasattr(ForcedPhotCoaddTask, name)] == []
    assert [name for name in LISTED if f"test_{name}" not in globals()] == []


def test_the_constructor(butler: Butler, data_ref: DataReference, task: ForcedPhotCoaddTask) -> None:
    schema = data_ref.get("deepCoadd_ref").schema
    by_butler = ForcedPhotCoaddTask(butler=butler)
    assert list(by_butler.outputSchema.schema) == list(task.outputSchema.schema)
    nothing: Any = SimpleNamespace(get=lambda _: pytest.fail("the schema is given"))
    ForcedPhotCoaddTask(nothing, schema)
    ForcedPhotCoaddTask(initInputs={"inputSchema": data_ref.get("deepCoadd_ref")[:0]})
    assert ForcedPhotCoaddTask(refSchema=schema, name="mine").getName() == "mine"
    with pytest.raises(ConfigurationError, match="give refSchema"):
        ForcedPhotCoaddTask()


def test_canMultiprocess() -> None:
    assert ForcedPhotCoaddTask.canMultiprocess is True


def test_dataPrefix() -> None:
    assert ForcedPhotCoaddTask.dataPrefix == "deepCoadd_"


def test_attachFootprints(task: ForcedPhotCoaddTask, data_ref: DataReference, arguments: dict[str, Any]) -> None:
    """They are the deblended ones of the measurements in the same band, pixels' values and all."""
    exposure, reference, wcs = (arguments[name] for name in ("exposure", "refCat", "refWcs"))
    sources = task.measurement.generateMeasCat(exposure, reference, wcs)
    assert sources.footprints is None
    task.attachFootprints(sources, reference, exposure, wcs, data_ref)
    expected = arguments["refCatInBand"]
    child = int(np.flatnonzero(reference["parent"] != 0)[0])
    heavy, in_band = sources[child].getFootprint(), expected[child].getFootprint()
    assert heavy.is_heavy
    np.testing.assert_array_equal(heavy.image, in_band.image)


def test_emptyMetadata(task: ForcedPhotCoaddTask) -> None:
    task.metadata["note"] = task.measurement.metadata["note"] = 1
    task.emptyMetadata()
    assert "note" not in task.metadata
    assert "note" not in task.measurement.metadata
    assert "forcedPhotCoadd:measurement.note" not in task.getFullMetadata()


def test_fetchReferences(task: ForcedPhotCoaddTask, data_ref: DataReference) -> None:
    references = task.fetchReferences(data_ref, None)
    np.testing.assert_array_equal(references["id"], data_ref.get("deepCoadd_ref")["id"])


def test_generateMeasCat(task: ForcedPhotCoaddTask, data_ref: DataReference, arguments: dict[str, Any]) -> None:
    catalog, exposure_id = generate(task, data_ref, arguments)
    np.testing.assert_array_equal(catalog["id"], arguments["refCat"]["id"])
    assert isinstance(exposure_id, int)
    in_band = arguments["refCatInBand"]
    assert catalog[0].getFootprint() is in_band[0].getFootprint()
    deblended = data_ref.get("deepCoadd_meas")
    exposure, reference, _, wcs = arguments.values()
    by_hand, _ = task.generateMeasCat(data_ref.dataId, exposure, reference, None, wcs, "tract_patch", deblended)
    assert by_hand[0].getFootprint() is deblended[0].getFootprint()
    with pytest.raises(LookupError, match="not of the same sources"):
        generate(task, data_ref, arguments | {"refCatInBand": in_band[1:]})


def test_getAllSchemaCatalogs(task: ForcedPhotCoaddTask) -> None:
    """Whichever task of the hierarchy is asked, the answer is the same."""
    for each in (task, task.measurement, task.applyApCorr, task.catalogCalculation):
        catalogs = each.getAllSchemaCatalogs()
        assert set(catalogs) == {OUTPUT}
        assert catalogs[OUTPUT] is task.outputSchema


def test_getExposure(task: ForcedPhotCoaddTask, data_ref: DataReference) -> None:
    exposure = task.getExposure(data_ref)
    assert isinstance(exposure, Exposure)
    np.testing.assert_array_equal(exposure.image, data_ref.get("deepCoadd_calexp").image.array)
    nowhere = DataReference(data_ref.butler, {**data_ref.dataId.required, "patch": 80})
    with pytest.raises(LookupError, match=r"There is no deepCoadd_calexp of .*patch: 80"):
        task.getExposure(nowhere)


def test_getFullMetadata(task: ForcedPhotCoaddTask, data_ref: DataReference, arguments: dict[str, Any]) -> None:
    task.emptyMetadata()
    task.measurement.metadata["answer"] = 42
    catalog, _ = generate(task, data_ref, arguments)
    task.run(catalog, arguments["exposure"], arguments["refCat"], arguments["refWcs"])
    metadata = task.getFullMetadata()
    assert set(metadata) == {name.replace(".", ":") for name in task.getTaskDict()}
    assert metadata["forcedPhotCoadd:measurement.answer"] == 42
    assert metadata["forcedPhotCoadd.runEndCpuTime"] >= metadata["forcedPhotCoadd.runStartCpuTime"]


def test_getFullName(task: ForcedPhotCoaddTask) -> None:
    assert task.getFullName() == "forcedPhotCoadd"
    assert task.applyApCorr.getFullName() == "forcedPhotCoadd.applyApCorr"


def test_getName(task: ForcedPhotCoaddTask) -> None:
    assert task.getName() == "forcedPhotCoadd"
    assert task.applyApCorr.getName() == "applyApCorr"


def test_getResourceConfig(task: ForcedPhotCoaddTask) -> None:
    """None is defined."""
    resources: Any = task
    assert resources.getResourceConfig() is None


def test_getSchemaCatalogs(task: ForcedPhotCoaddTask) -> None:
    [(name, catalog)] = task.getSchemaCatalogs().items()
    assert name == OUTPUT
    assert len(catalog) == 0
    assert catalog.schema.has("base_PsfFlux_instFlux")


def test_getTaskDict(task: ForcedPhotCoaddTask) -> None:
    tasks = task.getTaskDict()
    parts = ("measurement", "applyApCorr", "catalogCalculation")
    assert set(tasks) == {"forcedPhotCoadd", *(f"forcedPhotCoadd.{part}" for part in parts)}
    assert all(isinstance(reference, weakref.ref) for reference in tasks.values())
    assert tasks["forcedPhotCoadd.measurement"]() is task.measurement
    tasks.clear()
    assert task.getTaskDict()


def test_makeField() -> None:
    class OtherConfig(Config):
        forced = ForcedPhotCoaddTask.makeField("forced photometry on coadds")

    config = OtherConfig()
    config.forced.doApCorr = False
    assert config.forced.target is ForcedPhotCoaddTask
    assert OtherConfig.forced.doc == "forced photometry on coadds"


def test_makeIdFactory(task: ForcedPhotCoaddTask, butler: Butler) -> None:
    """No two sources of all coadds' patches have the same id."""
    refs = {ref.dataId["patch"]: ref.dataId for ref in butler.query_datasets("deepCoadd_calexp")}
    ids = [task.makeIdFactory(DataReference(butler, data_id), 1)(10) for data_id in refs.values()]
    assert len(set(np.concatenate(ids).tolist())) == 10 * len(refs) == 20


def test_makeSubtask(task: ForcedPhotCoaddTask, arguments: dict[str, Any]) -> None:
    made = ForcedPhotCoaddTask(refSchema=arguments["refCat"].schema)
    before = made.measurement
    made.makeSubtask("measurement", refSchema=arguments["refCat"].schema)
    assert made.measurement is not before
    assert made.measurement.config.toDict() == made.config.measurement.value.toDict()
    assert made.measurement.getFullName() == "forcedPhotCoadd.measurement"


def test_run(task: ForcedPhotCoaddTask, data_ref: DataReference, arguments: dict[str, Any]) -> None:
    exposure, reference, wcs = (arguments[name] for name in ("exposure", "refCat", "refWcs"))
    fluxes = []
    for seed in (1, 1, 2):
        catalog, _ = generate(task, data_ref, arguments)
        result = task.run(catalog, exposure, reference, wcs, exposureId=seed)
        assert result.measCat is catalog
        fluxes.append(catalog["base_PsfFlux_instFlux"])
    np.testing.assert_array_equal(fluxes[0], fluxes[1])
    assert (fluxes[0] != fluxes[2]).any()  # the noise in place of neighbours is another


def test_runDataRef(task: ForcedPhotCoaddTask, data_ref: DataReference) -> None:
    """All from reading to writing; the same as the survey's own catalog, but for noise in place of neighbours."""
    measured = task.runDataRef(data_ref, psfCache=100).measCat
    written = data_ref.butler.get(OUTPUT, data_ref.dataId, collections=RUN)
    np.testing.assert_array_equal(written["base_PsfFlux_instFlux"], measured["base_PsfFlux_instFlux"])
    expected = data_ref.get(OUTPUT)
    isolated = (expected["parentObjectId"] == 0) & (expected["deblend_nChild"] == 0)
    difference = measured["base_PsfFlux_instFlux"] - expected["base_PsfFlux_instFlux"]
    pull = np.abs(difference / expected["base_PsfFlux_instFluxErr"])[isolated]
    assert np.nanmedian(pull) < 0.1


def test_runQuantum(task: ForcedPhotCoaddTask, data_ref: DataReference) -> None:
    """It reads what the references of its inputs say, and writes to that of its output."""

    def ref(name: str) -> Any:
        return data_ref.butler.find_dataset(name, data_ref.dataId)

    put: list[Any] = []
    quantum = SimpleNamespace(
        get=data_ref.butler.get,
        put=lambda outputs, refs: put.append((outputs.measCat, refs)),
        quantum=SimpleNamespace(dataId=data_ref.dataId),
    )
    names = {"exposure": "deepCoadd_calexp", "refCat": "deepCoadd_ref", "refCatInBand": "deepCoadd_meas"}
    inputs = SimpleNamespace(**{name: ref(dataset) for name, dataset in names.items()})
    outputs = SimpleNamespace(measCat=SimpleNamespace(dataId=data_ref.dataId))
    task.runQuantum(quantum, inputs, outputs)
    [(catalog, refs)] = put
    assert refs is outputs
    assert np.isfinite(catalog["base_PsfFlux_instFlux"]).mean() > 0.9


def test_timer(task: ForcedPhotCoaddTask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), task.timer("nothing", logLevel=logging.INFO):
        pass
    assert "nothing" in caplog.text
    assert task.metadata["nothingEndCpuTime"] >= task.metadata["nothingStartCpuTime"]


def test_writeOutput(butler: Butler, task: ForcedPhotCoaddTask, arguments: dict[str, Any]) -> None:
    """Nothing but the forced sources is written, where the data reference says."""
    data_id = butler.query_datasets("deepCoadd_calexp", where="band='i'")[0].dataId
    n_before = len(butler.query_all_datasets(RUN, find_first=False))
    task.writeOutput(DataReference(butler, data_id), arguments["refCatInBand"][:3])
    assert len(butler.query_all_datasets(RUN, find_first=False)) == n_before + 1
    assert len(butler.get(OUTPUT, data_id, collections=RUN)) == 3


def test_configuration_of_the_subtasks() -> None:
    """The fields that the document's task has: what is measured, corrected and calculated, and from where."""
    config = ForcedPhotCoaddConfig()
    names = ("measurement", "applyApCorr", "catalogCalculation", "doApCorr", "footprintDatasetName", "connections")
    assert {name for name in names if not hasattr(config, name)} == set()
    assert dataclasses.is_dataclass(config.ConnectionsClass.exposure)
