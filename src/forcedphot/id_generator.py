"""Id generators: row ids that hold the data ID (visit and detector, or tract and patch) and a release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lsst.daf.butler import DataCoordinate, DimensionPacker
from lsst.pex.config import Config, ConfigField, ConfigurableField, DictField, Field
from lsst.pipe.base import Instrument

from .conventions import IntArray
from .errors import ConfigurationError

_ID_BITS = 63
"""Bits of a positive int64: from the highest, the release, the data ID and a counter."""

_BANDS = (
    None,
    *"ugrizyUBGVRIZYJHK",
    *(f"N{d}" for d in (387, 515, 656, 816, 921, 1010, 419, 540, 708, 964)),
)
"""The numbers of bands are their places here, as in the pipelines' ids."""


class IdGenerator:
    """Makes ids that count rows and nothing else; the base of those that hold a data ID."""

    @property
    def catalog_id(self) -> int:
        """Number of the catalog: release and data ID, without the counter."""
        return 0

    def __str__(self) -> str:
        return "[no data ID]"

    def arange(self, *arguments: Any, **keywords: Any) -> IntArray:
        """Return the ids whose counters are those that `numpy.arange` returns."""
        return np.arange(*arguments, **keywords)

    def make_table_id_factory(self) -> Callable[[int], IntArray]:
        """Return a function that makes a number of ids, with counters from 1."""
        return lambda n: self.arange(1, n + 1)

    @staticmethod
    def unpacker_from_config(
        config: BaseIdGeneratorConfig, fixed: DataCoordinate
    ) -> Callable[[int], tuple[int, DataCoordinate, int]]:
        """Return a function that takes an id apart: into release, data ID and counter.

        Parameters
        ----------
        config
            What the ids were made with.
        fixed
            Expanded data ID of the instrument or skymap.
        """
        bits = _Bits(config.make_dimension_packer(fixed), config.n_releases)
        return bits.unpack


class FullIdGenerator(IdGenerator):
    """Makes ids that hold a data ID; see `DetectorVisitIdGeneratorConfig` and its like.

    Parameters
    ----------
    packer
        Packs data IDs into integers.
    data_id
        The catalog's.
    release_id, n_releases
        The release, and how many of them ids leave room for.

    Raises
    ------
    ConfigurationError
        If the release has no room, or the ids have none for a counter.
    """

    def __init__(
        self, packer: DimensionPacker, data_id: DataCoordinate, release_id: int = 0, n_releases: int = 1
    ) -> None:
        if not 0 <= release_id < n_releases:
            raise ConfigurationError(f"release_id {release_id} has no room: n_releases is {n_releases}.")
        self._bits = _Bits(packer, n_releases)
        self.release_id = release_id
        self.data_id = data_id.subset(packer.dimensions)
        self._packed = int(packer.pack(self.data_id))

    @property
    def catalog_id(self) -> int:
        """Number of the catalog: release and data ID, without the counter."""
        return self._packed + self._bits.n_data_ids * self.release_id

    def __str__(self) -> str:
        return str(self.data_id)

    def arange(self, *arguments: Any, **keywords: Any) -> IntArray:
        """Return the ids whose counters are those that `numpy.arange` returns.

        Raises
        ------
        ConfigurationError
            If a counter is larger than ids have room for.
        """
        counters = super().arange(*arguments, **keywords).astype(np.int64)
        limit = self._bits.n_counters
        if (counters >= limit).any():
            raise ConfigurationError(
                f"There are {int((counters >= limit).sum())} ids beyond the {limit} that there is room for in a "
                f"catalog of {self}; reserve fewer releases."
            )
        ids: IntArray = counters + self.catalog_id * self._bits.n_counters
        return ids


class _Bits:
    """How an id's bits are shared out."""

    def __init__(self, packer: DimensionPacker, n_releases: int) -> None:
        counter_bits = _ID_BITS - packer.maxBits - (n_releases - 1).bit_length()
        if counter_bits < 1:
            raise ConfigurationError(
                f"Ids have {_ID_BITS} bits; {packer.maxBits} for the data ID and {n_releases} releases leave none "
                "for a counter. Reserve fewer releases, or set the packer's limits."
            )
        self.packer = packer
        self.n_data_ids: int = 1 << packer.maxBits
        self.n_counters: int = 1 << counter_bits

    def unpack(self, record_id: int) -> tuple[int, DataCoordinate, int]:
        """Return the release, the data ID and the counter of an id."""
        rest, counter = divmod(int(record_id), self.n_counters)
        release_id, packed = divmod(rest, self.n_data_ids)
        return release_id, self.packer.unpack(packed), counter


class BaseIdGeneratorConfig(Config):
    """What all generators are configured with."""

    release_id = Field[int](doc="Release to put into ids; 0 for none", default=0, check=lambda n: n >= 0)
    n_releases = Field[int](doc="Releases to leave room for; 1 for no room", default=1, check=lambda n: n > 0)

    @classmethod
    def make_field(cls, doc: str = "How ids of rows are made from the data ID") -> ConfigField:
        """Return a field for another configuration that holds one of this class."""
        return ConfigField(doc=doc, dtype=cls)

    def make_dimension_packer(self, data_id: DataCoordinate) -> DimensionPacker:
        """Return what packs data IDs like this one into integers."""
        raise NotImplementedError

    def apply(self, data_id: DataCoordinate, **keywords: Any) -> FullIdGenerator:
        """Return the generator of a catalog's ids.

        Parameters
        ----------
        data_id
            The catalog's, with dimension records (expanded).
        keywords
            Dimensions to add to it.
        """
        packer = self.make_dimension_packer(data_id)
        standardized = DataCoordinate.standardize(data_id, **keywords, dimensions=packer.dimensions)
        return FullIdGenerator(packer, standardized, self.release_id, self.n_releases)


class DetectorExposureIdGeneratorConfig(BaseIdGeneratorConfig):
    """Ids from exposure and detector."""

    packer = Instrument.make_dimension_packer_config_field()

    def make_dimension_packer(self, data_id: DataCoordinate) -> DimensionPacker:
        """Return the instrument's packer of exposures."""
        return self.packer.apply(data_id, is_exposure=True)


class DetectorVisitIdGeneratorConfig(BaseIdGeneratorConfig):
    """Ids from visit and detector."""

    packer = Instrument.make_dimension_packer_config_field()

    def make_dimension_packer(self, data_id: DataCoordinate) -> DimensionPacker:
        """Return the instrument's packer of visits."""
        return self.packer.apply(data_id, is_exposure=False)


class SkyMapDimensionPackerConfig(Config):
    """How tract, patch and band are packed."""

    bands = DictField(
        keytype=str, itemtype=int, doc="Numbers of bands; the pipelines' own if None", default=None, optional=True
    )
    n_bands = Field[int](doc="Bands to leave room for; 0 for ids without band", default=0, optional=True)
    n_tracts = Field[int](doc="Tracts to leave room for; those of the skymap if None", default=None, optional=True)
    n_patches = Field[int](
        doc="Patches of a tract to leave room for; those of the skymap if None", default=None, optional=True
    )


class SkyMapDimensionPacker(DimensionPacker):
    """Packs tract, patch and, where there is room for it, band.

    Parameters
    ----------
    data_id
        Data ID with the record of its skymap, unless the configuration says how many tracts and patches there are.
    config
        How to pack.
    """

    def __init__(self, data_id: DataCoordinate, config: SkyMapDimensionPackerConfig) -> None:
        fixed = data_id.subset(data_id.universe.conform(["skymap"]))
        self._bands: Mapping[str | None, int] = config.bands or {band: i for i, band in enumerate(_BANDS)}
        self._n_bands = len(self._bands) if config.n_bands is None else config.n_bands
        record: Any = fixed.records["skymap"] if None in (config.n_tracts, config.n_patches) else None
        self._n_tracts = record.tract_max if config.n_tracts is None else config.n_tracts
        self._n_patches = (
            record.patch_nx_max * record.patch_ny_max if config.n_patches is None else config.n_patches
        )
        names = ["tract", "patch", *(["band"] if self._n_bands else [])]
        super().__init__(fixed, fixed.universe.conform(names))

    @property
    def maxBits(self) -> int:
        """Bits of the largest number."""
        return int(self._n_tracts * self._n_patches * max(self._n_bands, 1) - 1).bit_length()

    def _pack(self, dataId: DataCoordinate) -> int:
        for name, limit in (("patch", self._n_patches), ("tract", self._n_tracts)):
            if dataId[name] >= limit:
                raise ConfigurationError(
                    f"The {name} {dataId[name]} has no room in ids: there are {limit} at most."
                )
        packed = dataId["patch"] + self._n_patches * dataId["tract"]
        if self._n_bands:
            number = self._bands.get(dataId["band"])
            if number is None or number >= self._n_bands:
                raise ConfigurationError(
                    f"The band {dataId['band']!r} has no number below {self._n_bands}; set packer.bands."
                )
            packed += number * self._n_patches * self._n_tracts
        return int(packed)

    def unpack(self, packedId: int) -> DataCoordinate:
        """Return the data ID of a number."""
        values: dict[str, Any] = {"skymap": self.fixed["skymap"]}
        if self._n_bands:
            number, packedId = divmod(packedId, self._n_tracts * self._n_patches)
            values["band"] = next(band for band, i in self._bands.items() if i == number)
        values["tract"], values["patch"] = divmod(packedId, self._n_patches)
        return DataCoordinate.standardize(values, dimensions=self.dimensions)


class SkyMapIdGeneratorConfig(BaseIdGeneratorConfig):
    """Ids from tract, patch and, where there is room for it, band."""

    packer = ConfigurableField(
        doc="How tract, patch and band are packed",
        target=SkyMapDimensionPacker,
        ConfigClass=SkyMapDimensionPackerConfig,
    )

    def make_dimension_packer(self, data_id: DataCoordinate) -> DimensionPacker:
        """Return the skymap's packer."""
        return self.packer.apply(data_id)
