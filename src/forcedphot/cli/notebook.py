"""forcedphot notebook: a notebook that was written for the stack, run as it is."""

from __future__ import annotations

from pathlib import Path

import click

from .command import Command, say
from .simulate import PROFILES, SIZES


@click.command(
    "notebook",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot notebook forced_photometry.ipynb\n"
    "  forcedphot notebook forced_photometry.ipynb --size tiny -o executed.ipynb\n"
    "  forcedphot notebook mine.ipynb --profile dp1 --repository /data/dp1",
)
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.ipynb",
    help="Where to write it with its outputs.  [default: NAME-executed.ipynb in this folder]",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option(
    "--profile",
    "profiles",
    type=click.Choice(PROFILES),
    multiple=True,
    help="Whose data it needs; may be repeated.  [default: by labels and collections in its cells]",
)
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where these data are, or shall be simulated.  [default: by the Butler's index of labels; else simulated "
    "in ~/.cache/forcedphot]",
)
@click.option(
    "--size", type=click.Choice(SIZES), default="small", show_default=True, help="Of a survey that is simulated."
)
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(min=1), metavar="SECONDS", help="Longest time of a cell."
)
def command(
    notebook: Path,
    output: Path | None,
    overwrite: bool,
    profiles: tuple[str, ...],
    repository: Path | None,
    size: str,
    timeout_s: int | None,
) -> None:
    """Run NOTEBOOK from the first cell to the last, and write it with its outputs.

    Names of the LSST stack lead to forcedphot, unless the stack is installed. Repositories that its cells open by
    a label, and that have none, are simulated, and a TAP service is started for them if the cells ask for one. If
    a cell fails, the outputs until then are written all the same.
    """
    from ..io.atomic import check_output
    from ..notebooks.errors import NotebookError
    from ..notebooks.execution import code_cells, execute, read_notebook, write_notebook
    from ..notebooks.needs import find_needs
    from ..notebooks.repositories import find_repositories, index_environment
    from ..notebooks.services import tap_environment
    from ..survey.profiles import find_profile

    progress = not click.get_current_context().obj["quiet"]
    content = read_notebook(notebook)
    output = Path(f"{notebook.stem}-executed.ipynb") if output is None else output
    check_output(output, overwrite=overwrite)
    needs = find_needs(code_cells(content))
    profiles = profiles or needs.profiles
    labels = find_repositories(profiles, repository=repository, size=size, progress=progress)
    try:
        with index_environment(labels) as environment:
            if needs.uses_tap and profiles:
                environment = tap_environment(labels[find_profile(profiles[0]).label], environment)
            execute(
                content,
                folder=notebook.absolute().parent,
                environment=environment,
                timeout_s=timeout_s,
                progress=progress,
            )
    except NotebookError as error:
        write_notebook(content, output, overwrite=overwrite)
        message = str(error).rstrip(".")
        raise NotebookError(f"{notebook}: {message}. Outputs until there are in {output}.") from error
    write_notebook(content, output, overwrite=overwrite)
    say(f"{output}: {len(code_cells(content))} code cells were run.")
