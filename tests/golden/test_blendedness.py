"""Blendedness against the pipelines' own: single-frame, and forced with neighbours replaced by noise of 0."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.footprint import FootprintColumn

from .single_frame import footprint, measure_single_frame, read_footprints

PLUGIN = "base_Blendedness"
RELATIVE = 1e-4


def assert_agree(ours: Mapping[str, npt.NDArray[Any]], expected: Table) -> None:
    """Require equal flags, and all else within the tolerance; xy within that of the size."""
    names = [name for name in expected.colnames if name.startswith(f"{PLUGIN}_")]
    assert list(ours) == names
    for name in names:
        values, golden = np.asarray(ours[name]), np.asarray(expected[name])
        if golden.dtype == bool:
            np.testing.assert_array_equal(values, golden, err_msg=name)
            continue
        np.testing.assert_array_equal(np.isnan(values), np.isnan(golden), err_msg=name)
        allowed = RELATIVE * np.abs(golden)
        if name.endswith("_xy"):  # it may be 0
            stem = name.removesuffix("xy")
            allowed += 1e-3 * RELATIVE * np.hypot(expected[f"{stem}xx"], expected[f"{stem}yy"])
        elif name.endswith(("_raw", "_abs", "_old")):
            allowed += 1e-3 * RELATIVE  # likewise; the ratio of fluxes is 1
        finite = np.isfinite(golden)
        assert (np.abs(values - golden)[finite] <= allowed[finite]).all(), name


def blends(folder: Path, exposure: Exposure) -> tuple[FootprintColumn, Callable[[int], Exposure]]:
    """Read footprints; return them and a function that makes the image on which one source is left."""
    with np.load(folder / "heavy.npz") as arrays:
        data = {name: arrays[name] for name in arrays.files}
    n = sum(name.startswith("kind_") for name in data)
    spans = [data.get(f"spans_{i}", box_spans(*data[f"box_{i}"].tolist())) for i in range(n)]
    empty = exposure.image.copy()
    for rows in spans:
        for y, x0, x1 in rows - [exposure.y0, exposure.x0, exposure.x0]:
            empty[y, x0 : x1 + 1] = 0.0

    def with_source(i: int) -> Exposure:
        image = empty.copy()
        pixels = data.get(f"pixels_{i}")
        for row, (y, x0, x1) in enumerate(spans[i] - [exposure.y0, exposure.x0, exposure.x0]):
            image[y, x0 : x1 + 1] = exposure.image[y, x0 : x1 + 1] if pixels is None else pixels[row]
        return dataclasses.replace(exposure, image=image)

    footprints = np.empty(n, dtype=object)
    footprints[:] = [footprint(rows) for rows in spans]
    return footprints, with_source


def box_spans(x0: int, y0: int, width: int, height: int) -> npt.NDArray[np.int64]:
    y = np.arange(y0, y0 + height)
    return np.stack([y, np.full_like(y, x0), np.full_like(y, x0 + width - 1)], axis=1)


def test_neighbours_replaced(golden: Callable[[str], Path]) -> None:
    folder = golden("neighbours/blends")
    expected = Table.read(folder / "measured_blendedness.ecsv")
    exposure = Exposure.read(folder / "exposure.fits")
    footprints, with_source = blends(folder, exposure)
    ours = [
        measure_single_frame(
            PLUGIN, with_source(i), expected, footprints=footprints, unreplaced=exposure, rows=np.array([i])
        )[0]
        for i in range(len(expected))
    ]
    names = [name for name in ours[0] if name.startswith(PLUGIN)]
    assert_agree({name: np.concatenate([columns[name] for columns in ours]) for name in names}, expected)
    assert (np.asarray(expected[f"{PLUGIN}_raw"]) > 0.01).sum() > 10
    assert (np.asarray(expected[f"{PLUGIN}_old"]) > 0.01).sum() > 10


@pytest.mark.parametrize(
    ("case", "image", "table", "footprints"),
    [
        (
            "kron_hsm_convolved",
            "reference_exposure.fits",
            "reference_measured.ecsv",
            "reference_footprints.npz",
        ),
        ("single_frame", "exposure.fits", "measured.ecsv", None),
    ],
)
def test_neighbours_left(
    golden: Callable[[str], Path], case: str, image: str, table: str, footprints: str | None
) -> None:
    folder = golden(f"all_plugins/{case}")
    expected = Table.read(folder / table)
    ours, schema = measure_single_frame(
        PLUGIN,
        Exposure.read(folder / image),
        expected,
        footprints=None if footprints is None else read_footprints(folder / footprints),
    )
    names = [name for name in ours if name.startswith(PLUGIN)]
    assert_agree({name: ours[name] for name in names}, expected)
    fields = {item.name: item for item in schema}
    for name in names:
        assert fields[name].dtype == expected[name].dtype.name
        assert fields[name].doc == expected[name].description
        assert fields[name].unit == str(expected[name].unit or "")


def test_a_difference_is_reported(golden: Callable[[str], Path]) -> None:
    expected = Table.read(golden("neighbours/blends") / "measured_blendedness.ecsv")
    ours = {name: np.array(expected[name]) for name in expected.colnames if name.startswith(f"{PLUGIN}_")}
    assert_agree(ours, expected)
    ours[f"{PLUGIN}_abs_parent_xy"][1] *= 1.0002
    with pytest.raises(AssertionError):
        assert_agree(ours, expected)
