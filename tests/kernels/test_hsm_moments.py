"""HSM moments against galsim's own, which is their twin, and against Gaussians of known covariance."""

from typing import Any, NamedTuple

import galsim
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.kernels.hsm_moments import HsmMoments, hsm_source_moments, hsm_stamp_moments

from .comparison import LAYOUTS, FloatImage

SINGLE = 1e-6
"""Relative: galsim stores the size, the ellipticity and the flux as float32."""

ITERATED = 1e-9
"""Pixels: galsim's centres are float64; the iteration amplifies the parity of its sums."""

NO_MASK = np.zeros((0, 0), dtype=np.int32)


class Sources(NamedTuple):
    image: FloatImage
    boxes: IntArray
    x: FloatArray
    y: FloatArray
    sigma: FloatArray

    def take(self, rows: IntArray | slice) -> "Sources":
        return Sources(self.image, self.boxes[rows], self.x[rows], self.y[rows], self.sigma[rows])


def gaussian(
    shape: tuple[int, int], x: float, y: float, xx: float, yy: float, xy: float, flux: float = 1000.0
) -> FloatArray:
    rows, columns = np.indices(shape)
    d = np.stack([columns - x, rows - y], axis=-1)
    exponent = np.einsum("...i,ij,...j", d, np.linalg.inv([[xx, xy], [xy, yy]]), d)
    density: FloatArray = np.exp(-exponent / 2.0) / (2.0 * np.pi * np.sqrt(xx * yy - xy * xy))
    return flux * density


def some_sources(rng: np.random.Generator) -> Sources:
    """Place sources of all sizes from less than a pixel on, with little noise and with much."""
    shape = 45, 64
    image = rng.normal(0.0, 0.02, shape)
    x, y = (
        grid.ravel() + rng.uniform(-0.6, 0.6, 12)
        for grid in np.meshgrid([8.0, 24.0, 40.0, 56.0], [7.0, 22.0, 37.0])
    )
    for i in range(12):
        xx, yy = rng.uniform(0.2, 6.0, 2)
        flux = [0.0, 0.5, 30.0, 1000.0, -200.0][i % 5]
        image += gaussian(shape, x[i], y[i], xx, yy, rng.uniform(-0.9, 0.9) * np.sqrt(xx * yy), flux)
    half = rng.integers(3, 6, (12, 4))
    column, row = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64)
    boxes = np.stack([column - half[:, 0], row - half[:, 1], column + half[:, 2], row + half[:, 3]], axis=1)
    return Sources(image.astype(np.float32), boxes, x, y, rng.uniform(1.0, 5.0, 12))


def galsim_moments(sources: Sources, i: int, *, is_round: bool) -> list[float]:
    """Return what galsim finds for one source: x, y, xx, yy, xy, flux; NaN where it raises."""
    height, width = sources.image.shape
    x0, y0 = max(sources.boxes[i, 0], 0), max(sources.boxes[i, 1], 0)
    x1, y1 = min(sources.boxes[i, 2], width - 1), min(sources.boxes[i, 3], height - 1)
    found = galsim.hsm.FindAdaptiveMom(
        galsim.Image(sources.image[y0 : y1 + 1, x0 : x1 + 1], xmin=int(x0), ymin=int(y0)),
        guess_sig=sources.sigma[i],
        guess_centroid=galsim.PositionD(sources.x[i], sources.y[i]),
        round_moments=is_round,
        strict=False,
    )
    if found.error_message:
        return [np.nan] * 6
    e1, e2 = found.observed_e1, found.observed_e2
    roundness = 1.0 - e1 * e1 - e2 * e2
    mean = found.moments_sigma**2 / np.sqrt(roundness) if roundness > 0.0 else np.nan
    shape = [mean * (1.0 + e1), mean * (1.0 - e1), mean * e2]
    return [found.moments_centroid.x, found.moments_centroid.y, *shape, found.moments_amp]


def assert_parity(found: HsmMoments, sources: Sources, *, is_round: bool) -> None:
    for i in range(len(sources.x)):
        expected = galsim_moments(sources, i, is_round=is_round)
        ours = [float(values[i]) for values in found]
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
        if np.isfinite(expected).all():
            np.testing.assert_allclose(ours[:2], expected[:2], rtol=0.0, atol=ITERATED)
            # A thin ellipse has more digits in xx and yy than in the float32 ellipticity.
            np.testing.assert_allclose(ours[2:5], expected[2:5], rtol=0.0, atol=SINGLE * (ours[2] + ours[3]))
            np.testing.assert_allclose(ours[5], expected[5], rtol=SINGLE)


def measure(sources: Sources, *, is_round: bool) -> HsmMoments:
    return hsm_source_moments(
        sources.image, NO_MASK, 0, sources.boxes, sources.x, sources.y, sources.sigma, is_round=is_round
    )


@pytest.mark.parametrize("is_round", [False, True])
def test_sources(rng: np.random.Generator, *, is_round: bool) -> None:
    sources = some_sources(rng)
    found = measure(sources, is_round=is_round)
    assert_parity(found, sources, is_round=is_round)
    assert 5 < np.isfinite(found.xx).sum() < 12


@pytest.mark.parametrize("is_round", [False, True])
def test_perturbed_moments_are_reported(rng: np.random.Generator, *, is_round: bool) -> None:
    sources = some_sources(rng)
    found = measure(sources, is_round=is_round)
    good = np.flatnonzero(np.isfinite(found.xx))[0]
    found.xy[good] += 1e-4
    with pytest.raises(AssertionError):
        assert_parity(found, sources, is_round=is_round)


ELLIPSES = [(2.9, 2.9, 0.0), (4.0, 2.0, 0.9), (2.0, 4.0, -1.7), (9.0, 8.0, 0.3), (6.0, 3.0, -2.0)]


@pytest.mark.parametrize("ellipse", ELLIPSES)
def test_moments_are_the_covariance(ellipse: tuple[float, float, float]) -> None:
    image = gaussian((41, 47), 22.3, 19.6, *ellipse).astype(np.float32)
    sources = Sources(image, np.array([[0, 0, 46, 40]]), np.array([22.0]), np.array([20.0]), np.array([4.0]))
    found = measure(sources, is_round=False)
    # The sums end where the weight is 1e-7.
    np.testing.assert_allclose([found.x[0], found.y[0]], [22.3, 19.6], atol=1e-5)
    np.testing.assert_allclose([found.xx[0], found.yy[0], found.xy[0]], ellipse, atol=1e-4)
    np.testing.assert_allclose(found.flux, 1000.0, rtol=1e-4)


@pytest.mark.parametrize("is_round", [False, True])
@pytest.mark.parametrize(
    ("dtype", "bit"), [(np.int32, 1 << 3), (np.int32, 1 << 31), (np.int64, 1 << 62), (np.uint8, 1 << 7)]
)
def test_bad_pixels_count_as_0(rng: np.random.Generator, dtype: type[Any], bit: int, *, is_round: bool) -> None:
    sources = some_sources(rng)
    is_bad = rng.random(sources.image.shape) < 0.05
    mask = np.where(is_bad, np.uint64(bit), np.uint64(0)).astype(dtype)
    mask[::3] |= dtype(1)
    found = hsm_source_moments(
        np.where(is_bad, np.float32(np.nan), sources.image),
        mask,
        bit,
        sources.boxes,
        sources.x,
        sources.y,
        sources.sigma,
        is_round=is_round,
    )
    with_zeros = sources._replace(image=np.where(is_bad, np.float32(0.0), sources.image))
    for ours, expected in zip(found, measure(with_zeros, is_round=is_round), strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("is_round", [False, True])
def test_failures_are_nan_and_spoil_no_other(rng: np.random.Generator, *, is_round: bool) -> None:
    sources = some_sources(rng)
    before = measure(sources, is_round=is_round)
    good = np.flatnonzero(np.isfinite(before.xx))
    spoilt = sources._replace(boxes=sources.boxes.copy(), x=sources.x.copy(), y=sources.y.copy())
    spoilt = spoilt._replace(sigma=sources.sigma.copy(), image=sources.image.copy())
    spoilt.boxes[good[0]] = 0, 0, -1, -1  # none
    spoilt.boxes[good[1]] = 1000, 1000, 1010, 1010  # off the image
    spoilt.boxes[good[2], 2] = sources.x[good[2]] - 2.0  # ends before the centre
    spoilt.x[good[3]] = np.nan
    spoilt.y[good[4]] = 1e300
    spoilt.sigma[good[5]] = [np.nan, np.inf][is_round]
    after = measure(spoilt, is_round=is_round)
    for values, expected in zip(after, before, strict=True):
        assert np.isnan(values[good[:6]]).all()
        np.testing.assert_array_equal(np.delete(values, good[:6]), np.delete(expected, good[:6]))
    bad_pixel = good[0]
    image = sources.image.copy()
    image[int(sources.y[bad_pixel]), int(sources.x[bad_pixel])] = np.nan
    assert np.isnan(measure(sources._replace(image=image), is_round=is_round).x[bad_pixel])
    huge = sources._replace(image=(sources.image * np.float32(1e30)).astype(np.float32))
    np.testing.assert_allclose(measure(huge, is_round=is_round).x[good], before.x[good], atol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_order_and_batches(rng: np.random.Generator, layout: str) -> None:
    sources = some_sources(rng)
    expected = measure(sources, is_round=False)
    order = rng.permutation(len(sources.x))
    found = measure(sources.take(order)._replace(image=LAYOUTS[layout](sources.image)), is_round=False)
    first = measure(sources.take(slice(3)), is_round=False)
    none = measure(sources.take(slice(0)), is_round=False)
    for ours, of_first, of_none, values in zip(found, first, none, expected, strict=True):
        np.testing.assert_array_equal(ours, values[order])
        np.testing.assert_array_equal(of_first, values[:3])
        assert of_none.shape == (0,)


@pytest.mark.parametrize("is_round", [False, True])
def test_stamps_are_measured_as_sources_are(rng: np.random.Generator, *, is_round: bool) -> None:
    images = np.full((3, 15, 17), np.nan)
    heights, widths = np.array([15, 11, 13]), np.array([13, 17, 9])
    x, y = rng.uniform(-0.5, 0.5, 3), rng.uniform(-0.5, 0.5, 3)
    x0, y0, sigma = np.array([90, -30, 0]), np.array([7, 40, -3]), np.array([1.5, 2.0, 2.5])
    middle_x, middle_y = x0 + widths // 2, y0 + heights // 2
    for i in range(3):
        shape = int(heights[i]), int(widths[i])
        stamp = gaussian(shape, widths[i] // 2 + x[i], heights[i] // 2 + y[i], 2.0 + i, 3.0, 0.5)
        single = (stamp + rng.normal(0.0, 0.1, shape)).astype(np.float32)
        top, left = (15 - shape[0]) // 2, (17 - shape[1]) // 2
        images[i, top : top + shape[0], left : left + shape[1]] = single
        found = hsm_stamp_moments(
            images[i : i + 1],
            x0[i : i + 1],
            y0[i : i + 1],
            heights[i : i + 1],
            widths[i : i + 1],
            (middle_x + x)[i : i + 1],
            (middle_y + y)[i : i + 1],
            sigma[i : i + 1],
            is_round=is_round,
        )
        box = np.array([[0, 0, shape[1] - 1, shape[0] - 1]])
        start = np.array([widths[i] // 2 + x[i]]), np.array([heights[i] // 2 + y[i]])
        expected = hsm_source_moments(single, NO_MASK, 0, box, *start, sigma[i : i + 1], is_round=is_round)
        offsets = (x0[i], y0[i], 0.0, 0.0, 0.0, 0.0)
        for values, of_source, offset in zip(found, expected, offsets, strict=True):
            np.testing.assert_allclose(values, of_source + offset, rtol=1e-9)
    together = hsm_stamp_moments(
        images, x0, y0, heights, widths, middle_x + x, middle_y + y, sigma, is_round=is_round
    )
    assert np.isfinite(together).all()
    np.testing.assert_array_equal([values[2] for values in together], [values[0] for values in found])


@given(
    x=st.floats(8.0, 12.0),
    y=st.floats(8.0, 12.0),
    size=st.floats(1.0, 6.0),
    stretch=st.floats(-0.6, 0.6),
    shear=st.floats(-0.6, 0.6),
    scale=st.floats(1e-3, 1e3),
    is_round=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_mirrored_and_scaled_images(
    x: float, y: float, size: float, stretch: float, shear: float, scale: float, *, is_round: bool
) -> None:
    pixels = gaussian((21, 21), x, y, size * (1.0 + stretch), size * (1.0 - stretch), size * shear)
    box, sigma = np.array([[0, 0, 20, 20]]), np.array([2.0])

    def moments(image: FloatArray, x: float, y: float) -> list[float]:
        found = hsm_source_moments(
            image.astype(np.float32), NO_MASK, 0, box, np.array([x]), np.array([y]), sigma, is_round=is_round
        )
        return [float(values[0]) for values in found]

    found = moments(pixels, x, y)
    mirrored = moments(pixels.T, y, x)
    np.testing.assert_allclose(mirrored, [found[i] for i in (1, 0, 3, 2, 4, 5)], rtol=1e-5, atol=1e-5)
    brighter = moments(pixels * scale, x, y)
    np.testing.assert_allclose(brighter[:5], found[:5], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(brighter[5], found[5] * scale, rtol=1e-4)
