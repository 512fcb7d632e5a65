"""The kernels as plain Python, where an index beyond an array is an error and not another array's value."""

import os
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent

# Perturbations are measured in the compiled kernels' tolerance, numpy's int32 has no number 1 << 31, and to plain
# Python it is nothing how arrays lie in memory.
_SELECTION = "not reported and not 2147483648 and not layouts and not without_compiling"


def test_parity_without_compiling() -> None:
    # Numpy's scalars warn of the infinities and NaN that compiled code passes on.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning"]
    command += ["-k", _SELECTION, "--ignore", str(_FOLDER / "test_compiling.py"), str(_FOLDER)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, cwd=_FOLDER.parents[1], capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
