"""Pickles are read as data: hostile ones are refused, and nothing of them runs."""

import builtins
import os
import pickle
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.errors import FileFormatError, ForcedPhotError, UnsafeContentError
from forcedphot.io.afw_fits.piff_pickle import ALLOWED_CLASSES, read_piff_psf
from forcedphot.io.afw_fits.restricted_pickle import ClassName, Record, read_pickle

galsim = pytest.importorskip("galsim")
piff = pytest.importorskip("piff")


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def piff_model(keys: tuple[str, ...] = ("x", "y")) -> Any:
    model = piff.PixelGrid(0.2, 9, interp=galsim.Lanczos(5))
    interp = piff.BasisPolynomial(1, keys=keys)
    interp.q = np.random.default_rng(1).uniform(0.5, 1.0, (81, len(interp.constant()))) * 1e-3
    interp.q[:, 0] += np.outer(np.hanning(9), np.hanning(9)).ravel()
    psf = piff.SimplePSF(model, interp, outliers=piff.outliers.ChisqOutliers(nsigma=4))
    psf.wcs = {0: galsim.PixelScale(0.2)}
    psf.pointing = None
    psf.stars = [piff.Star.makeTarget(x=3.0, y=4.0, scale=0.2, stamp_size=9)]
    return psf


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_come_through(protocol: int) -> None:
    data = [
        1,
        -5,
        2**70,
        1.5,
        "naïve",
        b"bytes",
        None,
        True,
        False,
        (),
        (1,),
        (1, 2),
        (1, 2, 3, 4),
        {"a": [1]},
        {},
    ]
    data.append(data[-2])
    if protocol == 2:
        data.remove(b"bytes")
    assert read_pickle(pickle.dumps(data, protocol), ()) == data


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_become_records(protocol: int) -> None:
    data = pickle.dumps(galsim.PositionD(1.0, 2.0), protocol)
    record = read_pickle(data, {("galsim.position", "PositionD")})
    assert isinstance(record, Record)
    assert record.class_name == ClassName("galsim.position", "PositionD")
    assert record.arguments == ()
    assert record.state == {"x": 1.0, "y": 2.0}


@pytest.mark.parametrize("protocol", [4, 5])
def test_model_is_rebuilt(protocol: int) -> None:
    model = piff_model()
    psf = read_piff_psf(pickle.dumps((9, 9, model), protocol))
    x, y = np.array([3.2, 10.0]), np.array([4.4, -20.25])
    images = psf.images(x, y).images
    for i in range(2):
        expected = model.draw(x[i], y[i], stamp_size=9).array
        np.testing.assert_allclose(images[i], expected / expected.sum(), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "wcs",
    [
        galsim.OffsetWCS(0.2, galsim.PositionD(3, 4), galsim.PositionD(1, 2)),
        galsim.JacobianWCS(0.2, 0.01, -0.01, 0.19),
        galsim.AffineTransform(0.2, 0.01, -0.01, 0.19, galsim.PositionD(3, 4), galsim.PositionD(1, 2)),
    ],
    ids=lambda wcs: type(wcs).__name__,
)
def test_wcs_is_rebuilt(wcs: Any) -> None:
    model = piff_model()
    model.wcs = {0: wcs}
    assert read_piff_psf(pickle.dumps((9, 9, model))).piff_psf.wcs == {0: wcs}


def test_old_pickles_lack_attributes() -> None:
    model = piff_model()
    for name in ("_maxk", "_stepk", "_num", "_fit_flux"):
        del model.model.__dict__[name]
    psf = read_piff_psf(pickle.dumps((9, 9, model)))
    psf.piff_psf.draw(3.0, 4.0, stamp_size=9)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, "touch {}", "posix.system"),
        (builtins.eval, "open('{}', 'w')", "builtins.eval"),
        (builtins.exec, "open('{}', 'w')", "builtins.exec"),
        (builtins.getattr, "{}", "builtins.getattr"),
        (subprocess.Popen, "touch {}", "subprocess.Popen"),
        (galsim.utilities.math_eval, "open('{}', 'w')", "galsim._utilities.math_eval"),
        (piff.GSObjectModel, "open('{}', 'w')", "piff.gsobject_model.GSObjectModel"),
        (galsim.UVFunction, "open('{}', 'w')", "galsim.wcs.UVFunction"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("place", ["top", "model", "stars"])
def test_foreign_functions_are_refused(
    tmp_path: Path, function: Any, arguments: str, name: str, place: str
) -> None:
    mark = tmp_path / "ran"
    call = Call(function, arguments.format(mark))
    content: Any = call
    if place != "top":
        model = piff_model()
        setattr(model, place, call)
        content = (9, 9, model)
    with pytest.raises(UnsafeContentError, match=name):
        read_piff_psf(pickle.dumps(content))
    assert not mark.exists()


def test_allowed_classes_get_no_arguments(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    model = piff_model()
    model.model = Call(piff.PixelGrid, 0.2, 9, f"open('{mark}', 'w')")
    with pytest.raises(UnsafeContentError, match="PixelGrid with arguments"):
        read_piff_psf(pickle.dumps((9, 9, model)))
    assert not mark.exists()


def test_strings_are_not_evaluated(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    model = piff_model()
    model.model.interp = f"open('{mark}', 'w')"
    with pytest.raises(FileFormatError, match="str where an object"):
        read_piff_psf(pickle.dumps((9, 9, model)))
    assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.",
        b"\x80\x02\x82\x01.",
        b"Pname\n.",
    ],
    ids=["GLOBAL", "INST", "OBJ", "EXT1", "PERSID"],
)
def test_all_ways_to_name_an_object_are_refused(data: bytes) -> None:
    with pytest.raises(ForcedPhotError):
        read_pickle(data, ALLOWED_CLASSES)


def test_class_attributes_cannot_be_set() -> None:
    data = b"\x80\x02cpiff.pixelgrid\nPixelGrid\n}X\x04\x00\x00\x00drawK\x01s\x86b."
    with pytest.raises(ForcedPhotError):
        read_pickle(data, ALLOWED_CLASSES)


def test_keys_that_take_forever_to_hash_are_refused() -> None:
    doubled = b"".join(b"j" + struct.pack("<I", i) + b"j" + struct.pack("<I", i) + b"\x86\x94" for i in range(99))
    data = b"\x80\x04)\x94" + doubled + b"}j" + struct.pack("<I", 99) + b"K\x01s."
    with pytest.raises(FileFormatError, match="a key of type tuple"):
        read_pickle(data, ())


def test_keys_that_have_one_hash_are_refused() -> None:
    for key in (2**61 - 1, (1, 2**61 - 1), -(2**61)):
        with pytest.raises(FileFormatError, match="a large integer as a key"):
            read_pickle(pickle.dumps({key: None}), ())
    keys = {0: 1, -5: 2, 2**31 - 1: 3, (1, "a"): 4}
    assert read_pickle(pickle.dumps(keys), ()) == keys


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".",
        b"\x80\x04" + b")" + b"\x85" * 200_000 + b".",
        b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"x.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\x00\x00\x10\x00" + b"\x7f" * 2**20 + b".",
        b"",
        b".",
        b"\x80\x04K\x01K\x02.",
        b"\x80\x04h\x07.",
        b"\x80\x04(.",
        b"\x80\x04}K\x01\x85s.",
    ],
    ids=[
        "deep lists", "deep tuples", "huge bytearray", "huge bytes", "huge memo index", "huge integer",
        "long integer", "empty", "no value", "two values", "absent memo", "lone mark", "short",
    ],
)  # fmt: skip
def test_expensive_or_broken_pickles_end_in_an_error(data: bytes) -> None:
    with pytest.raises(ForcedPhotError):
        read_piff_psf(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda psf: setattr(psf.model, "size", 10**9), "PixelGrid size"),
        (lambda psf: setattr(psf.model, "size", 8), "81 parameters"),
        (lambda psf: setattr(psf.model, "scale", float("nan")), "PixelGrid scale"),
        (lambda psf: setattr(psf.model, "scale", -1.0), "PixelGrid scale"),
        (lambda psf: setattr(psf.interp, "_orders", (10**6, 10**6)), "polynomial order"),
        (lambda psf: setattr(psf.interp, "_keys", ("x",) * 40), "keys"),
        (lambda psf: setattr(psf.interp, "q", np.zeros((81, 7))), "coefficients of shape"),
        (lambda psf: setattr(psf.interp, "q", np.array([["a"]])), "array of the type"),
        (lambda psf: setattr(psf.interp, "q", np.array([[object()]])), "builtins.object"),
        (lambda psf: setattr(psf.interp, "q", None), "an array is expected"),
        (lambda psf: setattr(psf, "wcs", {0: galsim.JacobianWCS(1.0, 1.0, 1.0, 1.0)}), "singular"),
        (lambda psf: setattr(psf, "wcs", {0: None}), "an object is expected"),
        (lambda psf: setattr(psf, "pointing", "up"), "pointing"),
        (lambda psf: delattr(psf, "interp"), "KeyError"),
    ],
)
def test_damaged_models_are_refused(change: Callable[[Any], None], message: str) -> None:
    model = piff_model()
    change(model)
    with pytest.raises(FileFormatError, match=message):
        read_piff_psf(pickle.dumps((9, 9, model)))


def test_arrays_cannot_be_larger_than_their_data() -> None:
    data = pickle.dumps((9, 9, piff_model()), 4)
    shape = b"K\x51K\x03\x86"  # (81, 3)
    assert data.count(shape) == 1
    huge = data.replace(shape, b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86")
    start = huge.index(b"\x95", 2) + 1
    huge = huge[:start] + struct.pack("<Q", len(huge) - start - 8) + huge[start + 8 :]
    with pytest.raises(FileFormatError, match="reshape"):
        read_piff_psf(huge)


@pytest.mark.parametrize("content", [None, 3, (9, 9), (9, 7, None), (0, 0, None), ("9", 9, None), (9, 9, "psf")])
def test_other_contents_are_refused(content: Any) -> None:
    with pytest.raises(FileFormatError):
        read_piff_psf(pickle.dumps(content))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_raise_our_errors_only(data: bytes) -> None:
    with pytest.raises(ForcedPhotError):
        read_piff_psf(data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutations_raise_our_errors_only(data: st.DataObject) -> None:
    pickled = bytearray(pickle.dumps((9, 9, piff_model())))
    for _ in range(data.draw(st.integers(1, 5))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(pickled)))
    try:
        psf = read_piff_psf(bytes(pickled[:length] if data.draw(st.booleans()) else pickled))
        psf.images(np.array([3.2]), np.array([4.4]))
    except ForcedPhotError:
        pass
