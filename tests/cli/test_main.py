"""The command line as a whole."""

import subprocess
import sys
from collections.abc import Callable

from click.testing import Result

import forcedphot
from forcedphot.cli import main


def test_help_lists_the_commands(run: Callable[..., Result]) -> None:
    text = run("--help").output
    for name in ("demo", "inspect", "measure"):
        assert f"  {name} " in text
        command = main.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert command.name == name
        assert "-h, --help" in run(name, "-h").output


def test_version(run: Callable[..., Result]) -> None:
    assert forcedphot.__version__ in run("--version").output


def test_unknown_command(run: Callable[..., Result]) -> None:
    assert "No such command 'mesure'" in run("mesure", exit_code=2).stderr


def test_help_imports_nothing_that_takes_time() -> None:
    code = (
        "import sys; from forcedphot.cli import main; main(['--help'], standalone_mode=False); "
        "print({'numpy', 'astropy', 'numba', 'lsst', 'rich'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert result.stdout.splitlines()[-1] == "set()"
