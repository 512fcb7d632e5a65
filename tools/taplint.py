"""Check the TAP service with stilts taplint: taplint.py REPORT [REPOSITORY].

Serves the repository, or a simulated one, on a free port of this machine, and writes taplint's report.
Exits with 1 if the report has errors.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PROGRAM = [sys.executable, "-c", "from forcedphot.cli import main; main()"]
_STAGES = "-LOC"
"""All but that of ObsLocTAP, which is about observations to come."""


def main(arguments: Sequence[str]) -> int:
    """Do it; return the exit status."""
    report = Path(arguments[0])
    stilts = shutil.which("stilts")
    if stilts is None:
        sys.stderr.write(
            "taplint is part of stilts, which is not installed: apt install stilts, or see its web page\n"
        )
        return 2
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(arguments[1]) if len(arguments) > 1 else Path(folder) / "dp1"
        if not repository.exists():
            index = ["--index", str(Path(folder) / "repositories.yaml")]
            simulate = [*_PROGRAM, "simulate", str(repository), "--size", "tiny", "--quiet", *index]
            subprocess.run(simulate, check=True)  # noqa: S603 - our own command
        text = _lint(stilts, repository, Path(folder) / "data")
    report.write_text(text, encoding="utf-8")
    errors = [line for line in text.splitlines() if line.startswith("E-")]
    totals = text.rstrip().rpartition("\n")[2]
    sys.stdout.write("".join(f"{line}\n" for line in [*errors, totals, f"The report is in {report}."]))
    return int(bool(errors) or not totals.startswith("Totals:"))


def _lint(stilts: str, repository: Path, data: Path) -> str:
    """Serve a repository while taplint asks; return what it reports."""
    serve = [*_PROGRAM, "serve", str(repository), "--port", "0", "--data", str(data), "--until-stdin-ends"]
    service = subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    try:
        urls = (re.search(r"http://127\.0\.0\.1:\d+/tap", line) for line in service.stdout or ())
        url = next((found[0] for found in urls if found), None)
        if url is None:
            return "The service did not start.\n"
        lint = [stilts, "taplint", f"tapurl={url}", f"stages={_STAGES}"]
        done = subprocess.run(lint, capture_output=True, text=True, check=False)  # noqa: S603 - found above
        return re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8080", done.stdout + done.stderr)
    finally:
        service.communicate(timeout=60)  # at the end of its standard input it stops


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
