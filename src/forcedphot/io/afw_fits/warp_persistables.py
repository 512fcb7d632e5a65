"""Readers of stored PSF models that are made of others by warping.

Importing this module registers them.
"""

from __future__ import annotations

import numpy as np

from ...errors import ExposureError, FileFormatError
from ...exposure.polygon import Polygon
from ...exposure.transform import AstTransform
from ...exposure.wcs import Wcs
from ...psf.base import Psf
from ...psf.coadd import CoaddInput, CoaddPsf
from ...psf.warped import WarpedPsf, WarpingKernel
from . import exposure_rows
from .archive import StoredObject, UnsupportedObjectError
from .ast_text import checked_ast_text
from .persistables import persistable

_MAX_VERTICES = 100_000
_MAX_SIDE = 2**24  # of an input, pixels


@persistable("WarpedPsf")
def _warped_psf(stored: StoredObject) -> WarpedPsf:
    rows = stored.rows()
    return WarpedPsf(
        stored.read(rows.integer("psfIndex"), Psf),  # type: ignore[type-abstract]
        stored.read(rows.integer("transformIndex"), AstTransform),
        stored.read(rows.integer("controlIndex"), WarpingKernel),
    )


@persistable("WarpingControl")
def _warping_control(stored: StoredObject) -> WarpingKernel:
    rows = stored.rows()
    kernel = stored.read(rows.integer("warpingKernelIndex"), WarpingKernel)
    return WarpingKernel(kernel.name, rows.integer("cacheSize"))


@persistable("LanczosWarpingKernel")
def _lanczos_kernel(stored: StoredObject) -> WarpingKernel:
    return _warping_kernel(stored, f"lanczos{stored.rows().integer('order')}", 0)


@persistable("BilinearWarpingKernel")
def _bilinear_kernel(stored: StoredObject) -> WarpingKernel:
    return _warping_kernel(stored, "bilinear", 0)


@persistable("TransformPoint2ToPoint2")
def _transform(stored: StoredObject) -> AstTransform:
    data = stored.rows().bytes("bytes")
    # Version and class; then what AST's Channel wrote.
    parts = data.decode("ascii").split(" ", 2)
    if len(parts) != 3 or parts[:2] != ["1", stored.class_name]:
        raise FileFormatError(
            f"a {stored.class_name} begins with '1 {stored.class_name}', this one with {data[:40]!r}"
        )
    transform = AstTransform.from_text(checked_ast_text(parts[2].splitlines(), is_mapping=True))
    # AST finds out what does not fit together when it is used.
    somewhere = np.zeros(1)
    transform.to_source(somewhere, somewhere)
    return transform


@persistable("Polygon")
def _polygon(stored: StoredObject) -> Polygon:
    rows = stored.rows()
    if len(rows) > _MAX_VERTICES:
        raise FileFormatError(f"a Polygon has {len(rows)} vertices")
    return Polygon(rows.column("vertices_x"), rows.column("vertices_y"))


@persistable("CoaddPsf")
def _coadd_psf(stored: StoredObject) -> CoaddPsf:
    if len(stored.tables) == 1:
        # Files written before July 2013: the coadd's WCS is in a last row, the interpolation not stored.
        inputs = stored.rows()
        n_inputs, kernel = len(inputs) - 1, WarpingKernel("lanczos3")
        wcs_id = int(inputs.column("wcs")[-1]) if n_inputs >= 0 else 0
    else:
        settings, inputs = stored.rows(0), stored.rows(1)
        n_inputs, wcs_id = len(inputs), settings.integer("coaddwcs")
        kernel = _warping_kernel(stored, settings.text("warpingkernelname"), settings.integer("cachesize"))
    wcs = stored.read(wcs_id, Wcs)  # type: ignore[type-abstract]
    boxes, polygons = exposure_rows.boxes(inputs), exposure_rows.valid_polygons(stored, inputs)
    if not all(1 <= side <= _MAX_SIDE for box in boxes for side in box.shape):
        raise FileFormatError("a CoaddPsf has an input whose box has no pixels, or absurdly many")
    psf_ids, wcs_ids = inputs.column("psf")[:n_inputs].tolist(), inputs.column("wcs")[:n_inputs].tolist()
    if 0 in psf_ids or 0 in wcs_ids:
        raise UnsupportedObjectError(stored.class_name, " where an input has no PSF or no WCS")
    weights = inputs.column("weight").astype(np.float64).tolist()
    return CoaddPsf(
        [
            CoaddInput(
                stored.read(psf_ids[i], Psf),  # type: ignore[type-abstract]
                stored.read(wcs_ids[i], Wcs),  # type: ignore[type-abstract]
                boxes[i],
                weights[i],
                polygons[i],
            )
            for i in range(n_inputs)
        ],
        wcs,
        kernel,
    )


def _warping_kernel(stored: StoredObject, name: str, n_fractions: int) -> WarpingKernel:
    try:
        return WarpingKernel(name, n_fractions)
    except ExposureError as error:
        raise UnsupportedObjectError(stored.class_name, f" with the warping kernel {name!r}") from error
