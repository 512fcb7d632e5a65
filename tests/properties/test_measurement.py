"""What must hold for any image and any positions: linearity, invariance, and rows that keep to themselves."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy import units
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot import Exposure, ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.batches import spatial_order
from forcedphot.conventions import FloatArray
from forcedphot.psf import GaussianPsf, KernelImagePsf, Psf

SHAPE = 150, 170
SINC_RADII = [3.0, 4.5]
CIRCLE_RADII = [12.0, 17.0]
PIXELS_A_RADIAN = 2.0**14
PLANES = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "EDGE": 4, "SUSPECT": 7, "NO_DATA": 8}

few_examples = settings(derandomize=True, deadline=None, max_examples=12)
seeds = st.integers(0, 10_000)


class FlatWcs:
    """Radians times a power of two are pixels, so that positions pass through a table exactly."""

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        return ra * PIXELS_A_RADIAN, dec * PIXELS_A_RADIAN

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return x / PIXELS_A_RADIAN, y / PIXELS_A_RADIAN


@cache
def psfs() -> tuple[Psf, Psf]:
    rows, columns = np.indices((17, 21))
    lopsided = np.exp(
        -0.5 * ((columns - 10.3) ** 2 / 5.0 + (rows - 7.8) ** 2 / 3.0 + (columns - 10) * (rows - 8) / 9.0)
    )
    return GaussianPsf(1.9, 25), KernelImagePsf(lopsided)


def draw_exposure(seed: int, *, whole_numbers: bool = False) -> Exposure:
    """Draw an exposure; of whole numbers, if sums of images are to be exact in float32 too."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**9, SHAPE) * (rng.random(SHAPE) < 0.002)
    image, variance = rng.uniform(-1000.0, 1000.0, SHAPE), rng.uniform(1.0, 1000.0, SHAPE)
    return Exposure.from_arrays(
        np.round(image) if whole_numbers else image,
        variance=variance,
        mask=bits.astype(np.int32),
        mask_planes=PLANES,
        psf=psfs()[seed % 2],
        wcs=FlatWcs(),
    )


def like(exposure: Exposure, **changes: Any) -> Exposure:
    """Return an exposure with other arrays or another origin."""
    parts: dict[str, Any] = {
        "image": exposure.image,
        "variance": exposure.variance,
        "x0": exposure.x0,
        "y0": exposure.y0,
        **changes,
    }
    return Exposure.from_arrays(mask=exposure.mask, psf=exposure.psf, wcs=exposure.wcs, **parts)


def draw_positions(seed: int, n: int, *, dyadic: bool = True) -> tuple[FloatArray, FloatArray]:
    """Draw positions on the image; ``dyadic`` ones are multiples of 1/1024 pixel."""
    rng = np.random.default_rng(seed + 1)
    x, y = rng.uniform(-0.49, SHAPE[1] - 0.51, n), rng.uniform(-0.49, SHAPE[0] - 0.51, n)
    return (np.round(x * 1024) / 1024, np.round(y * 1024) / 1024) if dyadic else (x, y)


@cache
def driver(n_threads: int = 1) -> ForcedMeasurementDriverTask:
    config = ForcedMeasurementDriverConfig()
    config.measurement.plugins["base_CircularApertureFlux"].radii = SINC_RADII + CIRCLE_RADII
    config.measurement.plugins["base_PsfFlux"].badMaskPlanes = ["BAD"]
    config.numThreads = n_threads
    return ForcedMeasurementDriverTask(config=config)


def measure(exposure: Exposure, x: FloatArray, y: FloatArray, *, n_threads: int = 1) -> Table:
    ra, dec = FlatWcs().pixel_to_sky(x, y)
    table = Table(
        {"objectId": np.arange(len(x)) + 7, "coord_ra": ra * units.rad, "coord_dec": dec * units.rad}, copy=False
    )
    return driver(n_threads).runFromAstropy(table, exposure)


def flux_columns(table: Table) -> list[str]:
    return [name for name in table.colnames if name.endswith("_instFlux") and not name.startswith("slot_")]


def assert_same_rows(found: Table, expected: Table) -> None:
    """Require the same bits in every column."""
    assert found.colnames == expected.colnames
    assert len(found) == len(expected)
    for name in expected.colnames:
        np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(expected[name]), err_msg=name)


def with_nowhere(seed: int, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Mix positions with others off the image or not finite; return which are the original ones."""
    rng = np.random.default_rng(seed + 2)
    bad_x = np.array([np.nan, 20.0, np.nan, -0.75, 60.0, 1e9, np.inf, 80.0, -1e300, SHAPE[1] - 0.5])
    bad_y = np.array([20.0, np.nan, np.nan, 30.0, -40.0, 1e9, 10.0, -np.inf, 1e300, 50.0])
    is_original = rng.permutation(np.arange(len(x) + len(bad_x)) < len(x))
    all_x, all_y = np.empty(len(is_original)), np.empty(len(is_original))
    all_x[is_original], all_y[is_original] = x, y
    all_x[~is_original], all_y[~is_original] = bad_x, bad_y
    return all_x, all_y, is_original


@few_examples
@given(seeds, st.integers(-8, 8), st.integers(-8, 8))
def test_flux_is_linear_in_the_image(seed: int, a: int, b: int) -> None:
    first, second = draw_exposure(seed, whole_numbers=True), draw_exposure(seed + 2, whole_numbers=True)
    x, y = draw_positions(seed, 40, dyadic=False)
    tables = [
        measure(like(first, image=image), x, y)
        for image in (first.image, second.image, a * first.image + b * second.image)
    ]
    # Up to 1000 weights of about 1, or of a PSF flux up to 40, times a pixel of at most 16,000.
    allowed = 1e-12 * 1000 * 40 * 16_000
    for name in flux_columns(tables[0]):
        fluxes = [np.asarray(table[name]) for table in tables]
        np.testing.assert_allclose(fluxes[2], a * fluxes[0] + b * fluxes[1], rtol=0, atol=allowed, err_msg=name)
        np.testing.assert_array_equal(tables[0][f"{name}Err"], tables[2][f"{name}Err"])


def test_a_constant_added_is_not_linear() -> None:
    exposure = draw_exposure(3)
    x, y = draw_positions(3, 40)
    once, twice = (
        measure(like(exposure, image=image), x, y) for image in (exposure.image, 2 * exposure.image + 1)
    )
    for name in flux_columns(once):
        finite = np.isfinite(once[name])
        assert (np.abs(twice[name] - 2 * once[name]) > 1e-3)[finite].all(), name


@few_examples
@given(seeds, st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_whole_pixel_shifts_of_everything_change_nothing(seed: int, x0: int, y0: int) -> None:
    exposure = draw_exposure(seed)
    x, y = draw_positions(seed, 40)
    here, there = measure(exposure, x, y), measure(like(exposure, x0=x0, y0=y0), x + x0, y + y0)
    np.testing.assert_array_equal(there["slot_Centroid_x"], here["slot_Centroid_x"] + x0)
    moved = [
        name for name in here.colnames if not name.startswith(("coord_", "slot_Centroid", "base_Transformed"))
    ]
    assert_same_rows(there[moved], here[moved])


@few_examples
@given(seeds)
def test_shifts_to_large_coordinates_round_positions(seed: int) -> None:
    exposure = draw_exposure(seed)
    x, y = draw_positions(seed, 40, dyadic=False)
    x0, y0 = 12_000, 15_000
    # Beyond half a pixel the coefficients, and the frame that they are not shifted in, jump a pixel.
    keeps_pixel = (np.abs(x - np.round(x)) < 0.499) & (np.abs(y - np.round(y)) < 0.499)
    x, y = x[keeps_pixel], y[keeps_pixel]
    here, there = measure(exposure, x, y), measure(like(exposure, x0=x0, y0=y0), x + x0, y + y0)
    # The fraction is rounded to float32: 3e-8 px, for weights that change by less than 1 in a pixel,
    # under some 100 pixels of at most 1000 that matter.
    np.testing.assert_allclose(
        there["base_PsfFlux_instFlux"], here["base_PsfFlux_instFlux"], rtol=0, atol=2 * 3e-8 * 40 * 100 * 1000
    )
    for radius in SINC_RADII:
        name = f"base_CircularApertureFlux_{radius:.1f}_instFlux".replace(".", "_")
        # The position is rounded to float32, by up to 5e-4 px in each axis at 16,000; so much of the
        # pixels along the circumference goes in or out.
        allowed = 2 * 5e-4 * 2 * np.pi * radius * 1000
        np.testing.assert_allclose(there[name], here[name], rtol=0, atol=allowed, err_msg=name)
        assert (there[name] != here[name]).any()


@few_examples
@given(seeds, st.floats(1e-3, 1e3))
def test_errors_scale_with_the_root_of_the_variance(seed: int, factor: float) -> None:
    exposure = draw_exposure(seed)
    x, y = draw_positions(seed, 40)
    assert exposure.variance is not None
    before, four_times, scaled = (
        measure(like(exposure, variance=exposure.variance * np.float32(scale)), x, y) for scale in (1, 4, factor)
    )
    for name in flux_columns(before):
        np.testing.assert_array_equal(four_times[name], before[name])
        np.testing.assert_array_equal(four_times[f"{name}Err"], 2 * before[f"{name}Err"])
        # The scaled variance is rounded to float32.
        np.testing.assert_allclose(scaled[f"{name}Err"], np.sqrt(factor) * before[f"{name}Err"], rtol=1e-7)
    np.testing.assert_array_equal(four_times["base_PsfFlux_chi2"], before["base_PsfFlux_chi2"] / 4)


@settings(few_examples, max_examples=5)
@given(seeds)
def test_permuted_rows_give_permuted_rows(seed: int) -> None:
    exposure = draw_exposure(seed)
    x, y = draw_positions(seed, 3000)  # a batch covers only part of the width
    x, y, _ = with_nowhere(seed, x, y)
    order = np.random.default_rng(seed).permutation(len(x))
    straight, permuted = measure(exposure, x, y), measure(exposure, x[order], y[order])
    straight["objectId"], permuted["objectId"] = 0, 0
    assert_same_rows(permuted, straight[order])


@few_examples
@given(seeds)
def test_batches_on_a_grid_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    """Sums along rows start at a batch's first column, so that who is in a batch decides the last bit."""
    x, y = (np.round(values / 8) * 8 for values in draw_positions(seed, 3000))
    shuffled = np.random.default_rng(seed).permutation(len(x))
    rows = np.arange(len(x))
    straight = spatial_order(x, y, rows)
    permuted = shuffled[spatial_order(x[shuffled], y[shuffled], rows)]
    np.testing.assert_array_equal(x[permuted], x[straight])
    np.testing.assert_array_equal(y[permuted], y[straight])


def test_other_rows_are_told_apart() -> None:
    exposure = draw_exposure(3)
    table = measure(exposure, *draw_positions(3, 40))
    with pytest.raises(AssertionError):
        assert_same_rows(table[::-1], table)
    with pytest.raises(AssertionError):
        assert_same_rows(table[:-1], table)
    changed = table.copy()
    changed["base_PsfFlux_instFlux"][5] = np.nextafter(changed["base_PsfFlux_instFlux"][5], np.inf)
    with pytest.raises(AssertionError):
        assert_same_rows(changed, table)


@settings(few_examples, max_examples=4)
@given(seeds)
def test_threads_change_no_bit(seed: int) -> None:
    exposure = draw_exposure(seed)
    x, y, _ = with_nowhere(seed, *draw_positions(seed, 900, dyadic=False))
    one = measure(exposure, x, y)
    for n_threads in (2, 3):
        assert_same_rows(measure(exposure, x, y, n_threads=n_threads), one)


@few_examples
@given(seeds, st.sampled_from([1, 30, 600]))
def test_sources_off_the_image_change_no_other_row(seed: int, n: int) -> None:
    exposure = draw_exposure(seed)
    x, y = draw_positions(seed, n, dyadic=False)
    alone = measure(exposure, x, y)
    all_x, all_y, is_original = with_nowhere(seed, x, y)
    mixed = measure(exposure, all_x, all_y)
    alone["objectId"] = mixed["objectId"][is_original]
    assert_same_rows(mixed[is_original], alone)
    nowhere = mixed[~is_original]
    assert np.asarray(nowhere["base_PixelFlags_flag_offimage"]).all()
    for name in flux_columns(nowhere):
        assert np.isnan(nowhere[name]).all(), name
        assert np.isnan(nowhere[f"{name}Err"]).all(), name
        assert np.asarray(nowhere[f"{name.removesuffix('_instFlux')}_flag"]).all(), name


coordinates = st.one_of(
    # The smallest numbers lose digits on the way to radians and back.
    st.floats(-20.0, 200.0).map(lambda value: value if abs(value) > 1e-200 else 0.0),
    st.sampled_from([np.nan, np.inf, -np.inf, -0.5, 1e15, 1e300, SHAPE[0] - 0.5, SHAPE[1] - 0.5, 0.0]),
)


@settings(few_examples, max_examples=40)
@given(st.lists(st.tuples(coordinates, coordinates), max_size=6))
def test_rows_are_those_of_the_input(places: list[tuple[float, float]]) -> None:
    exposure = draw_exposure(1)
    x, y = np.array(places, dtype=np.float64).reshape(-1, 2).T.copy()
    result = measure(exposure, x, y)
    np.testing.assert_array_equal(result["objectId"], np.arange(len(x)) + 7)
    np.testing.assert_array_equal(result["slot_Centroid_x"], x)
    # There is no sky beyond the poles.
    y = np.where(np.abs(y) <= np.pi / 2 * PIXELS_A_RADIAN, y, np.nan)
    np.testing.assert_array_equal(result["slot_Centroid_y"], y)
    off_image = ~exposure.bbox.contains(x, y)
    np.testing.assert_array_equal(result["base_PixelFlags_flag_offimage"], off_image)
    # Every flux is a number, or says that it is none.
    for name in flux_columns(result):
        flag = np.asarray(result[f"{name.removesuffix('_instFlux')}_flag"])
        assert (np.isfinite(result[name]) | flag).all(), name
