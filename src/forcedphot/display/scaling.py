"""Scale: which pixel values become black and white, and how those between are spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from astropy.visualization import ImageNormalize

type Limit = str | float

ALGORITHMS = ("asinh", "linear", "log", "sqrt")
INTERVALS = ("zscale", "minmax")

_LINEAR = 0.1  # of the shades, with the noise: as afwDisplay's asinh scale
_N_TICKS = 7
_NO_RANGE, _NO_CONTRAST = 1e-30, 1e-6  # float32 pixels tell no finer differences


@dataclass(frozen=True, slots=True)
class Scale:
    """How pixel values become shades of grey.

    Parameters
    ----------
    algorithm
        ``asinh``, ``linear``, ``log`` or ``sqrt``.
    low
        ``zscale`` (astropy's, around the noise; with asinh, brighter pixels have shades of their own) or
        ``minmax``; ``"99%"``: the central 99 % of the values; or, with ``high``, the value
        that becomes black: a number, or the percentile ``"1%"``.
    high
        The value that becomes white, a number or a percentile; None with a ``low`` that says both.
    q
        How much asinh favours the faint: linear up to about 1 / q of the range.

    Raises
    ------
    ConfigurationError
        If these make no scale.
    """

    algorithm: str = "asinh"
    low: Limit = "zscale"
    high: Limit | None = None
    q: float = 8.0

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ConfigurationError(f"There is no scale {self.algorithm!r}; choose {', '.join(ALGORITHMS)}.")
        if not (math.isfinite(self.q) and self.q > 0):
            raise ConfigurationError(f"Q of the asinh scale should be positive, not {self.q}.")
        if self.high is None:
            if self.low not in INTERVALS and not _is_percentage(self.low):
                raise ConfigurationError(
                    f"{self.low!r} is no pair of limits; choose {', '.join(INTERVALS)}, the central part of all "
                    "values such as 99%, or two limits."
                )
            return
        for limit in (self.low, self.high):
            if not _is_percentage(limit) and not _is_number(limit):
                raise ConfigurationError(f"The limit {limit!r} is neither a number nor a percentile such as 1%.")
        for kind, value in ((_is_number, float), (_is_percentage, _percentage)):
            if kind(self.low) and kind(self.high) and not value(self.low) < value(self.high):
                raise ConfigurationError(f"The lower limit {self.low} should be below the upper, {self.high}.")

    def limits(self, pixels: npt.NDArray[Any]) -> tuple[float, float]:
        """Return the limits, the first below the second.

        Parameters
        ----------
        pixels
            Any shape; values that are not finite do not count.
        """
        from astropy.visualization import ZScaleInterval

        finite = pixels[np.isfinite(pixels)]
        if finite.size == 0:
            return 0.0, 1.0
        if self.high is not None:
            low, high = (_value(limit, finite) for limit in (self.low, self.high))
        elif self.low == "zscale":
            low, high = (float(limit) for limit in ZScaleInterval().get_limits(finite))
        elif self.low == "minmax":
            low, high = float(finite.min()), float(finite.max())
        else:
            rest = (100.0 - _percentage(self.low)) / 2.0
            low, high = (float(np.percentile(finite, percent)) for percent in (rest, 100.0 - rest))
        if high - low > max(_NO_RANGE, _NO_CONTRAST * max(abs(low), abs(high))):
            return low, high
        # All alike, or a percentile on the wrong side of a number: a grey image, with its values legible.
        middle = (low + high) / 2.0
        half_width = max(0.5, 1e-6 * abs(middle))
        return middle - half_width, middle + half_width

    def norm(self, pixels: npt.NDArray[Any]) -> ImageNormalize:
        """Return the norm with which matplotlib draws an image."""
        from astropy.visualization import AsinhStretch, ImageNormalize, LinearStretch, LogStretch, SqrtStretch

        stretches = {
            "asinh": lambda: AsinhStretch(1.0 / self.q),
            "linear": LinearStretch,
            "log": LogStretch,
            "sqrt": SqrtStretch,
        }
        low, high = self.limits(pixels)
        if self.algorithm == "asinh" and self.low == "zscale":
            # Between these limits is the noise; white at the upper one would hide all structure of the sources.
            ranges = math.sinh(math.asinh(_LINEAR * self.q) / _LINEAR) / self.q
            stretch, high = AsinhStretch(1.0 / (self.q * ranges)), low + ranges * (high - low)
        else:
            stretch = stretches[self.algorithm]()
        # If it clipped, pixels that are not finite would be white.
        return ImageNormalize(vmin=low, vmax=high, stretch=stretch, clip=False)


def ticks(norm: ImageNormalize) -> FloatArray:
    """Return round pixel values, about evenly spaced in shade, for a colour bar."""
    edges = np.asarray(norm.inverse(np.linspace(0.0, 1.0, 2 * _N_TICKS + 1)), dtype=np.float64)
    steps = 10.0 ** np.floor(np.log10(edges[2::2] - edges[:-2:2]))
    rounded = np.round(edges[1::2] / steps) * steps
    return np.unique(rounded)


def _is_number(limit: Limit) -> bool:
    return isinstance(limit, int | float | np.number) and math.isfinite(limit)


def _is_percentage(limit: Limit) -> bool:
    if not isinstance(limit, str) or not limit.endswith("%"):
        return False
    try:
        return 0.0 <= float(limit[:-1]) <= 100.0
    except ValueError:
        return False


def _percentage(limit: Limit) -> float:
    return float(str(limit).removesuffix("%"))


def _value(limit: Limit, finite: npt.NDArray[Any]) -> float:
    return float(np.percentile(finite, _percentage(limit))) if _is_percentage(limit) else float(limit)
