"""How kernels are compiled, and where the machine code is kept: in one place, so that all agree."""

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

import numba

# Sums may be reordered, so that inner loops vectorise; NaN and infinity keep their meaning.
_REORDERING = {"reassoc", "nsz", "contract", "arcp"}

_FOLDER = Path(__file__).parent


def kernel[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function with numba, keep the machine code on disk, and run it without the GIL.

    Kernels copy slices of arrays in loops: an assignment takes seconds to compile, as numba brings along all that
    writes the message of slices that do not fit.
    """
    # Code that was kept has copies of what it calls, optimised once more. Only if all of it is inlined, the
    # process that compiles computes the same bits as those that find the code.
    options = {"forceinline": True, "fastmath": _REORDERING, "error_model": "numpy"}
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_code_folder(before))
    try:
        compiled = numba.njit(nogil=True, cache=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before
    return cast(Callable[P, R], compiled)


@cache
def _code_folder(chosen: str) -> Path:
    """Return where machine code of these very sources is kept.

    Numba keeps a function's code until the function's own file changes; but that code contains the functions
    of other files that it calls, which an upgrade may have changed.

    Parameters
    ----------
    chosen
        The user's folder (NUMBA_CACHE_DIR); beside the sources if empty, or where they cannot be written,
        in the user's cache.
    """
    sources = hashlib.blake2b(digest_size=8)
    for path in sorted(_FOLDER.glob("*.py")):
        sources.update(path.name.encode() + path.read_bytes())
    name = f"kernels-{sources.hexdigest()}"
    if chosen:
        return Path(chosen) / name
    beside = _FOLDER / "__pycache__"
    try:
        (beside / name).mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forcedphot" / name
    for old in beside.glob("kernels-*"):
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
    return beside / name
