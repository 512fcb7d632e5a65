"""The command line: ``forcedphot``. Each command is a module of its own, imported when it is asked for."""

from importlib import import_module

import click

from .. import __version__

_COMMANDS = {"demo": "demo", "inspect": "inspect", "measure": "measure"}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f".{_COMMANDS[cmd_name]}", __name__).command
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker; ours are
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="forcedphot")
def main() -> None:
    """Forced photometry for Rubin Observatory images, without the LSST stack."""
