"""Steps that make images, and tables about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..conventions import BoolArray
from ..exposure import Exposure, Mask
from .plan import DetectorPlan, PatchPlan, SurveyPlan, VisitPlan
from .products import Product
from .work import Files, Made, Step, detector_of, of_detector, patch_of, release_of, sky_of

if TYPE_CHECKING:
    from ..exposure import SummaryStats


def image_steps(plan: SurveyPlan) -> Iterator[Step]:
    """Yield the steps, inputs before what is made of them."""
    detectors = [(visit, detector) for visit in plan.visits for detector in visit.detectors]
    for visit, detector in detectors:
        outputs = (of_detector(role, visit, detector) for role in ("visit_image", "difference_image"))
        yield Step(_make_images, (), tuple(outputs))
    for patch in plan.patches:
        for band in plan.size.bands:
            inputs = (
                of_detector(role, visit, detector)
                for visit, detector in images_of_patch(plan, patch)
                if visit.band == band
                for role in ("visit_image", "difference_image")
            )
            outputs = (Product(role, patch=patch.id, band=band) for role in ("coadd", "template"))
            yield Step(_make_coadds, tuple(inputs), tuple(outputs))
    yield Step(_make_truth, (), (Product("truth"),))
    if "visit_table" in plan.profile.datasets:
        yield Step(_make_visit_table, (), (Product("visit_table"),))
        images = tuple(of_detector("visit_image", visit, detector) for visit, detector in detectors)
        yield Step(_make_visit_detector_table, images, (Product("visit_detector_table"),))


def images_of_patch(plan: SurveyPlan, patch: PatchPlan) -> Iterator[tuple[VisitPlan, DetectorPlan]]:
    """Find the images that may touch a patch: those whose box around their corners does."""
    for visit in plan.visits:
        for detector in visit.detectors:
            box = detector.box
            x, y = np.array([box.x0, box.x_stop]) - 0.5, np.array([box.y0, box.y_stop]) - 0.5
            ra, dec = detector.wcs.all_pix2world(x[[0, 1, 1, 0]], y[[0, 0, 1, 1]], 0)
            x, y = plan.tract_wcs.all_world2pix(ra, dec, 0)
            in_columns = x.max() > patch.outer.x0 and x.min() < patch.outer.x_stop
            if in_columns and y.max() > patch.outer.y0 and y.min() < patch.outer.y_stop:
                yield visit, detector


def _make_images(plan: SurveyPlan, step: Step, files: Files) -> Made:  # noqa: ARG001 - of every step
    from .detection import negated
    from .images import difference_image, visit_image
    from .visits import simulate_visit

    first, second = step.outputs
    visit, detector = detector_of(plan, first)
    arrays = simulate_visit(plan, visit, detector, sky_of(plan))
    assert isinstance(arrays.mask, Mask)  # noqa: S101 - for the type checker
    seen, changed = arrays.visit_exposure(), arrays.difference_exposure()
    on_visit = _marked(arrays.mask, {"DETECTED": _covered(seen)})
    on_difference = _marked(
        arrays.mask, {"DETECTED": _covered(changed), "DETECTED_NEGATIVE": _covered(negated(changed))}
    )
    return {
        first: visit_image(plan, visit, detector, replace(arrays, mask=on_visit)),
        second: difference_image(plan, visit, detector, replace(arrays, mask=on_difference)),
    }


def _make_coadds(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from .coadds import coadd_patch, template_patch

    coadd, template = step.outputs
    patch, band = patch_of(plan, coadd), cast("str", coadd.band)
    visits = [Exposure.read(files[product]) for product in step.inputs_of("visit_image")]
    differences = [Exposure.read(files[product]) for product in step.inputs_of("difference_image")]
    made = {
        coadd: coadd_patch(plan, patch, band, visits),
        template: template_patch(plan, patch, band, list(zip(visits, differences, strict=True))),
    }
    for image in made.values():
        image.mask.set("DETECTED", _covered(Exposure.from_lsst_images(image)))
    return made


def _covered(exposure: Exposure) -> BoolArray:
    from .detection import detect

    return detect(exposure).covered()


def _marked(mask: Mask, marks: dict[str, BoolArray]) -> Mask:
    array = mask.array.copy()
    for name, marked in marks.items():
        array[marked] |= array.dtype.type(mask.bits([name]))
    return Mask(array, mask.planes)


def _make_truth(plan: SurveyPlan, step: Step, files: Files) -> Made:  # noqa: ARG001 - of every step
    return {step.outputs[0]: sky_of(plan).truth()}


def _make_visit_table(plan: SurveyPlan, step: Step, files: Files) -> Made:  # noqa: ARG001 - of every step
    from .visit_tables import visit_table

    return {step.outputs[0]: visit_table(plan, release_of(plan))}


def _make_visit_detector_table(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from .visit_tables import visit_detector_table

    statistics: dict[tuple[Any, Any], SummaryStats] = {
        (product.visit, product.detector): Exposure.read_component(files[product], "summary_stats")
        for product in step.inputs
    }
    return {step.outputs[0]: visit_detector_table(plan, release_of(plan), statistics)}
