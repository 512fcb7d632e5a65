"""Instruments, as the Butler's records of simulated surveys name them: importable without the LSST stack."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, ClassVar, override

from lsst.pipe.base import Instrument

from ..errors import ConfigurationError
from .images import detector_name
from .profiles import PROFILES


class SimulatedInstrument(Instrument):
    """What the instruments have in common.

    Attributes
    ----------
    instrument_name
        Name of the dimension.
    n_detectors, n_science
        All detectors, and those for science, whose ids come first.
    visit_max
        Upper bound of the ids of visits.
    """

    instrument_name: ClassVar[str]
    n_detectors: ClassVar[int]
    n_science: ClassVar[int]
    visit_max: ClassVar[int]

    @classmethod
    @override
    def getName(cls) -> str:
        return cls.instrument_name

    @override
    def register(self, registry: Any, *, update: bool = False) -> None:
        """Insert the instrument, its detectors and filters, and how exposures make visits: one to one."""
        rows = [
            ("instrument", self._record()),
            *(("physical_filter", record) for record in self._filter_records()),
            ("visit_system", {"instrument": self.getName(), "id": 0, "name": "one-to-one"}),
            *(("detector", self._detector_record(detector)) for detector in range(self.n_detectors)),
        ]
        with registry.transaction():
            for element, row in rows:
                registry.syncDimensionData(element, row, update=update)

    @override
    def getRawFormatter(self, dataId: Any) -> Any:
        """Refuse: simulated surveys have no raw images.

        Raises
        ------
        ConfigurationError
            Always.
        """
        raise ConfigurationError(f"{self.getName()} is simulated, and has no raw images to ingest ({dataId}).")

    def _record(self) -> dict[str, Any]:
        return {
            "name": self.getName(),
            "class_name": f"{type(self).__module__}.{type(self).__qualname__}",
            "visit_max": self.visit_max,
            "exposure_max": self.visit_max,
            "detector_max": self.n_detectors,
            "visit_system": 0,
        }

    def _filter_records(self) -> list[dict[str, Any]]:
        return [
            {"instrument": self.getName(), "name": physical_filter, "band": band}
            for profile in PROFILES.values()
            if profile.instrument == self.getName()
            for band, physical_filter in profile.physical_filters.items()
        ]

    def _detector_record(self, detector: int) -> dict[str, Any]:
        name = detector_name(self.getName(), detector)
        raft, separator, place = name.partition("_")
        return {
            "instrument": self.getName(),
            "id": detector,
            "full_name": name,
            "name_in_raft": place if separator else name,
            "raft": raft if separator else None,
            "purpose": "SCIENCE" if detector < self.n_science else "FOCUS",
        }


class LSSTComCam(SimulatedInstrument):
    """The commissioning camera of Rubin Observatory."""

    instrument_name = "LSSTComCam"
    n_detectors = n_science = 9
    visit_max = 2050_1231_99999


class LSSTCamImSim(SimulatedInstrument):
    """LSSTCam, as the second data challenge simulated it."""

    instrument_name = "LSSTCam-imSim"
    n_detectors = n_science = 189
    visit_max = 9_999_999


class HSC(SimulatedInstrument):
    """Hyper Suprime-Cam; its detectors are named by their numbers."""

    instrument_name = "HSC"
    n_detectors, n_science = 112, 104
    visit_max = 21_474_800


INSTRUMENTS = MappingProxyType({cls.instrument_name: cls for cls in (LSSTComCam, LSSTCamImSim, HSC)})
"""By their names."""
