"""Ids of rows: what they hold, and what happens where there is no room for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.daf.butler import DataCoordinate, DimensionUniverse

from forcedphot.errors import ConfigurationError
from forcedphot.id_generator import (
    DetectorExposureIdGeneratorConfig,
    DetectorVisitIdGeneratorConfig,
    FullIdGenerator,
    IdGenerator,
    SkyMapIdGeneratorConfig,
)

UNIVERSE = DimensionUniverse()


def skymap_config(**settings: object) -> SkyMapIdGeneratorConfig:
    config = SkyMapIdGeneratorConfig()
    config.packer.n_tracts, config.packer.n_patches = 18938, 100
    for name, value in settings.items():
        setattr(config.packer if hasattr(config.packer, name) else config, name, value)
    return config


def data_id(**values: object) -> DataCoordinate:
    return DataCoordinate.standardize(values, universe=UNIVERSE)


@given(
    tract=st.integers(0, 18937),
    patch=st.integers(0, 99),
    band=st.sampled_from([None, "u", "y", "N1010"]),
    release=st.integers(0, 7),
    counter=st.integers(1, 2**30),
)
def test_ids_are_taken_apart(tract: int, patch: int, band: str | None, release: int, counter: int) -> None:
    where = {"skymap": "test", "tract": tract, "patch": patch}
    config = skymap_config(n_bands=0 if band is None else None, release_id=release, n_releases=8)
    if band is not None:
        where["band"] = band
    generator = config.apply(data_id(**where))
    ids = generator.arange(counter, counter + 2)
    assert ids.dtype == np.int64
    assert (ids > 0).all()
    unpack = IdGenerator.unpacker_from_config(config, data_id(skymap="test"))
    found_release, found, found_counter = unpack(ids[1])
    assert (found_release, found_counter) == (release, counter + 1)
    assert dict(found.mapping) == where
    assert dict(generator.data_id.mapping) == where


@pytest.mark.parametrize(
    ("config_class", "observation"),
    [(DetectorVisitIdGeneratorConfig, "visit"), (DetectorExposureIdGeneratorConfig, "exposure")],
)
def test_detectors(config_class: type, observation: str) -> None:
    config = config_class()
    config.packer.name = "observation"
    config.packer["observation"].n_detectors = 189
    config.packer["observation"].n_observations = 10**6
    where = data_id(instrument="Test", detector=175, **{observation: 192350})
    generator = config.apply(where)
    assert generator.catalog_id == 192350 * 189 + 175
    ids = generator.make_table_id_factory()(3)
    np.testing.assert_array_equal(ids, generator.arange(1, 4))
    _, found, counter = IdGenerator.unpacker_from_config(config, data_id(instrument="Test"))(int(ids[2]))
    assert (found["detector"], found[observation], counter) == (175, 192350, 3)
    assert "192350" in str(generator)


def test_ids_without_a_data_id() -> None:
    generator = IdGenerator()
    assert (generator.catalog_id, str(generator)) == (0, "[no data ID]")
    np.testing.assert_array_equal(generator.make_table_id_factory()(3), [1, 2, 3])


def test_errors() -> None:
    where = data_id(skymap="test", tract=5, patch=3)
    with pytest.raises(ConfigurationError, match="patch 3 has no room"):
        skymap_config(n_patches=3).apply(where)
    with pytest.raises(ConfigurationError, match="tract 5 has no room"):
        skymap_config(n_tracts=5).apply(where)
    with pytest.raises(ConfigurationError, match="'q' has no number"):
        skymap_config(n_bands=None).apply(data_id(skymap="test", tract=5, patch=3, band="q"))
    with pytest.raises(ConfigurationError, match="leave none for a counter"):
        skymap_config(n_releases=2**50).apply(where)
    generator = skymap_config().apply(where)
    assert isinstance(generator, FullIdGenerator)
    with pytest.raises(ConfigurationError, match="beyond the"):
        generator.arange(2**62, 2**62 + 1)
    with pytest.raises(ConfigurationError, match="release_id 2 has no room"):
        skymap_config(release_id=2, n_releases=2).apply(where)
