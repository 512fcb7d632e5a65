"""Formatters, with which the Butler reads ExposureF files and catalogs of the Science Pipelines.

Nothing here takes the place of anything: `forcedphot.butler` does, for repositories whose records name the
pipelines' own formatters. With `REPOSITORY_CONFIG`, a repository of one's own needs no such thing.
"""

from .catalogs import CatalogFormatter
from .delegate import ExposureDelegate
from .exposures import ExposureFormatter, ImageFormatter

__all__ = ["REPOSITORY_CONFIG", "CatalogFormatter", "ExposureDelegate", "ExposureFormatter", "ImageFormatter"]

REPOSITORY_CONFIG = "resource://forcedphot/io/formatters/configs/repository.yaml"
"""Configuration of a repository that knows the storage class ``ForcedPhotExposure``: for ``Butler.makeRepo``."""
