"""Tables have the columns, types and units of Rubin's schemas; each that is missing is missing for a reason."""

from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy.units import Unit

from forcedphot.errors import ConfigurationError, InputTableError
from forcedphot.id_generator import IdGenerator
from forcedphot.survey.association import associate
from forcedphot.survey.object_table import object_table
from forcedphot.survey.objects import measure_objects
from forcedphot.survey.sources import dia_source_table, measure_dia_sources, measure_sources, source_table
from forcedphot.tasks.columns import Release, build_table, missing_columns, schema_columns
from forcedphot.tasks.forced_sources import (
    ForcedImages,
    ForcedTargets,
    dia_forced_source_table,
    forced_source_table,
)

from .catalog_scenes import grid_of_stars, units_and_types

RELEASES = ("dp1", "dp02")
FEWEST = {
    "Object": 125,
    "Source": 120,
    "DiaSource": 50,
    "DiaObject": 70,
    "ForcedSource": 28,
    "ForcedSourceOnDiaObject": 28,
}
"""Columns that there are at least, with one band."""


@pytest.fixture(scope="module", params=RELEASES)
def tables(request: pytest.FixtureRequest) -> tuple[Release, dict[str, Table]]:
    """All tables of a release."""
    release: Release = request.param
    scene = grid_of_stars(3, side=200)
    image = scene.exposures["i"]
    ids = IdGenerator()
    where: dict[str, Any] = {"skymap": "map", "tract": 1, "patch": 2}
    objects = object_table(
        release, measure_objects(scene.exposures, image.bbox, image.bbox, ids), scene.exposures, **where
    )
    dia = dia_source_table(release, measure_dia_sources(image, ids), image, image, 60000.0)
    dia, dia_objects = associate(release, dia, ids)
    both = [ForcedImages(image, image)]
    return release, {
        "Object": objects,
        "Source": source_table(release, measure_sources(image, ids), image),
        "DiaSource": dia,
        "DiaObject": dia_objects,
        "ForcedSource": forced_source_table(release, ForcedTargets.of_objects(objects), both, ids=ids, **where),
        "ForcedSourceOnDiaObject": dia_forced_source_table(
            release, ForcedTargets.of_dia_objects(dia_objects), both, ids=ids, **where
        ),
    }


@pytest.mark.parametrize("name", FEWEST)
def test_columns_are_those_of_the_schema(tables: tuple[Release, dict[str, Table]], name: str) -> None:
    release, made = tables
    table = made[name]
    expected = {column.name: column for column in schema_columns(release, name)}
    assert len(table) > 0
    assert len(table.colnames) >= FEWEST[name]
    order = [column for column in expected if column in table.colnames]
    assert table.colnames == order
    for column, (unit, kind) in units_and_types(table).items():
        assert Unit(unit) == Unit(expected[column].unit), column
        assert kind == np.dtype(expected[column].dtype).kind, column
        assert table[column].description == expected[column].description


@pytest.mark.parametrize("name", FEWEST)
def test_what_is_missing_is_missing_for_a_reason(tables: tuple[Release, dict[str, Table]], name: str) -> None:
    release, made = tables
    # What other bands lack would be the same, so one will do; DIA objects are summarised in three.
    bands = ("g", "r", "i") if name == "DiaObject" else ("i",)
    missing = missing_columns(release, name, made[name].colnames, bands)
    assert [column for column, reason in missing.items() if not reason] == []
    assert set(missing) | set(made[name].colnames) == {column.name for column in schema_columns(release, name)}


def test_columns_of_bands_that_are_not_observed_are_missing() -> None:
    missing = missing_columns("dp1", "Object", [], ("r",))
    assert missing["u_psfFlux"] == "the survey does not observe in u"
    assert missing["r_psfFlux"] == ""
    assert "dust" in missing["ebv"]


def test_values_are_converted_to_the_schema() -> None:
    table = build_table(
        "dp1", "ForcedSource", {"band": np.array("r"), "psfFlux": np.arange(3), "unknown": np.ones(3)}
    )
    assert table.colnames == ["band", "psfFlux"]
    assert table["band"].tolist() == ["r"] * 3
    assert table["psfFlux"].dtype == np.float32
    assert str(table["psfFlux"].unit) == "nJy"


def test_values_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputTableError, match="one length"):
        build_table("dp1", "ForcedSource", {"psfFlux": np.arange(3), "psfFluxErr": np.arange(2)})


def test_unknown_schemas_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no release 'dp9'"):
        schema_columns("dp9", "Object")
    with pytest.raises(ConfigurationError, match="no table 'Objects'"):
        schema_columns("dp1", "Objects")
