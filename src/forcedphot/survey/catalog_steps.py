"""Steps that measure catalogs on images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..exposure import Exposure
from ..id_generator import IdGenerator
from ..io.afw_table.reader import read_afw_table
from ..io.parquet import read_parquet
from .image_steps import images_of_patch
from .plan import PatchPlan, SurveyPlan
from .products import Product
from .work import Files, Made, Step, detector_of, of_detector, patch_of, release_of

if TYPE_CHECKING:
    from astropy.table import Table

    from .objects import ObjectCatalogs


_BY_BAND = ("coadd_measured", "coadd_forced")
_IMAGES = ("visit_image", "difference_image")
_FORCED = ("forced_source", "dia_forced_source")
_FORCED_IDS = ("forcedSourceId", "forcedSourceOnDiaObjectId")


def catalog_steps(plan: SurveyPlan) -> Iterator[Step]:
    """Yield the steps, inputs before what is made of them; they need the images of `image_steps`."""
    yield from _object_steps(plan)
    if "source" in plan.profile.datasets:
        yield from _source_steps(plan)
        yield from _forced_steps(plan)


def _object_steps(plan: SurveyPlan) -> Iterator[Step]:
    bands, datasets = plan.size.bands, plan.profile.datasets
    tables = []
    for patch in plan.patches:
        coadds = tuple(Product("coadd", patch=patch.id, band=band) for band in bands)
        reference = Product("reference", patch=patch.id)
        outputs = [reference, *(Product(role, patch=patch.id, band=band) for role in _BY_BAND for band in bands)]
        if "object" in datasets:
            tables.append(Product(_object_table_role(plan), patch=patch.id))
            outputs.append(tables[-1])
        yield Step(_make_objects, coadds, tuple(outputs))
        if patch is plan.patches[0]:
            yield Step(_take_schema, (reference,), (Product("reference_schema"),))
    if tables and tables[0].role != "object":
        yield Step(_stack, tuple(tables), (Product("object"),))


def _object_table_role(plan: SurveyPlan) -> str:
    """Return what the table of a patch's objects is: in the survey by itself, or as a part of the tract's."""
    return "object" if "patch" in plan.profile.datasets["object"].dimensions else "object_of_patch"


def _make_objects(plan: SurveyPlan, step: Step, files: Files) -> Made:
    """Make the catalogs of a patch, and the table of what is in them."""
    from .object_table import object_table

    coadds = _coadds(step, files)
    patch = patch_of(plan, step.outputs[0])
    found = _objects(plan, patch, coadds)
    made: Made = {}
    for output in step.outputs:
        if output.role == "reference":
            made[output] = found.reference
        elif output.role in _BY_BAND:
            catalogs = found.measured if output.role == "coadd_measured" else found.forced
            made[output] = catalogs[cast("str", output.band)]
        else:
            where: dict[str, Any] = {"skymap": plan.profile.skymap, "tract": plan.profile.tract, "patch": patch.id}
            made[output] = object_table(release_of(plan), found, coadds, **where)
    return made


def _take_schema(plan: SurveyPlan, step: Step, files: Files) -> Made:  # noqa: ARG001 - of every step
    (catalog,), (output,) = step.inputs, step.outputs
    return {output: read_afw_table(files[catalog])[:0]}


def _coadds(step: Step, files: Files) -> dict[str, Exposure]:
    return {cast("str", product.band): Exposure.read(files[product]) for product in step.inputs_of("coadd")}


def _objects(plan: SurveyPlan, patch: PatchPlan, coadds: dict[str, Exposure]) -> ObjectCatalogs:
    from .objects import measure_objects
    from .row_ids import patch_ids

    ids = patch_ids(plan, patch.id)
    return measure_objects(coadds, patch.inner, plan.tract_inner_box, ids, seed=ids.catalog_id)


def _source_steps(plan: SurveyPlan) -> Iterator[Step]:
    """Yield steps for sources on visit and on difference images, and for DIA objects."""
    datasets = plan.profile.datasets
    is_by_detector = "detector" in datasets["source"].dimensions
    role = "source" if is_by_detector else "source_of_detector"
    dia_inputs = []
    for visit in plan.visits:
        sources = []
        for detector in visit.detectors:
            images = (of_detector(image, visit, detector) for image in _IMAGES)
            sources.append(of_detector(role, visit, detector))
            dia_inputs.append(of_detector("dia_source_of_detector", visit, detector))
            yield Step(_make_sources, tuple(images), (sources[-1], dia_inputs[-1]))
        if not is_by_detector:
            yield Step(_stack, tuple(sources), (Product("source", visit=visit.id),))
    places = [visit.id for visit in plan.visits] if "visit" in datasets["dia_source"].dimensions else [None]
    outputs = (Product("dia_source", visit=place) for place in places)
    yield Step(_associate, tuple(dia_inputs), (Product("dia_object"), *outputs))


def _make_sources(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from .images import visit_info
    from .row_ids import detector_ids
    from .sources import dia_source_table, measure_dia_sources, measure_sources, source_table

    visit, detector = detector_of(plan, step.outputs[0])
    ids, release = detector_ids(plan, visit.id, detector.id), release_of(plan)
    image, difference = (Exposure.read(files[product]) for product in step.inputs)
    sources = measure_sources(image, ids, exposure_id=ids.catalog_id)
    dia_sources = measure_dia_sources(difference, ids, exposure_id=ids.catalog_id)
    time = visit_info(plan, visit).mid_mjd_tai
    tables = (
        source_table(release, sources, image),
        dia_source_table(release, dia_sources, difference, image, time),
    )
    return dict(zip(step.outputs, tables, strict=True))


def _associate(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from .association import associate
    from .row_ids import tract_ids

    tables = [read_parquet(files[product]) for product in step.inputs]
    sources, objects = associate(
        release_of(plan), _stacked(tables), tract_ids(plan), bands="".join(plan.size.bands)
    )
    visits = np.repeat([cast("int", product.visit) for product in step.inputs], [len(table) for table in tables])
    dia_object, *outputs = step.outputs
    made = {output: sources if output.visit is None else sources[visits == output.visit] for output in outputs}
    return {dia_object: objects, **made}


def _forced_steps(plan: SurveyPlan) -> Iterator[Step]:
    """Yield steps that measure on each pair of images once, and those that sort the rows by patches."""
    role = _object_table_role(plan)
    objects = {patch.id: Product(role, patch=patch.id) for patch in plan.patches}
    patches = _patches_by_image(plan)
    parts: dict[Product, list[Product]] = {
        Product(role, patch=patch.id): [] for patch in plan.patches for role in _FORCED
    }
    for (visit, detector), on_image in patches.items():
        images = (Product(role, visit, detector) for role in _IMAGES)
        outputs = [Product(f"{role}_part", visit, detector, patch) for patch in on_image for role in _FORCED]
        tables = (*(objects[patch] for patch in on_image), Product("dia_object"))
        yield Step(_make_forced_sources, (*images, *tables), tuple(outputs))
        for output in outputs:
            parts[Product(output.role.removesuffix("_part"), patch=output.patch)].append(output)
    for product, inputs in parts.items():
        yield Step(_stack_forced_sources, tuple(inputs), (product,))


def _patches_by_image(plan: SurveyPlan) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for patch in plan.patches:
        for visit, detector in images_of_patch(plan, patch):
            found.setdefault((visit.id, detector.id), []).append(patch.id)
    return found


def _make_forced_sources(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from ..tasks.forced_sources import ForcedImages, ForcedTargets, dia_forced_source_table, forced_source_table

    visit, difference, *tables = step.inputs
    images = ForcedImages(Exposure.read(files[visit]), Exposure.read(files[difference]))
    dia_objects = ForcedTargets.of_dia_objects(read_parquet(files[tables.pop()]))
    x, y = plan.tract_wcs.all_world2pix(dia_objects.ra_deg, dia_objects.dec_deg, 0)
    made: Made = {}
    for product in tables:
        patch = patch_of(plan, product)
        objects = ForcedTargets.of_objects(read_parquet(files[product]))
        targets = (objects, dia_objects.take(patch.inner.contains(x, y)))
        outputs = (output for output in step.outputs if output.patch == patch.id)
        where: dict[str, Any] = {"skymap": plan.profile.skymap, "tract": plan.profile.tract, "patch": patch.id}
        for output, target, make in zip(
            outputs, targets, (forced_source_table, dia_forced_source_table), strict=True
        ):
            # The rows are numbered when they are together.
            made[output] = make(release_of(plan), target, [images], **where, ids=IdGenerator())
    return made


def _stack_forced_sources(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from .row_ids import patch_ids

    (output,) = step.outputs
    table = _stacked([read_parquet(files[product]) for product in step.inputs])
    for name in _FORCED_IDS:
        if name in table.colnames:
            table[name][:] = patch_ids(plan, cast("int", output.patch)).arange(1, len(table) + 1)
    return {output: table}


def _stack(plan: SurveyPlan, step: Step, files: Files) -> Made:  # noqa: ARG001 - of every step
    """Put tables below each other."""
    return {step.outputs[0]: _stacked([read_parquet(files[product]) for product in step.inputs])}


def _stacked(tables: list[Table]) -> Table:
    from astropy.table import vstack

    return vstack(tables, join_type="exact", metadata_conflicts="error")
