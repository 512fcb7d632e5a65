"""The pipelines' name of the formatter of catalogs, as repositories have recorded it."""

from forcedphot.io import formatters


class FitsGenericFormatter(formatters.CatalogFormatter):
    """For SourceCatalog and its kin."""
