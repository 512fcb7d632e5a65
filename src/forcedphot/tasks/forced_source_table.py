"""ForcedSourceTableTask: what was measured on all visits, sorted into tables of patches."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Column
from lsst.pex.config import ChoiceField, ListField
from lsst.pipe.base import NoWorkFound, PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from ..errors import ConfigurationError
from ..id_generator import IdGenerator, SkyMapIdGeneratorConfig
from .datasets import reading
from .forced_sources import build_forced_table
from .logged_task import LoggedTask

if TYPE_CHECKING:
    from astropy.table import Table

_PATCH = ("skymap", "tract", "patch")


class ForcedSourceTableConnections(PipelineTaskConnections, dimensions=_PATCH):  # type: ignore[call-arg]
    """What `ForcedSourceTableTask` reads and writes."""

    visitTables = Input(
        doc="Measurements on the images that overlap with the patch",
        name="object_forced_source_visit_detector",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
        # Where forcedPhotVisit is told to make none, there is no work; else there would be no graph.
        deferGraphConstraint=True,
    )
    forcedSourceTable = Output(
        doc="Those of the patch's objects, with the columns of Rubin's schemas",
        name="object_forced_source",
        storageClass="ArrowAstropy",
        dimensions=_PATCH,
    )


class ForcedSourceTableConfig(PipelineTaskConfig, pipelineConnections=ForcedSourceTableConnections):  # type: ignore[call-arg]
    """Configuration of `ForcedSourceTableTask`."""

    release = ChoiceField[str](
        doc="Whose columns the table has",
        allowed={"dp1": "those of Data Preview 1", "dp02": "those of Data Preview 0.2"},
        default="dp1",
    )
    table = ChoiceField[str](
        doc="Which table of the schema it is",
        allowed={"ForcedSource": "of objects", "ForcedSourceOnDiaObject": "of DIA objects"},
        default="ForcedSource",
    )
    extraColumns = ListField[str](
        doc="Columns of the visits' tables to keep after the release's, such as base_CircularApertureFlux_*",
        default=[],
    )
    id_generator = SkyMapIdGeneratorConfig.make_field(doc="How the ids of DP0.2's rows are made")


class ForcedSourceTableTask(LoggedTask):
    """Collects the forced sources of a patch's objects, or DIA objects, by visit and detector."""

    ConfigClass = ForcedSourceTableConfig
    _DefaultName = "forcedSourceTable"

    config: Any

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the rows of the patch, one table after the other, and write them as one.

        Raises
        ------
        FileFormatError
            If a table cannot be read; the message names the dataset.
        NoWorkFound
            If there are none.
        """
        data_id = butlerQC.quantum.dataId
        # Whatever the order in which the graph lists them, the table is the same.
        refs = sorted(inputRefs.visitTables, key=lambda ref: (ref.dataId["visit"], ref.dataId["detector"]))
        parts = []
        for ref in refs:
            with reading(ref):
                table = butlerQC.get(ref).get()
                parts.append(_of_patch(table, data_id["tract"], data_id["patch"]))
        ids = self.config.id_generator.apply(data_id)
        butlerQC.put(self.run(parts, skymap=data_id["skymap"], ids=ids), outputRefs)

    def run(self, visitTables: Sequence[Table], *, skymap: str, ids: IdGenerator) -> Struct:
        """Stack the measurements of a patch's objects.

        Parameters
        ----------
        visitTables
            What `ForcedPhotVisitTask` measured of them on each image.
        skymap
            Its name.
        ids
            Makes the ids of DP0.2's rows.

        Returns
        -------
        A Struct with the table as ``forcedSourceTable``.

        Raises
        ------
        NoWorkFound
            If there are no measurements.
        ConfigurationError
            If there is none of the extra columns.
        """
        filled = [table for table in visitTables if len(table)]
        if not filled:
            raise NoWorkFound("No object of the patch is on an image.")
        parts = [{name: np.asarray(table[name]) for name in table.colnames} for table in filled]
        table = build_forced_table(self.config.release, self.config.table, parts, skymap=skymap, ids=ids)
        for name in self._extra_columns(filled[0]):
            if name not in table.colnames:
                described = filled[0][name].info
                table[name] = Column(
                    np.concatenate([part[name] for part in parts]),
                    unit=described.unit,
                    description=described.description,
                )
        self.log.info("Collected %d rows of %d images", len(table), len(parts))
        return Struct(forcedSourceTable=table)

    def _extra_columns(self, table: Table) -> list[str]:
        for pattern in self.config.extraColumns:
            if not fnmatch.filter(table.colnames, pattern):
                raise ConfigurationError(
                    f"extraColumns has {pattern!r}, but no column of the visits' tables is called so; "
                    "they have the columns of the plugins that forcedPhotVisit runs."
                )
        return [
            name
            for name in table.colnames
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.config.extraColumns)
        ]


def _of_patch(table: Table, tract: int, patch: int) -> Table:
    return table[(np.asarray(table["tract"]) == tract) & (np.asarray(table["patch"]) == patch)]
