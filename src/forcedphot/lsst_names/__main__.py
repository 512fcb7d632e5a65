"""``python -m forcedphot.lsst_names SCRIPT [ARGUMENTS]``, or ``-m MODULE``: run it with the stack's names."""

import runpy
import sys
from pathlib import Path

_USAGE = "Usage: python -m forcedphot.lsst_names SCRIPT.py [ARGUMENTS], or ... -m MODULE [ARGUMENTS]"

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if not arguments or (arguments[0] == "-m" and len(arguments) == 1):
        sys.exit(_USAGE)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        if not Path(arguments[0]).exists():
            sys.exit(f"There is no script {arguments[0]}. {_USAGE}")
        sys.path[0] = str(Path(arguments[0]).resolve().parent)  # as Python does with a script
        runpy.run_path(arguments[0], run_name="__main__")
