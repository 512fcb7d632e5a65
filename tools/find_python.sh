#!/bin/sh
# Print the path of a Python that can build the environment: CPython 3.12 or newer with venv and pip.
#
# $PYTHON, if set, is the only candidate. Otherwise: by version on PATH, from uv, from pyenv; 3.14 comes
# after 3.13 and 3.12 because some dependencies have no wheels for it yet. A name on PATH proves nothing
# (pyenv's shims stand there for versions that are not active), so each candidate is run.

probe='
import ensurepip, sys, sysconfig, venv
assert sys.implementation.name == "cpython" and sys.version_info >= (3, 12)
assert not sysconfig.get_config_var("Py_GIL_DISABLED")
print(sys.executable)
'

run_probe() {
    "$1" -I -c "$probe" 2>/dev/null
}

# The same name may stand in several folders of PATH, and only a later one work.
on_path() (
    IFS=:
    set -f
    for folder in $PATH; do
        if [ -f "$folder/$1" ] && [ -x "$folder/$1" ]; then
            printf '%s\n' "$folder/$1"
        fi
    done
)

from_uv() {
    if command -v uv >/dev/null 2>&1; then
        uv python find --system "$1" 2>/dev/null
    fi
}

from_pyenv() {
    for python in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/$1*/bin/python; do
        if [ -x "$python" ]; then
            printf '%s\n' "$python"
        fi
    done
}

candidates() {
    for version in 3.13 3.12 3.14; do
        on_path "python$version"
        from_uv "$version"
        from_pyenv "$version"
    done
    on_path python3
    on_path python
    from_uv '>=3.12'
    from_pyenv '3.1[5-9]'
}

if [ -n "${PYTHON:-}" ]; then
    run_probe "$PYTHON" && exit 0
    echo "PYTHON=$PYTHON is not a CPython 3.12 or newer with venv and pip." >&2
    exit 1
fi

candidates | {
    while IFS= read -r candidate; do
        run_probe "$candidate" && exit 0
    done
    echo "No Python 3.12 or newer with venv and pip was found. Install one, for example:
  Debian, Ubuntu   sudo apt install python3.12-venv
  macOS            brew install python@3.13
  with uv          uv python install 3.13
  with pyenv       pyenv install 3.13
  with conda       conda create -n py313 python=3.13, then conda activate py313
or name one that is elsewhere: make PYTHON=/path/to/python3.13 demo" >&2
    exit 1
}
