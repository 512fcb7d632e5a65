"""What every plugin measures and how it is configured: for the command line and the documentation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import catalog_calculation, plugins
from .catalog.schema import Field, Schema
from .errors import ConfigurationError
from .references import REFERENCE_SCHEMA


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
    return [
        *(_describe_measurement(name) for name in sorted(plugins.registry)),
        *(_describe_calculation(name) for name in sorted(catalog_calculation.registry)),
    ]


def describe_plugin(name: str) -> PluginDescription:
    """Describe one plugin.

    Raises
    ------
    ConfigurationError
        If there is none of that name.
    """
    if name in catalog_calculation.registry:
        return _describe_calculation(name)
    plugins.check_plugin_names([name])
    return _describe_measurement(name)


def markdown() -> str:
    """Write the page of all plugins."""
    described = describe_plugins()
    lines = [
        "# Plugins",
        "",
        "What `forcedphot plugins` prints. Names, fields, units and settings are those of the LSST pipelines; where",
        "a value differs, [differences](differences.md) says why. Flags are true where something is wrong.",
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


def _describe_measurement(name: str) -> PluginDescription:
    registered: Any = plugins.registry[name]
    config = registered.ConfigClass()
    schema, reference = _slots(), _reference_schema()
    before = set(schema.aliases)
    plugin = registered(config, name, schema, {}, reference)
    return PluginDescription(
        name,
        "measurement",
        _summary(registered),
        registered.__module__,
        registered.execution_order,
        tuple(plugin.corrected_fluxes),
        tuple(_settings(config)),
        tuple(schema),
        tuple((alias, target) for alias, target in sorted(schema.aliases.items()) if alias not in before),
    )


def _describe_calculation(name: str) -> PluginDescription:
    registered: Any = catalog_calculation.registry[name]
    config, schema = registered.ConfigClass(), Schema()
    registered(config, name, schema)
    return PluginDescription(
        name,
        "calculation",
        _summary(registered),
        registered.__module__,
        registered.execution_order,
        (),
        tuple(_settings(config)),
        tuple(schema),
        (),
    )


def _slots() -> Schema:
    """Return a schema with the usual slots, but without the fields that they stand for."""
    aliases = {"slot_Centroid": "base_TransformedCentroid", "slot_Shape": "base_TransformedShape"}
    return Schema(aliases=aliases)


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


def _summary(registered: type) -> str:
    doc = inspect.getdoc(registered)
    if not doc:
        raise ConfigurationError(f"The plugin {registered.__name__} of {registered.__module__} has no docstring.")
    return " ".join(doc.partition("\n\n")[0].split())


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_") if text else ""
