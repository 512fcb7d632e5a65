"""Work: what a survey is made by, in pieces that processes do by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .plan import DetectorPlan, PatchPlan, SurveyPlan, VisitPlan
from .products import Product
from .profiles import find_profile, find_size

if TYPE_CHECKING:
    from ..tasks.columns import Release
    from .sky import Sky

type Files = Mapping[Product, Path]
type Made = dict[Product, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of the work.

    Parameters
    ----------
    make
        Makes the outputs: takes the plan, this step and the files of its inputs.
    inputs, outputs
        What it reads and what it makes.
    """

    make: Callable[[SurveyPlan, Step, Files], Made]
    inputs: tuple[Product, ...]
    outputs: tuple[Product, ...]

    def inputs_of(self, role: str) -> list[Product]:
        """Return the inputs that are one thing."""
        return [product for product in self.inputs if product.role == role]


@cache
def find_plan(profile: str, size: str, seed: int) -> SurveyPlan:
    """Return the plan of a survey; the same object in a process."""
    return SurveyPlan(find_profile(profile), find_size(size), seed)


@cache
def _find_sky(profile: str, size: str, seed: int) -> Sky:
    from .sky import make_sky

    return make_sky(find_plan(profile, size, seed))


def sky_of(plan: SurveyPlan) -> Sky:
    """Return the sky of a survey; the same object in a process."""
    return _find_sky(plan.profile.name, plan.size.name, plan.seed)


def release_of(plan: SurveyPlan) -> Release:
    """Return whose tables a profile has."""
    return cast("Release", plan.profile.name)


def of_detector(role: str, visit: VisitPlan, detector: DetectorPlan) -> Product:
    """Return what there is once for each detector in each visit."""
    return Product(role, visit=visit.id, detector=detector.id)


def detector_of(plan: SurveyPlan, product: Product) -> tuple[VisitPlan, DetectorPlan]:
    """Return which visit and detector a product is of."""
    visit = next(visit for visit in plan.visits if visit.id == product.visit)
    return visit, next(detector for detector in visit.detectors if detector.id == product.detector)


def patch_of(plan: SurveyPlan, product: Product) -> PatchPlan:
    """Return which patch a product is of."""
    return next(patch for patch in plan.patches if patch.id == product.patch)
