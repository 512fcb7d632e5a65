"""A Jupyter kernel in which the stack's names work: its description, for a while or for good."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import OutputError, needs_extra

KERNEL_NAME = "forcedphot"
_DISPLAY_NAME = "Python 3 (forcedphot)"


def write_kernel(folder: Path) -> None:
    """Write the description of a kernel of this Python into a folder of its own."""
    description = {
        "argv": [
            *(sys.executable, "-m", "forcedphot.lsst_names"),
            *("-m", "ipykernel_launcher", "-f", "{connection_file}"),
        ],
        "display_name": _DISPLAY_NAME,
        "language": "python",
        "metadata": {"debugger": True},
        # Debuggers would warn on the console that Python's own modules cannot be looked into.
        "env": {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def install_kernel(prefix: Path | None = None) -> Path:
    """Make the kernel known to Jupyter, in place of an earlier one of that name.

    Parameters
    ----------
    prefix
        Folder of the environment that Jupyter is in; None: for this user.

    Returns
    -------
    The folder with its description.

    Raises
    ------
    MissingExtraError
        If Jupyter's client is not installed.
    OutputError
        If the folder cannot be written.
    """
    with needs_extra("notebook"):
        from jupyter_client.kernelspec import KernelSpecManager
    with TemporaryDirectory() as folder:
        write_kernel(Path(folder))
        try:
            installed = KernelSpecManager().install_kernel_spec(
                folder, KERNEL_NAME, user=prefix is None, prefix=None if prefix is None else str(prefix)
            )
        except OSError as error:
            raise OutputError(f"The kernel cannot be installed: {error}.") from error
    return Path(installed)
