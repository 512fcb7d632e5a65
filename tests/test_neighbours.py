"""Neighbours replaced by noise: the image, the noise, families, and that groups change no number."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forcedphot import Exposure, ForcedMeasurementTask, SourceCatalog, batches, neighbours
from forcedphot.catalog.footprint import PEAK_SCHEMA, Footprint
from forcedphot.errors import ConfigurationError, ExposureError, InputTableError
from forcedphot.exposure import Mask
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.neighbours import NeighbourReplacement, NoiseReplacerConfig
from forcedphot.references import REFERENCE_SCHEMA, reference_catalog
from forcedphot.simulation import simulate_exposure

NO_PEAKS = SourceCatalog(PEAK_SCHEMA, PEAK_SCHEMA.allocate(0), kind="BASE")


def box_footprint(x0: int, y0: int, size: int, value: float | None = None) -> Footprint:
    spans = np.array([(y, x0, x0 + size - 1) for y in range(y0, y0 + size)], dtype=np.int32)
    image = None if value is None else np.full(size * size, value, dtype=np.float32)
    return Footprint(spans=spans, peaks=NO_PEAKS, image=image)


def column(*footprints: Footprint | None) -> Any:
    values = np.empty(len(footprints), dtype=object)
    values[:] = footprints
    return values


@pytest.fixture
def exposure(rng: np.random.Generator) -> Exposure:
    image = rng.normal(10.0, 2.0, (60, 80)).astype(np.float32)
    variance = np.full(image.shape, 25.0, dtype=np.float32)
    mask = Mask(np.zeros(image.shape, dtype=np.int32), {"BAD": 0})
    return Exposure.from_arrays(image, variance=variance, mask=mask, x0=100, y0=-5)


def make(
    exposure: Exposure, footprints: Any, parents: list[int] | None = None, exposure_id: int = 0, **settings: Any
) -> NeighbourReplacement:
    config = NoiseReplacerConfig()
    for name, value in settings.items():
        setattr(config, name, value)
    n = len(footprints)
    return NeighbourReplacement(
        config, exposure, footprints, np.arange(1, n + 1), np.array(parents or [0] * n), exposure_id
    )


def region(x0: int, y0: int, size: int) -> Any:
    """Index of a box of the exposure's frame in its arrays."""
    return np.s_[y0 + 5 : y0 + 5 + size, x0 - 100 : x0 - 100 + size]


def test_footprints_are_noise_and_all_else_is_kept(exposure: Exposure) -> None:
    original = exposure.image.copy()
    replacement = make(exposure, column(box_footprint(110, 5, 9), None, box_footprint(150, 20, 12)))
    image = replacement.exposure.image
    changed = image != original
    expected = np.zeros(original.shape, dtype=bool)
    expected[region(110, 5, 9)] = expected[region(150, 20, 12)] = True
    np.testing.assert_array_equal(changed, expected)
    np.testing.assert_array_equal(exposure.image, original)


def test_sources_come_and_go(exposure: Exposure) -> None:
    replacement = make(exposure, column(box_footprint(110, 5, 9), box_footprint(114, 9, 9, 7.5)))
    noise = replacement.exposure.image.copy()
    with replacement.inserted(np.array([0])) as inserted:
        np.testing.assert_array_equal(inserted.image[region(110, 5, 9)], exposure.image[region(110, 5, 9)])
        rest = np.ones(noise.shape, dtype=bool)
        rest[region(110, 5, 9)] = False
        np.testing.assert_array_equal(inserted.image[rest], noise[rest])
    np.testing.assert_array_equal(replacement.exposure.image, noise)
    with pytest.raises(ValueError, match="on purpose"), replacement.inserted(np.array([1, 0])):
        raise ValueError("on purpose")
    np.testing.assert_array_equal(replacement.exposure.image, noise)
    with replacement.inserted(np.array([1])) as inserted:
        assert (inserted.image[region(114, 9, 9)] == 7.5).all()


def test_families(exposure: Exposure, caplog: pytest.LogCaptureFixture) -> None:
    """A heavy child has its own pixels, another its parent's footprint; an orphan is its own."""
    footprints = column(
        box_footprint(110, 5, 20),
        box_footprint(112, 7, 5, 3.25),
        box_footprint(118, 12, 5),
        box_footprint(150, 10, 6),
        box_footprint(160, 10, 6),
    )
    with caplog.at_level(logging.WARNING):
        replacement = make(exposure, footprints, [0, 1, 1, 99, 3])
    assert "1 sources have a parent that is not in the catalog" in caplog.text
    with replacement.inserted(np.array([1])) as inserted:
        assert (inserted.image[region(112, 7, 5)] == 3.25).all()
        assert (inserted.image[region(118, 12, 5)] != exposure.image[region(118, 12, 5)]).all()
    for child, (x0, y0, size) in {2: (110, 5, 20), 3: (150, 10, 6), 4: (110, 5, 20)}.items():
        with replacement.inserted(np.array([child])) as inserted:
            np.testing.assert_array_equal(
                inserted.image[region(x0, y0, size)], exposure.image[region(x0, y0, size)]
            )


def test_parents_in_a_circle_end(exposure: Exposure) -> None:
    replacement = make(exposure, column(box_footprint(110, 5, 4), box_footprint(130, 5, 4)), [2, 1])
    with replacement.inserted(np.array([0, 1])):
        pass


@pytest.mark.parametrize(
    ("settings", "mean", "sigma"),
    [
        ({"noiseSource": "measure"}, 10.0, 2.0),
        ({"noiseSource": "measure", "noiseOffset": 3.0}, 13.0, 2.0),
        ({"noiseSource": "variance"}, 0.0, 5.0),
        ({"noiseSource": "variance_median"}, 0.0, 5.0),
        ({"noiseSource": "meta"}, 0.0, 4.0),
    ],
)
def test_noise(exposure: Exposure, settings: dict[str, Any], mean: float, sigma: float) -> None:
    exposure = replace(exposure, metadata={"BGMEAN": 16.0})
    values = make(exposure, column(box_footprint(100, -5, 60)), **settings).exposure.image[:, :60]
    assert abs(values.mean() - mean) < 4 * sigma / 60
    assert abs(values.std() / sigma - 1.0) < 0.06


def test_noise_of_bright_images_is_clipped(exposure: Exposure) -> None:
    image = exposure.image.copy()
    image[20:25, 20:25] = 1e6
    image[0, 0] = np.nan
    values = make(replace(exposure, image=image), column(box_footprint(100, -5, 60))).exposure.image[:, :60]
    assert abs(values.mean() - 10.0) < 0.2
    assert abs(values.std() - 2.0) < 0.2


def test_seeds(exposure: Exposure) -> None:
    def noise(exposure_id: int, **settings: Any) -> Any:
        return make(exposure, column(box_footprint(110, 5, 9)), None, exposure_id, **settings).exposure.image

    np.testing.assert_array_equal(noise(7), noise(7))
    assert (noise(7) != noise(8)).any()
    np.testing.assert_array_equal(noise(4, noiseSeedMultiplier=2), noise(8))
    np.testing.assert_array_equal(noise(7, noiseSeedMultiplier=0), noise(9, noiseSeedMultiplier=0))


def test_errors(exposure: Exposure) -> None:
    with pytest.raises(ExposureError, match="no variance plane, which noiseReplacer"):
        make(replace(exposure, variance=None), column(box_footprint(110, 5, 9)), noiseSource="variance")
    config = NoiseReplacerConfig()
    config.noiseSeedMultiplier = -1
    with pytest.raises(ConfigurationError, match="noiseSeedMultiplier"):
        config.validate()


PLUGINS = ["base_TransformedCentroidFromCoord", "base_PixelFlags", "base_PsfFlux", "base_CircularApertureFlux"]


@pytest.fixture(scope="module")
def measure() -> Callable[..., SourceCatalog]:
    field = simulate_exposure(shape=(420, 420), n_sources=60, seed=3)
    ids, ra, dec = (np.asarray(field.catalog[name]) for name in ("objectId", "coord_ra", "coord_dec"))
    reference = reference_catalog(ids, np.radians(ra), np.radians(dec))
    reference["coord_dec"][11] = np.nan

    def run(undeblended: tuple[str, ...] = (), *, replaced: bool = True, n_threads: int = 1) -> SourceCatalog:
        config = ForcedMeasurementConfig()
        config.plugins.names = PLUGINS
        config.undeblended.names = list(undeblended)
        config.slots.centroid, config.slots.shape = PLUGINS[0], None
        config.doReplaceWithNoise = replaced
        task = ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config)
        catalog = task.generateMeasCat(field.exposure, reference)
        task.attachPsfShapeFootprints(catalog, field.exposure)
        task.run(catalog, field.exposure, reference, exposureId=5, n_threads=n_threads)
        return catalog

    return run


def assert_equal(a: SourceCatalog, b: SourceCatalog) -> None:
    for name in b.columns:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("radius", [0, 40, 120])
def test_groups_change_no_number(
    measure: Callable[..., SourceCatalog], monkeypatch: pytest.MonkeyPatch, radius: int
) -> None:
    """However close the sources of a group are: those that see further are measured by themselves."""
    monkeypatch.setattr(batches, "VIEW_RADIUS", 1e9)
    monkeypatch.setattr(neighbours, "VIEW_RADIUS", 1e9)
    alone = measure()  # groups of one
    monkeypatch.setattr(batches, "VIEW_RADIUS", radius)
    monkeypatch.setattr(neighbours, "VIEW_RADIUS", radius)
    assert_equal(measure(), alone)
    assert_equal(measure(n_threads=2), alone)


def test_undeblended_plugins_see_neighbours(measure: Callable[..., SourceCatalog]) -> None:
    plain = measure(replaced=False)
    both = measure(("base_PsfFlux",))
    replaced = measure()
    np.testing.assert_array_equal(both["undeblended_base_PsfFlux_instFlux"], plain["base_PsfFlux_instFlux"])
    np.testing.assert_array_equal(both["base_PsfFlux_instFlux"], replaced["base_PsfFlux_instFlux"])
    assert (both["base_PsfFlux_instFlux"] != plain["base_PsfFlux_instFlux"]).any()
    assert both["undeblended_base_PsfFlux_flag"][11]
    assert both["base_PsfFlux_flag"][11]
    assert both.metadata["NOISE_EXPOSURE_ID"] == 5


def test_replacement_needs_footprints() -> None:
    field = simulate_exposure(shape=(200, 200), n_sources=2, seed=3)
    config = ForcedMeasurementConfig()
    config.plugins.names = PLUGINS
    config.slots.centroid, config.slots.shape = PLUGINS[0], None
    task = ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config)
    reference = reference_catalog(np.arange(2), np.zeros(2), np.zeros(2))
    with pytest.raises(InputTableError, match="attachPsfShapeFootprints"):
        task.run(task.generateMeasCat(field.exposure, reference), field.exposure, reference)
