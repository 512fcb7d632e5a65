"""ExposureF files of the Science Pipelines (lsst.afw): image planes and an archive of objects."""
