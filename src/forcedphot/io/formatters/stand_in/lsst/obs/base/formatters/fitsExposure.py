"""The pipelines' names of formatters of images, as repositories have recorded them.

This folder is a portion of the namespace ``lsst.obs.base``: an installed stack, being a package, goes before it.
"""

from forcedphot.io import formatters


class FitsExposureFormatter(formatters.StackExposureFormatter):
    """For ExposureF and its kin."""


class FitsMaskedImageFormatter(formatters.StackExposureFormatter):
    """For MaskedImageF and its kin."""


class FitsImageFormatter(formatters.ImageFormatter):
    """For ImageF and its kin."""
