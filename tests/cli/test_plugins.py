"""forcedphot plugins, and the page of the documentation that it writes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from forcedphot import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.catalog_calculation import registry as calculations
from forcedphot.cli import main
from forcedphot.plugin_reference import markdown
from forcedphot.plugins import registry

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["plugins", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_all_are_listed() -> None:
    listed = [line.split()[0] for line in run().splitlines() if line.startswith(("base_", "ext_"))]
    assert listed == [*sorted(registry), *sorted(calculations)]
    assert len(listed) > 20


def test_what_is_said_of_one_is_what_it_measures() -> None:
    (described,) = json.loads(run("--json", "base_PsfFlux"))
    schema = ForcedMeasurementDriverTask(config=ForcedMeasurementDriverConfig()).schema
    fields = {field.name: field for field in schema if field.name.startswith("base_PsfFlux_")}
    measured = [field for field in described["fields"] if "apCorr" not in field["name"]]
    assert measured
    for field in measured:
        known = fields[field["name"]]
        assert (known.type, known.unit, known.doc) == (field["type"], field["unit"], field["doc"])
    assert [setting["name"] for setting in described["settings"]] == ["badMaskPlanes"]
    assert described["aperture_corrected"] == ["base_PsfFlux"]


def test_fields_settings_and_aliases_are_printed() -> None:
    output = run("base_PsfFlux", "base_SdssShape")
    assert "base_PsfFlux_instFlux " in output
    assert "badMaskPlanes" in output
    assert "alias of base_TransformedCentroid_flag" in output


def test_unknown_names() -> None:
    result = CliRunner().invoke(main, ["plugins", "base_PsfFlx"])
    assert result.exit_code == 2
    assert "Did you mean base_PsfFlux?" in result.output


@pytest.mark.parametrize("text", ["page", "command"])
def test_the_page_is_current(text: str) -> None:
    """Made by ``forcedphot plugins --markdown > docs/plugins.md``."""
    assert (markdown() if text == "page" else run("--markdown")) == _PAGE.read_text(encoding="utf-8")
