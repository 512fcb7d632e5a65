"""Quick plots of a result's first rows: two columns, the histogram of one, or positions on the sky."""

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...conventions import FloatArray
from ..tables import ColumnMetadata
from .cells import is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .kept_results import KeptResult

_MOST_MARKS = 1_500
"""Beyond it marks are drawn as an image, which is smaller than so many shapes."""

_LARGEST = 1e200
"""Values beyond it are left out, as are those that are not known: axes cannot hold them."""

_MAX_LABEL = 60


@dataclass(frozen=True)
class PlotChoice:
    """What to plot.

    Parameters
    ----------
    x, y
        Names of columns; without y, the histogram of x.
    is_sky
        Whether they are right ascension and declination, degrees.
    flip_x, flip_y
        Whether the axis is to run the other way, as for magnitudes.
    is_dark
        Whether the page is.
    """

    x: str
    y: str = ""
    is_sky: bool = False
    flip_x: bool = False
    flip_y: bool = False
    is_dark: bool = False


def plottable(result: "KeptResult") -> list[ColumnMetadata]:
    """List the columns of numbers."""
    pairs = zip(result.columns, result.rows.schema, strict=True)
    return [column for column, item in pairs if is_number(item.type)]


def first_choice(result: "KeptResult") -> PlotChoice | None:
    """Choose what to plot first: positions, else the first two columns; magnitudes point down."""
    columns = plottable(result)
    if not columns or not result.rows.num_rows:
        return None
    ra, dec = (next((c for c in columns if c.ucd.startswith(ucd)), None) for ucd in ("pos.eq.ra", "pos.eq.dec"))
    if ra is not None and dec is not None:
        return PlotChoice(ra.name, dec.name, is_sky=True)
    measured = [column for column in columns if not column.ucd.startswith("meta.id")] or columns
    x, y = measured[0], measured[1] if len(measured) > 1 else None
    flips = [column is not None and column.unit.startswith("mag") for column in (x, y)]
    return PlotChoice(x.name, y.name if y else "", flip_x=False, flip_y=flips[1])


def draw(result: "KeptResult", choice: PlotChoice) -> bytes:
    """Draw a plot as SVG; text is drawn as shapes, so that no name can be markup. One at a time: fonts are shared.

    Raises
    ------
    KeyError
        If there is no such column of numbers.
    """
    from matplotlib.figure import Figure

    known = {column.name: column for column in plottable(result)}
    x = known[choice.x]
    y = known[choice.y] if choice.y else None
    ink, paper = ("#e8e6e1", "#1d2026") if choice.is_dark else ("#22262d", "#ffffff")
    with warnings.catch_warnings():
        # names may have letters that the font has not
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(7.2, 4.6), facecolor=paper, layout="constrained")
        axes = figure.add_subplot(facecolor=paper)
        colour = "#7cb7ff" if choice.is_dark else "#1f5fa8"
        if y is None:
            _histogram(axes, _values(result, x.name), colour)
        else:
            _scatter(axes, _values(result, x.name), _values(result, y.name), choice.is_sky, colour)
        _label(axes.set_xlabel, _described(x), ink)
        _label(axes.set_ylabel, _described(y) if y else "rows", ink)
        if choice.flip_x != choice.is_sky:
            axes.invert_xaxis()
        if choice.flip_y:
            axes.invert_yaxis()
        axes.tick_params(colors=ink, which="both")
        axes.grid(color=ink, alpha=0.12, linewidth=0.6)
        axes.ticklabel_format(useOffset=False, style="plain", axis="x")
        for spine in axes.spines.values():
            spine.set_color(ink)
            spine.set_alpha(0.4)
        target = io.BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    return target.getvalue()


def _histogram(axes: "Axes", values: FloatArray, colour: str) -> None:
    values = values[np.abs(values) < _LARGEST]
    bins = int(np.clip(np.sqrt(len(values)), 5, 60))
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if not low < high:
        low, high, bins = low - 0.5, low + 0.5, 1
    with np.errstate(all="ignore"):
        counts, edges = np.histogram(values, bins=bins, range=(low, high))
    axes.stairs(counts, edges, fill=True, color=colour, alpha=0.85)


def _scatter(axes: "Axes", x: FloatArray, y: FloatArray, is_sky: bool, colour: str) -> None:
    known = (np.abs(x) < _LARGEST) & (np.abs(y) < _LARGEST)
    x, y = x[known], y[known]
    if is_sky and len(x):
        # positions on both sides of RA 0 belong together
        middle = np.degrees(np.angle(np.mean(np.exp(1j * np.radians(x)))))
        x = middle % 360.0 + (x - middle + 180.0) % 360.0 - 180.0
        if np.ptp(x) < 60 and np.abs(y).max() < 85:
            axes.set_aspect(1 / np.cos(np.radians(y.mean())), adjustable="datalim")
    size = float(np.clip(4000 / max(len(x), 1), 4, 24))
    axes.scatter(
        x, y, s=size, color=colour, alpha=0.7, linewidths=0, rasterized=len(x) > _MOST_MARKS, label="rows"
    )


def _values(result: "KeptResult", name: str) -> FloatArray:
    import pyarrow as pa

    column: Any = result.rows.column(name).cast(pa.float64(), safe=False)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _described(column: ColumnMetadata) -> str:
    name = column.name if len(column.name) <= _MAX_LABEL else f"{column.name[:_MAX_LABEL]}..."
    return f"{name} [{column.unit[:_MAX_LABEL]}]" if column.unit else name


def _label(setter: Any, text: str, ink: str) -> None:
    # dollar signs in a name are no formula
    setter(text, color=ink, parse_math=False)
