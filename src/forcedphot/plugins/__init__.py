"""Plugins: one module a family; importing this package registers them."""

from . import centroid, circular_aperture_flux, pixel_flags, psf_flux
from .base import (
    CentroidPlugin,
    ForcedPlugin,
    ForcedPluginConfig,
    SourceBatch,
    check_plugin_names,
    registry,
)

__all__ = [
    "CentroidPlugin",
    "ForcedPlugin",
    "ForcedPluginConfig",
    "SourceBatch",
    "centroid",
    "check_plugin_names",
    "circular_aperture_flux",
    "pixel_flags",
    "psf_flux",
    "registry",
]
