"""Light curves and colour-magnitude diagrams: every row is a point, or counted."""

from typing import Any

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from forcedphot.display import plot_colour_magnitude, plot_light_curve
from forcedphot.display.light_curve import BAND_STYLES
from forcedphot.errors import InputTableError


@pytest.fixture
def table() -> Table:
    table = Table(
        {
            "visit": [4, 2, 3, 1, 5],
            "band": ["r", "g", "r", "w", "g"],
            "psfFlux": [10.0, 20.0, 30.0, 40.0, np.nan],
            "psfFluxErr": [1.0, 2.0, 3.0, 4.0, 5.0],
            "psfFlux_flag": [False, False, True, False, False],
            "mjd": [60004.0, 60002.0, 60003.0, 60001.0, 60005.0],
        }
    )
    table["psfFlux"].unit = "nJy"
    return table


def points(figure: Any) -> dict[str, list[tuple[float, float]]]:
    """Return the points by their label in the legend."""
    axes = figure.axes[0]
    return {
        container.get_label(): [(float(x), float(y)) for x, y in zip(*container[0].get_data(), strict=True)]
        for container in axes.containers
    }


EXPECTED = {
    "g (1)": [(60002.0, 20.0)],
    "r (1)": [(60004.0, 10.0)],
    "r, flagged (1)": [(60003.0, 30.0)],
    "w (1)": [(60001.0, 40.0)],
}


def test_light_curve(table: Table) -> None:
    figure: Any = plot_light_curve(table, title="Object 7")
    assert points(figure) == EXPECTED
    axes = figure.axes[0]
    assert axes.get_title() == "Object 7, 1 of 5 without a flux"
    assert axes.get_ylabel() == "psfFlux (nJy)"
    good, flagged = (container[0].get_markerfacecolor() for container in axes.containers[1:3])
    assert flagged == "none" != good
    bars = [bar for bar in axes.collections if isinstance(bar, LineCollection)]
    assert bars[1].get_segments()[0][:, 1].tolist() == [9.0, 11.0]


def test_light_curve_beside_a_model(table: Table) -> None:
    figure: Any = plot_light_curve(table, model=lambda band, mjd: 5.0 * (mjd - 60000.0) + (band == "g"))
    upper, lower = figure.axes
    assert points(figure) == EXPECTED
    curves = {line.get_color(): line for line in upper.lines if len(line.get_xdata()) > 100}
    assert len(curves) == 3
    for colour, offset in ((BAND_STYLES["g"][0], 1.0), (BAND_STYLES["r"][0], 0.0)):
        x, y = curves[colour].get_data()
        np.testing.assert_allclose(y, 5.0 * (x - 60000.0) + offset)
        assert (x.min(), x.max()) == (60001.0, 60004.0)
    below = sorted(
        (float(x), float(y)) for bars in lower.containers for x, y in zip(*bars[0].get_data(), strict=True)
    )
    assert below == [(60001.0, 35.0), (60002.0, 9.0), (60003.0, 15.0), (60004.0, -10.0)]
    assert lower.get_ylabel() == "less the model (nJy)"
    assert lower.get_xlabel() == "MJD"
    assert len(plot_light_curve(table[:0], model=lambda band, mjd: mjd).axes[0].lines) == 1


def test_light_curve_with_times_of_visits(table: Table) -> None:
    visits = Table({"visit": [5, 3, 1, 2, 4], "expMidptMJD": 60000.0 + np.array([5.0, 3.0, 1.0, 2.0, 4.0])})
    table.remove_column("mjd")
    assert points(plot_light_curve(table, visits=visits)) == EXPECTED
    with pytest.raises(InputTableError, match="Visit 4 of the light curve"):
        plot_light_curve(table, visits=visits[:4])
    with pytest.raises(InputTableError, match="Visit 4"):
        plot_light_curve(table, visits=visits[:0])
    with pytest.raises(InputTableError, match="No time column"):
        plot_light_curve(table)


def test_flags_that_are_named(table: Table) -> None:
    table["pixelFlags_cr"] = MaskedColumn(
        [True, False, False, False, False], mask=[False, True, False, False, False]
    )
    labels = set(points(plot_light_curve(table, flags=["pixelFlags_cr"])))
    assert labels == {"g, flagged (1)", "r (1)", "r, flagged (1)", "w (1)"}
    assert set(points(plot_light_curve(table, flags=[]))) == {"g (1)", "r (2)", "w (1)"}


@pytest.mark.parametrize("column", ["psfFlux", "psfFluxErr", "band", "mjd"])
def test_light_curve_without_a_column(table: Table, column: str) -> None:
    table.remove_column(column)
    with pytest.raises(InputTableError, match="column found among"):
        plot_light_curve(table)


def test_errors_that_are_none(table: Table) -> None:
    table["psfFluxErr"] = [0.0, -1.0, np.inf, np.nan, 1.0]
    assert points(plot_light_curve(table)) == EXPECTED


def test_light_curve_of_nothing(table: Table) -> None:
    assert points(plot_light_curve(table[:0])) == {}
    assert points(plot_light_curve(table[4:])) == {}


def test_light_curve_on_a_figure_of_ones_own(table: Table) -> None:
    whole = Figure()
    part = whole.subfigures(2, 1)[1]
    assert plot_light_curve(table, frame=part) is part
    assert len(whole.axes) == 1


def test_colour_magnitude() -> None:
    r, i = np.array([20.0, 21.5, np.nan, 19.0]), np.ma.masked_greater([19.5, 21.0, 18.0, 40.0], 30)
    figure: Any = plot_colour_magnitude(r, i, extended=[False, True, False, False], title="Tract 0")
    axes = figure.axes[0]
    drawn = {line.get_label(): np.column_stack(line.get_data()).tolist() for line in axes.lines}
    assert drawn == {"stars (1)": [[0.5, 19.5]], "extended (1)": [[0.5, 21.0]]}
    assert axes.get_xlabel() == "r - i (mag)"
    assert axes.get_ylabel() == "i (mag)"
    bottom, top = axes.get_ylim()
    assert bottom > 21.0 > 19.5 > top


def test_colour_magnitude_leaves_out_extreme_colours_of_the_view(rng: np.random.Generator) -> None:
    i = rng.uniform(16, 25, 5000)
    colour = rng.normal(0.5, 0.1, 5000)
    colour[0] = 30.0
    figure: Any = plot_colour_magnitude(i + colour, i, bands=("g", "z"))
    axes = figure.axes[0]
    assert len(axes.lines[0].get_xdata()) == 5000
    assert -0.2 < axes.get_xlim()[0] < axes.get_xlim()[1] < 1.3
    assert axes.get_xlabel() == "g - z (mag)"
    assert not plot_colour_magnitude([], []).axes[0].lines


def test_magnitudes_of_different_objects() -> None:
    with pytest.raises(InputTableError, match=r"\(3,\) and \(2,\)"):
        plot_colour_magnitude([1, 2, 3], [1, 2])
    with pytest.raises(InputTableError, match="of extended ones"):
        plot_colour_magnitude([1, 2], [1, 2], extended=[True])
