"""The command line as a whole."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import forcedphot
from forcedphot import ForcedMeasurementDriverConfig
from forcedphot.cli import EXIT_CODES, main
from forcedphot.cli.command import Command
from forcedphot.cli.overrides import apply_assignments

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLE = re.compile(r"^(?: {4}| {2}|Example: )?forcedphot ((?:.*\\\n)*.*)$", re.MULTILINE)


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


def commands() -> Iterator[click.Command]:
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        yield command


def examples() -> Iterator[tuple[str, str]]:
    """Yield what help texts and documents tell to type after forcedphot, and where."""
    for command in commands():
        found = _EXAMPLE.findall(command.epilog or "")
        assert found or command.name in ("demo", "kernel"), command.name
        for text in found:
            yield f"forcedphot {command.name} --help", text
    for page in (_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"^```sh\n(.*?)^```$|((?:^ {4}\S.*\n)+)", page.read_text("utf-8"), re.M | re.S):
            for text in _EXAMPLE.findall("".join(block)):
                yield page.name, text


def test_examples_are_what_the_commands_understand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("tokens.txt", "surveys/dp1/butler.yaml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    n_examples = 0
    for where, text in examples():
        name, *arguments = shlex.split(text.replace("\\\n", " "), comments=True)
        if "--help" in arguments or "$" in text:
            continue
        command = main.get_command(click.Context(main), name)
        assert command is not None, f"{where}: forcedphot {text}"
        try:
            parsed = command.make_context(name, arguments).params
            if name == "measure":
                apply_assignments(ForcedMeasurementDriverConfig(), parsed["assignments"])
        except click.ClickException as error:
            pytest.fail(f"{where}: forcedphot {text}: {error.message}")
        n_examples += 1
    assert n_examples > 50


def test_exit_codes_are_told(run: Callable[..., Result]) -> None:
    files = (_ROOT / "src" / "forcedphot").rglob("*.py")
    codes = [
        code for file in files for code in re.findall(r"^    exit_code = (\d+)", file.read_text("utf-8"), re.M)
    ]
    assert len(set(codes)) == len(codes)
    assert {0, *map(int, codes)} == set(EXIT_CODES)
    text = " ".join(run("--help").stdout.split())
    for code, meaning in EXIT_CODES.items():
        assert f" {code} {meaning}" in text


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (PermissionError(13, "Permission denied", "sky.fits"), 1, "Permission denied: 'sky.fits'"),
        (OSError(5, "Input/output error"), 1, "Input/output error"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
    ],
)
def test_errors_of_the_system_are_one_line(error: OSError, exit_code: int, message: str) -> None:
    def fail() -> None:
        raise error

    result = CliRunner().invoke(Command("fail", callback=fail))
    assert result.exit_code == exit_code
    assert isinstance(result.exception, SystemExit)
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == bool(message)
