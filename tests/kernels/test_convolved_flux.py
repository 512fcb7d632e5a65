"""Fluxes on convolved cut-outs against their numpy twin."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.kernels.convolution import convolve_block, gaussian_taps
from forcedphot.kernels.convolved_flux import Convolutions, ConvolvedFluxes, convolved_fluxes
from forcedphot.kernels.placed_apertures import positions
from forcedphot.kernels.sinc import sinc_coefficients

from . import reference_convolved as reference
from . import reference_ellipses
from .comparison import HARD_POSITIONS, LAYOUTS, FloatImage, assert_close, noise_image, read_only
from .reference import ApertureFlux

FLOAT32_WEIGHTS = 1e-6
"""Of the sum of the sizes of the weights times the pixels; see test_elliptical_apertures."""

TARGETS = np.array([1.5, 2.2, 1.0])
SINC_RADII = np.array([1.5, 3.5])
CIRCLE_RADII = np.array([2.5])
MAX_SINC_RADIUS = 2.0


class Sources(NamedTuple):
    """What to measure around, all of shape (n, ...)."""

    x: FloatArray
    y: FloatArray
    ellipse_x: FloatArray
    ellipse_y: FloatArray
    matrices: FloatArray
    seeing: FloatArray
    boxes: IntArray
    growth: IntArray

    def take(self, rows: IntArray) -> "Sources":
        return Sources(*[values[rows] for values in self])  # type: ignore[arg-type]


def draw_sources(rng: np.random.Generator, n_random: int = 6) -> Sources:
    """Pair the hard positions, and random ones, with ellipses and cut-outs of several sizes."""
    x = np.concatenate([HARD_POSITIONS[:, 0], rng.uniform(8.0, 38.0, n_random)])
    y = np.concatenate([HARD_POSITIONS[:, 1], rng.uniform(8.0, 32.0, n_random)])
    n = len(x)
    matrices = []
    for i in range(n):
        major = (1.4, 3.0, 4.5)[i % 3]
        minor = major * (1.0 if i % 4 == 0 else rng.uniform(0.4, 1.0))
        matrices.append(reference_ellipses.ellipse_matrix(major, minor, rng.uniform(-4.0, 4.0) if i % 4 else 0.0))
    seeing = np.where(np.arange(n) % 5 == 0, 1.6, 1.2)
    column, row, half = np.floor(x + 0.5), np.floor(y + 0.5), rng.integers(0, 5, n)
    boxes = np.stack([column - half, row - half, column + half, row + half], axis=1).astype(np.int64)
    np.clip(boxes, 0, [46, 40, 46, 40], out=boxes)
    shift_x, shift_y = rng.uniform(-0.3, 0.3, (2, n))
    growth = rng.integers(3, 6, n)
    return Sources(x, y, x + shift_x, y + shift_y, np.array(matrices), seeing, boxes, growth)


def measure(
    image: FloatImage, variance: FloatImage, sources: Sources, kernel_scale: float = 3.0
) -> ConvolvedFluxes:
    matrices = sources.matrices
    moments = np.stack([matrices[:, 0, 0], matrices[:, 1, 1], matrices[:, 0, 1]], axis=1)
    return convolved_fluxes(
        image,
        variance,
        Convolutions(sources.seeing, TARGETS, kernel_scale, sources.boxes, sources.growth),
        positions(sources.x, sources.y, 0, 0),
        SINC_RADII,
        [sinc_coefficients(radius) for radius in SINC_RADII.tolist()],
        CIRCLE_RADII,
        positions(sources.ellipse_x, sources.ellipse_y, 0, 0),
        moments,
        MAX_SINC_RADIUS,
    )


def sum_all(cut: reference.CutOut, sources: Sources, i: int) -> list[ApertureFlux]:
    """Sum under each aperture of one source."""
    x, y, matrix = float(sources.x[i]), float(sources.y[i]), sources.matrices[i]
    ellipse = float(sources.ellipse_x[i]), float(sources.ellipse_y[i]), matrix
    is_sinc = reference_ellipses.axes_of(matrix)[1] <= MAX_SINC_RADIUS
    return [
        *(reference.sum_sinc(cut, x, y, radius**2 * np.eye(2)) for radius in SINC_RADII.tolist()),
        *(reference.sum_circle(cut, x, y, radius) for radius in CIRCLE_RADII.tolist()),
        reference.sum_sinc(cut, *ellipse) if is_sinc else reference.sum_ellipse(cut, *ellipse),
    ]


def assert_parity(
    found: ConvolvedFluxes, image: FloatImage, variance: FloatImage, sources: Sources, kernel_scale: float = 3.0
) -> None:
    for s, target in enumerate(TARGETS.tolist()):
        for i in range(len(sources.x)):
            cut = reference.cut_out(
                image,
                variance,
                float(sources.seeing[i]),
                target,
                kernel_scale,
                sources.boxes[i],
                int(sources.growth[i]),
            )
            assert found.unconvolved[s, i] == cut.is_unconvolved
            expected = sum_all(cut, sources, i)
            sizes = sum_all(cut._replace(variance=cut.image**2), sources, i)
            scale = np.nan_to_num([15.0 * size.flux_err for size in sizes]) + 1.0
            np.testing.assert_array_equal(
                found.aperture_truncated[s, :, i], [e.aperture_truncated for e in expected]
            )
            np.testing.assert_array_equal(
                found.coefficients_truncated[s, :, i], [e.coefficients_truncated for e in expected]
            )
            assert_close(found.flux[s, :, i], [e.flux for e in expected], scale, FLOAT32_WEIGHTS)
            errors = np.array([e.flux_err for e in expected])
            assert_close(found.flux_err[s, :, i], errors, np.nan_to_num(errors) + 1e-3, FLOAT32_WEIGHTS)


def test_all_kinds_of_positions(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    sources = draw_sources(rng)
    found = measure(image, variance, sources)
    assert_parity(found, image, variance, sources)
    assert 3 < found.unconvolved.sum() < found.unconvolved.size - 3
    for k in range(4):
        assert found.aperture_truncated[:, k].any()
        assert np.isfinite(found.flux[:, k]).sum() > 20
    assert (found.coefficients_truncated & ~found.aperture_truncated).any()


@pytest.mark.parametrize("kernel_scale", [0.3, 1.0, 4.0, 1e12])
def test_kernel_sizes(rng: np.random.Generator, kernel_scale: float) -> None:
    image, variance = noise_image(rng)
    sources = draw_sources(rng, 3).take(np.arange(0, 22, 4))
    found = measure(image, variance, sources, kernel_scale)
    assert_parity(found, image, variance, sources, kernel_scale)
    # No image has room for the largest.
    assert found.unconvolved.all() == (kernel_scale > 10.0)


def test_what_cannot_be_measured(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    sources = draw_sources(rng, 2).take(np.arange(8))
    good = measure(image, variance, sources)
    sources.seeing[1] = np.nan
    sources.boxes[2] = 0, 0, -1, -1
    sources.matrices[3] = np.nan
    sources.matrices[4] = 0.0
    sources.ellipse_x[5] = np.nan
    sources.matrices[6] *= 1e30
    found = measure(image, variance, sources)
    np.testing.assert_array_equal(found.flux[:, :, [0, 7]], good.flux[:, :, [0, 7]])
    assert np.isnan(found.flux[:, :, 1]).all()
    assert not found.aperture_truncated[:, :, 1].any()
    assert found.unconvolved[:, 2].all()
    for i in (3, 4, 5, 6):
        assert np.isnan(found.flux[:, -1, i]).all()
        np.testing.assert_array_equal(found.flux[:, :-1, i], good.flux[:, :-1, i])
    assert found.aperture_truncated[:, -1, 6].all()
    assert not found.aperture_truncated[:, -1, 3:6].any()


def test_a_large_ellipse_is_summed_in_parts(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng, (230, 210))
    sources = Sources(
        x=np.array([104.3]),
        y=np.array([113.8]),
        ellipse_x=np.array([104.6]),
        ellipse_y=np.array([114.2]),
        matrices=reference_ellipses.ellipse_matrix(108.0, 92.0, 1.7)[np.newaxis],
        seeing=np.array([1.2]),
        boxes=np.array([[90, 100, 120, 130]]),
        growth=np.array([105]),
    )
    found = measure(image, variance, sources)
    assert_parity(found, image, variance, sources)
    assert np.isfinite(found.flux).all()


def test_none(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    none = draw_sources(rng).take(np.empty(0, dtype=np.int64))
    assert measure(image, variance, none).flux.shape == (3, 4, 0)


def test_sources_do_not_depend_on_each_other(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    sources = draw_sources(rng, 2)
    together = measure(image, variance, sources)
    for rows in (np.arange(len(sources.x))[::-1], np.array([4]), np.arange(1, 20, 3)):
        some = measure(image, variance, sources.take(rows))
        np.testing.assert_array_equal(some.flux, together.flux[:, :, rows])
        np.testing.assert_array_equal(some.flux_err, together.flux_err[:, :, rows])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    image, variance = noise_image(rng)
    sources = draw_sources(rng, 1).take(np.array([1, 4, 9, 19]))
    frozen = Sources(*[read_only(values) for values in sources])  # type: ignore[arg-type]
    found = measure(LAYOUTS[layout](image), LAYOUTS[layout](variance), frozen)
    assert_parity(found, image, variance, sources)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_pixel_only_spoils_what_is_over_it(rng: np.random.Generator, bad: float) -> None:
    image, variance = noise_image(rng)
    sources = draw_sources(rng).take(np.array([0, 3, 4, 6, 8, 16, 19, 20]))
    before = measure(image, variance, sources)
    image[19, 21] = bad
    after = measure(image, variance, sources)
    # Half the coefficients and half the kernel.
    distance = np.maximum(np.abs(np.floor(sources.x + 0.5) - 21), np.abs(np.floor(sources.y + 0.5) - 19))
    half_kernel = np.floor(3.0 * np.sqrt(np.maximum(TARGETS[:, np.newaxis] ** 2 - sources.seeing**2, 0.0)) + 0.5)
    far = distance > 8 + half_kernel
    near = distance <= 2
    assert far.any()
    assert near.any()
    for k in (0, 1):
        np.testing.assert_array_equal(after.flux[:, k][far], before.flux[:, k][far])
        measured = np.isfinite(before.flux[:, k]) & near
        assert not np.isfinite(after.flux[:, k][measured]).any()
    np.testing.assert_array_equal(after.flux_err, before.flux_err)


@settings(max_examples=25, deadline=None)
@given(
    sigma=st.floats(0.3, 3.0),
    half_width=st.integers(0, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_blocks(sigma: float, half_width: int, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(24, 26)).astype(np.float32)
    taps = np.empty(half_width + 1)
    gaussian_taps(sigma, half_width, taps)
    assert taps[0] + 2.0 * taps[1:].sum() == pytest.approx(1.0, rel=1e-12)
    both_sides = np.concatenate([taps[:0:-1], taps])
    expected = reference.convolve(plane, np.multiply.outer(both_sides, both_sides))
    result = np.empty((height, width))
    scratch = np.full(3 * (height + 2 * half_width) * (width + 2 * half_width), np.nan)
    convolve_block(plane, taps, half_width, half_width + 1, half_width + 2, scratch, result)
    part = expected[half_width + 1 : half_width + 1 + height, half_width + 2 : half_width + 2 + width]
    np.testing.assert_allclose(result, part, rtol=0, atol=1e-12)


def test_a_gaussian_becomes_the_wider_one() -> None:
    rows, columns = np.indices((61, 61))
    image = (1e4 * np.exp(-0.5 * ((columns - 30.2) ** 2 + (rows - 29.7) ** 2) / 1.2**2)).astype(np.float32)
    image /= image.sum()
    middle, box = np.array([30.2]), np.array([[25, 25, 35, 35]])
    place = positions(middle, np.array([29.7]), 0, 0)
    found = convolved_fluxes(
        image,
        np.ones_like(image),
        Convolutions(np.array([1.2]), np.array([1.2, 2.0, 3.0]), 6.0, box, np.array([12])),
        place,
        np.array([4.5]),
        [sinc_coefficients(4.5)],
        np.empty(0),
        place,
        np.full((1, 3), np.nan),
        10.0,
    )
    expected = 1.0 - np.exp(-0.5 * (4.5 / np.array([1.2, 2.0, 3.0])) ** 2)
    np.testing.assert_allclose(found.flux[:, 0, 0], expected, atol=3e-4)


@pytest.mark.parametrize("name", ["flux", "flux_err"])
def test_a_perturbed_sum_is_reported(rng: np.random.Generator, name: str) -> None:
    image, variance = noise_image(rng)
    sources = draw_sources(rng, 1).take(np.array([4]))
    found = measure(image, variance, sources)
    getattr(found, name)[1, 2, 0] += 1e-3 * np.abs(found.flux_err[1, 2, 0])
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_parity(found, image, variance, sources)
