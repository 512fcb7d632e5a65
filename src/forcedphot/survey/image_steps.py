"""Steps that make images, and tables about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..conventions import BoolArray
from ..exposure import Exposure, Mask
from ..io.lsst_images_file import read_lsst_components
from .plan import DetectorPlan, PatchPlan, SurveyPlan, VisitPlan
from .products import Product
from .work import Files, Made, Step, detector_of, of_detector, patch_of, release_of, sky_of

if TYPE_CHECKING:
    from astropy.table import Table

    from ..exposure import SummaryStats
    from .detection import Detections

IMAGES = ("visit_image", "difference_image")
"""Roles of the images of one detector in one visit."""


def image_steps(plan: SurveyPlan) -> Iterator[Step]:
    """Yield the steps, inputs before what is made of them."""
    detectors = [(visit, detector) for visit in plan.visits for detector in visit.detectors]
    for visit, detector in detectors:
        roles = [*IMAGES, *(source_roles(plan) if "source" in plan.profile.datasets else ())]
        yield Step(_make_images, (), tuple(of_detector(role, visit, detector) for role in roles))
    for patch in plan.patches:
        for band in plan.size.bands:
            inputs = (
                of_detector(role, visit, detector)
                for visit, detector in images_of_patch(plan, patch)
                if visit.band == band
                for role in IMAGES
            )
            outputs = (Product(role, patch=patch.id, band=band) for role in ("coadd", "template"))
            yield Step(_make_coadds, tuple(inputs), tuple(outputs))
    yield Step(_make_truth, (), (Product("truth"),))
    if "visit_table" in plan.profile.datasets:
        yield Step(_make_visit_table, (), (Product("visit_table"),))
        images = tuple(of_detector("visit_image", visit, detector) for visit, detector in detectors)
        yield Step(_make_visit_detector_table, images, (Product("visit_detector_table"),))


def source_roles(plan: SurveyPlan) -> tuple[str, str]:
    """Return what the tables of sources and of DIA sources on one image are: in the survey, or parts of such."""
    is_by_detector = "detector" in plan.profile.datasets["source"].dimensions
    return "source" if is_by_detector else "source_of_detector", "dia_source_of_detector"


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
    """Make the images of a visit's detector, and measure what is detected on them while they are at hand."""
    from .detection import detect, detect_both_signs
    from .images import difference_image, visit_image
    from .visits import simulate_visit

    visit, detector = detector_of(plan, step.outputs[0])
    arrays = simulate_visit(plan, visit, detector, sky_of(plan))
    assert isinstance(arrays.mask, Mask)  # noqa: S101 - for the type checker
    seen, changed = detect(arrays.visit_exposure()), detect_both_signs(arrays.difference_exposure())
    on_visit = _marked(arrays.mask, {"DETECTED": seen.covered()})
    marks = zip(("DETECTED", "DETECTED_NEGATIVE"), (found.covered() for found in changed), strict=True)
    on_difference = _marked(arrays.mask, dict(marks))
    image = visit_image(plan, visit, detector, replace(arrays, mask=on_visit))
    difference = difference_image(plan, visit, detector, replace(arrays, mask=on_difference))
    made: list[Any] = [image, difference]
    if len(step.outputs) > len(made):
        made += _sources(plan, visit, detector, (image, seen), (difference, changed))
    return dict(zip(step.outputs, made, strict=True))


def _sources(
    plan: SurveyPlan,
    visit: VisitPlan,
    detector: DetectorPlan,
    on_visit: tuple[Any, Detections],
    on_difference: tuple[Any, tuple[Detections, Detections]],
) -> tuple[Table, Table]:
    """Measure what is detected, on images as they are when they are read."""
    from .row_ids import detector_ids
    from .sources import dia_source_table, measure_dia_sources, measure_sources, source_table

    ids, release = detector_ids(plan, visit.id, detector.id), release_of(plan)
    image, difference = (Exposure.from_lsst_images(pixels) for pixels in (on_visit[0], on_difference[0]))
    sources = measure_sources(image, ids, exposure_id=ids.catalog_id, detections=on_visit[1])
    dia_sources = measure_dia_sources(difference, ids, exposure_id=ids.catalog_id, detections=on_difference[1])
    return (
        source_table(release, sources, image),
        dia_source_table(release, dia_sources, difference, image, visit.middle_mjd),
    )


def _make_coadds(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from .coadds import coadd_patch, template_patch

    coadd, template = step.outputs
    patch, band = patch_of(plan, coadd), cast("str", coadd.band)
    visits = [Exposure.read(files[product]) for product in step.inputs_of("visit_image")]
    differences = [_read_pixels(files[product]) for product in step.inputs_of("difference_image")]
    made = {
        coadd: coadd_patch(plan, patch, band, visits),
        template: template_patch(plan, patch, band, list(zip(visits, differences, strict=True))),
    }
    for image in made.values():
        image.mask.set("DETECTED", _covered(Exposure.from_lsst_images(image)))
    return made


def _read_pixels(path: Path) -> Exposure:
    """Read an image and its variance, and leave out the rest, which is most of the work."""
    image, variance = read_lsst_components(path, ("image", "variance"))
    return Exposure.from_arrays(image, variance=variance)


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
