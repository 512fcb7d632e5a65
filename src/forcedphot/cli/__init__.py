"""The command line: ``forcedphot``. Each command is a module of its own, imported when it is asked for."""

from importlib import import_module

import click

from .. import __version__

_COMMANDS = {
    "cmd": "Draw the colour-magnitude diagram of a repository's stars.",
    "convert": "Convert images and catalogs into other formats.",
    "demo": "Measure simulated images, as an example.",
    "inspect": "Tell what is in a file, an image or a catalog.",
    "kernel": "Make a Jupyter kernel known in which the LSST stack's names work.",
    "measure": "Measure fluxes at the positions of a catalog.",
    "notebook": "Run a notebook that was written for the LSST stack, as it is.",
    "plugins": "List what can be measured, with fields and settings.",
    "report": "Compare the catalogs of a simulated survey with the truth.",
    "run": "Measure forced photometry of a survey in a Butler repository.",
    "serve": "Answer queries on a repository's tables and images (TAP), with a page for browsers.",
    "show": "Draw an image with its mask, and positions of a catalog on it.",
    "simulate": "Simulate a survey in a Butler repository.",
}
"""Modules, of the same names, and what the help says of them without importing them."""

EXIT_CODES = {
    0: "All is done.",
    1: "A file is not there, or the system does not let it be read or written.",
    2: "Options or a configuration that do not fit, or choose nothing.",
    3: "A table of positions that cannot be used.",
    4: "An image that lacks what is needed.",
    5: "A file that is damaged, or of another format.",
    6: "A file that asks for code outside the allow-list; none of it was run.",
    7: "A position outside the image, where that was asked to be an error.",
    8: "A result that cannot be written; an earlier file is as it was.",
    9: "A field that a catalog does not have.",
    10: "A remote file that cannot be fetched.",
    11: "A simulation whose processes died; start it again.",
    12: "A package that only an extra of forcedphot brings.",
    13: "Quanta that failed; the others are done.",
    20: "A query that cannot be understood.",
    21: "A query that took too long or too much.",
    22: "A request that a service cannot answer.",
    30: "A name of the LSST stack with nothing behind it here.",
    31: "A notebook with a cell that fails.",
}
"""What the exit code tells."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f".{cmd_name}", __name__).command
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker; ours are
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="forcedphot")
def main() -> None:
    """Forced photometry for Rubin Observatory images, without the LSST stack."""
