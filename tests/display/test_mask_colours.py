"""MaskColours: planes of both vocabularies get the colours that were asked for."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from forcedphot.display.mask_colours import MaskColours
from forcedphot.errors import ConfigurationError
from forcedphot.exposure import Mask


def mask_of(planes: dict[str, int], *values: int, dtype: type = np.int32) -> Mask:
    return Mask(np.array([values], dtype=dtype), planes)


@pytest.mark.parametrize(("old", "new"), [("SAT", "SATURATED"), ("CR", "COSMIC_RAY"), ("EDGE", "DETECTION_EDGE")])
def test_both_vocabularies_are_one(old: str, new: str) -> None:
    colours = MaskColours()
    assert colours.colour(old) == colours.colour(new)
    colours.set_colour(old, "#123456")
    assert colours.colour(new) == "#123456"
    colours.set_transparency(11, new)
    assert colours.transparency(old) == 11
    for name in (old, new):
        assert colours.drawn(mask_of({name: 0}, 1)) == {name: "#123456"}


def test_overlay_is_colour_and_opacity() -> None:
    colours = MaskColours()
    colours.set_transparency(25)
    drawn = colours.overlay(mask_of({"BAD": 3, "DETECTED": 0}, 0, 8, 1, 16))
    assert drawn.shape == (1, 4, 4)
    assert drawn[0, :, 3].tolist() == [0, 191, 191, 0]  # bit 4 has no name
    assert drawn[0, 1, :3].tolist() == [255, 0, 0]
    assert drawn[0, 2, :3].tolist() == [0, 0, 255]


def test_rare_planes_lie_on_common_ones() -> None:
    colours = MaskColours()
    colours.set_transparency(0)
    mask = mask_of({"BAD": 0, "DETECTED": 1}, 3, 2, 2)
    assert colours.overlay(mask)[0, 0, :3].tolist() == [255, 0, 0]
    colours.set_transparency(50)
    # Half red over half blue: three quarters opaque.
    red, green, blue, opacity = colours.overlay(mask)[0, 0] / 255.0
    assert opacity == pytest.approx(0.75, abs=0.01)
    assert (red * opacity, green, blue * opacity) == pytest.approx((0.5, 0.0, 0.25), abs=0.01)


def test_opaque() -> None:
    assert MaskColours().overlay(mask_of({"BAD": 0}, 1), opaque=True)[0, 0].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize("hidden", ["ignore", "IGNORE", None])
def test_hidden_plane(hidden: str | None) -> None:
    colours = MaskColours()
    colours.set_colour("DETECTED", hidden)
    mask = mask_of({"DETECTED": 0}, 1)
    assert colours.drawn(mask) == {}
    assert (colours.overlay(mask) == 0).all()


def test_planes_that_nobody_knows_differ() -> None:
    planes = {f"P{bit}": bit for bit in range(6)} | {"BAD": 6}
    drawn = MaskColours().drawn(mask_of(planes, 127))
    assert list(drawn) == list(planes)
    assert len(set(drawn.values())) == 7


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64])
def test_highest_bit_of_any_type(dtype: type) -> None:
    bit = 8 * np.dtype(dtype).itemsize - 1
    array: np.ndarray = np.zeros((300, 2), dtype=dtype)
    array[299, 1] = np.array(1, dtype=np.uint64).astype(dtype) << dtype(bit)
    drawn = MaskColours().overlay(Mask(array, {"SUSPECT": bit}))
    assert np.flatnonzero(drawn[..., 3].ravel()).tolist() == [599]
    assert drawn[299, 1, :3].tolist() == [round(255 * part) for part in to_rgb("gold")]


def test_a_transparency_of_all_replaces_those_of_planes() -> None:
    colours = MaskColours()
    colours.set_transparency(10, "BAD")
    colours.set_transparency(30)
    assert colours.transparency("BAD") == colours.transparency() == 30


@pytest.mark.parametrize("percent", [-1, 101, np.nan])
def test_transparency_out_of_range(percent: float) -> None:
    with pytest.raises(ConfigurationError, match="0 to 100 percent"):
        MaskColours().set_transparency(percent)


def test_unknown_colour() -> None:
    with pytest.raises(ConfigurationError, match="'reddish' is no colour"):
        MaskColours().set_colour("BAD", "reddish")
