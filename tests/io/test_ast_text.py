"""Damaged AST text is refused before AST, which would crash, reads it."""

import numpy as np
import pytest

from forcedphot.errors import FileFormatError
from forcedphot.exposure import AstWcs
from forcedphot.io.afw_fits.ast_text import checked_ast_text

TEXT = """\
 Begin FrameSet  # comment
#   Title = "ICRS coordinates"
 IsA Frame
    Nframe = 2
#   Base = 1
    Currnt = 2
    Lnk2 = 1
    Frm1 =
       Begin Frame
          Naxes = 2
          Domain = "PIXELS # 1"
          Ax1 =
             Begin Axis
             End Axis
          Ax2 =
             Begin Axis
             End Axis
       End Frame
    Frm2 =
       Begin SkyFrame
       IsA Object
          Naxes = 2
          System = "ICRS"
          Ax1 =
             Begin SkyAxis
             End SkyAxis
          Ax2 =
             Begin SkyAxis
             End SkyAxis
       IsA Frame
       End SkyFrame
    Map2 =
       Begin CmpMap
          Nin = 2
       IsA Mapping
          MapA =
             Begin ShiftMap
                Nin = 2
             IsA Mapping
                Sft1 = -2.5e+02
                Sft2 = .5
             End ShiftMap
          MapB =
             Begin ZoomMap
                Nin = 2
             IsA Mapping
                Zoom = 1E-6
             End ZoomMap
       End CmpMap
 End FrameSet
"""


def test_comments_are_dropped_and_nothing_else() -> None:
    lines = checked_ast_text(TEXT.splitlines())
    assert not any(line.lstrip().startswith("#") for line in lines)
    assert 'Domain = "PIXELS # 1"' in lines
    position = np.array([7.0]), np.array([9.0])
    expected = AstWcs.from_text(TEXT.splitlines()).pixel_to_sky(*position)
    np.testing.assert_array_equal(AstWcs.from_text(lines).pixel_to_sky(*position), expected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MapB", "MapC"),
        ("MapB", "Map\0B"),
        ("Naxes", "Nax7s"),
        ("Naxes = 2", "Naxes = 3"),
        ("Naxes = 2", "Naxes = -2"),
        ("Nframe = 2", "Nframe = 3"),
        ("Nframe = 2", "Nframe = 99999999999"),
        ("Currnt = 2", "Currnt = 3"),
        ("Frm2 =", "Frm2"),
        ("Frm2 =", "Frm2 = 1"),
        ("Frm2 =", "Frm1 ="),
        ("Begin ShiftMap", "Begin ShootMap"),
        ("End ShiftMap", "End ZoomMap"),
        ("IsA Mapping", "IsA Mopping"),
        ("       IsA Mapping\n", ""),
        ("       IsA Frame\n", ""),
        ("Begin FrameSet", "Begin CmpMap"),
        (" End FrameSet\n", ""),
        (" End FrameSet\n", " End FrameSet\n End FrameSet\n"),
        (" End FrameSet\n", " End FrameSet\n Begin FrameSet\n"),
        (" Begin FrameSet", "\n"),
        ("Sft1 = -2.5e+02", "Sft1 = -2.5e+02 7"),
        ('"ICRS"', '"ICRS'),
    ],
)
def test_damaged_text_is_refused(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(FileFormatError):
        checked_ast_text(TEXT.replace(old, new, 1).splitlines())


def test_depth_is_limited() -> None:
    text = ["Begin CmpMap", "MapA ="] * 5000
    with pytest.raises(FileFormatError):
        checked_ast_text(text)


def test_a_piece_of_text_is_not_enough() -> None:
    lines = TEXT.splitlines()
    for n in range(len(lines)):
        with pytest.raises(FileFormatError):
            checked_ast_text(lines[:n])
