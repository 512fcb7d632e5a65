"""Third-party plugins: what installed packages offer under an entry-point group is put into a registry."""

import logging
from importlib.metadata import entry_points
from typing import Any

_log = logging.getLogger("lsst.forcedphot.plugins")


def register_third_parties(group: str, registry: Any, base: type) -> None:
    """Import what is declared under an entry-point group, and register it under its name there.

    A package declares a plugin in its own pyproject.toml::

        [project.entry-points."forcedphot.plugins"]
        example_Median = "example_package.median:Median"

    What cannot be imported, has the name of another or is no plugin is left out, with a warning: it must not take
    the others with it.

    Parameters
    ----------
    group
        Name of the group.
    registry
        Registry of lsst.pex.config.
    base
        Class that the plugins derive from.
    """
    for entry in entry_points(group=group):
        origin = f"{entry.name} of {entry.dist.name if entry.dist else entry.value}"
        if entry.name in registry:
            _log.warning("%s is left out: there is a plugin of that name already", origin)
            continue
        try:
            plugin = entry.load()
        except Exception as error:  # noqa: BLE001
            _log.warning("%s is left out: importing %s raised %r", origin, entry.value, error)
            continue
        if not (isinstance(plugin, type) and issubclass(plugin, base)):
            _log.warning("%s is left out: %s is no subclass of %s", origin, entry.value, base.__name__)
            continue
        registry.register(entry.name, plugin)
