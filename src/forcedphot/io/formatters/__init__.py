"""Formatters, with which the Butler reads ExposureF files and catalogs of the Science Pipelines, and writes ours.

Nothing here takes the place of anything: `forcedphot.butler` does, for repositories whose records name the
pipelines' own formatters. With `REPOSITORY_CONFIG`, a repository of one's own needs no such thing.

The classes are imported when they are first used: `forcedphot.butler` shall not load the Butler.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_HOMES = {
    "CatalogFormatter": "catalogs",
    "ExposureDelegate": "delegate",
    "ExposureFormatter": "exposures",
    "ImageFormatter": "exposures",
    "StackExposureFormatter": "exposures",
}

__all__ = [
    "REPOSITORY_CONFIG",
    "CatalogFormatter",
    "ExposureDelegate",
    "ExposureFormatter",
    "ImageFormatter",
    "StackExposureFormatter",
]

if TYPE_CHECKING:
    from .catalogs import CatalogFormatter
    from .delegate import ExposureDelegate
    from .exposures import ExposureFormatter, ImageFormatter, StackExposureFormatter

REPOSITORY_CONFIG = "resource://forcedphot/io/formatters/configs/repository.yaml"
"""Configuration of a repository that knows the storage class ``ForcedPhotExposure``: for ``Butler.makeRepo``."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
