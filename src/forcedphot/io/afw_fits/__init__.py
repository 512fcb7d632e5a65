"""ExposureF files of the Science Pipelines (lsst.afw): image planes and an archive of objects."""

# Importing these registers their readers.
from . import psf_persistables as psf_persistables
from . import warp_persistables as warp_persistables
