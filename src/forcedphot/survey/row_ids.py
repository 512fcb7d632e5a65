"""Ids of rows of the survey's catalogs: they hold visit and detector, or tract and patch, as the pipelines' do."""

from __future__ import annotations

from lsst.daf.butler import DataCoordinate, DimensionUniverse

from ..id_generator import DetectorVisitIdGeneratorConfig, FullIdGenerator, SkyMapIdGeneratorConfig
from .instruments import INSTRUMENTS
from .plan import SurveyPlan


def detector_ids(plan: SurveyPlan, visit: int, detector: int) -> FullIdGenerator:
    """Return what makes the ids of sources on one detector in one visit."""
    instrument = INSTRUMENTS[plan.profile.instrument]
    config = DetectorVisitIdGeneratorConfig()
    config.packer = "observation"
    config.packer["observation"].n_detectors = instrument.n_detectors
    config.packer["observation"].n_observations = instrument.visit_max
    return config.apply(
        DataCoordinate.standardize(
            instrument=plan.profile.instrument, visit=visit, detector=detector, universe=DimensionUniverse()
        )
    )


def patch_ids(plan: SurveyPlan, patch: int) -> FullIdGenerator:
    """Return what makes the ids of objects in a patch."""
    return _sky_ids(plan, patch, plan.profile.patches_per_side**2)


def tract_ids(plan: SurveyPlan) -> FullIdGenerator:
    """Return what makes the ids of DIA objects, which are counted in the whole tract."""
    return _sky_ids(plan, 0, 1)


def _sky_ids(plan: SurveyPlan, patch: int, n_patches: int) -> FullIdGenerator:
    config = SkyMapIdGeneratorConfig()
    config.packer.n_tracts = plan.profile.tract + 1
    config.packer.n_patches = n_patches
    return config.apply(
        DataCoordinate.standardize(
            skymap=plan.profile.skymap, tract=plan.profile.tract, patch=patch, universe=DimensionUniverse()
        )
    )
