"""Pipelines: all load, have the names of their profiles, find quanta in simulated surveys, and can be changed."""

import importlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder

from forcedphot.driver import as_exposure
from forcedphot.survey import SimulatedSurvey
from forcedphot.survey.plan import SurveyPlan
from forcedphot.survey.profiles import PROFILES, find_profile, find_size
from forcedphot.survey.row_ids import patch_ids
from forcedphot.tasks import DataReference, ForcedPhotCoaddTask, ForcedPhotVisitTask
from forcedphot.tasks.forced_sources import ForcedTargets, needed_plugins
from forcedphot.tasks.points import usual_measurement

PIPELINES = {path.stem: path for path in sorted(Path(str(files("forcedphot") / "pipelines")).glob("*.yaml"))}
TABLE_TASKS = ("objectForcedSource", "diaObjectForcedSource")


def load(name: str, *overrides: tuple[str, str, object]) -> Any:
    """Return the graph of a pipeline, with configuration overrides as ``-c label:field=value`` makes them."""
    pipeline = Pipeline.fromFile(str(PIPELINES[name]))
    for override in overrides:
        pipeline.addConfigOverride(*override)
    return pipeline.to_graph()


usual = cache(load)


@pytest.mark.parametrize("name", PIPELINES)
def test_datasets_have_the_names_of_the_profile(name: str) -> None:
    profile, _, what = name.partition("-")
    pipeline = Pipeline.fromFile(str(PIPELINES[name]))
    subsets = {"forced-coadd", "forced-visit"} if what == "forced-all" else {what}
    assert set(pipeline.subsets) == subsets
    assert set().union(*pipeline.subsets.values()) == set(pipeline.task_labels)
    datasets = PROFILES[profile].datasets
    known = {dataset.name: dataset for dataset in datasets.values()}
    tasks = usual(name).tasks.values()
    made = {edge.dataset_type_name for task in tasks for edge in task.outputs.values()}
    roles = {"forced-coadd": {"coadd_forced"}, "forced-visit": {"forced_source", "dia_forced_source"}}
    wanted = {role for subset in subsets for role in roles[subset]}
    assert {datasets[role].name for role in wanted & set(datasets)} <= made
    for task in tasks:
        for edge in (*task.inputs.values(), *task.init.inputs.values(), *task.outputs.values()):
            if edge.dataset_type_name in known:
                assert edge.storage_class_name == known[edge.dataset_type_name].storage_class
                assert set(edge.raw_dimensions) == set(known[edge.dataset_type_name].dimensions)
            else:
                assert edge.dataset_type_name in made


def n_quanta(survey: SimulatedSurvey, pipeline_graph: Any) -> dict[str, int]:
    """Build the quantum graph of a survey, and count quanta by task."""
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        builder = AllDimensionsQuantumGraphBuilder(
            pipeline_graph, butler, input_collections=[survey.collection], output_run="nowhere"
        )
        graph = builder.finish(attach_datastore_records=False).assemble()
    return {label: len(quanta) for label, quanta in graph.quanta_by_task.items() if quanta}


def test_what_is_not_measured_has_no_quanta(simulated: Callable[[str], SimulatedSurvey]) -> None:
    """Nor does the graph need a repository that knows the dataset type."""
    pipeline_graph = load("dp02-forced-visit", ("forcedPhotVisit", "doDiaObjects", "False"))
    assert set(n_quanta(simulated("dp02"), pipeline_graph)) == {"forcedPhotVisit", "objectForcedSource"}


@pytest.mark.parametrize("profile", PROFILES)
def test_quanta_are_found_in_a_survey(simulated: Callable[[str], SimulatedSurvey], profile: str) -> None:
    survey, size = simulated(profile), find_size("tiny")
    n_patches = size.patches_shape[0] * size.patches_shape[1]
    n_images = size.n_visits * len(size.bands) * size.detectors_shape[0] * size.detectors_shape[1]
    expected = {"forcedPhotCoadd": n_patches * len(size.bands)}
    expected |= {"forcedPhotVisit": n_images}
    found = n_quanta(survey, load(f"{profile}-forced-all"))
    # Images overlap with patches that have no coadds, too.
    assert all(found.pop(label) >= n_patches for label in set(TABLE_TASKS) & set(found))
    assert found == expected


@pytest.mark.parametrize("profile", ["dp1", "dp02"])
def test_the_pipelines_measure_what_the_simulation_measures(profile: Any) -> None:
    task = usual(f"{profile}-forced-visit").tasks["forcedPhotVisit"]
    assert task.config.release == profile
    for name, plugins in (("measurement", needed_plugins(profile)), ("measurementDiff", needed_plugins("dp1"))):
        config, expected = getattr(task.config, name).value, usual_measurement(plugins).measurement.config
        assert set(config.plugins.names) == set(expected.plugins.names)
        differences: list[str] = []
        config.compare(expected, shortcut=False, output=differences.append)
        assert not [line for line in differences if "plugins: " not in line]


def test_tables_of_dp02_are_those_of_the_survey(simulated: Callable[[str], SimulatedSurvey]) -> None:
    survey = simulated("dp02")
    task = ForcedPhotVisitTask(config=usual("dp02-forced-visit").tasks["forcedPhotVisit"].config)
    where = {"instrument": "LSSTCam-imSim", "visit": 192350, "detector": 175}
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        image, difference = (
            as_exposure(butler.get(name, where)) for name in ("calexp", "goodSeeingDiff_differenceExp")
        )
        objects, table = (
            butler.get(name, skymap="DC2", tract=4431, patch=16) for name in ("objectTable", "forcedSourceTable")
        )
    table = table[table["ccdVisitId"] == 192350175]
    assert len(table) > 10
    assert {"localPhotoCalib", "localBackground_instFlux"} <= set(table.colnames)
    made = task.run(image, difference, [ForcedTargets.of_objects(objects).placed(4431, 16)], []).forcedSources
    np.testing.assert_array_equal(made["id"], table["objectId"])
    for name in set(table.colnames) & set(made.colnames):
        np.testing.assert_array_equal(made[name].astype(table[name].dtype), table[name], err_msg=name)


@pytest.mark.parametrize(("profile", "band"), [("dp1", "r"), ("dp02", "i")])
def test_fluxes_on_coadds_are_those_of_the_survey(
    simulated: Callable[[str], SimulatedSurvey], forgotten_stack_names: None, profile: str, band: str
) -> None:
    survey, names = simulated(profile), PROFILES[profile].datasets
    importlib.import_module("forcedphot.butler")
    config = usual(f"{profile}-forced-coadd").tasks["forcedPhotCoadd"].config
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        task = ForcedPhotCoaddTask(butler=butler, config=config)
        [coadd, *_] = butler.query_datasets(names["coadd"].name, where=f"band='{band}'", order_by="patch")
        place = DataReference(butler, coadd.dataId)
        exposure, expected = task.getExposure(place), place.get(names["coadd_forced"].name)
        reference, in_band = task.fetchReferences(place), place.get(names["coadd_measured"].name)
    assert exposure.wcs is not None
    catalog, _ = task.generateMeasCat(place.dataId, exposure, reference, in_band, exposure.wcs)
    seed = patch_ids(SurveyPlan(find_profile(profile), find_size("tiny"), 1), place.dataId["patch"]).catalog_id
    task.run(catalog, exposure, reference, exposure.wcs, exposureId=seed)
    np.testing.assert_array_equal(catalog["id"], expected["objectId"])
    for name in ("base_PsfFlux_instFlux", "base_CircularApertureFlux_12_0_instFlux", "base_PsfFlux_apCorr"):
        np.testing.assert_allclose(catalog[name], expected[name], rtol=1e-12, err_msg=name)


def test_sources_of_reference_catalogs_are_objects_too(
    simulated: Callable[[str], SimulatedSurvey], forgotten_stack_names: None
) -> None:
    survey = simulated("hsc")
    importlib.import_module("forcedphot.butler")
    task = ForcedPhotVisitTask(config=usual("hsc-forced-visit").tasks["forcedPhotVisit"].config)
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        image = butler.query_datasets("calexp", where="band='r'")[0]
        exposure = as_exposure(butler.get(image))
        reference = butler.get("deepCoadd_ref", skymap="hsc_rings_v1", tract=0, patch=10)
        coadd = butler.get("deepCoadd_forced_src", skymap="hsc_rings_v1", tract=0, patch=10, band="r")
    targets = ForcedTargets.of_references(reference)
    np.testing.assert_array_equal(targets.is_primary, reference["detect_isPrimary"])
    table = task.run(exposure, None, [targets.placed(0, 10)], None).forcedSources
    rows = [int(np.flatnonzero(reference["id"] == id_)[0]) for id_ in table["id"]]
    assert len(rows) > 10
    np.testing.assert_array_equal(table["parentObjectId"], reference["parent"][rows])
    on_coadd, err = coadd["base_PsfFlux_instFlux"][rows], table["psfFluxErr"]
    isolated = table["detect_isPrimary"] & (table["parentObjectId"] == 0) & (on_coadd > 10 * err)
    assert np.median(np.abs(table["psfFlux"] / on_coadd - 1)[isolated]) < 0.1


def test_fields_of_subtasks_are_set() -> None:
    plugins = [*usual("dp1-forced-visit").tasks["forcedPhotVisit"].config.measurement.plugins.names]
    graph = load(
        "dp1-forced-all",
        ("forcedPhotVisit", "measurement.plugins.names", str([*plugins, "base_CircularApertureFlux"])),
        ("forcedPhotVisit", "measurement.plugins['base_CircularApertureFlux'].radii", "[6.0, 12.0]"),
        ("forcedPhotVisit", 'measurementDiff.plugins["base_PsfFlux"].badMaskPlanes', "['BAD']"),
        ("forcedPhotVisit", "doApCorr", "False"),
        ("forcedPhotCoadd", "measurement.plugins[base_CircularApertureFlux].radii", "[3.0]"),
        ("parameters", "coaddStorageClass", "ExposureF"),
    )
    config = graph.tasks["forcedPhotVisit"].config
    assert "base_CircularApertureFlux" in config.measurement.plugins.names
    assert config.measurement.plugins["base_CircularApertureFlux"].radii == [6.0, 12.0]
    assert config.measurementDiff.plugins["base_PsfFlux"].badMaskPlanes == ["BAD"]
    assert not config.doApCorr
    coadd = graph.tasks["forcedPhotCoadd"]
    assert coadd.config.measurement.plugins["base_CircularApertureFlux"].radii == [3.0]
    assert coadd.inputs["exposure"].storage_class_name == config.coaddStorageClass == "ExposureF"


def test_a_file_of_configuration_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        'config.measurement.plugins.names |= ["base_CircularApertureFlux"]\n'
        "config.measurement.plugins['base_CircularApertureFlux'].radii = [6.0, 12.0]\n"
    )
    pipeline = Pipeline.fromFile(str(PIPELINES["dp1-forced-visit"]))
    pipeline.addConfigFile("forcedPhotVisit", str(path))
    config = pipeline.to_graph().tasks["forcedPhotVisit"].config
    assert config.measurement.plugins["base_CircularApertureFlux"].radii == [6.0, 12.0]
    assert {"base_CircularApertureFlux", "base_PsfFlux"} < set(config.measurement.plugins.names)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Exception, match="forcedPhotVisit") as refused:
        load("dp02-forced-visit", ("forcedPhotVisit", "measurement.plugins.names", "['base_PsfFlux']"))
    assert "slot_Centroid" in str(refused.value.__cause__)
    names = ["base_TransformedCentroidFromCoord", "base_PsfFlux"]
    with pytest.raises(Exception, match="forcedPhotVisit") as refused:
        load("dp02-forced-visit", ("forcedPhotVisit", "measurement.plugins.names", str(names)))
    assert "base_PixelFlags, base_LocalBackground" in str(refused.value.__cause__)
    with pytest.raises(Exception, match="one release"):
        load("dp02-forced-visit", ("objectForcedSource", "release", "dp1"))
    with pytest.raises(Exception, match="should read what forcedPhotVisit writes of DIA objects"):
        load("dp1-forced-visit", ("forcedPhotVisit", "connections.diaForcedSources", "elsewhere"))
    with pytest.raises(AttributeError, match="no attribute"):
        load("dp1-forced-visit", ("forcedPhotVisit", "measurement.plugins['base_Nothing'].radii", "[1.0]"))


def test_a_subset_can_be_run_alone() -> None:
    pipeline = Pipeline.fromFile(f"{PIPELINES['dp1-forced-all']}#forced-visit")
    assert set(pipeline.task_labels) == {"forcedPhotVisit", *TABLE_TASKS}
    assert set(pipeline.to_graph().tasks) == {"forcedPhotVisit", *TABLE_TASKS}
