"""forcedphot report: the catalogs of a simulated survey beside the truth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .command import Command, make_folder, say

if TYPE_CHECKING:
    from astropy.table import Table

_EXPLANATIONS = {
    "completeness": "Completeness: sources by true magnitude, and how many of them are found",
    "purity": "Purity: objects by measured magnitude, and how many of them are real",
    "pulls": "Pulls, (measured - true) / error, of PSF fluxes of isolated constant stars (visit 0: all)",
    "floor": "Measured / true PSF flux of bright isolated stars: offset from 1, scatter, and what is left of it",
    "colours": "Measured less true r - i of isolated stars, by true magnitude in r",
    "varying": "Pulls of forced PSF fluxes of variables and transients",
}


@click.command("report", cls=Command, epilog="Example: forcedphot report surveys/dp1 --output report")
@click.argument("repository", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("forcedphot-report"),
    show_default=True,
    metavar="FOLDER",
    help="Where to write report.json, report.png and light_curve.png; earlier ones are replaced.",
)
def command(repository: Path, output: Path) -> None:
    """Compare the catalogs of the simulated survey REPOSITORY with the truth.

    Completeness and purity against magnitude, PSF fluxes of isolated stars on visit images, differences and
    coadds, and their colours; forced fluxes of what varies, beside its true light curves: as tables, as numbers in
    report.json, and as figures, report.png and light_curve.png. Surveys of the profiles dp1 and dp02 have what is
    needed.
    """
    from ..io.atomic import atomic_output
    from ..survey.report import make_report
    from .report_figure import plot_report, plot_rising
    from .repositories import butler_errors

    with butler_errors(repository, wanted="the tables"):
        report = make_report(repository)
    make_folder(output)
    with atomic_output(output / "report.json", overwrite=True) as temporary:
        numbers = json.dumps(_plain(report.tables()), indent=1, allow_nan=False)
        temporary.write_text(f"{numbers}\n", encoding="utf-8")
    plot_report(report, output / "report.png", title=str(repository), overwrite=True)
    plot_rising(report, output / "light_curve.png", overwrite=True)
    for name, table in report.tables().items():
        say(f"\n{_EXPLANATIONS[name]}\n")
        say(_as_text(table))
    say(f"\nreport.json, report.png and light_curve.png are in {output}")


def _as_text(table: Table) -> str:
    shown = table.copy(copy_data=False)
    for name in shown.colnames:
        if shown[name].dtype.kind == "f":
            shown[name].info.format = ".1f" if name.startswith("mag_") else ".4f"
    return "\n".join(shown.pformat(max_lines=-1, max_width=-1))


def _plain(tables: dict[str, Table]) -> dict[str, list[dict[str, Any]]]:
    """Return rows of plain numbers; JSON has none that are not finite, for which None stands."""
    return {
        name: [
            {column: _number(value) for column, value in zip(table.colnames, row, strict=True)}
            for row in (table.as_array().tolist() if len(table) else ())
        ]
        for name, table in tables.items()
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
