"""FilterLabel: the names of a filter."""

import re
from dataclasses import dataclass

_BAND = re.compile(r"[ugrizy]|SH|PH|VR|white|N\d+|I\d{2,}", re.ASCII)
_OTHERS = {"r2": ("r", "HSC-R2"), "i2": ("i", "HSC-I2"), "SOLID": (None, "solid plate 0.0 0.0")}
_UNKNOWN = ("", "_unknown_")


@dataclass(frozen=True, slots=True)
class FilterLabel:
    """Names of a filter; None where they are unknown."""

    band: str | None = None
    physical: str | None = None

    @classmethod
    def from_name(cls, name: str) -> "FilterLabel | None":
        """Tell whether a filter's only name, as older files have it, is that of a band or of the filter itself.

        Returns
        -------
        None if the name says that the filter is unknown.
        """
        name = name.strip()
        if name in _UNKNOWN:
            return None
        if name in _OTHERS:
            return cls(*_OTHERS[name])
        return cls(band=name) if _BAND.fullmatch(name) else cls(physical=name)
