"""Lets the Butler find our formatters and types under the pipelines' names, where no stack is installed.

Both ways are the Python's and the Butler's own, so that child processes inherit them through the environment:
a folder at the end of the import path, and one of configuration files at the end of the Butler's.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

_LOG = logging.getLogger(__name__)

_HERE = Path(__file__).resolve().parent
_STAND_IN = _HERE / "stand_in"
_FOLDERS = {"PYTHONPATH": _STAND_IN, "DAF_BUTLER_CONFIG_PATH": _HERE / "configs"}
_STACK = ("lsst.afw", "lsst.obs.base")
_SHARED_PACKAGES = ("lsst", "lsst.obs")


def install() -> dict[str, str]:
    """Make our formatters and types known under the pipelines' names, here and in child processes.

    Storage classes that were registered by code, not configured, are forgotten if the Butler is already loaded.

    Returns
    -------
    The environment variables that a process needs for it, as they are now set here; none, and nothing is changed,
    where the stack is installed.
    """
    if _stack_is_installed():
        _LOG.info("The LSST stack is installed: its own formatters are used.")
        return {}
    is_new = _append("DAF_BUTLER_CONFIG_PATH")
    _append("PYTHONPATH")
    _extend_import_path()
    if is_new and "lsst.daf.butler" in sys.modules:
        from lsst.daf.butler import StorageClassFactory

        StorageClassFactory().reset()
    return {variable: os.environ[variable] for variable in _FOLDERS}


def _stack_is_installed() -> bool:
    for name in _STACK:
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:  # not even the package that it would be in
            continue
        # Our own portion of a namespace has no file.
        if spec is not None and spec.origin is not None:
            return True
    return False


def _append(variable: str) -> bool:
    """Append a folder to the paths in an environment variable; tell whether it was missing."""
    folders = [folder for folder in os.environ.get(variable, "").split(os.pathsep) if folder]
    if str(_FOLDERS[variable]) in folders:
        return False
    os.environ[variable] = os.pathsep.join([*folders, str(_FOLDERS[variable])])
    return True


def _extend_import_path() -> None:
    if str(_STAND_IN) not in sys.path:
        sys.path.append(str(_STAND_IN))
    for name in _SHARED_PACKAGES:
        # Packages that are already imported have looked at the import path for the last time.
        path = getattr(sys.modules.get(name), "__path__", None)
        portion = str(_STAND_IN.joinpath(*name.split(".")))
        if isinstance(path, list) and portion not in path:
            path.append(portion)
    invalidate_caches()
