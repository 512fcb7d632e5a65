"""The command line: ``forcedphot``. Each command is a module of its own, imported when it is asked for."""

from importlib import import_module

import click

from .. import __version__

_COMMANDS = {
    "cmd": "Draw the colour-magnitude diagram of a repository's stars.",
    "convert": "Convert images and catalogs into other formats.",
    "demo": "Measure simulated images, as an example.",
    "inspect": "Tell what is in an image file.",
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


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="forcedphot")
def main() -> None:
    """Forced photometry for Rubin Observatory images, without the LSST stack."""
