"""forcedphot run: forced photometry of a survey in a Butler repository, without YAML."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .command import Command, say

_WHAT = ("visits", "coadds", "all")


@click.command(
    "run",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot run surveys/dp1 --what visits --dry-run\n"
    '  forcedphot run surveys/dp1 --what visits --where "visit.day_obs = 20241108" -j 2\n'
    "  forcedphot run surveys/dp1 --what visits -c forcedPhotVisit:doDiaObjects=false\n"
    "  forcedphot run surveys/dp1 --what visits --skip-existing",
)
@click.argument("repository")
@click.option(
    "--what",
    type=click.Choice(_WHAT),
    default="all",
    show_default=True,
    help="What to measure on: visit and difference images, coadds, or all of them.",
)
@click.option("-d", "--where", default="", metavar="EXPRESSION", help="What of it.  [default: all]")
@click.option(
    "-j", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="How many quanta at once."
)
@click.option(
    "-o", "--output", metavar="COLLECTION", help="Where results go.  [default: u/$USER/forced-visits and the like]"
)
@click.option(
    "-i",
    "--input",
    "inputs",
    metavar="COLLECTIONS",
    default="",
    help="What is read; separated by commas.  [default: the survey's]",
)
@click.option(
    "--profile", metavar="NAME", help="Whose names it has: dp1, dp02 or hsc.  [default: the repository tells]"
)
@click.option(
    "-c",
    "--config",
    "assignments",
    multiple=True,
    metavar="LABEL:KEY=VALUE",
    help="Change the configuration of a task; the value as in YAML.",
)
@click.option(
    "-C",
    "--config-file",
    "files",
    multiple=True,
    metavar="LABEL:FILE",
    help="The same from a YAML or TOML file.",
)
@click.option("--skip-existing", is_flag=True, help="Do only what no run in the output collection has done.")
@click.option("--extend-run", is_flag=True, help="Go on in the last run, instead of a new one.")
@click.option("--clobber", is_flag=True, help="With --extend-run: remove what failed quanta have left.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; with --verbose, for each data ID.")
def command(
    repository: str,
    what: Any,
    where: str,
    processes: int,
    output: str | None,
    inputs: str,
    profile: str | None,
    assignments: tuple[str, ...],
    files: tuple[str, ...],
    skip_existing: bool,
    extend_run: bool,
    clobber: bool,
    dry_run: bool,
) -> None:
    """Measure forced photometry of a survey in REPOSITORY, a path or label.

    The quanta are those of pipetask run with the survey's pipeline, and so are their outputs. What fails stops
    only what depends on it; the exit code is then 13, and the same command with --skip-existing does the rest.
    """
    from ..io.formatters.stack_names import install

    install()  # before the Butler is loaded: the repository may be one that the stack has written

    from ..errors import QuantaFailedError
    from ..tasks import build_forced_graph, run_forced_graph

    graph = build_forced_graph(
        repository,
        what,
        where,
        inputs=[name.strip() for name in inputs.split(",") if name.strip()],
        output=output,
        profile=profile,
        configure=lambda configs: _configure(configs, files, assignments),
        skip_existing=skip_existing,
        extend_run=extend_run,
        clobber=clobber,
    )
    if not graph:
        say(f"All is done already in {', '.join(graph.skip_existing_in)}.")
        return
    if dry_run:
        _show(graph)
        return
    quiet = click.get_current_context().obj["quiet"]
    run = run_forced_graph(graph, n_processes=processes, progress=not quiet)
    done = f"{graph.run}: {run.n_done} of {len(graph)} quanta are done, {run.n_without_work} of them without work"
    if not run.failed:
        say(f"{done}.")
        return
    for quantum in run.failed:
        click.echo(f"failed: {' '.join(str(quantum).split())}", err=True)
    raise QuantaFailedError(
        f"{done}; {len(run.failed)} failed, and {run.n_blocked} that need them were not begun. "
        "The same command with --skip-existing does the rest."
    )


def _configure(configs: Mapping[str, Any], files: tuple[str, ...], assignments: tuple[str, ...]) -> None:
    from .overrides import apply_assignments, apply_file

    for text in files:
        config, path = _labelled(configs, text)
        apply_file(config, Path(path))
    for text in assignments:
        config, assignment = _labelled(configs, text)
        apply_assignments(config, [assignment])


def _labelled(configs: Mapping[str, Any], text: str) -> tuple[Any, str]:
    from ..errors import ConfigurationError

    label, colon, rest = text.partition(":")
    if not colon or label not in configs:
        raise ConfigurationError(f"{text!r} should begin with a task's label and a colon: {', '.join(configs)}.")
    return configs[label], rest


def _show(graph: Any) -> None:
    say(f"{graph.pipeline} of {graph.repository}, from {', '.join(graph.inputs)} to {graph.output}:")
    for label, data_ids in graph.data_ids().items():
        say(f"  {label}: {len(data_ids)} quanta")
        if logging.getLogger("forcedphot").isEnabledFor(logging.INFO):
            for data_id in data_ids:
                say(f"    {data_id}")
