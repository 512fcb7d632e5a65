"""The simulated survey: sky, visits, coadds, and the catalogs measured on them, in a Butler repository."""
