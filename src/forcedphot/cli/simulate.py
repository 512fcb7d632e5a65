"""forcedphot simulate: a survey of which the truth is known, in a Butler repository."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from .command import Command, say

PROFILES = ("dp1", "dp02", "hsc")
SIZES = ("tiny", "small", "medium")
"""As `survey.profiles` has them, which takes time to import."""


@click.command(
    "simulate",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot simulate surveys/dp1\n"
    "  forcedphot simulate surveys/dp02 --profile dp02 --size tiny --processes 2\n"
    "  forcedphot simulate surveys/another --seed 2 --label another",
)
@click.argument("repository", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="dp1",
    show_default=True,
    help="Whose names, ids and places the survey has: Data Preview 1, Data Preview 0.2, or Hyper Suprime-Cam.",
)
@click.option(
    "--size",
    type=click.Choice(SIZES),
    default="small",
    show_default=True,
    help="How much there is: for a test (seconds), a demonstration (minutes), or a benchmark.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another number, another survey."
)
@click.option(
    "-j", "--processes", type=click.IntRange(min=1), help="How many at once.  [default: one for each core]"
)
@click.option("--label", help="What Butler(...) shall open it by.  [default: the profile]")
@click.option(
    "--index",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.yaml",
    help="Where labels of repositories are; other labels in it stay.  [default: repos.yaml beside REPOSITORY]",
)
@click.option(
    "--db",
    "connection",
    metavar="URI",
    help="PostgreSQL database, as postgresql+psycopg2://user@host/database, instead of SQLite in REPOSITORY.",
)
def command(
    repository: Path,
    profile: str,
    size: str,
    seed: int,
    processes: int | None,
    label: str | None,
    index: Path | None,
    connection: str | None,
) -> None:
    """Simulate a survey in the Butler repository REPOSITORY.

    Images of visits, differences with templates, coadds, and catalogs measured on them, with the names, ids and
    queries of a real survey; and the truth. The same options make the same survey. If it is interrupted, start it
    again: what is complete is not made again.
    """
    from ..survey import simulate

    survey = simulate(
        repository,
        profile=profile,
        size=size,
        seed=seed,
        n_processes=processes,
        label=label,
        index=index,
        connection=connection,
        progress=not click.get_current_context().obj["quiet"],
    )
    say(f"{repository}: {survey.n_datasets} datasets, {survey.n_new} of them new. To open it, type once")
    say(f"  export DAF_BUTLER_REPOSITORY_INDEX={shlex.quote(str(survey.index))}")
    say(f"and then, in Python, Butler({survey.label!r}, collections={survey.collection!r}).")
