"""The stack's names, for a while."""

import sys
from collections.abc import Iterator

import pytest

from forcedphot.stack.finder import StackFinder, install
from forcedphot.stack.names import MODULES


@pytest.fixture
def stack_names(forgotten_stack_names: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do what ``import forcedphot.lsst_names`` does, and undo it."""
    import forcedphot.butler  # noqa: F401 - which the import does too

    monkeypatch.setattr(sys, "path", list(sys.path))
    before = {name: module for name, module in sys.modules.items() if name in MODULES}
    found_before = list(sys.meta_path)
    install()
    yield
    # Others may have put finders there meanwhile, which have to stay.
    sys.meta_path[:] = [
        finder for finder in sys.meta_path if finder in found_before or not isinstance(finder, StackFinder)
    ]
    for name in sorted(set(MODULES) - set(before), reverse=True):
        if sys.modules.pop(name, None) is not None:
            parent, _, attribute = name.rpartition(".")
            vars(sys.modules[parent]).pop(attribute, None)


@pytest.fixture
def no_stack_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no finder, even if the package was imported before."""
    finders = [finder for finder in sys.meta_path if not isinstance(finder, StackFinder)]
    monkeypatch.setattr(sys, "meta_path", finders)
