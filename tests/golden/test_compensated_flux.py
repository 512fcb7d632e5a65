"""Compensated apertures against the pipelines' own, and against the formulas where there are no such tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.schema import Columns, Schema

from .forced import differences
from .single_frame import measure_single_frame

CASE = "all_plugins/single_frame"
TOPHAT, GAUSSIAN = "base_CompensatedTophatFlux", "base_CompensatedGaussianFlux"


def as_table(columns: Columns, schema: Schema) -> Table:
    """Return the plugin's own columns with their units and documentation."""
    table = Table()
    for field in schema:
        table[field.name] = columns[field.name]
        table[field.name].unit = field.unit or None
        table[field.name].description = field.doc
    return table


def test_tophat(golden: Callable[[str], Path]) -> None:
    folder = golden(CASE)
    expected = Table.read(folder / "measured.ecsv")
    columns, schema = measure_single_frame(TOPHAT, Exposure.read(folder / "exposure.fits"), expected)
    names = [name for name in expected.colnames if name.startswith(TOPHAT)]
    ours = as_table(columns, schema)
    assert ours.colnames == names
    assert differences(ours, expected, names) == []
    assert expected[f"{TOPHAT}_12_flag_bounds"].sum() == 4
    assert (np.asarray(expected[f"{TOPHAT}_12_mask_bits"]) != 0).sum() > 40


@pytest.mark.parametrize(
    ("settings", "radii"),
    [
        ({"apertures": [5], "inner_scale": 1.2, "outer_scale": 1.9}, [5.0, 6.0, 9.5]),
        ({"apertures": [8], "inner_scale": 1.1}, [8.0, 8.8, 13.6]),
        ({"apertures": [17]}, [17.0, 17.0, 28.9]),
    ],
)
def test_tophat_is_made_of_circles(
    golden: Callable[[str], Path], settings: dict[str, Any], radii: list[float]
) -> None:
    folder = golden(CASE)
    expected = Table.read(folder / "measured.ecsv")
    exposure = Exposure.read(folder / "exposure.fits")
    circles, _ = measure_single_frame(
        "base_CircularApertureFlux", exposure, expected, settings={"radii": sorted(set(radii))}
    )
    prefixes = [f"base_CircularApertureFlux_{radius}".replace(".", "_") for radius in radii]
    flux, inner, outer = (circles[f"{prefix}_instFlux"] for prefix in prefixes)
    variance, inner_variance, outer_variance = (circles[f"{prefix}_instFluxErr"] ** 2 for prefix in prefixes)
    scale = radii[0] ** 2 / (radii[2] ** 2 - radii[1] ** 2)
    columns, _ = measure_single_frame(TOPHAT, exposure, expected, settings=settings)
    name = f"{TOPHAT}_{settings['apertures'][0]}"
    fits = ~columns[f"{name}_flag"]
    assert 40 < fits.sum() < len(fits)
    error = np.sqrt(variance + scale**2 * (outer_variance - inner_variance))
    np.testing.assert_allclose(columns[f"{name}_instFluxErr"][fits], error[fits], rtol=1e-9)
    difference = columns[f"{name}_instFlux"] - (flux - scale * (outer - inner))
    assert np.abs(difference[fits] / error[fits]).max() < 1e-9
    assert np.isnan(columns[f"{name}_instFlux"][~fits]).all()
    np.testing.assert_array_equal(columns[f"{name}_flag_bounds"], ~fits)


def test_gaussian_against_its_formula(golden: Callable[[str], Path]) -> None:
    folder = golden(CASE)
    table = Table.read(folder / "measured.ecsv")
    exposure = Exposure.read(folder / "exposure.fits")
    columns, schema = measure_single_frame(GAUSSIAN, exposure, table)
    assert [field.name.removeprefix(f"{GAUSSIAN}_") for field in schema] == [
        *("3_instFlux", "3_instFluxErr", "3_mask_bits", "5_instFlux", "5_instFluxErr", "5_mask_bits"),
        *("3_flag", "3_flag_bounds", "5_flag", "5_flag_bounds"),
    ]
    rows, pixels = np.indices(exposure.image.shape)
    for width, half_width in ((3, 16), (5, 26)):
        name = f"{GAUSSIAN}_{width}"
        # 99% of a Gaussian of twice the width.
        assert half_width == np.ceil(2.5758293035489 * 2 * width)
        for i in range(0, len(table), 7):
            x, y = table["slot_Centroid_x"][i] - exposure.x0, table["slot_Centroid_y"][i] - exposure.y0
            near = (np.abs(pixels - np.floor(x)) <= half_width) & (np.abs(rows - np.floor(y)) <= half_width)
            if columns[f"{name}_flag_bounds"][i]:
                assert near.sum() < (2 * half_width + 1) ** 2 or np.isnan(columns[f"{name}_instFlux"][i])
                continue
            r2 = (pixels[near] - x) ** 2 + (rows[near] - y) ** 2
            inner, outer = (np.exp(-0.5 * r2 / s**2) / (2.0 * np.pi * s**2) for s in (float(width), 2.0 * width))
            weight = inner - outer
            flux = np.sum(weight * exposure.image[near]) * 4.0 * np.pi * width**2 * 5.0 / 3.0
            mean_variance = np.sum(weight**2 * exposure.variance[near]) / np.sum(weight**2)
            flux_err = np.sqrt(mean_variance * 4.0 * np.pi * width**2 * 5.0 / 4.0)
            assert columns[f"{name}_instFluxErr"][i] == pytest.approx(flux_err, rel=1e-9)
            assert columns[f"{name}_instFlux"][i] == pytest.approx(flux, abs=1e-8 * flux_err, rel=1e-9)
            bits = np.bitwise_or.reduce(exposure.mask.array[near])
            assert columns[f"{name}_mask_bits"][i] == bits
        assert 0 < columns[f"{name}_flag_bounds"].sum() < 20
        np.testing.assert_array_equal(columns[f"{name}_flag"], columns[f"{name}_flag_bounds"])
