"""Damaged AST text is refused before AST, which would crash, reads it."""

from typing import Any

import numpy as np
import pytest
from starlink import Ast

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
        # What follows made AST crash, or ask for all memory.
        (" IsA Frame\n", ' System = "ICRS"\n IsA Frame\n'),
        (" IsA Frame\n", " Naxes = 2\n IsA Frame\n"),
        ("       IsA Object\n          Naxes = 2\n", "          Naxes = 2\n       IsA Object\n"),
        (
            "          Naxes = 2\n          System",
            "       IsA Mapping\n       IsA Object\n          Naxes = 2\n          System",
        ),
        ("       IsA Frame\n       End SkyFrame", '       IsA Frame\n System = "FK5"\n       End SkyFrame'),
        ("Nin = 2", "Nin = 99999999"),
        ("Nin = 2", "Nin = 2.5"),
        ("Nin = 2", 'Nin = "2"'),
        ("Sft2 = .5", "Scl2 = .5"),
        ("Sft2 = .5", "Sft2 ="),
        ("Zoom = 1E-6", "Zoom = 1E-6\n PF1 = 1"),
        ("Naxes = 2\n          System", "Naxes = 1\n          System"),
        ("Begin SkyAxis\n             End SkyAxis", "Begin UnitMap\n Nin = 2\n IsA Mapping\n End UnitMap"),
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


def test_parts_in_exchange() -> None:
    swapped = TEXT.replace("Map2 =", "Frm3 =").replace("Frm2 =", "Map2 =").replace("Frm3 =", "Frm2 =")
    with pytest.raises(FileFormatError, match="as its"):
        checked_ast_text(swapped.splitlines())


POLYNOMIAL = """\
Begin PolyMap
   Nin = 1
IsA Mapping
   MPF1 = 2
   NCF1 = 2
   CF1 = 1.5
   CF2 = 0.5
   PF1 = 1
   PF2 = 2
   IterInv = 1
End PolyMap
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PF2 = 2", "PF2 = 99999999"),
        ("MPF1 = 2", "MPF1 = 101"),
        ("NCF1 = 2", "NCF1 = 9999999"),
        ("NCF1 = 2", "NCF1 = -1"),
    ],
)
def test_polynomials_are_of_bounded_size(old: str, new: str) -> None:
    assert checked_ast_text(POLYNOMIAL.splitlines(), is_mapping=True)
    with pytest.raises(FileFormatError, match="out of place"):
        checked_ast_text(POLYNOMIAL.replace(old, new).splitlines(), is_mapping=True)


def ast_mappings() -> list[Any]:
    """Make a mapping of every class, with attributes set that are not by default."""
    terms = [[1.5, 1, 0, 0], [0.5, 1, 1, 2], [2.0, 2, 1, 0], [1e-3, 2, 0, 1]]
    polynomial = Ast.PolyMap(terms, terms)
    zoom = Ast.ZoomMap(2, 0.5, "Ident=scale")
    shift = Ast.ShiftMap([1.5, -2.0], "ID=first")
    shift.Report = 1
    turned = Ast.WinMap([0.0, 1.0], [1.0, 3.0], [5.0, 5.0], [7.0, 9.5])
    turned.invert()
    sphere = Ast.SphMap("UnitRadius=1,PolarLong=0.5")
    return [
        Ast.CmpMap(zoom, turned, True),
        Ast.CmpMap(zoom, polynomial, False).simplify(),
        Ast.LutMap([1.0, 2.0, 4.0], 0.0, 0.5),
        Ast.MatrixMap([[1.0, 0.5], [0.0, 2.0]]),
        Ast.MatrixMap([1.0, 0.5]),
        Ast.NormMap(Ast.SkyFrame("Epoch=2010")),
        Ast.PcdMap(0.2, [1.0, 2.0]),
        Ast.PermMap([2, -1], [2, 1], [3.5]),
        polynomial,
        Ast.RateMap(polynomial, 1, 2),
        shift,
        sphere,
        Ast.TranMap(zoom, turned),
        Ast.UnitMap(2),
        Ast.UnitNormMap([1.0, 2.0]),
        Ast.WcsMap(2, Ast.TAN, 1, 2),
        turned,
        zoom,
    ]


def written(ast_object: Any) -> list[str]:
    sink: list[str] = []

    class Sink:
        def astsink(self, line: str) -> None:
            sink.append(line)

    Ast.Channel(None, Sink(), "Full=1").write(ast_object)
    return sink


@pytest.mark.parametrize("mapping", ast_mappings(), ids=lambda mapping: mapping.Class)
def test_what_ast_writes_is_taken(mapping: Any) -> None:
    assert checked_ast_text(written(mapping), is_mapping=True)
    frame_set = Ast.FrameSet(
        Ast.Frame(mapping.Nin, "Domain=PIXELS,Title=pixels,Label(1)=x,Unit(1)=pixel,Digits=9")
    )
    target = Ast.Frame(mapping.Nout, "Format(1)=%10.3f,Symbol(1)=x,Direction(1)=0,Bottom(1)=-5,Top(1)=9,Dut1=0.3")
    frame_set.addframe(1, mapping, target)
    frame_set.Ident = "of the test"
    assert checked_ast_text(written(frame_set))


def test_sky_frames_as_ast_writes_them() -> None:
    sky = Ast.SkyFrame(
        "System=FK5,Equinox=1975,Epoch=2015.5,SkyRefIs=Origin,SkyRef(1)=0.3,SkyRef(2)=0.2,SkyRefP(1)=0.1,"
        "SkyRefP(2)=0.1,AlignOffset=1,NegLon=1,Projection=gnomonic,SkyTol=0.01,ObsLon=-70,ObsLat=-30,ObsAlt=2700,"
        "Format(1)=hms.3,AsTime(1)=0,Label(2)=Dec,Domain=SKY,AlignSystem=ICRS,Dtai=37"
    )
    frame_set = Ast.FrameSet(Ast.Frame(2), "ID=wcs")
    frame_set.addframe(1, Ast.UnitMap(2), sky)
    assert checked_ast_text(written(frame_set))
