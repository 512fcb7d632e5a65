"""ForcedPhotCoaddTask: row for row with the reference, in every band, by itself and in a quantum graph."""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.driver import as_exposure
from forcedphot.errors import ConfigurationError, InputTableError
from forcedphot.exposure import Exposure, Wcs
from forcedphot.survey import SimulatedSurvey
from forcedphot.survey.plan import SurveyPlan
from forcedphot.survey.profiles import find_profile, find_size
from forcedphot.survey.row_ids import patch_ids
from forcedphot.tasks import ForcedPhotCoaddConfig, ForcedPhotCoaddTask

BANDS = ("i", "r")


class Inputs(NamedTuple):
    data_id: Any
    exposure: Exposure
    wcs: Wcs
    reference: SourceCatalog
    measured: SourceCatalog
    forced: SourceCatalog


@pytest.fixture(scope="module")
def survey(
    own_survey: Callable[[str], SimulatedSurvey], forgotten_stack_names: None
) -> Iterator[tuple[Butler, SimulatedSurvey]]:
    found = own_survey("hsc")
    importlib.import_module("forcedphot.butler")
    with Butler.from_config(str(found.repository), collections=found.collection) as butler:
        yield butler, found


@pytest.fixture(scope="module")
def inputs(survey: tuple[Butler, SimulatedSurvey]) -> Inputs:
    """Those of one coadd, and what the simulation measured there."""
    butler, _ = survey
    ref = butler.query_datasets("deepCoadd_calexp", where="band='r'")[0]
    exposure = as_exposure(butler.get(ref))
    assert exposure.wcs is not None
    return Inputs(
        butler.registry.expandDataId(ref.dataId),
        exposure,
        exposure.wcs,
        *(butler.get(f"deepCoadd_{name}", ref.dataId) for name in ("ref", "meas", "forced_src")),
    )


@pytest.fixture(scope="module")
def task(inputs: Inputs) -> ForcedPhotCoaddTask:
    return ForcedPhotCoaddTask(refSchema=inputs.reference.schema)


def test_a_graph_measures_every_reference_in_every_band(survey: tuple[Butler, SimulatedSurvey]) -> None:
    butler, found = survey
    output = SimplePipelineExecutor.prep_butler(str(found.repository), [found.collection], "u/forced_coadd")
    with output:
        executor = SimplePipelineExecutor.from_pipeline_filename(
            str(files("forcedphot") / "pipelines" / "hsc-forced-coadd.yaml"), butler=output
        )
        quanta = executor.run(register_dataset_types=True)
        refs = output.query_datasets("deepCoadd_forced_src", collections="u/forced_coadd", find_first=True)
        plugins = output.get("forcedPhotCoadd_config").measurement.plugins.names
        made = {(ref.dataId["patch"], ref.dataId["band"]): output.get(ref) for ref in refs}
        metadata = output.get("forcedPhotCoadd_metadata", refs[0].dataId)
        empty = output.get("deepCoadd_forced_src_schema")
    assert len(quanta) == len(made) == 2 * len(BANDS)
    for (patch, _), catalog in made.items():
        reference = butler.get("deepCoadd_ref", skymap="hsc_rings_v1", tract=0, patch=patch)
        np.testing.assert_array_equal(catalog["id"], reference["id"])
        np.testing.assert_array_equal(catalog["parent"], reference["parent"])
        assert catalog.footprints is None
        assert list(catalog.schema) == list(empty.schema)
        assert (catalog["slot_PsfFlux_instFlux"] > 0).mean() > 0.5
    assert "base_PsfFlux" in plugins
    assert metadata["forcedPhotCoadd"]["runEndCpuTime"] >= metadata["forcedPhotCoadd"]["runStartCpuTime"]


def test_fluxes_are_those_of_the_survey(task: ForcedPhotCoaddTask, inputs: Inputs) -> None:
    catalog, coadd_id = task.generateMeasCat(
        inputs.data_id, inputs.exposure, inputs.reference, inputs.measured, inputs.wcs
    )
    assert coadd_id > 0
    plan = SurveyPlan(find_profile("hsc"), find_size("tiny"), 1)
    seed = patch_ids(plan, inputs.data_id["patch"]).catalog_id
    result = task.run(catalog, inputs.exposure, inputs.reference, inputs.wcs, exposureId=seed)
    assert result.measCat is catalog
    for name in ("base_PsfFlux_instFlux", "base_CircularApertureFlux_12_0_instFlux", "base_PsfFlux_apCorr"):
        # Sums are added up in another order where an array in memory begins elsewhere.
        np.testing.assert_allclose(catalog[name], inputs.forced[name], rtol=1e-12, err_msg=name)


def test_a_coadd_without_aperture_corrections_is_measured_without(
    task: ForcedPhotCoaddTask, inputs: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    exposure = dataclasses.replace(inputs.exposure, aperture_corrections=None)
    catalog, _ = task.generateMeasCat(inputs.data_id, exposure, inputs.reference, inputs.measured, inputs.wcs)
    task.run(catalog, exposure, inputs.reference, inputs.wcs)
    assert "no aperture corrections" in caplog.text
    assert np.isnan(catalog["base_PsfFlux_apCorr"]).all()
    assert np.isfinite(catalog["base_PsfFlux_instFlux"]).mean() > 0.9


def test_a_coadd_without_a_psf_gives_flagged_rows(
    task: ForcedPhotCoaddTask, inputs: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    exposure = dataclasses.replace(inputs.exposure, psf=None)
    catalog, _ = task.generateMeasCat(inputs.data_id, exposure, inputs.reference, inputs.measured, inputs.wcs)
    task.run(catalog, exposure, inputs.reference, inputs.wcs)
    assert "has no PSF" in caplog.text
    np.testing.assert_array_equal(catalog["id"], inputs.reference["id"])
    assert np.isnan(catalog["base_PsfFlux_instFlux"]).all()
    assert catalog["base_PsfFlux_flag"].all()
    assert catalog["base_InvalidPsf_flag"].all()


def test_an_empty_reference_gives_an_empty_catalog(task: ForcedPhotCoaddTask, inputs: Inputs) -> None:
    reference, measured = inputs.reference[:0], inputs.measured[:0]
    catalog, _ = task.generateMeasCat(inputs.data_id, inputs.exposure, reference, measured, inputs.wcs)
    assert len(task.run(catalog, inputs.exposure, reference, inputs.wcs).measCat) == 0


def test_footprints_are_found_by_id(task: ForcedPhotCoaddTask, inputs: Inputs) -> None:
    shuffled = inputs.measured[::-1]
    sources = task.measurement.generateMeasCat(inputs.exposure, inputs.reference)
    task.attachFootprints(sources, inputs.reference, inputs.exposure, inputs.wcs, shuffled)
    assert sources.footprints is not None
    assert inputs.measured.footprints is not None
    assert all(a is b for a, b in zip(sources.footprints, inputs.measured.footprints, strict=True))


def test_catalogs_of_other_sources_are_refused(task: ForcedPhotCoaddTask, inputs: Inputs) -> None:
    def generate(measured: SourceCatalog | None) -> None:
        task.generateMeasCat(inputs.data_id, inputs.exposure, inputs.reference, measured, inputs.wcs)

    with pytest.raises(LookupError, match=f"1 of .* the first is {inputs.reference['id'][-1]};"):
        generate(inputs.measured[:-1])
    with pytest.raises(LookupError, match="the first is"):
        generate(inputs.measured[:0])
    for without in (None, SourceCatalog(inputs.measured.schema, inputs.measured.columns)):
        with pytest.raises(InputTableError, match="no footprints"):
            generate(without)


def test_the_deblenders_footprints_come_first(task: ForcedPhotCoaddTask, inputs: Inputs) -> None:
    catalog, _ = task.generateMeasCat(
        inputs.data_id,
        inputs.exposure,
        inputs.reference,
        None,
        inputs.wcs,
        footprintData=inputs.measured,
    )
    assert catalog.footprints is not None


def test_configuration_decides_what_is_read() -> None:
    config = ForcedPhotCoaddConfig()
    connections = config.ConnectionsClass(config=config)
    assert "refCatInBand" in connections.inputs
    assert "footprintCatInBand" not in connections.inputs
    config.footprintDatasetName = "DeblendedFlux"
    config.exposureStorageClass = "ExposureF"
    connections = config.ConnectionsClass(config=config)
    assert "refCatInBand" not in connections.inputs
    assert connections.footprintCatInBand.name == "deepCoadd_deblendedFlux"
    assert connections.exposure.storageClass == "ExposureF"
    config.footprintDatasetName = "ScarletModelData"
    with pytest.raises(ConfigurationError, match="catalogs only"):
        config.validate()


def test_a_schema_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="give refSchema"):
        ForcedPhotCoaddTask()


def test_the_methods_of_the_documents(task: ForcedPhotCoaddTask, inputs: Inputs) -> None:
    assert ForcedPhotCoaddTask.canMultiprocess
    assert ForcedPhotCoaddTask.dataPrefix == "deepCoadd_"
    assert (task.getName(), task.getFullName()) == ("forcedPhotCoadd", "forcedPhotCoadd")
    assert task.measurement.getName() == "measurement"
    assert task.measurement.getFullName() == "forcedPhotCoadd.measurement"
    names = {"forcedPhotCoadd"} | {
        f"forcedPhotCoadd.{part}" for part in ("measurement", "applyApCorr", "catalogCalculation")
    }
    assert set(task.getTaskDict()) == set(task.measurement.getTaskDict()) == names
    for catalogs in (task.getSchemaCatalogs(), task.getAllSchemaCatalogs()):
        assert set(catalogs) == {"deepCoadd_forced_src"}
        assert len(catalogs["deepCoadd_forced_src"]) == 0
        assert catalogs["deepCoadd_forced_src"].schema.has("base_PsfFlux_instFlux")
    task.measurement.metadata["answer"] = 42
    assert task.getFullMetadata()["forcedPhotCoadd:measurement"]["answer"] == 42
    task.emptyMetadata()
    assert "answer" not in task.getFullMetadata()["forcedPhotCoadd:measurement"]
    assert ForcedPhotCoaddTask.makeField("coadds").target is ForcedPhotCoaddTask
    again = ForcedPhotCoaddTask(initInputs={"inputSchema": inputs.reference[:0]})
    assert list(again.outputSchema.schema) == list(task.outputSchema.schema)


def test_names_of_the_package() -> None:
    import forcedphot.tasks

    assert set(forcedphot.tasks.__all__) <= set(dir(forcedphot.tasks)) | set(forcedphot.tasks._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        forcedphot.tasks.nothing  # noqa: B018
