"""Opt-in: ``import forcedphot.lsst_names`` lets scripts and notebooks run that were written for the stack.

Afterwards ``from lsst.pipe.tasks.measurementDriver import ForcedMeasurementDriverTask`` and the like import
ours: `stack.names.MODULES` has the table. A package that is really installed is always taken before; and where
this import is not made, nothing changes. What the Butler needs for repositories of the stack is done as well: it
imports `forcedphot.butler`.

``python -m forcedphot.lsst_names script.py`` runs a script so, and ``%load_ext forcedphot.lsst_names`` does it in
IPython.
"""

from .. import butler as butler
from ..stack.finder import install

install()


def load_ipython_extension(shell: object) -> None:
    """Let ``%load_ext forcedphot.lsst_names`` do nothing more than the import."""
    del shell
