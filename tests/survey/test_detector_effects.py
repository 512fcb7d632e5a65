"""Noise has the variance that it says, charge is conserved, and defects are filled from good pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import BoolArray, FloatArray
from forcedphot.survey.detector_effects import (
    EDGE_WIDTH_PIX,
    add_noise,
    border,
    cosmic_rays,
    interpolate,
    permanent_defects,
    saturate,
)
from forcedphot.survey.plan import SurveyPlan
from forcedphot.survey.profiles import find_profile, find_size

SEEDS = st.integers(0, 10_000)


@pytest.mark.parametrize("light", [0.0, 3.0, 400.0, 5e4])
def test_noise_has_its_variance(rng: np.random.Generator, light: float) -> None:
    n = 200_000
    image, variance = add_noise(rng, np.full(n, light), sky_sigma=20.0, gain=0.7)
    assert (variance == 400.0 + light / 0.7).all()
    pulls = (image - light) / np.sqrt(variance)
    assert abs(pulls.mean()) < 4 / np.sqrt(n)
    assert abs(pulls.std() - 1.0) < 4 / np.sqrt(2 * n)


def test_rings_below_zero_stay(rng: np.random.Generator) -> None:
    image, variance = add_noise(rng, np.full(10_000, -5.0), sky_sigma=1.0, gain=1.0)
    assert (variance == 1.0).all()
    assert image.mean() == pytest.approx(-5.0, abs=0.05)


@given(seed=SEEDS)
def test_bleeding_keeps_charge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.0, 50.0, (200, 6))
    for _ in range(4):
        image[rng.integers(90, 110), rng.integers(6)] += rng.uniform(0.0, 1500.0)
    before = image.copy()
    saturated, suspect = saturate(image, 100.0)
    np.testing.assert_allclose(image.sum(axis=0), before.sum(axis=0), rtol=1e-12)
    assert image.max() <= 100.0 * (1 + 1e-12)
    assert saturated[before >= 100.0].all()
    assert (image[~saturated] == before[~saturated]).all()
    assert not (saturated & suspect).any()
    full = np.isclose(image, 100.0)
    # Charge stops in the first pixel with room for it: at most the two ends of a trail are not full.
    for column in range(6):
        assert (saturated & ~full)[:, column].sum() <= 2 * 4


def test_charge_is_lost_at_the_ends_of_columns() -> None:
    image = np.zeros((5, 3))
    image[1, 1] = 1000.0
    saturated, suspect = saturate(image, 100.0)
    assert image[:, 1].tolist() == [100.0] * 5
    assert saturated.tolist() == [[False, True, False]] * 5
    assert suspect.tolist() == [[True, False, True]] * 5


def test_an_unsaturated_image_stays() -> None:
    image = np.array([[10.0, 79.0, 81.0], [0.0, 99.0, -3.0]])
    before = image.copy()
    saturated, suspect = saturate(image, 100.0)
    assert (image == before).all()
    assert not saturated.any()
    assert suspect.tolist() == [[False, False, True], [False, True, False]]


def interpolated_plainly(image: FloatArray, defects: BoolArray) -> FloatArray:
    """The obvious twin of `interpolate`: pixel by pixel."""
    result = image.copy()
    for row, column in np.argwhere(defects):
        candidates = []
        for line, bad, here in ((image[row], defects[row], column), (image[:, column], defects[:, column], row)):
            good = np.flatnonzero(~bad)
            before, after = good[good < here], good[good > here]
            if len(before) and len(after):
                low, high = before[-1], after[0]
                candidates.append((high - low, np.interp(here, [low, high], line[[low, high]])))
            elif len(good):
                nearest = before[-1] if len(before) else after[0]
                candidates.append((sum(image.shape) + abs(here - nearest), line[nearest]))
        if candidates:
            result[row, column] = min(candidates, key=lambda candidate: candidate[0])[1]
    return result


@settings(deadline=None)
@given(shape=st.tuples(st.integers(1, 12), st.integers(1, 12)), share=st.floats(0.0, 1.0), seed=SEEDS)
def test_interpolation(shape: tuple[int, int], share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, defects = rng.normal(size=shape), rng.random(shape) < share
    expected = interpolated_plainly(image, defects)
    interpolate(image, defects)
    np.testing.assert_allclose(image, expected, rtol=1e-12, atol=1e-12)


def test_interpolation_does_not_read_defects() -> None:
    image = np.add.outer(np.arange(20.0), 3.0 * np.arange(30.0))
    expected, defects = image.copy(), np.zeros(image.shape, dtype=bool)
    defects[:, 7] = defects[4, 10:20] = defects[10:14, 20:23] = True
    image[defects] = np.nan
    interpolate(image, defects)
    np.testing.assert_allclose(image, expected, rtol=1e-12)


def test_cosmic_rays_are_tracks(rng: np.random.Generator) -> None:
    from scipy.ndimage import find_objects, label

    hit = cosmic_rays(rng, (2000, 1500))
    tracks, n_tracks = label(hit, np.ones((3, 3)))
    assert 60 < n_tracks < 120
    boxes = np.array([[side.stop - side.start for side in box] for box in find_objects(tracks)])
    sizes = np.bincount(tracks.ravel())[1:]
    assert (sizes <= 2 * boxes.max(axis=1) + 1).all(), "they are thin"
    assert boxes.max() > 15
    assert np.corrcoef(*np.log(boxes.T))[0, 1] < 0.9, "they go in all directions"


def test_defects_belong_to_detectors() -> None:
    plan = SurveyPlan(find_profile("dp02"), find_size("small"), 7)
    detectors = plan.visits[0].detectors
    found = [permanent_defects(plan, detector) for detector in detectors]
    again = [permanent_defects(plan, detector) for detector in plan.visits[4].detectors]
    for (bad, dead), (bad_again, dead_again) in zip(found, again, strict=True):
        assert (bad == bad_again).all()
        assert (dead == dead_again).all()
        assert bad.any()
        assert not (bad & dead).any()
        assert np.flatnonzero(bad.any(axis=0)).size <= 3
    assert [bool(dead.any()) for _, dead in found] == [True, False, True, False]
    assert (found[0][0] != found[1][0]).any()
    assert found[0][1].mean() < 0.01


def test_border() -> None:
    edge = border((50, 70))
    assert edge.sum() == 50 * 70 - (50 - 2 * EDGE_WIDTH_PIX) * (70 - 2 * EDGE_WIDTH_PIX)
    assert not edge[EDGE_WIDTH_PIX, EDGE_WIDTH_PIX]
    assert edge[EDGE_WIDTH_PIX - 1, 30]
