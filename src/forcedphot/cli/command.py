"""Command: what all commands have in common. Verbosity, and errors in one line with their exit codes."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..errors import ForcedPhotError, OutputError
from ..io.resources import is_uri

_LOGGERS = ("forcedphot", "lsst")  # tasks log under lsst, as the pipelines' do
_CHATTY = "lsst.daf.butler._storage_class"


class Command(click.Command):
    """A command with ``--verbose``, ``--quiet`` and ``--debug``.

    Errors that are raised on purpose, and those of the system, become one line on standard error, and their exit
    code.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params += [
            click.Option(["-v", "--verbose"], count=True, help="Say what is done; twice: say more."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but errors."),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; see the class."""
        verbose, debug = ctx.params.pop("verbose"), ctx.params.pop("debug")
        ctx.obj = {"quiet": ctx.params.pop("quiet")}
        with _logging(_level(verbose, quiet=ctx.obj["quiet"])):
            try:
                return super().invoke(ctx)
            except (ForcedPhotError, OSError) as error:
                if debug or isinstance(error, BrokenPipeError):  # click ends quietly if nobody reads on
                    raise
                click.echo(f"forcedphot: {' '.join(str(error).split())}", err=True)
                sys.exit(getattr(error, "exit_code", 1))


class Place(click.ParamType[str | Path]):
    """A local path, or a URI that lsst.resources knows."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        """Keep a URI as it is; make a path of anything else."""
        del param, ctx
        return str(value) if is_uri(value) else Path(value)


def say(message: str) -> None:
    """Print a line on standard output, unless asked to be quiet."""
    if not click.get_current_context().obj["quiet"]:
        click.echo(message)


def make_folder(folder: Path) -> None:
    """Make a folder for output, and those that it is in; it may be there.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def _level(verbose: int, *, quiet: bool) -> int:
    if quiet:
        return logging.ERROR
    return {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)


class _EchoHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


@contextmanager
def _logging(level: int) -> Iterator[None]:
    handler = _EchoHandler(level)
    # Without pandas, the Butler warns for each table that it cannot be made a DataFrame; nobody asks for one.
    handler.addFilter(lambda record: level < logging.WARNING or record.name != _CHATTY)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (old_level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate
