"""BatchRun: the sources of one catalog, measured batch by batch, in threads, with or without neighbours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np

from .catalog.source_catalog import SourceCatalog
from .conventions import BoolArray, FloatArray, IntArray
from .errors import ForcedPhotError
from .exposure import Exposure, Wcs
from .neighbours import VIEW_RADIUS, NeighbourReplacement
from .plugins import CentroidPlugin, ForcedPlugin, SourceBatch

BATCH_SIZE = 256
"""Sources measured together: their PSF images should fit in a core's cache. Fixed, so that results
do not depend on the number of threads."""

_log = logging.getLogger("lsst.forcedphot.batches")


class BatchRun:
    """Plugins on the sources of a catalog.

    Parameters
    ----------
    catalog
        What is measured into.
    exposure
        The image.
    reference
        The reference catalog, row for row.
    reference_wcs
        WCS of the reference's positions in pixels.
    n_threads
        Threads to share batches among.
    """

    def __init__(
        self,
        catalog: SourceCatalog,
        exposure: Exposure,
        reference: SourceCatalog,
        reference_wcs: Wcs,
        n_threads: int,
    ) -> None:
        self._catalog = catalog
        self._exposure = exposure
        self._reference = reference
        self._reference_wcs = reference_wcs
        self._n_threads = n_threads
        self._complained: set[str] = set()
        self.x = self.y = np.full(len(catalog), np.nan)

    def locate(self, plugins: Iterable[ForcedPlugin], slot: str, wcs: Wcs) -> None:
        """Fill the columns of all centroids; those of the plugin of the slot become the centres, `x` and `y`."""
        columns = self._catalog.columns
        for plugin in plugins:
            if isinstance(plugin, CentroidPlugin):
                x, y = plugin.locate(self._reference, wcs, self._reference_wcs)
                columns[f"{plugin.name}_x"][:], columns[f"{plugin.name}_y"][:] = x, y
                plugin.flag(self._reference, columns)
                if plugin.name == slot:
                    self.x, self.y = x, y

    def fail(self, plugins: Iterable[ForcedPlugin], rows: IntArray) -> None:
        """Flag sources that are not on the image."""
        batch = self._batch(self._exposure, rows)
        for plugin in plugins:
            plugin.fail(batch.columns, slice(None), np.isfinite(batch.x) & np.isfinite(batch.y))
            plugin.flag_bad_slots(batch)
        self._store(batch, np.ones(len(rows), dtype=bool))

    def measure(
        self,
        plugins: Sequence[ForcedPlugin],
        exposure: Exposure,
        rows: IntArray,
        on_progress: Callable[[int], None] | None = None,
        *,
        view_radius: float = np.inf,
    ) -> IntArray:
        """Measure sources on an image, all of them visible at once.

        Returns
        -------
        The sources that a plugin looked at further than ``view_radius`` (pixels) from their centre; nothing is
        stored for them.
        """
        batches = [rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE)]

        def measure_batch(rows: IntArray) -> IntArray:
            batch = self._batch(exposure, rows)
            self._run_plugins(plugins, batch)
            is_far = np.zeros(len(batch), dtype=bool)
            if np.isfinite(view_radius):
                for plugin in plugins:
                    is_far |= ~(np.asarray(plugin.reach(batch)) <= view_radius)
            self._store(batch, ~is_far)
            return rows[is_far]

        far = []
        with (
            ThreadPoolExecutor(self._n_threads)
            if self._n_threads > 1 and len(batches) > 1
            else nullcontext() as pool
        ):
            for rows, too_far in zip(batches, (pool.map if pool else map)(measure_batch, batches), strict=True):
                far.append(too_far)
                if on_progress is not None:
                    on_progress(len(rows))
        return np.concatenate([*far, rows[:0]])

    def measure_deblended(
        self,
        plugins: Sequence[ForcedPlugin],
        replacement: NeighbourReplacement,
        rows: IntArray,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Measure sources on an image on which each has noise for neighbours."""
        for group in replacement.groups(rows, self.x[rows], self.y[rows]):
            with replacement.inserted(group) as exposure:
                far = self.measure(plugins, exposure, group, on_progress, view_radius=VIEW_RADIUS)
            for row in far:
                alone = np.array([row])
                with replacement.inserted(alone) as exposure:
                    self.measure(plugins, exposure, alone)

    def _batch(self, exposure: Exposure, rows: IntArray) -> SourceBatch:
        return SourceBatch(
            exposure,
            {name: values[rows] for name, values in self._catalog.columns.items()},
            self._catalog.schema,
            self.x[rows],
            self.y[rows],
            reference=self._reference,
            rows=rows,
            reference_wcs=self._reference_wcs,
            footprints=self._catalog.footprints,
            unreplaced_image=self._exposure.image,
        )

    def _store(self, batch: SourceBatch, which: BoolArray) -> None:
        rows = batch.rows
        if not which.all():
            rows = rows[which]
        for name, values in self._catalog.columns.items():
            values[rows] = batch.columns[name] if len(rows) == len(batch) else batch.columns[name][which]

    def _run_plugins(self, plugins: Sequence[ForcedPlugin], batch: SourceBatch) -> None:
        for plugin in plugins:
            try:
                plugin.measure(batch)
            except ForcedPhotError:
                raise  # something is missing from the image or the configuration
            except Exception as error:  # noqa: BLE001
                self._measure_one_by_one(plugin, batch, error)
            plugin.flag_bad_slots(batch)

    def _measure_one_by_one(self, plugin: ForcedPlugin, batch: SourceBatch, error: Exception) -> None:
        """Measure again, each source by itself, so that what raises for one fails for that one only."""
        if plugin.name not in self._complained:
            self._complained.add(plugin.name)
            _log.warning(
                "%s raised %s: %s; the sources that it raises for are flagged",
                plugin.name,
                type(error).__name__,
                error,
                exc_info=error,
            )
        for name in plugin.fields:
            # Whatever it has written before it raised.
            batch.columns[name][:] = self._catalog.columns[name][batch.rows]
        for i in range(len(batch)):
            part = slice(i, i + 1)
            single = self._batch(batch.exposure, batch.rows[part])
            single.columns = {name: values[part] for name, values in batch.columns.items()}
            try:
                plugin.measure(single)
            except ForcedPhotError:
                raise
            except Exception:  # noqa: BLE001
                for name in plugin.fields:
                    single.columns[name][:] = self._catalog.columns[name][single.rows]
                plugin.fail(batch.columns, part, np.zeros(1, dtype=bool))


def spatial_order(x: FloatArray, y: FloatArray, rows: IntArray) -> IntArray:
    """Order sources so that a batch covers a compact part of the image."""
    if len(rows) <= BATCH_SIZE:
        return rows
    area = np.ptp(x[rows]) * np.ptp(y[rows])
    band = np.floor(y[rows] / max(np.sqrt(BATCH_SIZE * area / len(rows)), 1.0))
    return rows[np.lexsort((y[rows], x[rows], band))]
