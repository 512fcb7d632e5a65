"""A finder at the end of the import path: modules of the stack that nobody else has, with our objects in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import StackModuleError, StackNameError
from .names import INSTEAD, MODULES, SHARED

_COMPARISON = "docs/compared_with_the_stack.md has the whole comparison"


def install() -> None:
    """Put the finder at the end of the import path; once is enough."""
    if not any(isinstance(finder, StackFinder) for finder in sys.meta_path):
        sys.meta_path.append(StackFinder())


class StackFinder(MetaPathFinder):
    """Finds what all finders before it did not: what is installed stays what it is."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Describe a module of the table; nothing where the stack has its place.

        Raises
        ------
        StackModuleError
            If it is one of the stack that does not exist here, and what does is known.
        """
        del path, target
        parent = fullname.rpartition(".")[0]
        if not parent or not f"{parent}.".startswith("lsst."):
            return None
        if parent in SHARED:
            installed = _installed_later(fullname)
            if installed is not None:
                return installed
        elif not _is_ours(parent):
            return None
        if fullname in MODULES:
            is_package = any(name.startswith(f"{fullname}.") for name in MODULES)
            return ModuleSpec(fullname, _StackLoader(), is_package=is_package)
        if _instead(fullname) or _is_ours(parent):
            # Without its name: the import system would take "from lsst import geom" for a missing attribute.
            raise StackModuleError(_explain(fullname, f"There is no module {fullname} here"))
        return None


class _StackLoader(Loader):
    """Makes modules whose objects are imported when they are first asked for."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module that is still empty."""
        name = module.__name__
        places = MODULES[name]

        def get(attribute: str) -> Any:
            if attribute in places:
                return getattr(import_module(places[attribute]), attribute)
            if attribute.startswith("_"):  # for those who look whether a module has something
                raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
            missing = f"{name}.{attribute}"
            raise StackNameError(_explain(missing, f"There is no {attribute} in {name} here"), name=name)

        module.__doc__ = f"Names of the stack's {name} for objects of forcedphot: {_contents(name)}."
        vars(module).update(
            __getattr__=get,
            __all__=sorted(places),
            __dir__=lambda: sorted({*vars(module), *places}),
        )


def _installed_later(fullname: str) -> ModuleSpec | None:
    """Look for a part of a shared package in folders that came to the import path after the package was loaded."""
    parts = fullname.split(".")[:-1]
    folders = [str(Path(entry or os.getcwd(), *parts)) for entry in sys.path]  # noqa: PTH109 - as Python does
    spec = PathFinder.find_spec(fullname, folders)
    return None if spec is None or spec.loader is None else spec


def _is_ours(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return isinstance(getattr(spec, "loader", None), _StackLoader)


def _instead(name: str) -> str:
    """Return what takes the place of something, or of what it is in."""
    while name:
        if name in INSTEAD:
            return INSTEAD[name]
        name = name.rpartition(".")[0]
    return ""


def _contents(module: str) -> str:
    """Name what is in a module, and which modules are in a package."""
    inside = [name for name in MODULES if name.rpartition(".")[0] == module]
    return ", ".join([*sorted(MODULES[module]), *inside]) or "nothing"


def _explain(name: str, beginning: str) -> str:
    parent = name.rpartition(".")[0]
    while parent and parent not in MODULES:
        parent = parent.rpartition(".")[0]
    reason = _instead(name) or "forcedphot is forced photometry, not the whole stack"
    there = f" What {parent} has here: {_contents(parent)}." if parent else ""
    return f"{beginning}: {reason}.{there} {_COMPARISON}."
