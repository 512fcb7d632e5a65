"""How kernels are compiled: in one place, so that all agree."""

from collections.abc import Callable
from typing import cast

from numba import njit

# Sums may be reordered, so that inner loops vectorise; NaN and infinity keep their meaning.
_REORDERING = {"reassoc", "nsz", "contract", "arcp"}


def kernel[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function with numba, keep the machine code on disk, and run it without the GIL."""
    return cast(Callable[P, R], njit(nogil=True, cache=True, fastmath=_REORDERING, error_model="numpy")(function))
