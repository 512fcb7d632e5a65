"""Plugins of other packages: found by their entry points, configured, run, and flagged where they raise."""

import json
import logging
import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from lsst.pex.config import Registry

from forcedphot import third_party
from forcedphot.plugins import ForcedPlugin, ForcedPluginConfig
from forcedphot.plugins.psf_flux import PsfFlux

_EXAMPLE = Path(__file__).parent / "example_package"

_SCRIPT = """
import json, logging
import numpy as np
from forcedphot import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.simulation import simulate_exposure
logging.basicConfig(level="WARNING")
field = simulate_exposure(shape=(300, 300), n_sources=20, seed=1)
config = ForcedMeasurementDriverConfig()
config.measurement.plugins.names |= ["example_Median"]
config.measurement.plugins["example_Median"].halfWidth = 80
table = ForcedMeasurementDriverTask(config=config).runFromAstropy(field.catalog, field.exposure)
x, y = table["slot_Centroid_x"] - field.exposure.x0, table["slot_Centroid_y"] - field.exposure.y0
print(json.dumps({
    "near": (np.floor(np.minimum(x, y) + 0.5) < 80).tolist(),
    "flag": table["example_Median_flag"].tolist(),
    "nan": np.isnan(table["example_Median_value"]).tolist(),
    "psf": np.isfinite(table["base_PsfFlux_instFlux"]).tolist(),
}))
"""


def install(folder: Path) -> None:
    """Put the example where it would be installed: its package, and what pip writes of its pyproject.toml."""
    (folder / "forcedphot_example").symlink_to(_EXAMPLE / "src" / "forcedphot_example")
    project = tomllib.loads((_EXAMPLE / "pyproject.toml").read_text())["project"]
    information = folder / "forcedphot_example-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")


def test_the_example_is_found_configured_run_and_flagged(tmp_path: Path) -> None:
    install(tmp_path)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _SCRIPT],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, list[bool]] = json.loads(done.stdout)
    assert result["flag"] == result["nan"] == result["near"]
    assert 0 < sum(result["flag"]) < 20
    assert all(result["psf"])
    assert done.stderr.count("example_Median raised ValueError") == 1


@pytest.fixture
def registry() -> Any:
    registry = Registry(ForcedPluginConfig)
    registry.register("base_PsfFlux", PsfFlux)
    return registry


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("base_PsfFlux", "forcedphot.plugins.psf_flux:PsfFlux", "of that name already"),
        ("test_Missing", "no_such_package:Plugin", "No module named"),
        ("test_Other", "pathlib:Path", "no subclass of ForcedPlugin"),
        ("test_Function", "os.path:join", "no subclass of ForcedPlugin"),
    ],
)
def test_what_cannot_be_registered_is_left_out(
    registry: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    complaint: str,
) -> None:
    bad = EntryPoint(name, value, "forcedphot.plugins")
    good = EntryPoint("test_Good", "forcedphot.plugins.psf_flux:PsfFlux", "forcedphot.plugins")
    monkeypatch.setattr(third_party, "entry_points", lambda group: [bad, good])
    with caplog.at_level(logging.WARNING):
        third_party.register_third_parties("forcedphot.plugins", registry, ForcedPlugin)
    assert sorted(registry) == ["base_PsfFlux", "test_Good"]
    (record,) = caplog.records
    assert name in record.getMessage()
    assert complaint in record.getMessage()
