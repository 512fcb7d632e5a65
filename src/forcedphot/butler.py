"""Opt-in: ``import forcedphot.butler`` lets the Butler read repositories that the LSST stack has written.

Import it before the repository is opened. Records in such repositories name formatters and types of the stack,
which is not on PyPI; now the Butler finds ours under these names: an `Exposure` for ExposureF, a `SourceCatalog`
for the catalogs. Child processes inherit it. Where the stack is installed, nothing changes.

For programs that are not ours to change, such as ``butler`` or ``pipetask``, the shell does the same:
``eval "$(python -m forcedphot.butler)"``.
"""

import shlex
import sys

from .io.formatters.stack_names import install

_ENVIRONMENT = install()

if __name__ == "__main__":
    if not _ENVIRONMENT:
        sys.exit("The LSST stack is installed here: its repositories are readable without forcedphot.butler.")
    for variable, value in _ENVIRONMENT.items():
        sys.stdout.write(f"export {variable}={shlex.quote(value)}\n")
