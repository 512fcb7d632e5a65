"""forcedphot plugins: what can be measured, and how it is configured."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from .command import Command

if TYPE_CHECKING:
    from ..plugin_reference import PluginDescription


@click.command(
    "plugins",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot plugins\n"
    "  forcedphot plugins base_PsfFlux base_SdssShape\n"
    "  forcedphot measure image.fits positions.csv -o fluxes.csv --plugins base_PsfFlux,base_SdssShape \\\n"
    "      -c 'measurement.plugins.base_PsfFlux.badMaskPlanes=[BAD, SAT]'",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the page of the documentation.")
def command(names: tuple[str, ...], *, as_json: bool, as_markdown: bool) -> None:
    """List the plugins that measure, or all fields and settings of those with a NAME.

    Plugins of other packages are found by their entry points, forcedphot.plugins.
    """
    from ..plugin_reference import describe_plugin, describe_plugins, markdown

    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    described = [describe_plugin(name) for name in names] if names else describe_plugins()
    if as_json:
        click.echo(json.dumps([_plain(plugin) for plugin in described], indent=2))
    elif names:
        for plugin in described:
            _print_one(plugin)
    else:
        _print_all(described)


def _plain(plugin: PluginDescription) -> dict[str, object]:
    fields = [
        {"name": field.name, "type": field.type, "unit": field.unit, "doc": field.doc} for field in plugin.fields
    ]
    return {
        **{item.name: getattr(plugin, item.name) for item in dataclasses.fields(plugin)},
        "settings": [dataclasses.asdict(setting) for setting in plugin.settings],
        "fields": fields,
        "aliases": dict(plugin.aliases),
    }


def _print_all(described: list[PluginDescription]) -> None:
    from rich.table import Table

    table = Table("plugin", "fields", "what it does", box=None, header_style="bold", pad_edge=False)
    for plugin in described:
        table.add_row(plugin.name, str(len(plugin.fields)), plugin.summary)
    _print(table)
    click.echo("\nforcedphot plugins NAME lists a plugin's fields and settings.")


def _print_one(plugin: PluginDescription) -> None:
    from rich.table import Table

    click.echo(f"{plugin.name}: {plugin.summary}")
    click.echo(f"{plugin.kind}, execution order {plugin.execution_order:g}, in {plugin.module}")
    if plugin.aperture_corrected:
        click.echo(f"aperture corrections apply to {', '.join(plugin.aperture_corrected)}")
    fields = Table("field", "type", "unit", "", box=None, header_style="bold", pad_edge=False)
    for field in plugin.fields:
        fields.add_row(field.name, field.type, field.unit, field.doc)
    for alias, target in plugin.aliases:
        fields.add_row(alias, "", "", f"alias of {target}")
    _print(fields)
    if plugin.settings:
        settings = Table("setting", "default", "", box=None, header_style="bold", pad_edge=False)
        for setting in plugin.settings:
            settings.add_row(setting.name, setting.default, setting.doc)
        _print(settings)
    click.echo()


def _print(table: object) -> None:
    from rich.console import Console

    # Wrapped where a terminal is narrow; a pipe has no width.
    Console(width=None if Console().is_terminal else 200, highlight=False, markup=False).print(table)
