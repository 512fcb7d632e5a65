"""What an exposure and its parts refuse."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedphot import Exposure
from forcedphot.errors import ExposureError, FileFormatError
from forcedphot.exposure import AstWcs, Mask


def test_planes_of_another_type_are_refused() -> None:
    exposure = Exposure.from_arrays(np.ones((3, 4)))
    in_double: Any = np.ones((3, 4))
    with pytest.raises(ExposureError, match=r"variance plane should be native float32, not float64"):
        dataclasses.replace(exposure, variance=in_double)
    with pytest.raises(ExposureError, match=r"mask plane has shape \(4, 3\)"):
        dataclasses.replace(exposure, mask=Mask(np.zeros((4, 3), dtype=np.int32)))
    with pytest.raises(ExposureError, match="some pixels"):
        Exposure.from_arrays(np.ones((0, 4)))


def test_masks_that_are_none_are_refused() -> None:
    array: Any
    for array in (np.zeros((3, 4)), np.zeros(4, dtype=np.int32)):
        with pytest.raises(ExposureError, match="two-dimensional integer image"):
            Mask(array)
    with pytest.raises(ExposureError, match="plane CR has bit 8; the mask image has 8 bits"):
        Mask(np.zeros((3, 4), dtype=np.uint8), {"CR": 8})


def test_planes_have_two_names() -> None:
    mask = Mask(np.zeros((3, 4), dtype=np.uint8), {"SATURATED": 1, "CR": 3})
    assert mask.bits(["SAT", "COSMIC_RAY"]) == mask.bits(["SATURATED", "CR"]) == 2 + 8
    assert mask.find("EDGE") is None


def test_ast_text_that_is_no_wcs_is_refused() -> None:
    with pytest.raises(FileFormatError, match="not readable AST text"):
        AstWcs.from_text([" Begin Nonsense", " End Nonsense"])
    with pytest.raises(FileFormatError, match="should be an AST FrameSet; the file has"):
        AstWcs.from_text([" Begin UnitMap", "    Nin = 2", " IsA Mapping", " End UnitMap"])


def test_masked_arrays_keep_their_mask() -> None:
    image = np.ma.masked_greater(np.arange(20.0).reshape(4, 5), 17)
    exposure = Exposure.from_arrays(image)
    assert exposure.mask is not None
    assert np.flatnonzero(exposure.mask.array & exposure.mask.bits(["BAD"])).tolist() == [18, 19]
    given = Exposure.from_arrays(image, mask=np.zeros((4, 5), dtype=bool)).mask
    assert given is not None
    assert not given.array.any()
    assert Exposure.from_arrays(np.ma.asarray(image.data)).mask is None


def test_kinds_of_files_that_are_none(tmp_path: Path) -> None:
    exposure = Exposure.from_arrays(np.ones((4, 5)))
    for write in (exposure.to_lsst_images, lambda kind: exposure.write(tmp_path / "image.fits", kind)):
        with pytest.raises(ExposureError, match="and fits; not 'FITS'"):
            write("FITS")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
