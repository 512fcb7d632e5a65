"""MaskColours: the colours of mask planes, in either of Rubin's two vocabularies, and the overlay they make."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError
from ..exposure import Mask
from ..exposure.mask import PIPELINE_TO_IMAGES
from .figures import check_colour

_DEFAULT_COLOURS = {
    "BAD": "red",
    "COSMIC_RAY": "magenta",
    "DETECTED": "blue",
    "DETECTED_NEGATIVE": "cyan",
    "DETECTION_EDGE": "yellow",
    "INTERPOLATED": "limegreen",
    "NO_DATA": "orange",
    "SATURATED": "purple",
    "SUSPECT": "gold",
}
"""By the names of lsst.images; near those of afwDisplay, but no two are equal."""

_OTHER_COLOURS = ("deepskyblue", "salmon", "olive", "hotpink", "teal", "chocolate", "slateblue", "tan")
_DEFAULT_TRANSPARENCY = 60.0
_ROWS_AT_ONCE = 256


class MaskColours:
    """Colour and transparency of mask planes; a plane without a colour is not drawn."""

    def __init__(self) -> None:
        self._colours: dict[str, str | None] = dict(_DEFAULT_COLOURS)
        self._transparencies: dict[str, float] = {}
        self._default_transparency = _DEFAULT_TRANSPARENCY

    def set_colour(self, name: str, colour: str | None) -> None:
        """Set the colour of a plane.

        Parameters
        ----------
        name
            In either vocabulary.
        colour
            One that matplotlib knows; ``"ignore"`` or None: do not draw the plane.

        Raises
        ------
        ConfigurationError
            If there is no such colour.
        """
        hidden = colour is None or colour.lower() == "ignore"
        self._colours[_key(name)] = None if hidden else check_colour(str(colour))

    def set_transparency(self, percent: float, name: str | None = None) -> None:
        """Set the transparency of a plane, or, without a name, of all.

        Parameters
        ----------
        percent
            0: opaque; 100: invisible.

        Raises
        ------
        ConfigurationError
            If it is not in this range.
        """
        if not 0.0 <= percent <= 100.0:
            raise ConfigurationError(f"The transparency of a mask plane is 0 to 100 percent, not {percent}.")
        if name is None:
            self._transparencies.clear()
            self._default_transparency = percent
        else:
            self._transparencies[_key(name)] = percent

    def transparency(self, name: str | None = None) -> float:
        """Return the transparency of a plane, or that of planes of which nothing else was said, percent."""
        return self._transparencies.get(_key(name or ""), self._default_transparency)

    def colour(self, name: str, mask: Mask | None = None) -> str | None:
        """Return the colour of a plane; None if it is not drawn.

        Planes of which nothing was said get different colours in the order of their bits in ``mask``.
        """
        if _key(name) in self._colours:
            return self._colours[_key(name)]
        planes = {} if mask is None else mask.planes
        others = sorted((plane for plane in planes if _key(plane) not in self._colours), key=lambda p: planes[p])
        return _OTHER_COLOURS[(others.index(name) if name in others else 0) % len(_OTHER_COLOURS)]

    def drawn(self, mask: Mask) -> dict[str, str]:
        """Return the colours of the planes that are set somewhere and drawn, in the order of their bits."""
        used = int(np.bitwise_or.reduce(mask.array, axis=None))
        found = {}
        for name, bit in sorted(mask.planes.items(), key=lambda plane: plane[1]):
            colour = self.colour(name, mask)
            if used >> bit & 1 and colour is not None:
                found[name] = colour
        return found

    def overlay(self, mask: Mask, *, opaque: bool = False) -> npt.NDArray[np.uint8]:
        """Return the mask as an image: red, green, blue and opacity, shape (height, width, 4).

        Planes lie on each other, those with more pixels below, so that rare ones are seen.

        Parameters
        ----------
        opaque
            Whatever the transparencies: there is nothing beneath.
        """
        from matplotlib.colors import to_rgb

        layers = []
        for name, colour in self.drawn(mask).items():
            bit = np.array(1).astype(mask.array.dtype) << mask.array.dtype.type(mask.planes[name])
            opacity = 1.0 if opaque else 1.0 - self.transparency(name) / 100.0
            layers.append(
                (int(np.count_nonzero(mask.array & bit)), bit, np.array(to_rgb(colour), np.float32), opacity)
            )
        layers.sort(key=lambda layer: -layer[0])
        result = np.zeros((*mask.array.shape, 4), dtype=np.uint8)
        for start in range(0, len(result), _ROWS_AT_ONCE):
            rows = np.s_[start : start + _ROWS_AT_ONCE]
            values, place = np.unique(mask.array[rows], return_inverse=True)
            result[rows] = _blend(values, layers)[place]
        return result


def _blend(
    bits: npt.NDArray[np.integer],
    layers: list[tuple[int, npt.NDArray[np.integer], npt.NDArray[np.float32], float]],
) -> npt.NDArray[np.uint8]:
    """Paint layers (size, bit, colour, opacity) over each other where their bit is set; shape (n,) -> (n, 4)."""
    # Colours are premultiplied by opacity meanwhile.
    colours = np.zeros((*bits.shape, 3), dtype=np.float32)
    opacities = np.zeros(bits.shape, dtype=np.float32)
    for _, bit, colour, opacity in layers:
        chosen = (bits & bit) != 0
        colours[chosen] = (1.0 - opacity) * colours[chosen] + opacity * colour
        opacities[chosen] = (1.0 - opacity) * opacities[chosen] + opacity
    np.divide(colours, opacities[..., None], out=colours, where=opacities[..., None] > 0)
    return np.rint(255.0 * np.column_stack([colours, opacities])).astype(np.uint8)


def _key(name: str) -> str:
    return PIPELINE_TO_IMAGES.get(name, name)
