"""Coadd inputs: which of them contain a position."""

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from forcedphot.conventions import Box, FloatArray
from forcedphot.exposure.coadd_inputs import CoaddInputs, InputRegion
from forcedphot.exposure.polygon import Polygon


class Shifted:
    """Pixels on a flat sky, one a radian, from an origin."""

    def __init__(self, x0: float, y0: float) -> None:
        self.origin = x0, y0

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        return ra - self.origin[0], dec - self.origin[1]

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return x + self.origin[0], y + self.origin[1]


BOX = Box(10, 20, 5, 4)
TRIANGLE = Polygon(np.array([9.5, 14.5, 9.5]), np.array([19.5, 19.5, 23.5]))


def test_box_and_polygon_are_in_the_pixels_of_the_input() -> None:
    region = InputRegion(BOX, Shifted(100.0, 200.0), TRIANGLE)
    ra = np.array([110.0, 114.4, 114.6, 109.5, 109.4, 112.0, np.nan])
    dec = np.array([220.0, 223.4, 221.0, 219.5, 221.0, 223.6, 221.0])
    inside = region.contains(ra, dec, in_valid_polygon=False)
    assert inside.tolist() == [True, True, False, True, False, False, False]
    inside = region.contains(ra, dec, in_valid_polygon=True)
    assert inside[:3].tolist() == [True, False, False]


def test_without_polygon_the_box_counts() -> None:
    region = InputRegion(BOX, Shifted(0.0, 0.0))
    assert region.contains(np.array([14.0]), np.array([23.0]), in_valid_polygon=True).all()


def test_without_wcs_nothing_is_inside() -> None:
    ccds = Table({"id": [1, 2]})
    inputs = CoaddInputs(ccds, ccds, (InputRegion(BOX, Shifted(0.0, 0.0)), InputRegion(BOX)))
    assert not inputs.all_located
    assert inputs.count_ccds(np.array([12.0]), np.array([22.0]), in_valid_polygon=False).tolist() == [1]


@pytest.mark.parametrize(("regions", "expected"), [((), False), ((InputRegion(BOX, Shifted(0.0, 0.0)),), True)])
def test_all_located(regions: tuple[InputRegion, ...], expected: bool) -> None:
    assert CoaddInputs(Table(), Table({"id": [1]}), regions).all_located is expected


def test_an_empty_coadd_has_located_all_and_counts_nothing() -> None:
    inputs = CoaddInputs(Table(), Table())
    assert inputs.all_located
    assert inputs.count_ccds(np.zeros(3), np.zeros(3), in_valid_polygon=True).tolist() == [0, 0, 0]


@given(st.lists(st.tuples(*[st.floats(-30.0, 30.0)] * 2), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_count_is_the_sum_over_inputs(origins: list[tuple[float, float]], seed: int) -> None:
    regions = tuple(InputRegion(BOX, Shifted(*origin), TRIANGLE) for origin in origins)
    inputs = CoaddInputs(Table(), Table({"id": np.arange(len(origins))}), regions)
    ra, dec = np.random.default_rng(seed).uniform(-25.0, 55.0, (2, 40))
    for in_valid_polygon in (False, True):
        expected = [
            sum(
                bool(BOX.contains(a - x0, d - y0))
                and (not in_valid_polygon or bool(TRIANGLE.contains(np.array([a - x0]), np.array([d - y0]))[0]))
                for x0, y0 in origins
            )
            for a, d in zip(ra.tolist(), dec.tolist(), strict=True)
        ]
        assert inputs.count_ccds(ra, dec, in_valid_polygon=in_valid_polygon).tolist() == expected
