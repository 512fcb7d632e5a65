"""Spans of ellipses, pixels swapped in and out of images, and groups of sources, against plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import Box, FloatArray, IntArray, Spans
from forcedphot.kernels.replacement import assign_groups, mark_spans, swap_pixels, take_pixels
from forcedphot.kernels.spans import ellipse_spans

BOX = Box(-7, 11, 40, 30)


def pixels(spans: Spans, i: int) -> set[tuple[int, int]]:
    """Return x, y of a footprint's pixels."""
    part = range(spans.first[i], spans.first[i + 1])
    return {(x, int(spans.y[j])) for j in part for x in range(spans.x0[j], spans.x1[j] + 1)}


def ellipse_pixels(x: float, y: float, moments: FloatArray) -> set[tuple[int, int]]:
    xx, yy, xy = moments
    return {
        (column, row)
        for column in range(BOX.x0, BOX.x_stop)
        for row in range(BOX.y0, BOX.y_stop)
        if yy * (column - x) ** 2 - 2 * xy * (column - x) * (row - y) + xx * (row - y) ** 2 <= xx * yy - xy * xy
    }


@settings(deadline=None, max_examples=60)
@given(st.floats(-12, 40), st.floats(5, 47), st.floats(0.05, 90), st.floats(0.05, 90), st.floats(-0.95, 0.95))
def test_ellipses_pixel_by_pixel(x: float, y: float, xx: float, yy: float, correlation: float) -> None:
    # Off the pixels' centres, where a root's rounding would decide.
    x, y = x + 0.01234567, y + 0.00765432
    moments = np.array([xx, yy, correlation * np.sqrt(xx * yy)])
    spans = ellipse_spans(np.array([x]), np.array([y]), moments[np.newaxis], BOX)
    assert pixels(spans, 0) == ellipse_pixels(x, y, moments)


@pytest.mark.parametrize(
    ("x", "y", "moments"),
    [
        (5.0, 20.0, (np.nan, 4.0, 0.0)),
        (5.0, 20.0, (4.0, 4.0, 5.0)),
        (5.0, 20.0, (np.inf, 4.0, 0.0)),
        (5.0, 20.0, (0.0, 0.0, 0.0)),
        (np.nan, 20.0, (4.0, 4.0, 0.0)),
        (5.0, np.inf, (4.0, 4.0, 0.0)),
        (500.0, 20.0, (4.0, 4.0, 0.0)),
    ],
)
def test_what_is_no_ellipse_is_empty(x: float, y: float, moments: tuple[float, ...]) -> None:
    spans = ellipse_spans(
        np.array([10.0, x, 12.0]),
        np.array([20.0, y, 22.0]),
        np.array([(3.0, 3.0, 0.0), moments, (4.0, 4.0, 1.0)]),
        BOX,
    )
    assert pixels(spans, 1) == set()
    assert pixels(spans, 0)
    assert pixels(spans, 2)
    assert spans.boxes()[1].tolist() == [0, 0, -1, -1]


def footprints(rng: np.random.Generator, n: int) -> Spans:
    rows = [
        np.array([(y, x0, x0 + rng.integers(0, 9)) for y, x0 in rng.integers(-6, 28, (k, 2))]).reshape(-1, 3)
        for k in rng.integers(0, 6, n)
    ]
    return Spans.of(rows)


def test_boxes_and_selections(rng: np.random.Generator) -> None:
    spans = footprints(rng, 30)
    for i, box in enumerate(spans.boxes().tolist()):
        found = pixels(spans, i)
        if found:
            x, y = zip(*found, strict=True)
            assert box == [min(x), min(y), max(x), max(y)]
    rows = np.array([4, 4, 29, 0, 17])
    chosen = spans.take(rows)
    assert [pixels(chosen, i) for i in range(5)] == [pixels(spans, i) for i in rows]
    assert [pixels(spans.shifted(3, -2), i) for i in range(30)] == [
        {(x + 3, y - 2) for x, y in pixels(spans, i)} for i in range(30)
    ]
    assert len(Spans.of([])) == len(spans.take(rows[:0])) == 0


def test_pixels_are_marked_taken_and_swapped(rng: np.random.Generator) -> None:
    image = rng.normal(size=(23, 31)).astype(np.float32)
    spans = footprints(rng, 12)
    covered = np.zeros(image.shape, dtype=bool)
    mark_spans(covered, spans.y, spans.x0, spans.x1)
    expected = {(x, y) for i in range(12) for x, y in pixels(spans, i) if 0 <= x < 31 and 0 <= y < 23}
    assert {(int(x), int(y)) for y, x in np.argwhere(covered)} == expected

    taken = take_pixels(image, spans.y, spans.x0, spans.x1)
    x = np.concatenate([np.arange(a, b + 1) for a, b in zip(spans.x0, spans.x1, strict=True)])
    y = np.repeat(spans.y, spans.x1 - spans.x0 + 1)
    inside = (x >= 0) & (x < 31) & (y >= 0) & (y < 23)
    np.testing.assert_array_equal(taken[inside], image[y[inside], x[inside]])
    assert not taken[~inside].any()

    values = rng.normal(size=len(x)).astype(np.float32)
    before, given_values = image.copy(), values.copy()
    swap_pixels(image, spans.y, spans.x0, spans.x1, values, forwards=True)
    last = {(int(column), int(row)): value for column, row, value in zip(x, y, given_values, strict=True)}
    for row, column in np.argwhere(covered):
        assert image[row, column] == last[int(column), int(row)]
    np.testing.assert_array_equal(image[~covered], before[~covered])
    swap_pixels(image, spans.y, spans.x0, spans.x1, values, forwards=False)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(values, given_values)


def overlap(a: IntArray, b: IntArray) -> bool:
    return bool(a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3])


def test_no_source_of_a_group_sees_another(rng: np.random.Generator) -> None:
    shape, n = (300, 400), 150
    x, y = rng.integers(-20, 420, n), rng.integers(-20, 320, n)
    size = rng.integers(0, 15, (4, n))
    inked = np.stack([x - size[0], y - size[1], x + size[2], y + size[3]], axis=1)
    seen = inked + np.array([-30, -30, 30, 30])
    group = assign_groups(seen, inked, shape)
    assert group.min() == 0
    assert (np.bincount(group) > 0).all()
    limits = np.array([shape[1] - 1, shape[0] - 1] * 2)
    on_image = np.clip(inked, 0, limits)
    for i in range(n):
        for j in np.flatnonzero(group == group[i]):
            assert i == j or not overlap(np.clip(seen[i], 0, limits), on_image[j])
    assert group.max() < 60
