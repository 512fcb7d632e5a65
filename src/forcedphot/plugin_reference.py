"""What every plugin measures and how it is configured: for the command line and the documentation."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import catalog_calculation, plugins
from .catalog.schema import Field, Schema
from .errors import ConfigurationError
from .references import REFERENCE_SCHEMA

_log = logging.getLogger("lsst.forcedphot.plugins")

_SLOTS = {
    "slot_Centroid": "base_TransformedCentroid",
    "slot_Shape": "base_TransformedShape",
    "slot_PsfShape": "base_SdssShape_psf",
    "slot_PsfFlux": "base_PsfFlux",
    "slot_ModelFlux": "base_GaussianFlux",
}
"""What fills the slots that plugins start from, in these descriptions."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a plugin's configuration."""

    name: str
    default: str
    doc: str


@dataclass(frozen=True, slots=True)
class PluginDescription:
    """A plugin, as it is with its default configuration.

    Parameters
    ----------
    name
        What it is registered under.
    kind
        ``measurement`` or ``calculation``.
    summary
        What it does, in a line.
    module
        Where it is defined.
    execution_order
        Plugins run from low to high.
    aperture_corrected
        The fluxes that aperture corrections apply to, without ``_instFlux``.
    settings, fields, aliases
        Its configuration, what it fills, and other names of that.
    """

    name: str
    kind: str
    summary: str
    module: str
    execution_order: float
    aperture_corrected: tuple[str, ...]
    settings: tuple[Setting, ...]
    fields: tuple[Field, ...]
    aliases: tuple[tuple[str, str], ...]


def describe_plugins() -> list[PluginDescription]:
    """Describe all plugins by name, those of other packages too; measurements first, then calculations."""
    schema = Schema(aliases=_SLOTS)
    return [*_describe_measurements(schema), *_describe_calculations(schema)]


def describe_plugin(name: str) -> PluginDescription:
    """Describe one plugin.

    Raises
    ------
    ConfigurationError
        If there is none of that name, or it cannot be made.
    """
    if name not in catalog_calculation.registry:
        plugins.check_plugin_names([name])
    found = next((plugin for plugin in describe_plugins() if plugin.name == name), None)
    if found is None:
        raise ConfigurationError(f"{name} cannot be described; a warning says why.")
    return found


def markdown() -> str:
    """Write the page of all plugins."""
    described = describe_plugins()
    lines = [
        "# Plugins",
        "",
        "What `forcedphot plugins` prints. Names, fields, units and settings are those of the LSST pipelines;",
        "where a value differs, [differences](differences.md) says why. Flags are true where something is wrong.",
        "",
        "| plugin | what it does |",
        "|---|---|",
        *(f"| [{plugin.name}](#{plugin.name.lower()}) | {_escape(plugin.summary)} |" for plugin in described),
    ]
    for plugin in described:
        lines += ["", f"## {plugin.name}", "", plugin.summary, ""]
        lines.append(f"A {plugin.kind}, of execution order {plugin.execution_order:g}.")
        if plugin.aperture_corrected:
            lines[-1] += f" Aperture corrections apply to {', '.join(plugin.aperture_corrected)}."
        lines += ["", "| field | type | unit | |", "|---|---|---|---|"]
        lines += [
            f"| {field.name} | {field.type} | {field.unit} | {_escape(field.doc)} |" for field in plugin.fields
        ]
        if plugin.settings:
            lines += ["", "| setting | default | |", "|---|---|---|"]
            lines += [f"| {s.name} | `{s.default}` | {_escape(s.doc)} |" for s in plugin.settings]
    return "\n".join(lines) + "\n"


def _describe_measurements(schema: Schema) -> list[PluginDescription]:
    described = []
    for name in _in_order(plugins.registry):
        registered: Any = plugins.registry[name]
        before = schema.copy()
        try:
            plugin = registered(registered.ConfigClass(), name, schema, {}, _reference_schema())
        except Exception as error:  # noqa: BLE001 - it may be of another package
            _log.warning("%s cannot be described: making it raised %r", name, error)
            continue
        described.append(_describe("measurement", plugin, before, schema, plugin.corrected_fluxes))
    return sorted(described, key=lambda plugin: plugin.name)


def _describe_calculations(schema: Schema) -> list[PluginDescription]:
    described = []
    for name in _in_order(catalog_calculation.registry):
        registered: Any = catalog_calculation.registry[name]
        before = schema.copy()
        plugin = registered(registered.ConfigClass(), name, schema)
        described.append(_describe("calculation", plugin, before, schema, ()))
    return sorted(described, key=lambda plugin: plugin.name)


def _in_order(registry: Any) -> list[str]:
    """Return the names of all plugins in execution order: some build on the fields of others."""
    return sorted(registry, key=lambda name: (registry[name].execution_order, name))


def _describe(
    kind: str, plugin: Any, before: Schema, after: Schema, corrected: Iterable[str]
) -> PluginDescription:
    """Describe a plugin by what it has added to a schema."""
    return PluginDescription(
        plugin.name,
        kind,
        " ".join((inspect.getdoc(plugin) or "").partition("\n\n")[0].split()),
        type(plugin).__module__,
        plugin.execution_order,
        tuple(corrected),
        tuple(_settings(plugin.config)),
        tuple(field for field in after if field.name not in before),
        tuple(item for item in sorted(after.aliases.items()) if item[0] not in before.aliases),
    )


def _reference_schema() -> Schema:
    """Return a reference's schema that has whatever a plugin can ask for."""
    schema = REFERENCE_SCHEMA.copy()
    for name in ("ref_x", "ref_y", "ref_xx", "ref_yy", "ref_xy"):
        schema.add_field(name, "float64", "")
    schema.add_field("ref_flag", "bool", "")
    schema.add_field("ext_photometryKron_KronFlux_radius", "float32", "")
    schema.set_alias("slot_Centroid", "ref")
    schema.set_alias("slot_Shape", "ref")
    return schema


def _settings(config: Any, prefix: str = "") -> Iterator[Setting]:
    for name, field in sorted(type(config)._fields.items()):
        value = getattr(config, name)
        if hasattr(value, "_fields"):
            yield from _settings(value, f"{prefix}{name}.")
        elif name != "doMeasure":
            shown = repr(list(value)) if hasattr(value, "append") else repr(value)
            yield Setting(f"{prefix}{name}", shown, " ".join(str(field.doc).split()))


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_") if text else ""
