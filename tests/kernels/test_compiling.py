"""The machine code that is kept on disk is that of the sources as they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forcedphot import kernels

_CALL = "import numpy as np\nfrom forcedphot.kernels.caller import doubled\nprint(doubled(3.0))\n"

_STATISTICS = """
import hashlib
import numpy as np
from forcedphot.kernels.local_background import local_backgrounds
rng = np.random.default_rng(1)
image = rng.normal(0.0, 10.0, (300, 300)).astype(np.float32)
x, y = rng.uniform(20, 280, (2, 200))
found = local_backgrounds(image, np.zeros((300, 300), np.int32), 0, x, y, 0 * x + 5, 0 * x + 12, 3.0, 3)
print(hashlib.sha256(found.mean.tobytes() + found.sigma.tobytes()).hexdigest())
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Copy what compiles kernels, and add two of them, one of which calls the other."""
    folder = tmp_path / "forcedphot" / "kernels"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    shutil.copy(Path(kernels.__path__[0]) / "compiling.py", folder)
    (folder / "called.py").write_text(
        "from .compiling import kernel\n@kernel\ndef twice(x):\n    return 2.0 * x\n"
    )
    (folder / "caller.py").write_text(
        "from .called import twice\nfrom .compiling import kernel\n@kernel\ndef doubled(x):\n    return twice(x)\n"
    )
    return folder


def run(package: Path, **environment: str) -> float:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _CALL],
        env=clean | {"PYTHONPATH": str(package.parents[1])} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def code(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nbc"))


def test_a_change_in_another_module_is_seen(package: Path) -> None:
    assert run(package) == 6.0
    kept = code(package)
    assert len(kept) == 2
    times = [path.stat().st_mtime_ns for path in kept]
    assert run(package) == 6.0
    assert [path.stat().st_mtime_ns for path in code(package)] == times
    called = package / "called.py"
    called.write_text(called.read_text().replace("2.0", "5.0"))
    assert run(package) == 15.0
    # What belongs to the old sources is gone.
    assert len(code(package)) == 2


def test_kept_code_computes_the_same_bits(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    command = [sys.executable, "-c", _STATISTICS]
    first, second = (
        subprocess.check_output(command, env=environment | {"NUMBA_CACHE_DIR": str(tmp_path)})  # noqa: S603
        for _ in range(2)
    )
    assert len(code(tmp_path)) > 0
    assert first == second


def test_a_chosen_folder(package: Path, tmp_path: Path) -> None:
    assert run(package, NUMBA_CACHE_DIR=str(tmp_path / "chosen")) == 6.0
    assert len(code(tmp_path / "chosen")) == 2
    assert code(package) == []


def test_sources_that_cannot_be_written_beside(package: Path, tmp_path: Path) -> None:
    (package / "__pycache__").touch()  # a file, in which nobody makes a folder
    assert run(package, XDG_CACHE_HOME=str(tmp_path / "home")) == 6.0
    assert len(code(tmp_path / "home" / "forcedphot")) == 2
