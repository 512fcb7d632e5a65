"""Catalogs in the FITS layout of the Science Pipelines (lsst.afw.table): read with footprints, and written."""
