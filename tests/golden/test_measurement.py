"""Whole tables of forced measurement with a reference catalog, against the pipelines' own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from forcedphot import Exposure, ForcedMeasurementTask
from forcedphot.measurement_config import ForcedMeasurementConfig

from .forced import differences, measure_case, reference_catalog


@pytest.mark.parametrize("case", ["field", "default_forced", "peak_likelihood"])
def test_tables_agree(case: str, golden: Callable[[str], Path]) -> None:
    ours, expected = measure_case(golden(f"all_plugins/{case}"))
    # The original never fills it in forced measurement.
    names = [name for name in expected.colnames if not name.startswith("base_Blendedness")]
    assert ours.colnames == expected.colnames
    assert differences(ours, expected, names) == []
    assert ours.meta == expected.meta


def test_defaults_are_the_pipelines(golden: Callable[[str], Path]) -> None:
    options = yaml.safe_load((golden("all_plugins/default_forced") / "config.yaml").read_text())
    config = ForcedMeasurementConfig()
    assert sorted(config.plugins.names) == options["plugins"]
    slots = config.slots.toDict()
    assert slots | {"psfFlux": options["slots"]["psfFlux"]} == options["slots"]


def test_schemas_agree(golden: Callable[[str], Path]) -> None:
    """Names, types, units and documentation of fields, in order; aliases and slots."""
    folder = golden("all_plugins/field")
    stored = json.loads((folder / "schema.json").read_text())
    options = yaml.safe_load((folder / "config.yaml").read_text())
    config = ForcedMeasurementConfig()
    config.plugins.names = options["plugins"]
    for slot, target in options["slots"].items():
        setattr(config.slots, slot, target)
    schema = ForcedMeasurementTask(
        refSchema=reference_catalog(folder / "reference.ecsv").schema, config=config
    ).schema
    found = [(field.name, field.type, field.doc) for field in schema]
    expected = [(field["name"], field["type"], field["doc"]) for field in stored["fields"]]
    assert found == [field for field in expected if "apCorr" not in field[0]]
    assert dict(schema.aliases) == stored["aliases"]


def test_all_plugins_from_another_image(golden: Callable[[str], Path]) -> None:
    """From a reference with another PSF, rotation and scale; fluxes by Kron radii have their own tests."""
    folder = golden("all_plugins/kron_hsm_convolved")
    ours, expected = measure_case(
        folder,
        reference_wcs=Exposure.read(folder / "reference_exposure.fits").wcs,
        reference_aliases={"slot_Centroid": "base_SdssCentroid", "slot_Shape": "base_SdssShape"},
    )
    assert ours.colnames == expected.colnames
    assert differences(ours, expected, [name for name in expected.colnames if "ron" not in name]) == []
