"""Steps that measure catalogs on images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..exposure import Exposure
from ..io.afw_table.reader import read_afw_table
from ..io.parquet import read_parquet
from .image_steps import IMAGES, images_of_patch, source_roles
from .plan import PatchPlan, SurveyPlan
from .products import Product
from .work import Files, Made, Step, of_detector, patch_of, release_of

if TYPE_CHECKING:
    from astropy.table import Table

    from ..tasks.forced_sources import ForcedTable, ForcedTargets
    from .objects import ObjectCatalogs

_BY_BAND = ("coadd_measured", "coadd_forced")
_FORCED: Mapping[str, ForcedTable] = MappingProxyType(
    {"forced_source": "ForcedSource", "dia_forced_source": "ForcedSourceOnDiaObject"}
)
"""Roles, and what the schemas call these tables."""


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
    """Yield steps that put sources together by visits, and for DIA objects."""
    of_visit, of_difference = source_roles(plan)
    if of_visit != "source":
        for visit in plan.visits:
            sources = (of_detector(of_visit, visit, detector) for detector in visit.detectors)
            yield Step(_stack, tuple(sources), (Product("source", visit=visit.id),))
    inputs = (of_detector(of_difference, visit, detector) for visit in plan.visits for detector in visit.detectors)
    is_by_visit = "visit" in plan.profile.datasets["dia_source"].dimensions
    outputs = (
        Product("dia_source", visit=place)
        for place in ([visit.id for visit in plan.visits] if is_by_visit else [None])
    )
    yield Step(_associate, tuple(inputs), (Product("dia_object"), *outputs))


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
    objects = {patch.id: Product(_object_table_role(plan), patch=patch.id) for patch in plan.patches}
    patches = _patches_by_image(plan)
    parts: dict[Product, list[Product]] = {
        Product(role, patch=patch.id): [] for patch in plan.patches for role in _FORCED
    }
    for (visit, detector), on_image in patches.items():
        images = (Product(role, visit, detector) for role in IMAGES)
        tables = (*(objects[patch] for patch in on_image), Product("dia_object"))
        outputs = [Product(f"{role}_part", visit, detector) for role in _FORCED]
        yield Step(_measure_targets, (*images, *tables), tuple(outputs))
        for role, output in zip(_FORCED, outputs, strict=True):
            for patch in on_image:
                parts[Product(role, patch=patch)].append(output)
    for product, inputs in parts.items():
        yield Step(_make_forced_sources, tuple(inputs), (product,))


def _patches_by_image(plan: SurveyPlan) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for patch in plan.patches:
        for visit, detector in images_of_patch(plan, patch):
            found.setdefault((visit.id, detector.id), []).append(patch.id)
    return found


def _measure_targets(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from ..tasks.forced_sources import ForcedImages, ForcedTargets, measure_targets

    visit, difference, *tables = step.inputs
    images = ForcedImages(Exposure.read(files[visit]), Exposure.read(files[difference]))
    *objects, dia_objects = (_read_targets(plan, product, files) for product in tables)
    targets = ForcedTargets.concatenate(objects), dia_objects
    return {
        output: measure_targets(release_of(plan), each, images)
        for output, each in zip(step.outputs, targets, strict=True)
    }


def _read_targets(plan: SurveyPlan, product: Product, files: Files) -> ForcedTargets:
    """Read objects, or DIA objects, in their patches; DIA objects in none are left out."""
    from ..tasks.forced_sources import ForcedTargets

    table = _read_once(files[product])
    if product.patch is not None:
        return ForcedTargets.of_objects(table).placed(plan.profile.tract, product.patch)
    targets = ForcedTargets.of_dia_objects(table)
    x, y = plan.tract_wcs.all_world2pix(targets.ra_deg, targets.dec_deg, 0)
    in_patches = [(patch.id, patch.inner.contains(x, y)) for patch in plan.patches]
    return ForcedTargets.concatenate(
        [targets.take(inside).placed(plan.profile.tract, patch) for patch, inside in in_patches]
    )


# Many images need the same tables.
_read_once = cache(read_parquet)


def _make_forced_sources(plan: SurveyPlan, step: Step, files: Files) -> Made:
    from ..tasks.forced_sources import build_forced_table
    from .row_ids import patch_ids

    (output,) = step.outputs
    patch = cast("int", output.patch)
    parts = []
    for product in step.inputs:
        with np.load(files[product]) as values:
            measured = dict(values)
        rows = measured["patch"] == patch
        parts.append({name: array[rows] for name, array in measured.items()})
    table = build_forced_table(
        release_of(plan), _FORCED[output.role], parts, skymap=plan.profile.skymap, ids=patch_ids(plan, patch)
    )
    return {output: table}


def _stack(plan: SurveyPlan, step: Step, files: Files) -> Made:  # noqa: ARG001 - of every step
    """Put tables below each other."""
    return {step.outputs[0]: _stacked([read_parquet(files[product]) for product in step.inputs])}


def _stacked(tables: list[Table]) -> Table:
    from astropy.table import vstack

    return vstack(tables, join_type="exact", metadata_conflicts="error")
