"""The old Butler over a repository of today: places, data IDs, old names."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.errors import ConfigurationError
from forcedphot.stack.old_butler import Butler, OldExposure, with_old_names
from forcedphot.survey import SimulatedSurvey
from forcedphot.survey.labels import add_label
from forcedphot.tasks import ForcedPhotCoaddTask

_PATCH = {"tract": 0, "patch": "1,1"}


@pytest.fixture
def hsc(
    simulated: Callable[[str], SimulatedSurvey], monkeypatch: pytest.MonkeyPatch, forgotten_stack_names: None
) -> SimulatedSurvey:
    import forcedphot.butler  # noqa: F401 - as forcedphot.lsst_names does

    survey = simulated("hsc")
    monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(survey.index))
    return survey


@pytest.fixture
def butler(hsc: SimulatedSurvey) -> Iterator[Butler]:
    with closing(Butler(inputs="hsc")) as opened:
        yield opened


def test_places_lead_to_the_same_data(hsc: SimulatedSurvey) -> None:
    run = hsc.collection.rpartition("/")[2]
    places: tuple[dict[str, Any], ...] = (
        {"inputs": "hsc"},
        {"root": str(hsc.repository)},
        {"inputs": [Path(f"{hsc.repository}/rerun/{run}")]},
        {"inputs": f"DATA/rerun/{run}"},
    )
    for place in places:
        with closing(Butler(**place)) as butler:
            assert butler.butler.collections.defaults == (hsc.collection,)
            assert Path(butler.repository.removeprefix("file://")) == hsc.repository
    with closing(Butler("hsc", collections=f"{hsc.collection}/images")) as butler:
        assert butler.datasetExists("deepCoadd_calexp", _PATCH, filter="HSC-R")


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"inputs": "DATA"}, "no repository DATA"),
        ({"inputs": "DATA/rerun/nothing"}, "ends in /nothing"),
        ({"inputs": ["hsc", "hsc"]}, "2 are given"),
        ({}, "0 are given"),
    ],
)
def test_places_that_are_not_there(hsc: SimulatedSurvey, places: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Butler(**places)


def test_a_run_of_two_repositories_is_refused(
    hsc: SimulatedSurvey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "repos.yaml"
    (tmp_path / "other").symlink_to(hsc.repository)
    add_label(index, "one", hsc.repository)
    add_label(index, "two", tmp_path / "other")
    monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(index))
    with pytest.raises(ConfigurationError, match="More than one"):
        Butler(inputs="DATA/rerun/coaddForcedPhot")


def test_catalogs_by_old_data_ids(butler: Butler) -> None:
    forced = {name: butler.get("deepCoadd_forced_src", {"filter": name, **_PATCH}) for name in ("HSC-R", "HSC-I")}
    same = butler.get("deepCoadd_forced_src", tract=0, patch=10, band="r")
    np.testing.assert_array_equal(forced["HSC-R"]["id"], same["id"])
    np.testing.assert_array_equal(forced["HSC-R"]["base_PsfFlux_flux"], same["base_PsfFlux_instFlux"])
    assert (forced["HSC-R"]["base_PsfFlux_flux"] != forced["HSC-I"]["base_PsfFlux_flux"]).any()
    reference = butler.get("deepCoadd_ref", {"filter": "HSC-R^HSC-I", **_PATCH})
    np.testing.assert_array_equal(reference["id"], same["id"])
    assert butler.datasetExists("deepCoadd_ref", _PATCH, filter="HSC-R")
    assert not butler.datasetExists("deepCoadd_ref", {"tract": 0, "patch": "5,5"})


def test_a_visit_has_one_filter(butler: Butler) -> None:
    visits = {record.physical_filter: record.id for record in butler.butler.query_dimension_records("visit")}
    data_id = {"visit": visits["HSC-R"], "ccd": 49}
    assert butler.get("calexp_bbox", data_id, filter="HSC-R") == butler.get("calexp_bbox", data_id)
    assert not butler.datasetExists("calexp", data_id, filter="HSC-I")
    with pytest.raises(LookupError, match="no calexp"):
        butler.get("calexp", data_id, filter="HSC-I")


def test_calibration_of_an_exposure(butler: Butler) -> None:
    data_id = {"filter": "HSC-I", **_PATCH}
    calib = butler.get("deepCoadd_calexp_calib", data_id)
    exposure = butler.get("deepCoadd_calexp", data_id)
    assert isinstance(exposure, OldExposure)
    assert exposure.identity.band == "i"
    assert exposure.getCalib() == calib
    assert butler.get("deepCoadd_calexp_bbox", data_id) == exposure.bbox
    calib.setThrowOnNegativeFlux(False)
    magnitudes = calib.getMagnitude(np.array([1e4, -1.0]) / calib.getCalibrationMean())
    np.testing.assert_allclose(magnitudes, [31.4 - 10, np.nan], atol=1e-3)


def test_a_task_reads_by_an_old_data_reference(butler: Butler) -> None:
    task = ForcedPhotCoaddTask(butler=butler)
    reference = butler.dataRef("deepCoadd_calexp", {"filter": "HSC-I", **_PATCH})
    exposure = task.getExposure(reference)
    assert exposure.identity.band == "i"
    catalog = task.fetchReferences(reference, exposure)
    np.testing.assert_array_equal(catalog["id"], butler.get("deepCoadd_ref", _PATCH)["id"])


@pytest.mark.parametrize(
    ("name", "data_id", "message"),
    [
        ("deepCoadd_src", {}, "deepCoadd_forced_src"),
        ("deepCoadd_forced_src", {"filter": "HSC-R^HSC-I", **_PATCH}, "one filter"),
        ("deepCoadd_forced_src", {"filter": "HSC-Y", **_PATCH}, "HSC-G"),
        ("deepCoadd_ref", {"tract": 0, "patch": "1,x"}, "column,row"),
        ("deepCoadd_ref", {"tract": 0, "patch": "99,1"}, "no patch 99,1"),
        ("deepCoadd_ref", {"patch": "1,1"}, "needs a tract"),
    ],
)
def test_what_cannot_be_got_is_said(butler: Butler, name: str, data_id: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        butler.get(name, data_id)


def test_a_part_of_an_image_that_is_not_there(butler: Butler) -> None:
    with pytest.raises(LookupError, match="no deepCoadd_calexp"):
        butler.get("deepCoadd_calexp_calib", {"filter": "HSC-R", "tract": 0, "patch": "5,5"})


def test_old_names_are_aliases() -> None:
    names = ("base_PsfFlux_instFlux", "base_PsfFlux_instFluxErr", "base_SdssCentroid_xErr", "x_flux", "x_instFlux")
    schema = Schema([Field(name, "float64") for name in names], {"slot_PsfFlux": "base_PsfFlux"})
    catalog = with_old_names(SourceCatalog(schema, {name: np.array([float(i)]) for i, name in enumerate(names)}))
    old = {
        "base_PsfFlux_flux": 0,
        "slot_PsfFlux_flux": 0,
        "base_PsfFlux_fluxErr": 1,
        "base_PsfFlux_fluxSigma": 1,
        "base_SdssCentroid_xSigma": 2,
        "x_flux": 3,  # a name of its own stays what it is
        "x_instFlux": 4,
    }
    assert {name: catalog[name][0] for name in old} == old
    assert catalog.schema.getNames() == set(names)
    assert set(catalog.schema.extract("base_PsfFlux_flux*")) == {
        "base_PsfFlux_flux",
        "base_PsfFlux_fluxErr",
        "base_PsfFlux_fluxSigma",
    }
    assert "base_PsfFlux_flux" not in dict(schema.aliases)
