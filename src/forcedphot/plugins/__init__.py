"""Plugins: one module a family; importing this package registers them."""

from ..third_party import register_third_parties
from . import (
    blendedness,
    centroid,
    circular_aperture_flux,
    compensated_flux,
    convolved_flux,
    gaussian_flux,
    hsm_moments,
    input_count,
    local_background,
    local_calibration,
    peak_centroid,
    peak_likelihood_flux,
    pixel_flags,
    psf_flux,
    sdss_centroid,
    sdss_shape,
    transformed_shape,
    variance,
)
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
    "compensated_flux",
    "convolved_flux",
    "gaussian_flux",
    "hsm_moments",
    "input_count",
    "local_background",
    "local_calibration",
    "peak_centroid",
    "peak_likelihood_flux",
    "pixel_flags",
    "psf_flux",
    "registry",
    "sdss_centroid",
    "sdss_shape",
    "transformed_shape",
    "variance",
]

register_third_parties("forcedphot.plugins", registry, ForcedPlugin)
