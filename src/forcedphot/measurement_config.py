"""Configuration of forced measurement: plugins, slots, columns to copy, noise in place of neighbours."""

import re
from collections.abc import Iterator

from lsst.pex.config import Config, ConfigField, DictField, Field

from .errors import ConfigurationError
from .neighbours import NoiseReplacerConfig
from .plugins import CentroidPlugin, registry

_PLUGIN_NAME = re.compile(r"(?P<field>plugins|undeblended)\[(?P<quote>['\"]?)(?P<plugin>\w+)(?P=quote)\]")


class SourceSlotConfig(Config):
    """Which plugin fills each slot; None leaves a slot out."""

    centroid = Field[str](doc="Plugin of the centroid slot, which runs first", default="base_TransformedCentroid")
    shape = Field[str](doc="Plugin of the shape slot", default="base_TransformedShape", optional=True)
    psfShape = Field[str](
        doc="Field prefix of the PSF shape slot; without effect where no plugin declares it",
        default="base_SdssShape_psf",
        optional=True,
    )
    apFlux = Field[str](doc="Field prefix of the aperture flux slot", default=None, optional=True)
    modelFlux = Field[str](doc="Plugin of the model flux slot", default=None, optional=True)
    psfFlux = Field[str](doc="Plugin of the PSF flux slot", default=None, optional=True)
    gaussianFlux = Field[str](doc="Plugin of the Gaussian flux slot", default=None, optional=True)
    calibFlux = Field[str](doc="Field prefix of the flux slot for calibration", default=None, optional=True)

    def targets(self) -> Iterator[tuple[str, str]]:
        """Yield the slots in use: their alias, such as slot_PsfFlux, and what it stands for."""
        for name, target in self.toDict().items():
            if target is not None:
                yield f"slot_{name[0].upper()}{name[1:]}", target


class ForcedMeasurementConfig(Config):
    """Configuration of `ForcedMeasurementTask`; the defaults are the pipelines'.

    ``measurement.plugins['base_PsfFlux'].badMaskPlanes=[]`` sets a plugin's field in Python, in files, and after
    ``-c`` of pipetask.
    """

    plugins = registry.makeField(
        doc="Plugins to run, and their configuration",
        default=[
            "base_PixelFlags",
            "base_TransformedCentroid",
            "base_TransformedShape",
            "base_SdssCentroid",
            "base_SdssShape",
            "base_GaussianFlux",
            "base_CircularApertureFlux",
            "base_PsfFlux",
            "base_LocalBackground",
        ],
        multi=True,
    )
    undeblended = registry.makeField(
        doc="Plugins to run, and their configuration, on the image in which no neighbour is replaced",
        default=[],
        multi=True,
    )
    undeblendedPrefix = Field[str](doc="Begins the names of their fields", default="undeblended_")
    slots = ConfigField(dtype=SourceSlotConfig, doc="Aliases of fields by what they are used for")
    copyColumns = DictField(
        keytype=str,
        itemtype=str,
        doc="Columns of the reference catalog to copy, and their names in the output",
        default={
            "id": "objectId",
            "parent": "parentObjectId",
            "deblend_nChild": "deblend_nChild",
            "coord_ra": "coord_ra",
            "coord_dec": "coord_dec",
        },
    )
    doReplaceWithNoise = Field[bool](
        doc="Replace the other sources with noise while one is measured?", default=True
    )
    noiseReplacer = ConfigField(dtype=NoiseReplacerConfig, doc="The noise in place of other sources")

    def __getattr__(self, name: str) -> Config:
        """Find a plugin's configuration by ``plugins['base_PsfFlux']``, which is how pipetask looks it up."""
        match = _PLUGIN_NAME.fullmatch(name)
        if match is None or match["plugin"] not in registry:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        found: Config = getattr(self, match["field"])[match["plugin"]]
        return found

    def validate(self) -> None:
        """Refuse slots that no plugin fills."""
        super().validate()
        names = set(self.plugins.names)
        for slot, target in self.slots.targets():
            # A flux slot may name one of the fields of a plugin (base_CircularApertureFlux_12_0).
            if slot != "slot_PsfShape" and not any(
                target == name or target.startswith(f"{name}_") for name in names
            ):
                raise ConfigurationError(
                    f"{slot} is {target}, but no plugin that runs fills it; the plugins are "
                    f"{', '.join(sorted(names))}. Add it to measurement.plugins.names or set the slot to None."
                )
        if not issubclass(registry[self.slots.centroid], CentroidPlugin):
            raise ConfigurationError(
                f"{self.slots.centroid} does not say where sources are; it cannot fill the slot of centroids."
            )
        if any(issubclass(registry[name], CentroidPlugin) for name in self.undeblended.names):
            raise ConfigurationError(
                "Centroids do not depend on neighbours; run them in plugins, not undeblended."
            )
