"""The simulated survey: sky, visits, coadds, and the catalogs measured on them, in a Butler repository."""

from .simulate import SimulatedSurvey, simulate

__all__ = ["SimulatedSurvey", "simulate"]
