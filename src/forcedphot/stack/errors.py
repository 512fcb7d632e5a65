"""Errors of names of the stack that have nothing behind them here: each says what has."""

from __future__ import annotations

from ..errors import ForcedPhotError


class StackNameError(ForcedPhotError, ImportError):
    """An object of the stack that does not exist here."""

    exit_code = 30


class StackModuleError(StackNameError, ModuleNotFoundError):
    """A module of the stack that does not exist here."""
