"""Scale: limits are those of astropy, and what cannot be a scale is refused."""

from typing import Any

import numpy as np
import pytest
from astropy.visualization import ZScaleInterval
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forcedphot.display import Scale
from forcedphot.display.scaling import ALGORITHMS, ticks
from forcedphot.errors import ConfigurationError


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    image = rng.normal(100, 5, (80, 90)).astype(np.float32)
    image[::20, ::20] += 5000.0
    image[0, 0], image[3, 4], image[5, 5] = np.nan, np.inf, -np.inf
    return image


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_zscale_is_astropys(pixels: np.ndarray, algorithm: str) -> None:
    expected = ZScaleInterval().get_limits(pixels)
    scale = Scale(algorithm, "zscale")
    assert scale.limits(pixels) == pytest.approx(expected, rel=1e-12)
    norm = scale.norm(pixels)
    assert norm.vmin == pytest.approx(expected[0])
    if algorithm != "asinh":
        assert norm.vmax == pytest.approx(expected[1])


def test_asinh_leaves_shades_to_what_is_brighter_than_zscale(pixels: np.ndarray) -> None:
    scale = Scale("asinh", "zscale")
    low, high = scale.limits(pixels)
    shades = np.asarray(scale.norm(pixels)([low, low + 0.1 * (high - low), high, high + 20 * (high - low)]))
    # Lupton's: linear to a tenth of the range, which becomes a tenth of the shades.
    assert shades[:2] == pytest.approx([0.0, 0.1], abs=1e-6)
    assert 0.1 < shades[2] < shades[3] < 1.0


@pytest.mark.parametrize(
    ("low", "high", "percentiles"),
    [("minmax", None, (0, 100)), ("98%", None, (1, 99)), ("2%", "99.5%", (2, 99.5)), ("0%", "50%", (0, 50))],
)
def test_limits_by_rank(pixels: np.ndarray, low: str, high: str | None, percentiles: tuple[float, float]) -> None:
    expected = np.percentile(pixels[np.isfinite(pixels)], percentiles)
    assert Scale("linear", low, high).limits(pixels) == pytest.approx(tuple(expected))


def test_numbers_and_a_number_with_a_percentile(pixels: np.ndarray) -> None:
    assert Scale("log", -3, 12.5).limits(pixels) == (-3.0, 12.5)
    assert Scale("log", 90, "75%").limits(pixels)[0] == 90.0
    norm = Scale("sqrt", 0, 4).norm(pixels)
    assert np.asarray(norm([0.0, 1.0, 4.0])) == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 7.0, -1e30])
def test_pixels_that_are_all_alike(value: float) -> None:
    image = np.full((5, 6), value)
    low, high = Scale().limits(image)
    assert np.isfinite([low, high]).all()
    assert low < high
    if np.isfinite(value):
        assert low < value < high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cubic",), "no scale 'cubic'"),
        (("asinh", "iraf"), "'iraf' is no pair of limits"),
        (("asinh", 5), "5 is no pair"),
        (("asinh", "120%"), "'120%' is no pair"),
        (("asinh", "x%", "5%"), "'x%' is neither"),
        (("asinh", 1, np.nan), "nan is neither"),
        (("asinh", "zscale", 7), "'zscale' is neither"),
        (("linear", 5, 5), "lower limit 5 should be below"),
        (("linear", "99%", "1%"), "lower limit 99% should be below"),
        (("asinh", "zscale", None, 0.0), "Q of the asinh scale"),
        (("asinh", "zscale", None, np.inf), "Q of the asinh scale"),
    ],
)
def test_what_is_no_scale(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Scale(*arguments)


@given(
    image=arrays(np.float32, (7, 8), elements=st.floats(-1e6, 1e6, width=32)),
    algorithm=st.sampled_from(ALGORITHMS),
    limits=st.sampled_from([("zscale", None), ("minmax", None), ("90%", None), ("1%", "99%"), (-10.0, "50%")]),
)
def test_limits_are_in_order_and_shades_rise(image: np.ndarray, algorithm: str, limits: tuple[Any, Any]) -> None:
    norm = Scale(algorithm, *limits).norm(image)
    assert norm.vmin < norm.vmax
    shades = np.asarray(norm(np.linspace(norm.vmin, norm.vmax, 50)))
    assert (np.diff(shades) >= -1e-6).all()
    assert shades[[0, -1]] == pytest.approx([0.0, 1.0], abs=1e-6)
    values = ticks(norm)
    assert len(values) >= 2
    assert np.isfinite(values).all()


def test_ticks_are_round_and_spread(pixels: np.ndarray) -> None:
    norm = Scale("asinh", 0.0, 1000.0).norm(pixels)
    values = ticks(norm)
    assert (values == np.round(values)).all()
    assert (np.diff(np.asarray(norm(values))) > 0.05).all()
