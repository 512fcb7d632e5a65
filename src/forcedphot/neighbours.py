"""Neighbours: an image on which all sources are replaced by noise, and a few at a time are put back."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from lsst.pex.config import ChoiceField, Config, Field

from .catalog.footprint import FootprintColumn, ShapedFootprints, spans_of
from .conventions import FloatArray, IntArray
from .errors import ConfigurationError, ExposureError
from .exposure import Exposure

VIEW_RADIUS = 100
"""How far from its centre a source is expected to be looked at, pixels. What looks further is measured
once more by itself: the figure matters for speed alone."""

_CLIPPING_SIGMAS = 3.0
_CLIPPING_ITERATIONS = 3

_log = logging.getLogger("lsst.forcedphot.neighbours")


class NoiseReplacerConfig(Config):
    """Configuration of the noise that stands in for neighbours."""

    noiseSource = ChoiceField[str](
        doc="Where the mean and variance of the noise come from",
        allowed={
            "measure": "clipped mean and variance of the whole image",
            "meta": "mean 0, variance is the BGMEAN entry of the metadata; as measured if there is none",
            "variance": "mean 0, variance of each pixel from the variance plane",
            "variance_median": "mean 0, variance is the median of the variance plane",
        },
        default="measure",
    )
    noiseOffset = Field[float](doc="Added to the noise", default=0.0)
    noiseSeedMultiplier = Field[int](
        doc="The seed of the noise is this times the exposure's id, or this if there is no id; 0 for a seed of 1",
        default=1,
    )

    def validate(self) -> None:
        """Refuse seeds that there are not."""
        super().validate()
        if self.noiseSeedMultiplier < 0:
            raise ConfigurationError(f"noiseSeedMultiplier is 0 or more; got {self.noiseSeedMultiplier}.")


class NeighbourReplacement:
    """A copy of an image in which the footprints of all sources are noise.

    A source is put back with its own pixels if its footprint is heavy (those that the deblender gave it);
    else with the image's in its footprint, or in that of its first ancestor that is heavy or has no parent.

    Parameters
    ----------
    config
        What the noise is like.
    exposure
        The image; not changed.
    footprints
        One a source.
    ids, parents
        Id of each source and of its parent, 0 for none; int64, shape (n,).
    exposure_id
        The noise of two exposures with different ids differs; 0 for none.

    Attributes
    ----------
    exposure
        The exposure with the replaced image, in which `inserted` puts sources.
    """

    def __init__(
        self,
        config: NoiseReplacerConfig,
        exposure: Exposure,
        footprints: FootprintColumn,
        ids: IntArray,
        parents: IntArray,
        exposure_id: int = 0,
    ) -> None:
        from .kernels.replacement import mark_spans

        self._original = exposure.image
        heavy = [] if isinstance(footprints, ShapedFootprints) else list(footprints)
        self._heavy_pixels = {
            row: np.asarray(footprint.image, dtype=np.float32)
            for row, footprint in enumerate(heavy)
            if footprint is not None and footprint.is_heavy
        }
        self._owner = _owners(ids, parents, np.array(list(self._heavy_pixels), dtype=np.int64))
        self._spans = spans_of(footprints).shifted(-exposure.x0, -exposure.y0)
        covered = np.zeros(exposure.image.shape, dtype=bool)
        replaced = self._spans.take(np.unique(self._owner))
        mark_spans(covered, replaced.y, replaced.x0, replaced.x1)
        seed = config.noiseSeedMultiplier * (exposure_id or 1) or 1
        self._image = exposure.image.copy()
        self._image[covered] = _noise(config, exposure, covered, np.random.default_rng(abs(seed)))
        self.exposure = dataclasses.replace(exposure, image=self._image)

    def groups(self, rows: IntArray, x: FloatArray, y: FloatArray) -> Iterator[IntArray]:
        """Divide sources into groups that can be put back together.

        Parameters
        ----------
        rows
            The sources.
        x, y
            Their centres in the image's pixel frame.

        Yields
        ------
        Some of the rows, in the order given: no one's pixels are within `VIEW_RADIUS` of another's centre.
        """
        from .kernels.replacement import assign_groups

        inked = self._spans.take(self._owner[rows]).boxes()
        centre = np.stack([x - self.exposure.x0, y - self.exposure.y0], axis=1)
        near = np.concatenate([np.floor(centre - VIEW_RADIUS), np.ceil(centre + VIEW_RADIUS)], axis=1).astype(
            np.int64
        )
        is_empty = inked[:, 2] < inked[:, 0]
        inked[is_empty] = near[is_empty]
        seen = np.concatenate(
            [np.minimum(near[:, :2], inked[:, :2]), np.maximum(near[:, 2:], inked[:, 2:])], axis=1
        )
        group = assign_groups(seen, inked, self._image.shape)
        order = np.argsort(group, kind="stable")
        yield from (rows[part] for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1))

    @contextmanager
    def inserted(self, rows: IntArray) -> Iterator[Exposure]:
        """Put sources back into the image while the block runs; not to be used by several threads."""
        from .kernels.replacement import swap_pixels, take_pixels

        owners = np.unique(self._owner[rows])
        spans = self._spans.take(owners)
        values = []
        for i, owner in enumerate(owners.tolist()):
            part = slice(spans.first[i], spans.first[i + 1])
            pixels = self._heavy_pixels.get(owner)
            values.append(
                take_pixels(self._original, spans.y[part], spans.x0[part], spans.x1[part])
                if pixels is None
                else pixels
            )
        saved = np.concatenate([np.zeros(0, dtype=np.float32), *values])
        swap_pixels(self._image, spans.y, spans.x0, spans.x1, saved, forwards=True)
        try:
            yield self.exposure
        finally:
            swap_pixels(self._image, spans.y, spans.x0, spans.x1, saved, forwards=False)


def _owners(ids: IntArray, parents: IntArray, heavy: IntArray) -> IntArray:
    """Return the row of the source whose pixels are put back for each source."""
    row_of = {source: row for row, source in enumerate(ids.tolist())}
    is_heavy = np.zeros(len(ids), dtype=bool)
    is_heavy[heavy] = True
    owner = np.arange(len(ids))
    n_orphans = 0
    for row in np.flatnonzero((parents != 0) & ~is_heavy).tolist():
        ancestor, visited = row, {row}
        while parents[ancestor] != 0 and not is_heavy[ancestor]:
            found = row_of.get(int(parents[ancestor]), ancestor)
            if found in visited:
                n_orphans += 1
                break
            visited.add(found)
            ancestor = found
        owner[row] = ancestor
    if n_orphans:
        _log.warning(
            "%d sources have a parent that is not in the catalog; they are measured without it", n_orphans
        )
    return owner


def _noise(
    config: NoiseReplacerConfig, exposure: Exposure, covered: npt.NDArray[np.bool_], rng: np.random.Generator
) -> FloatArray:
    """Draw the noise of the covered pixels, in the order of the image's rows."""
    from .kernels.clipping import clipped_mean_and_sigma

    source, mean, variance = config.noiseSource, 0.0, exposure.variance
    background = exposure.metadata.get("BGMEAN") if source == "meta" else None
    sigma: Any
    if source.startswith("variance"):
        if variance is None:
            raise ExposureError(
                f"The exposure ({exposure.identity}) has no variance plane, which noiseReplacer.noiseSource = "
                f"{source!r} needs; set it to 'measure'."
            )
        sigma = np.sqrt(np.maximum(variance[covered] if source == "variance" else np.nanmedian(variance), 0.0))
    elif isinstance(background, int | float) and background >= 0:
        sigma = np.sqrt(background)
    else:
        statistics = clipped_mean_and_sigma(exposure.image, _CLIPPING_SIGMAS, _CLIPPING_ITERATIONS)
        mean, sigma = np.nan_to_num(statistics)  # where no pixel, or a single one, is left
    noise: FloatArray = mean + config.noiseOffset + sigma * rng.standard_normal(int(covered.sum()))
    return noise
