"""What every plugin promises: how far it looks, and what the row of a source is that cannot be measured."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot import Exposure, ForcedMeasurementTask, SourceCatalog
from forcedphot.catalog.schema import Schema
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.plugins import SourceBatch, registry
from forcedphot.plugins.base import CentroidPlugin
from forcedphot.references import REFERENCE_SCHEMA
from forcedphot.simulation import simulate_exposure

CENTROID = "base_TransformedCentroid"
SHAPE = "base_TransformedShape"
KRON_RADIUS = "ext_photometryKron_KronFlux_radius"
SIZE = 301
STAR = (138.613, 137.372)
"""Of the brightest star near the middle of the image, pixels."""

PLUGINS = sorted(set(registry) - {"base_PeakCentroid"})
"""All but the one that wants footprints of the reference."""

LOOKS_AT_IMAGE = {
    name
    for name in PLUGINS
    if not issubclass(registry[name], CentroidPlugin)
    and not any(part in name for part in ("Psf", "PSF", "Local", "Input", "Transformed", "PixelFlags", "Variance"))
} | {"base_PsfFlux", "base_LocalBackground", "ext_shapeHSM_HsmPsfMomentsDebiased"}
"""Plugins whose numbers depend on pixels of the image or, as the last, on a flux."""


class Source(NamedTuple):
    """What the reference catalog says of one source; pixels."""

    x: float
    y: float
    xx: float
    yy: float
    xy: float
    kron_radius: float


def reference(source: Source, exposure: Exposure) -> SourceCatalog:
    schema: Schema = REFERENCE_SCHEMA.copy()
    columns = {"ref_x": source.x, "ref_y": source.y, "ref_shape_xx": source.xx, "ref_shape_yy": source.yy}
    columns |= {"ref_shape_xy": source.xy, KRON_RADIUS: source.kron_radius}
    for name in columns:
        schema.add_field(name, "float64", "")
    schema.set_alias("slot_Centroid", "ref")
    schema.set_alias("slot_Shape", "ref_shape")
    values = schema.allocate(1)
    for name, value in columns.items():
        values[name][:] = value
    assert exposure.wcs is not None
    values["coord_ra"][:], values["coord_dec"][:] = exposure.wcs.pixel_to_sky(
        np.array([source.x]), np.array([source.y])
    )
    return SourceCatalog(schema, values)


class Measured(NamedTuple):
    values: dict[str, dict[str, Any]]
    """By plugin and field."""
    reaches: dict[str, float]
    """By plugin; at least those of the plugins whose results it may use."""


def measure(exposure: Exposure, source: Source) -> Measured:
    config = ForcedMeasurementConfig()
    config.plugins.names = PLUGINS
    config.slots.centroid, config.slots.shape = CENTROID, SHAPE
    config.slots.psfShape, config.slots.psfFlux = None, "base_PsfFlux"
    config.doReplaceWithNoise = False
    references = reference(source, exposure)
    task = ForcedMeasurementTask(refSchema=references.schema, config=config)
    catalog = task.generateMeasCat(exposure, references)
    task.attachPsfShapeFootprints(catalog, exposure, scaling=3.0)
    reaches: dict[str, float] = {}
    with pytest.MonkeyPatch.context() as patch:
        for plugin in task.plugins:

            def measured(batch: SourceBatch, plugin: Any = plugin, measure: Any = plugin.measure) -> None:
                measure(batch)
                reaches[plugin.name] = float(np.max(plugin.reach(batch)))

            patch.setattr(plugin, "measure", measured)
        task.run(catalog, exposure, references, exposure.wcs)
    order = {plugin.name: plugin.execution_order + plugin.measured_last for plugin in task.plugins}
    values = {plugin.name: {name: catalog[name][0] for name in plugin.fields} for plugin in task.plugins}
    return Measured(
        values,
        {
            name: max([reaches[name], *(reaches[other] for other in reaches if order[other] < order[name])])
            for name in reaches
        },
    )


@pytest.fixture(scope="module")
def field() -> Exposure:
    return simulate_exposure(shape=(SIZE, SIZE), n_sources=150, seed=8).exposure


@settings(max_examples=8, deadline=None)
@given(
    dx=st.floats(-2.0, 2.0),
    dy=st.floats(-2.0, 2.0),
    size=st.floats(1.0, 6.0),
    ellipticity=st.floats(-0.6, 0.6),
    kron_radius=st.floats(1.0, 12.0),
    seed=st.integers(0, 100),
)
def test_nothing_beyond_its_reach_matters(
    field: Exposure, dx: float, dy: float, size: float, ellipticity: float, kron_radius: float, seed: int
) -> None:
    x, y = STAR[0] + dx, STAR[1] + dy
    source = Source(x, y, size**2, size**2 * (1 - abs(ellipticity)), size**2 * ellipticity / 2, kron_radius)
    before = measure(field, source)
    row, column = np.indices(field.image.shape)
    distance = np.hypot(column + field.x0 - x, row + field.y0 - y)
    assert set(before.reaches) == set(PLUGINS)
    rng = np.random.default_rng(seed)
    for reach in sorted(set(before.reaches.values())):
        noise = rng.normal(0.0, 1e4, field.image.shape).astype(np.float32)
        far = measure(replace(field, image=np.where(distance > reach, noise, field.image)), source)
        for name in (name for name in before.reaches if before.reaches[name] == reach):
            assert far.reaches[name] == reach, name
            np.testing.assert_equal(far.values[name], before.values[name], err_msg=name)


def test_what_is_within_reach_matters(field: Exposure) -> None:
    """Or else the test above would show nothing."""
    source = Source(*STAR, 4.0, 3.0, 0.5, 4.0)
    before = measure(field, source)
    noise = np.random.default_rng(1).normal(0.0, 20.0, field.image.shape).astype(np.float32)
    other = measure(replace(field, image=field.image + noise), source)
    changed = {name for name in before.values if str(before.values[name]) != str(other.values[name])}
    assert changed == LOOKS_AT_IMAGE
    assert all(before.reaches[name] > 1.0 for name in changed)
    for name in changed:
        assert not before.values[name].get(f"{name}_flag", False), name


@pytest.mark.parametrize("place", [(-50.0, 100.0), (np.nan, 100.0), (100.0, np.inf)])
def test_what_is_not_on_the_image_is_nan_and_flagged(field: Exposure, place: tuple[float, float]) -> None:
    measured = measure(field, Source(*place, 4.0, 3.0, 0.5, 4.0))
    for name, values in measured.values.items():
        if issubclass(registry[name], CentroidPlugin):
            continue
        numbers = [value for value in values.values() if value.dtype.kind == "f"]
        assert all(np.isnan(number) for number in numbers), name
        flags = {field: value for field, value in values.items() if value.dtype.kind == "b"}
        assert not flags or any(flags.values()), name
