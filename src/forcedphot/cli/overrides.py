"""Configuration from files and from ``key=value``: data only, never run as code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import yaml
from lsst.pex.config import Config, FieldValidationError
from lsst.pex.config.configChoiceField import ConfigInstanceDict
from lsst.pex.config.configurableField import ConfigurableInstance

from ..errors import ConfigurationError


def apply_file(config: Config, path: str | Path) -> None:
    """Set what a YAML or TOML file says, such as ``measurement.plugins.base_PsfFlux.badMaskPlanes: [BAD]``.

    Keys may be dotted or nested.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or holds something else, or a key or value does not fit.
    """
    path = Path(path)
    if path.suffix == ".py":
        raise ConfigurationError(
            f"{path} is a Python program, which is not run. Write its lines as YAML: "
            "'config.doApCorr = False' becomes 'doApCorr: false'."
        )
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"The configuration {path} cannot be read: {error}") from error
    if values is None:
        return
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"The configuration {path} should have lines 'key: value'.")
    try:
        apply_mapping(config, values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def apply_assignments(config: Config, assignments: Sequence[str]) -> None:
    """Set each ``key=value``, where the value is written as in YAML: ``false``, ``[3, 6]``, ``null``.

    Raises
    ------
    ConfigurationError
        If one is of another form, or does not fit.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigurationError(f"{assignment!r} should have the form key=value.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"The value in {assignment!r} is no YAML: {error}") from error
        apply_mapping(config, {key.strip(): value})


def apply_mapping(config: Config, values: Mapping[str, Any]) -> None:
    """Set values by dotted or nested keys.

    Raises
    ------
    ConfigurationError
        If there is no such key, or the value does not fit it.
    """
    for key, value in values.items():
        *parents, last = str(key).removeprefix("config.").split(".")
        target: Any = config
        for name in parents:
            target = _child(target, name, key)
        if isinstance(value, Mapping):
            child = _child(target, last, key)
            if _is_group(child):
                apply_mapping(child, value)
                continue
        _assign(target, last, value, key)


def _is_group(target: Any) -> bool:
    return isinstance(target, Config | ConfigurableInstance | ConfigInstanceDict)


def _names(target: Any) -> list[str]:
    """List what can be set in a group; only this is ever looked up."""
    if isinstance(target, ConfigurableInstance):
        target = target.value
    if isinstance(target, ConfigInstanceDict):
        return ["names", *target.types]
    return list(target.keys()) if isinstance(target, Config) else []


def _child(target: Any, name: str, key: str) -> Any:
    if name not in _names(target):
        known = _names(target)
        hint = f"known here are {', '.join(sorted(known))}" if known else "nothing can be set inside it"
        raise ConfigurationError(f"There is no configuration {key!r}: {name!r} is unknown; {hint}.")
    if isinstance(target, ConfigInstanceDict) and name != "names":
        return target[name]
    return getattr(target, name)


def _assign(target: Any, name: str, value: Any, key: str) -> None:
    child = _child(target, name, key)
    if _is_group(child):
        raise ConfigurationError(f"{key!r} is a group; set one of {', '.join(_names(child))} in it.")
    is_list = isinstance(child, Sequence | Set) and not isinstance(child, str)
    if is_list and isinstance(value, str | Mapping):  # of which the letters, or the keys, would be taken
        raise ConfigurationError(f"{key!r} is a list, such as [a, b]; it cannot be {value!r}.")
    try:
        setattr(target, name, value)
    except (FieldValidationError, TypeError, ValueError) as error:
        reason = str(getattr(error, "msg", error)).splitlines()[0]
        raise ConfigurationError(f"The configuration {key!r} cannot be {value!r}: {reason}") from error
