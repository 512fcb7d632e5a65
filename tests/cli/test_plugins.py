"""forcedphot plugins, and the page of the documentation that it writes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from forcedphot import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.catalog.schema import Columns, Schema
from forcedphot.catalog_calculation import registry as calculations
from forcedphot.cli import main
from forcedphot.conventions import BoolArray
from forcedphot.plugin_reference import markdown
from forcedphot.plugins import ForcedPlugin, SourceBatch, registry

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


class Broken(ForcedPlugin):
    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        raise KeyError("a field of another plugin")

    def measure(self, batch: SourceBatch) -> None:
        """Never called."""

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        """Never called."""


def test_a_plugin_that_cannot_be_made_hides_no_other() -> None:
    registry.register("test_Broken", Broken)
    try:
        result = CliRunner().invoke(main, ["plugins"])
        alone = CliRunner().invoke(main, ["plugins", "test_Broken"])
    finally:
        del registry._dict["test_Broken"]
    assert result.exit_code == 0
    assert "test_Broken cannot be described: making it raised KeyError" in result.output
    assert "base_PsfFlux" in result.output
    assert alone.exit_code == 2


@pytest.mark.parametrize("text", ["page", "command"])
def test_the_page_is_current(text: str) -> None:
    """Made by ``forcedphot plugins --markdown > docs/plugins.md``."""
    assert (markdown() if text == "page" else run("--markdown")) == _PAGE.read_text(encoding="utf-8")
