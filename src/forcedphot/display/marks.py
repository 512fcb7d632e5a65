"""Marks on images: symbols, ellipses and text at pixel positions, as afwDisplay's ``dot`` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..conventions import FloatArray
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.artist import Artist

_STROKES = {
    "+": [((-1.0, 0.0), (1.0, 0.0)), ((0.0, -1.0), (0.0, 1.0))],
    "x": [((-1.0, -1.0), (1.0, 1.0)), ((-1.0, 1.0), (1.0, -1.0))],
}
_STROKES["*"] = [*_STROKES["+"], *_STROKES["x"]]
_LINE_WIDTH = 1.2


def draw_marks(axes: Any, symbol: str, x: FloatArray, y: FloatArray, size: float, colour: str) -> list[Artist]:
    """Draw the same mark at each position; the view stays as it is.

    Parameters
    ----------
    axes
        Axes whose data coordinates are pixels.
    symbol
        ``o``, ``+``, ``x`` or ``*``; ``@:xx,xy,yy``, an ellipse of these moments (square pixels), whatever the
        size; anything else is written as text.
    x, y
        Pixels, shape (n,).
    size
        Radius of a circle, or half the width of another symbol, pixels.

    Returns
    -------
    What was added to the axes.

    Raises
    ------
    ConfigurationError
        If the moments are not those of an ellipse.
    """
    from matplotlib.collections import LineCollection

    positions = np.column_stack([x, y])
    if symbol in _STROKES:
        strokes = positions[:, None, None, :] + size * np.array(_STROKES[symbol])
        lines = LineCollection(list(strokes.reshape(-1, 2, 2)), colors=colour, linewidths=_LINE_WIDTH)
        return [axes.add_collection(lines, autolim=False)]
    if symbol == "o":
        return [_ellipses(axes, positions, size, size, 0.0, colour)]
    if symbol.startswith("@:"):
        return [_ellipses(axes, positions, *_principal_axes(symbol), colour)]
    return [
        axes.text(*position, symbol, color=colour, ha="center", va="center", clip_on=True)
        for position in positions
    ]


def _ellipses(axes: Any, positions: FloatArray, major: float, minor: float, angle: float, colour: str) -> Artist:
    from matplotlib.collections import EllipseCollection

    n = len(positions)
    made: Artist = axes.add_collection(
        EllipseCollection(
            np.full(n, 2.0 * major),
            np.full(n, 2.0 * minor),
            np.full(n, np.degrees(angle)),
            units="xy",
            offsets=positions,
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=colour,
            linewidths=_LINE_WIDTH,
        ),
        autolim=False,
    )
    return made


def _principal_axes(symbol: str) -> tuple[float, float, float]:
    """Return semi-axes (pixels) and position angle (radians from x towards y) of ``@:xx,xy,yy``."""
    try:
        xx, xy, yy = (float(part) for part in symbol[2:].split(","))
    except ValueError:
        raise ConfigurationError(f"{symbol!r} is no ellipse; write @:xx,xy,yy with its moments.") from None
    (minor, major), vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    if not minor > 0:
        raise ConfigurationError(f"The moments {symbol!r} are not those of an ellipse.")
    return float(np.sqrt(major)), float(np.sqrt(minor)), float(np.arctan2(vectors[1, 1], vectors[0, 1]))
