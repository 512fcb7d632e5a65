"""Stored PSF models that are made of others: all versions of their tables, and such as cannot be."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from forcedphot.conventions import Box
from forcedphot.errors import FileFormatError, ForcedPhotError
from forcedphot.io.afw_fits.archive import UnsupportedObjectError
from forcedphot.psf import CoaddPsf, GaussianPsf, WarpedPsf, WarpingKernel

from .test_psf_persistables import make_archive, read

FRAME_SET = """Begin FrameSet
IsA Frame
Nframe = 2
Base = 1
Currnt = 2
Nnode = 2
Lnk2 = 1
Frm1 =
Begin Frame
Naxes = 2
Ax1 =
Begin Axis
End Axis
Ax2 =
Begin Axis
End Axis
End Frame
Frm2 =
Begin Frame
Naxes = 2
Ax1 =
Begin Axis
End Axis
Ax2 =
Begin Axis
End Axis
End Frame
Map2 =
Begin ZoomMap
Nin = 2
IsA Mapping
Zoom = 1e-06
End ZoomMap
End FrameSet
"""

SHIFT = """Begin ShiftMap
Nin = 2
IsA Mapping
Sft1 = 3
Sft2 = -2
End ShiftMap
"""


def blob(text: str) -> Any:
    return np.frombuffer(text.encode(), dtype=np.uint8)


GAUSSIAN = ("GaussianPsf", {"dimensions_x": 15, "dimensions_y": 15, "sigma": 1.7})
WIDE_GAUSSIAN = ("GaussianPsf", {"dimensions_x": 21, "dimensions_y": 21, "sigma": 2.1})
WCS = ("SkyWcs", {"wcs": blob(f"1 SkyWcs 0 {FRAME_SET}")})
TRIANGLE = (
    "Polygon",
    [{"vertices_x": x, "vertices_y": y} for x, y in [(-50.0, -50.0), (190.0, -50.0), (-50.0, 190.0)]],
)


def warped(kernel: Any = ("LanczosWarpingKernel", {"order": 4}), **control: Any) -> dict[int, Any]:
    return {
        1: ("WarpedPsf", {"psfIndex": 2, "transformIndex": 3, "controlIndex": 4}),
        2: GAUSSIAN,
        3: ("TransformPoint2ToPoint2", {"bytes": blob(f"1 TransformPoint2ToPoint2 {SHIFT}")}),
        4: ("WarpingControl", {"warpingKernelIndex": 5, "cacheSize": 2000, "interpLength": 0, **control}),
        5: kernel,
    }


def input_row(**values: Any) -> dict[str, Any]:
    corners = {"bbox_min_x": 0, "bbox_min_y": 0, "bbox_max_x": 99, "bbox_max_y": 49}
    return {"wcs": 2, "psf": 3, "validPolygon": 0, "id": 1000, **corners, "weight": 0.5} | values


def coadd(*rows: dict[str, Any], **settings: Any) -> dict[int, Any]:
    settings = {"coaddwcs": 2, "cachesize": 5000, "avgpos_x": 0.0, "avgpos_y": 0.0} | settings
    settings.setdefault("warpingkernelname", "lanczos5")
    inputs = list(rows) or [input_row(), input_row(psf=4, validPolygon=5, bbox_max_y=79, weight=1.5)]
    return {1: ("CoaddPsf", settings, inputs), 2: WCS, 3: GAUSSIAN, 4: WIDE_GAUSSIAN, 5: TRIANGLE}


def read_coadd(objects: dict[int, Any]) -> CoaddPsf:
    psf = read(objects)
    assert isinstance(psf, CoaddPsf)
    return psf


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (("LanczosWarpingKernel", {"order": 4}), "lanczos4"),
        (("BilinearWarpingKernel", {"dummy": 0}), "bilinear"),
    ],
)
def test_warped_psf(kernel: Any, name: str) -> None:
    psf = read(warped(kernel))
    assert isinstance(psf, WarpedPsf)
    assert psf.kernel == WarpingKernel(name, 2000)
    assert isinstance(psf.undistorted, GaussianPsf)
    np.testing.assert_allclose(psf.transform.to_source(np.array([10.0]), np.array([20.0])), [[7.0], [22.0]])


def test_coadd_psf() -> None:
    psf = read_coadd(coadd())
    assert psf.kernel == WarpingKernel("lanczos5", 5000)
    first, second = psf.inputs
    assert (first.box, first.weight, first.valid_polygon) == (Box(0, 0, 100, 50), 0.5, None)
    assert (second.box, second.weight) == (Box(0, 0, 100, 80), 1.5)
    x, y = np.array([10.0, 10.0, 95.0, 10.0]), np.array([10.0, 60.0, 48.0, 85.0])
    assert second.contains(x, y).tolist() == [True, True, False, False]
    stamps = psf.images(x, y)
    assert stamps.valid.tolist() == [True, True, True, False]
    assert stamps.widths.tolist() == [21, 21, 15, 0]


def test_coadd_psf_of_the_first_version() -> None:
    """One table: the coadd's WCS is in the last row, both coordinates of a corner in one column, no polygons."""
    row = {"wcs": 2, "psf": 3, "calib": 0, "bbox_min": [0, -5], "bbox_max": [99, 49], "weight": 2.0}
    psf = read_coadd({1: ("CoaddPsf", [row, row | {"psf": 0, "weight": 0.0}]), 2: WCS, 3: GAUSSIAN})
    assert psf.kernel == WarpingKernel("lanczos3", 10_000)
    (only,) = psf.inputs
    assert (only.box, only.weight, only.valid_polygon) == (Box(0, -5, 100, 55), 2.0, None)


def test_objects_are_shared() -> None:
    psf = read_coadd(coadd(*[input_row(id=i) for i in range(20)]))
    assert len({id(part.psf) for part in psf.inputs}) == len({id(part.wcs) for part in psf.inputs}) == 1
    assert psf.n_models == 20


@pytest.mark.parametrize(
    ("objects", "class_name"),
    [
        (coadd() | {4: ("StrangePsf", {"x": 1.0})}, "StrangePsf"),
        (coadd() | {2: ("StrangeWcs", {"x": 1.0})}, "StrangeWcs"),
        (coadd(input_row(psf=0)), "CoaddPsf"),
        (coadd(input_row(wcs=0)), "CoaddPsf"),
        (coadd(warpingkernelname="nearest"), "CoaddPsf"),
        (warped(("NearestWarpingKernel", {"dummy": 0})), "NearestWarpingKernel"),
        (warped(("LanczosWarpingKernel", {"order": 500})), "LanczosWarpingKernel"),
        (warped() | {2: ("StrangePsf", {"x": 1.0})}, "StrangePsf"),
    ],
)
def test_what_is_not_supported(objects: Any, class_name: str) -> None:
    with pytest.raises(UnsupportedObjectError) as caught:
        read(objects)
    assert caught.value.class_name == class_name


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (coadd(input_row(psf=1)), "refers to itself"),
        (coadd(input_row(psf=6)) | {6: ("WarpedPsf", {"psfIndex": 1, "transformIndex": 1, "controlIndex": 1})},
         "refers to itself"),
        (coadd(input_row(psf=2)), "a Psf is expected"),
        (coadd(input_row(wcs=3)), "a Wcs is expected"),
        (coadd(input_row(psf=77)), "no object 77"),
        (coadd(input_row(weight=np.nan)), "finite weights"),
        (coadd(input_row(bbox_max_x=-1)), "box"),
        (coadd(input_row(bbox_max_x=2**31 - 1, bbox_min_x=-(2**31))), "box"),
        (coadd() | {5: ("Polygon", TRIANGLE[1][:2])}, "at least three"),
        ({1: ("CoaddPsf", [input_row()]), 2: WCS, 3: GAUSSIAN}, "got 0 inputs"),
        (warped() | {3: ("TransformPoint2ToPoint2", {"bytes": blob("2 Strange text")})}, "begins with"),
        (warped() | {3: ("TransformPoint2ToPoint2", {"bytes": blob(f"1 TransformPoint2ToPoint2 {FRAME_SET}")})},
         "should be an AST Mapping"),
        (warped() | {3: ("TransformPoint2ToPoint2", {"bytes": blob("1 TransformPoint2ToPoint2 Begin CmpMap\n")})},
         "ends too early"),
    ],
)  # fmt: skip
def test_what_cannot_be(objects: Any, message: str) -> None:
    with pytest.raises(ForcedPhotError, match=message) as caught:
        read(objects)
    assert not isinstance(caught.value, UnsupportedObjectError)


def test_psfs_within_psfs_within_psfs() -> None:
    """A small file may describe a PSF that takes for ever to draw."""
    objects = coadd()
    for i in range(10, 20):
        rows = [input_row(psf=i + 1 if i < 19 else 3)] * 10
        objects[i] = coadd(*rows)[1]
    objects[1] = objects[10]
    with pytest.raises(ForcedPhotError, match="made of 1000000 others"):
        read(objects)


def test_too_many_vertices() -> None:
    vertices: list[Mapping[str, Any]] = [{"vertices_x": 0.0, "vertices_y": 0.0}] * 100_001
    with pytest.raises(FileFormatError, match="100001 vertices"):
        make_archive({1: ("Polygon", vertices)}).read(1, object)
