"""Drawing into memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from forcedphot.display import Display

type Colour = npt.NDArray[np.uint8]
type Look = Callable[[Display, float, float], Colour]


@pytest.fixture(scope="session")
def look() -> Look:
    """Draw a display, and return the colour (red, green, blue) at a pixel position of its image."""

    def at(display: Display, x: float, y: float) -> Colour:
        whole: Any = display.figure.figure
        canvas: Any = FigureCanvasAgg(whole)
        canvas.draw()
        drawn = np.asarray(canvas.buffer_rgba())
        axes: Any = display.figure.axes[0]
        column, row = axes.transData.transform((x, y))
        return np.array(drawn[drawn.shape[0] - 1 - int(row), int(column), :3])

    return at
