"""Built-in catalog calculations: extendedness by fluxes and by sizes, area of footprints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask, SourceCatalog
from forcedphot.catalog.schema import Schema
from forcedphot.catalog_calculation import CatalogCalculationConfig, CatalogCalculationTask
from forcedphot.errors import ConfigurationError
from forcedphot.io.source_catalogs import read_source_catalog
from forcedphot.simulation import simulate_exposure

SLOTS = {
    "slot_ModelFlux": "model",
    "slot_PsfFlux": "psf",
    "slot_Shape": "shape",
    "slot_PsfShape": "shape_psf",
}


def calculate(name: str, catalog: SourceCatalog, **settings: Any) -> SourceCatalog:
    """Run a calculation on a copy of a catalog, which may have its columns already."""
    config = CatalogCalculationConfig()
    config.plugins.names = [name]
    for key, value in settings.items():
        setattr(config.plugins[name], key, value)
    own = [field for field in catalog.schema if not field.name.startswith(name)]
    schema = Schema(own, catalog.schema.aliases)
    task = CatalogCalculationTask(schema=schema, config=config)
    columns = schema.allocate(len(catalog)) | {field.name: catalog[field.name] for field in own}
    result = SourceCatalog(schema, columns, footprints=catalog.footprints)
    task.run(result)
    return result


def catalog_of(**columns: Any) -> SourceCatalog:
    schema = Schema(aliases=SLOTS)
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    for name, values in arrays.items():
        schema.add_field(name, values.dtype.name, "")
    return SourceCatalog(schema, arrays)


NAN = np.nan


def test_extendedness_is_a_cut_on_the_ratio_of_fluxes() -> None:
    catalog = catalog_of(
        model_instFlux=[100.0, 100.0, 100.0, NAN, 100.0, 100.0, 100.0, -10.0],
        psf_instFlux=[95.1, 95.0, 94.9, 90.0, NAN, 90.0, 90.0, -10.0],
        model_flag=[False] * 5 + [True, False, False],
        psf_flag=[False] * 6 + [True, False],
    )
    found = calculate("base_ClassificationExtendedness", catalog)
    np.testing.assert_array_equal(
        found["base_ClassificationExtendedness_value"], [0.0, 1.0, 1.0, NAN, NAN, NAN, NAN, 1.0]
    )
    assert found["base_ClassificationExtendedness_flag"].tolist() == [False] * 3 + [True] * 4 + [False]
    field = found.schema["base_ClassificationExtendedness_value"]
    assert (field.dtype, field.doc) == ("float64", "Set to 1 for extended sources, 0 for point sources.")


def test_extendedness_with_errors_and_without_flags() -> None:
    catalog = catalog_of(
        model_instFlux=[100.0, 100.0, 100.0],
        model_instFluxErr=[10.0, 1.0, NAN],
        psf_instFlux=[97.0, 97.0, 97.0],
        psf_instFluxErr=[1.0, 1.0, 1.0],
    )
    name = "base_ClassificationExtendedness"
    assert calculate(name, catalog)[f"{name}_value"].tolist() == [0.0, 0.0, 0.0]
    values = calculate(name, catalog, modelErrFactor=1.0)[f"{name}_value"]
    np.testing.assert_array_equal(values, [1.0, 0.0, NAN])
    assert calculate(name, catalog, psfErrFactor=-3.0)[f"{name}_value"].tolist() == [1.0, 1.0, 1.0]
    assert calculate(name, catalog, fluxRatio=0.98)[f"{name}_value"].tolist() == [1.0, 1.0, 1.0]


def test_size_extendedness() -> None:
    catalog = catalog_of(
        shape_xx=[4.0, 5.0, 50.0, 5.0, NAN, 5.0, 4.0],
        shape_yy=[4.0, 4.0, 40.0, 4.0, 4.0, 4.0, 4.0],
        shape_flag=[False, False, False, True, False, False, False],
        shape_psf_xx=[4.0, 4.0, 4.0, 4.0, 4.0, NAN, 0.0],
        shape_psf_yy=[4.0] * 6 + [0.0],
    )
    name = "base_ClassificationSizeExtendedness"
    found = calculate(name, catalog)
    np.testing.assert_allclose(
        found[f"{name}_value"][:6], [0.0, 1.0 - np.exp(-0.5 / 8.0), 1.0, NAN, NAN, NAN], rtol=1e-12
    )
    assert found[f"{name}_flag"].tolist() == [False, False, False, True, True, True, False]
    np.testing.assert_allclose(
        calculate(name, catalog, exponent=1.0)[f"{name}_value"][1], 1.0 - np.exp(-0.5 / 64.0), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("base_ClassificationExtendedness", "slot_ModelFlux_instFlux"),
        ("base_ClassificationSizeExtendedness", "slot_PsfShape_xx"),
    ],
)
def test_slots_that_nothing_fills_are_refused(name: str, missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} needs .*{missing}.*set the slots"):
        calculate(name, catalog_of(psf_instFlux=[1.0], shape_xx=[1.0], shape_yy=[1.0]))


def test_size_extendedness_agrees_with_the_pipelines(golden: Callable[[str], Path]) -> None:
    expected = Table.read(golden("all_plugins/single_frame") / "measured.ecsv")
    names = [f"slot_{slot}_{part}" for slot in ("Shape", "PsfShape") for part in ("xx", "yy")]
    columns = {name.replace("slot_PsfShape", "shape_psf").replace("slot_S", "s"): expected[name] for name in names}
    catalog = catalog_of(**columns, shape_flag=expected["slot_Shape_flag"])
    name = "base_ClassificationSizeExtendedness"
    found = calculate(name, catalog)
    np.testing.assert_allclose(found[f"{name}_value"], expected[f"{name}_value"], rtol=1e-9)
    np.testing.assert_array_equal(found[f"{name}_flag"], expected[f"{name}_flag"])
    for part in ("value", "flag"):
        assert found.schema[f"{name}_{part}"].doc == expected[f"{name}_{part}"].description


@pytest.mark.parametrize("table", ["deepCoadd_meas_HSC_v2", "sourceCatalog-hsc-v2"])
def test_tables_of_the_pipelines(golden: Callable[[str], Path], table: str) -> None:
    catalog = read_source_catalog(golden(f"tables/{table}.fits"))
    for name in ("base_ClassificationExtendedness", "base_FootprintArea"):
        found = calculate(name, catalog)
        for field in found.schema.extract(f"{name}_*"):
            np.testing.assert_array_equal(found[field], catalog[field], err_msg=field)


def test_area_of_no_footprints_is_0() -> None:
    found = calculate("base_FootprintArea", catalog_of(model_instFlux=[1.0, 2.0]))
    assert found["base_FootprintArea_value"].tolist() == [0, 0]


def test_in_the_driver() -> None:
    """Footprints are the ellipses of the PSF, which are those of all sources."""
    config = ForcedMeasurementDriverConfig()
    config.doRunCatalogCalculation = True
    config.catalogCalculation.plugins.names = ["base_FootprintArea", "base_ClassificationExtendedness"]
    config.measurement.slots.modelFlux = "base_PsfFlux"
    field = simulate_exposure(shape=(300, 300), n_sources=5, seed=1)
    table = ForcedMeasurementDriverTask(config=config).runFromAstropy(field.catalog, field.exposure)
    area = np.asarray(table["base_FootprintArea_value"])
    assert table["base_FootprintArea_value"].unit == "pix"
    moments = field.exposure.psf.moments(np.array([150.0]), np.array([150.0]))[0]
    np.testing.assert_allclose(area, np.pi * 9.0 * np.sqrt(moments[0] * moments[1]), rtol=0.1)
    assert (table["base_ClassificationExtendedness_value"][table["base_PsfFlux_instFlux"] > 0] == 0.0).all()
