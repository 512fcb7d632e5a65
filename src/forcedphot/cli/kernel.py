"""forcedphot kernel: a Jupyter kernel in which the stack's names work."""

from __future__ import annotations

from pathlib import Path

import click

from .command import Command, say


@click.command("kernel", cls=Command)
@click.option(
    "--prefix",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the environment that Jupyter is in.  [default: for this user, whatever the environment]",
)
def command(prefix: Path | None) -> None:
    """Make a kernel known to Jupyter, in which notebooks run that were written for the LSST stack.

    It is this environment's Python after `import forcedphot.lsst_names`. Its name in Jupyter is Python 3
    (forcedphot).
    """
    from ..notebooks.kernel import KERNEL_NAME, install_kernel

    folder = install_kernel(prefix)
    say(f"The kernel {KERNEL_NAME} is in {folder}; to remove it: jupyter kernelspec remove {KERNEL_NAME}")
