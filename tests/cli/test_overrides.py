"""Configuration from data: what it sets, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from forcedphot import ForcedMeasurementDriverConfig
from forcedphot.cli.overrides import apply_assignments, apply_file, apply_mapping
from forcedphot.errors import ConfigurationError


@pytest.fixture
def config() -> Any:
    return ForcedMeasurementDriverConfig()


def test_assignments(config: Any) -> None:
    apply_assignments(
        config,
        [
            "doApCorr=false",
            "config.measurement.plugins.base_PsfFlux.badMaskPlanes=[BAD, SAT]",
            "measurement.plugins.base_CircularApertureFlux.radii = [3, 4.5]",
            "measurement.plugins.names=[base_PsfFlux]",
            "measurement.slots.psfFlux=null",
            "measurement.copyColumns={id: objectId}",
        ],
    )
    assert config.doApCorr is False
    assert list(config.measurement.plugins["base_PsfFlux"].badMaskPlanes) == ["BAD", "SAT"]
    assert list(config.measurement.plugins["base_CircularApertureFlux"].radii) == [3.0, 4.5]
    assert list(config.measurement.plugins.names) == ["base_PsfFlux"]
    assert config.measurement.slots.psfFlux is None
    assert dict(config.measurement.copyColumns) == {"id": "objectId"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.yaml", "measurement.plugins.base_PsfFlux.badMaskPlanes: [BAD]\nfluxUnit: image\n"),
        (
            "config.yaml",
            "measurement:\n  plugins:\n    base_PsfFlux:\n      badMaskPlanes: [BAD]\nfluxUnit: image\n",
        ),
        ("config.toml", 'fluxUnit = "image"\nmeasurement.plugins.base_PsfFlux.badMaskPlanes = ["BAD"]\n'),
        ("config.toml", 'fluxUnit = "image"\n[measurement.plugins.base_PsfFlux]\nbadMaskPlanes = ["BAD"]\n'),
        ("config", '{"fluxUnit": "image", "measurement.plugins.base_PsfFlux.badMaskPlanes": ["BAD"]}'),
    ],
)
def test_files(config: Any, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    apply_file(config, tmp_path / name)
    assert config.fluxUnit == "image"
    assert list(config.measurement.plugins["base_PsfFlux"].badMaskPlanes) == ["BAD"]


def test_empty_file_changes_nothing(config: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("# nothing yet\n")
    apply_file(config, tmp_path / "config.yaml")
    assert config.compare(ForcedMeasurementDriverConfig())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.py", "config.doApCorr = False", "is a Python program, which is not run"),
        ("config.yaml", "doApCorr: [", "cannot be read"),
        ("config.toml", "doApCorr = ", "cannot be read"),
        ("config.yaml", "just words", "should have lines 'key: value'"),
        ("config.yaml", "- a\n- b\n", "should have lines 'key: value'"),
        ("config.yaml", "a: !!python/object/apply:os.system ['true']", "cannot be read"),
        ("config.yaml", "doApCorrect: false", r"config\.yaml: There is no configuration 'doApCorrect'"),
    ],
)
def test_files_that_are_refused(config: Any, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        apply_file(config, tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_missing_file(config: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml cannot be read"):
        apply_file(config, tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("doApCorr", "form key=value"),
        ("doApCorr=[", "no YAML"),
        ("doApCorr=3", "'doApCorr' cannot be 3: .*Expected type bool"),
        ("fluxUnit=Jy", "'fluxUnit' cannot be 'Jy'"),
        ("doApCorr.x=1", "nothing can be set inside it"),
        ("measurement=3", "is a group; set one of .*slots"),
        ("measurement.plugins=3", "is a group; set one of names"),
        ("measurement.plugins.names=[nope]", "Unknown key 'nope'"),
        ("measurement.plugins.names=base_PsfFlux", r"is a list, such as \[a, b\]; it cannot be 'base_PsfFlux'"),
        ("measurement.plugins.base_PsfFlux.badMaskPlanes=BAD", r"is a list, such as \[a, b\]"),
        ("measurement.plugins.base_CircularApertureFlux.radii={3: 1}", r"is a list, such as \[a, b\]"),
        ("measurement.plugins.nope.x=1", "'nope' is unknown; known here are .*base_PsfFlux"),
        ("measurement.plugins.base_CircularApertureFlux.radii=[a]", "Expected float"),
        ("measurement.target=os.system", "'target' is unknown"),
        ("measurement.retarget=os.system", "'retarget' is unknown"),
        ("__class__=1", "'__class__' is unknown"),
        ("measurement.plugins.base_PsfFlux.__init__=1", "'__init__' is unknown"),
    ],
)
def test_assignments_that_are_refused(config: Any, assignment: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        apply_assignments(config, [assignment])
    assert config.compare(ForcedMeasurementDriverConfig())


def test_a_group_can_be_given_as_a_mapping(config: Any) -> None:
    apply_mapping(
        config, {"measurement": {"slots": {"psfFlux": None}, "plugins.base_PsfFlux": {"doMeasure": False}}}
    )
    assert config.measurement.slots.psfFlux is None
    assert config.measurement.plugins["base_PsfFlux"].doMeasure is False
