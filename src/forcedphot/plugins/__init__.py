"""Plugins: one module a family; importing this package registers them."""

from ..third_party import register_third_parties
from . import blendedness, centroid, circular_aperture_flux, hsm_moments, pixel_flags, psf_flux
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
    "blendedness",
    "centroid",
    "check_plugin_names",
    "circular_aperture_flux",
    "hsm_moments",
    "pixel_flags",
    "psf_flux",
    "registry",
]

register_third_parties("forcedphot.plugins", registry, ForcedPlugin)
