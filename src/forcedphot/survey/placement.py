"""Where sources are put: evenly over all that is observed, some side by side, one far from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..conventions import Box, FloatArray, IntArray
from .plan import PIXEL_SCALE_ARCSEC, SurveyPlan

_MARGIN_PIX = 40
_PAIR_SEPARATION_ARCSEC = (0.7, 2.5)
_N_CANDIDATES = 128


@dataclass(frozen=True, slots=True)
class Layout:
    """The part of the sky that has sources, in the tract's pixel frame.

    Parameters
    ----------
    field
        The patches with data.
    area
        All that detectors see, and some more for the light that comes from beyond it; the field is a part of it.
    """

    field: Box
    area: Box

    @classmethod
    def of(cls, plan: SurveyPlan) -> Layout:
        """Return the layout of a survey."""
        field = plan.field_box
        corners = []
        for visit in plan.visits:
            for detector in visit.detectors:
                box = detector.box
                x = np.array([box.x0, box.x0, box.x_stop, box.x_stop]) - 0.5
                y = np.array([box.y0, box.y_stop, box.y0, box.y_stop]) - 0.5
                corners.append(detector.wcs.all_pix2world(np.stack([x, y], axis=1), 0))
        pixels = plan.tract_wcs.wcs_world2pix(np.concatenate(corners), 0)
        low = np.floor(np.minimum(pixels.min(axis=0), (field.x0, field.y0))).astype(int) - _MARGIN_PIX
        high = np.ceil(np.maximum(pixels.max(axis=0), (field.x_stop, field.y_stop))).astype(int) + _MARGIN_PIX
        width, height = (high - low).tolist()
        return cls(field, Box(int(low[0]), int(low[1]), width, height))

    def n_outside(self, n_inside: int) -> int:
        """Return how many sources are as dense outside of the field as a number of them is inside."""
        inside = self.field.width * self.field.height
        return round(n_inside * (self.area.width * self.area.height / inside - 1))

    def scatter(self, rng: np.random.Generator, n_inside: int) -> FloatArray:
        """Draw x, y, pixels: ``n_inside`` positions in the field, then others, as densely, outside of it.

        Returns
        -------
        Shape (2, n).
        """
        field, area = self.field, self.area
        strips = (
            Box(area.x0, area.y0, field.x0 - area.x0, area.height),
            Box(field.x_stop, area.y0, area.x_stop - field.x_stop, area.height),
            Box(field.x0, area.y0, field.width, field.y0 - area.y0),
            Box(field.x0, field.y_stop, field.width, area.y_stop - field.y_stop),
        )
        bounds = np.array([[box.x0, box.y0, box.width, box.height] for box in (field, *strips)], dtype=np.float64)
        size = bounds[1:, 2] * bounds[1:, 3]
        strip = rng.choice(4, self.n_outside(n_inside), p=size / size.sum())
        where = bounds[np.concatenate([np.zeros(n_inside, dtype=np.int64), strip + 1])].T
        # The first pixel begins half a pixel before its centre.
        result: FloatArray = where[:2] + where[2:] * rng.random((2, where.shape[1])) - 0.5
        return result

    def in_field(self, positions: FloatArray) -> IntArray:
        """Return the rows of positions, shape (2, n), that lie in the field."""
        return np.flatnonzero(self.field.contains(*positions))

    def beside(self, rng: np.random.Generator, positions: FloatArray) -> FloatArray:
        """Draw a position beside each of some in the field, so close that they blend, in the field too."""
        n = positions.shape[1]
        distance = rng.uniform(*_PAIR_SEPARATION_ARCSEC, n) / PIXEL_SCALE_ARCSEC
        angle = rng.uniform(0.0, 2 * np.pi, n)
        offset = distance * np.stack([np.cos(angle), np.sin(angle)])
        low = np.array([[self.field.x0], [self.field.y0]]) - 0.5
        high = np.array([[self.field.x_stop], [self.field.y_stop]]) - 0.5
        moved = positions + offset
        result: FloatArray = np.where((moved < low) | (moved >= high), positions - offset, moved)
        return result

    def lonely(self, rng: np.random.Generator, others: FloatArray) -> FloatArray:
        """Draw a position far from others, and from the field's edges and middle, where detectors have theirs.

        Returns
        -------
        Shape (2, 1).
        """
        field = np.array([[self.field.x0, self.field.y0], [self.field.width, self.field.height]], dtype=np.float64)
        candidates = field[0][:, None] + field[1][:, None] * rng.uniform(0.15, 0.4, (2, _N_CANDIDATES))
        distance = np.hypot(*(candidates[:, :, None] - others[:, None, :])).min(axis=1)
        loneliest: FloatArray = candidates[:, [distance.argmax()]]
        return loneliest

    def crossing(self) -> FloatArray:
        """Return where a path across the field begins and ends, shape (2, 2): x and y, at both ends."""
        field = self.field
        return np.array(
            [
                [field.x0 + 0.08 * field.width, field.x0 + 0.92 * field.width],
                [field.y0 + 0.3 * field.height, field.y0 + 0.7 * field.height],
            ]
        )
