"""Catalogs: schemas, flux units, and astropy tables."""
