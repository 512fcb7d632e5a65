"""What a detector does to a scene: noise, saturation, cosmic rays, bad columns, dead corners, edges."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray
from .plan import DetectorPlan, SurveyPlan, VisitPlan

type MaskArray = npt.NDArray[np.uint16]

PLANES = MappingProxyType(
    {
        "NO_DATA": 0,
        "SATURATED": 1,
        "COSMIC_RAY": 2,
        "BAD": 3,
        "INTERPOLATED": 4,
        "DETECTION_EDGE": 5,
        "SUSPECT": 6,
        "DETECTED": 7,
        "DETECTED_NEGATIVE": 8,
    }
)
"""Mask planes and their bits, with the names of lsst.images; the last two are for who detects sources."""

EDGE_WIDTH_PIX = 10
"""Width of the border with the mask plane DETECTION_EDGE."""

_FULL_WELL_ELECTRONS = 60_000.0
_SUSPECT_FRACTION = 0.8  # of the full well
_SUSPECT_BORDER_PIX = 2  # around saturated pixels

_COSMIC_RAYS_PER_PIXEL = 3e-5
_COSMIC_RAY_LENGTH_PIX = 6.0  # on average, with an exponential distribution
_LONGEST_COSMIC_RAY_PIX = 60.0
_STEPS_PER_PIXEL = 4

_STREAM = 13  # of random numbers, which no other part of the survey draws from
_MAX_BAD_COLUMNS = 3
_DEAD_CORNER_FRACTION = (0.08, 0.04)  # rows and columns, of the detector's


def full_well_njy(visit: VisitPlan) -> float:
    """Return the flux at which a pixel is full."""
    return _FULL_WELL_ELECTRONS / visit.gain


def add_noise(
    rng: np.random.Generator, scene: FloatArray, *, sky_sigma: float, gain: float
) -> tuple[FloatArray, FloatArray]:
    """Observe a scene.

    Parameters
    ----------
    rng
        Random numbers.
    scene
        Expected nJy per pixel.
    sky_sigma
        Noise of empty pixels, nJy: of the subtracted sky's many photons, and the electronics.
    gain
        Electrons per nJy.

    Returns
    -------
    image
        nJy; its photoelectrons are Poisson distributed.
    variance
        nJy^2, of the distribution that it was drawn from.
    """
    # The wings of sharply interpolated PSFs ring a little below 0.
    light = np.maximum(scene, 0.0)
    image = rng.poisson(light * gain) / gain
    image += scene - light
    image += rng.normal(0.0, sky_sigma, scene.shape)
    return image, sky_sigma**2 + light / gain


def saturate(image: FloatArray, full_well: float) -> tuple[BoolArray, BoolArray]:
    """Let full pixels bleed along their columns, in place.

    Returns
    -------
    saturated
        Pixels that were full, or that others' charge has reached.
    suspect
        Pixels that are nearly full, or next to saturated ones.
    """
    from scipy.ndimage import binary_dilation

    suspect = image > _SUSPECT_FRACTION * full_well
    saturated = image >= full_well
    for column in np.flatnonzero(saturated.any(axis=0)).tolist():
        _bleed(image[:, column], saturated[:, column], full_well)
    if saturated.any():
        suspect |= binary_dilation(saturated, np.ones((3, 3), dtype=bool), _SUSPECT_BORDER_PIX)
    return saturated, suspect & ~saturated


def _bleed(values: FloatArray, saturated: BoolArray, full_well: float) -> None:
    """Move what does not fit, half up and half down, along a column; both arrays are changed."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], saturated, [False]])))
    for first, stop in changes.reshape(-1, 2).tolist():
        excess = float((values[first:stop] - full_well).sum())
        values[first:stop] = full_well
        for side in (slice(stop, None), slice(first - 1, None, -1) if first else slice(0)):
            room = np.maximum(full_well - values[side], 0.0)
            # Charge that arrives at the column's end is lost.
            moved = np.clip(excess / 2 - (np.cumsum(room) - room), 0.0, room)
            values[side] += moved
            saturated[side] |= moved > 0


def cosmic_rays(rng: np.random.Generator, shape: tuple[int, int]) -> BoolArray:
    """Draw straight tracks in all directions and of many lengths; True on them."""
    hit = np.zeros(shape, dtype=bool)
    for _ in range(rng.poisson(_COSMIC_RAYS_PER_PIXEL * hit.size)):
        length = min(1.0 + rng.exponential(_COSMIC_RAY_LENGTH_PIX), _LONGEST_COSMIC_RAY_PIX)
        angle = rng.uniform(0.0, np.pi)
        start = rng.uniform(-0.5, np.array(shape) - 0.5)
        along = np.arange(0.0, length, 1 / _STEPS_PER_PIXEL)[:, np.newaxis]
        track = np.floor(start + along * [np.sin(angle), np.cos(angle)] + 0.5).astype(np.int64)
        rows, columns = track[((track >= 0) & (track < shape)).all(axis=1)].T
        hit[rows, columns] = True
    return hit


def permanent_defects(plan: SurveyPlan, detector: DetectorPlan) -> tuple[BoolArray, BoolArray]:
    """Return the defects of a detector, which are the same in all visits.

    Returns
    -------
    bad
        Columns, or parts of columns.
    dead
        The corner of an amplifier without data; every other detector has one.
    """
    rng = np.random.default_rng([plan.seed, _STREAM, detector.id])
    height, width = detector.box.shape
    bad, dead = (np.zeros((height, width), dtype=bool) for _ in range(2))
    for _ in range(rng.integers(1, _MAX_BAD_COLUMNS, endpoint=True)):
        column = rng.integers(width)
        # Clocked downwards, all charge from above passes through a trap.
        bad[rng.integers(height) if rng.random() < 0.5 else 0 :, column] = True
    if plan.profile.detectors.index(detector.id) % 2 == 0:
        rows, columns = (int(side * share) for side, share in zip(dead.shape, _DEAD_CORNER_FRACTION, strict=True))
        dead[-rows:, -columns:] = True
    return bad & ~dead, dead


def interpolate(image: npt.NDArray[np.floating], defects: BoolArray) -> None:
    """Replace defects, in place, linearly between the good pixels beside them, or those above and below if nearer.

    Where there is a good pixel on one side only it is repeated; where there is none, nothing changes.
    """
    rows, columns = np.nonzero(defects)
    best = np.full(len(rows), np.inf)
    values = image[rows, columns].astype(np.float64)
    for axis, here in ((1, columns), (0, rows)):
        before, after = (places[rows, columns] for places in _good_neighbours(~defects, axis))
        has_before, has_after = before >= 0, after < image.shape[axis]
        low = np.where(has_before, before, after)
        high = np.where(has_after, after, before)
        found = has_before | has_after
        low, high = np.where(found, low, 0), np.where(found, high, 0)
        at_low, at_high = (
            (image[rows, place] if axis == 1 else image[place, columns]).astype(np.float64)
            for place in (low, high)
        )
        weight = np.clip((here - low) / np.maximum(high - low, 1), 0.0, 1.0)
        # A defect that reaches the border is known from one side: worse than any gap between two.
        gap = np.where(has_before & has_after, high - low, sum(image.shape) + np.abs(here - low))
        better = found & (gap < best)
        values[better] = ((1.0 - weight) * at_low + weight * at_high)[better]
        best[better] = gap[better]
    image[rows, columns] = values


def _good_neighbours(good: BoolArray, axis: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return where along an axis the good pixels before and after each are; -1 and the length if none."""
    n = good.shape[axis]
    index = np.arange(n, dtype=np.int32).reshape((1, n) if axis == 1 else (n, 1))
    before = np.maximum.accumulate(np.where(good, index, np.int32(-1)), axis=axis)
    backwards = np.flip(np.where(good, index, np.int32(n)), axis=axis)
    return before, np.flip(np.minimum.accumulate(backwards, axis=axis), axis=axis)


def border(shape: tuple[int, int]) -> BoolArray:
    """Return the pixels where sources cannot be detected, within `EDGE_WIDTH_PIX` of the border."""
    edge = np.ones(shape, dtype=bool)
    edge[EDGE_WIDTH_PIX:-EDGE_WIDTH_PIX, EDGE_WIDTH_PIX:-EDGE_WIDTH_PIX] = False
    return edge
