"""ExposureF files of the Science Pipelines (lsst.afw): image planes and an archive of objects."""

from . import psf_persistables as psf_persistables  # registers its readers
