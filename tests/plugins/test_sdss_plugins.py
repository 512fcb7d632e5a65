"""Adaptive shapes, centroids and Gaussian fluxes: settings, footprints, and what may be missing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.footprint import PEAK_SCHEMA, Footprint
from forcedphot.catalog.schema import Columns, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.errors import ConfigurationError
from forcedphot.exposure import Wcs
from forcedphot.plugins import SourceBatch, registry
from forcedphot.psf import GaussianPsf, KernelImages, Psf
from forcedphot.simulation import simulate_exposure

from ..golden.single_frame import measure_single_frame

CENTRE = np.array([60.3, 59.8])
"""x, y of a star, pixels; the image's origin is (0, 0)."""


def exposure_of(psf: Psf, drawn: Psf | None = None) -> Exposure:
    """Simulate one star, and little noise."""
    exposure = simulate_exposure(
        shape=(120, 120), n_sources=0, seed=3, psf=GaussianPsf(1.5, 25), margin=0.0
    ).exposure
    stamp = (drawn or psf).images(CENTRE[:1], CENTRE[1:])
    row, column = int(stamp.y0[0]), int(stamp.x0[0])
    height, width = stamp.images.shape[1:]
    exposure.image[row : row + height, column : column + width] += (1e5 * stamp.images[0]).astype(np.float32)
    return Exposure(image=exposure.image, variance=exposure.variance, wcs=exposure.wcs, psf=psf)


@pytest.fixture
def exposure() -> Exposure:
    return exposure_of(GaussianPsf(1.5, 25))


def measure(
    name: str,
    exposure: Exposure,
    at: Any = CENTRE,
    *,
    settings: Mapping[str, Any] | None = None,
    moments: Any = (2.25, 2.25, 0.0),
    footprint: Footprint | None = None,
    bad: bool = False,
) -> Columns:
    """Measure one source with one plugin."""
    table = Table({"slot_Centroid_x": [float(at[0])], "slot_Centroid_y": [float(at[1])]})
    for part, value in zip(("xx", "yy", "xy"), moments, strict=True):
        table[f"slot_Shape_{part}"] = [value]
    table["slot_Centroid_flag"] = table["slot_Shape_flag"] = [bad]
    footprints = np.empty(1, dtype=object)
    footprints[0] = footprint
    columns, _ = measure_single_frame(name, exposure, table, settings=settings, footprints=footprints)
    return columns


def flags(columns: Columns, name: str) -> set[str]:
    """Return which of the plugin's flags are set, without its name."""
    return {field.removeprefix(f"{name}_") for field in columns if f"{name}_flag" in field and columns[field][0]}


def footprint_of(peak: tuple[float, float] | None, half: int = 5) -> Footprint:
    """Make a square footprint about the star, with a peak somewhere."""
    column, row = (int(np.floor(value + 0.5)) for value in CENTRE)
    spans = np.array(
        [(y, column - half, column + half) for y in range(row - half, row + half + 1)], dtype=np.int32
    )
    peaks = PEAK_SCHEMA.allocate(0 if peak is None else 1)
    if peak is not None:
        peaks["f_x"][:], peaks["f_y"][:] = peak
    return Footprint(spans=spans, peaks=SourceCatalog(PEAK_SCHEMA, peaks, kind="BASE"))


class NoPsf(Psf):
    """A PSF that is defined nowhere."""

    def kernel_images(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> KernelImages:
        return KernelImages.of_one_shape(np.full((len(x), 5, 5), np.nan), np.zeros(len(x), dtype=bool))


def test_a_star_has_the_moments_of_its_psf(exposure: Exposure) -> None:
    columns = measure("base_SdssShape", exposure)
    for moment in ("xx", "yy", "xy"):
        np.testing.assert_allclose(
            columns[f"base_SdssShape_{moment}"], columns[f"base_SdssShape_psf_{moment}"], atol=0.02
        )
    np.testing.assert_allclose(columns["base_SdssShape_x"], CENTRE[0], atol=0.01)
    np.testing.assert_allclose(columns["base_SdssShape_instFlux"], 1e5, rtol=1e-2)
    assert flags(columns, "base_SdssShape") == set()
    # A flagged centroid is not the shape's fault.
    assert flags(measure("base_SdssShape", exposure, bad=True), "base_SdssShape") == set()


def test_shape_settings(exposure: Exposure) -> None:
    assert flags(measure("base_SdssShape", exposure, settings={"maxIter": 1}), "base_SdssShape") == {
        "flag",
        "flag_unweighted",
        "flag_maxIter",
    }
    beside = CENTRE + [5.0, 0.0]
    assert "flag_shift" in flags(measure("base_SdssShape", exposure, beside), "base_SdssShape")
    settings = {"maxShift": 9.0}
    assert "flag_shift" not in flags(
        measure("base_SdssShape", exposure, beside, settings=settings), "base_SdssShape"
    )
    without = measure("base_SdssShape", exposure, settings={"doMeasurePsf": False})
    assert not any("psf" in name for name in without if name.startswith("base_SdssShape"))
    with_psf = measure("base_SdssShape", exposure)
    assert without["base_SdssShape_xx"] == with_psf["base_SdssShape_xx"]


def test_shape_without_a_psf() -> None:
    columns = measure("base_SdssShape", exposure_of(NoPsf(), GaussianPsf(1.5, 25)))
    assert flags(columns, "base_SdssShape") == {"flag_psf"}
    assert np.isnan(columns["base_SdssShape_psf_xx"]).all()
    assert np.isfinite(columns["base_SdssShape_xx"]).all()


def test_gaussian_flux(exposure: Exposure) -> None:
    columns = measure("base_GaussianFlux", exposure, bad=True)
    np.testing.assert_allclose(columns["base_GaussianFlux_instFlux"], 1e5, rtol=1e-2)
    assert flags(columns, "base_GaussianFlux") == set()
    assert flags(measure("base_GaussianFlux", exposure, moments=(np.nan, 1.0, 0.0)), "base_GaussianFlux") == {
        "flag"
    }
    assert flags(measure("base_GaussianFlux", exposure, moments=(1.0, 1.0, 1.0)), "base_GaussianFlux") == {"flag"}


def test_gaussian_flux_needs_a_shape() -> None:
    schema = Schema()
    config = registry["base_GaussianFlux"].ConfigClass()
    with pytest.raises(ConfigurationError, match="shape slot, which is None"):
        registry["base_GaussianFlux"](config, "base_GaussianFlux", schema, {}, Schema())


@pytest.mark.parametrize(
    ("settings", "peak", "reset"),
    [
        ({}, (60.0, 60.0), False),
        ({}, (63.0, 60.0), True),
        ({"maxDistToPeak": 4.0}, (63.0, 60.0), False),
        ({"maxDistToPeak": -1.0}, (63.0, 60.0), False),
    ],
)
def test_centroids_far_from_the_peak(
    settings: dict[str, Any], peak: tuple[float, float], reset: bool, exposure: Exposure
) -> None:
    columns = measure("base_SdssCentroid", exposure, settings=settings, footprint=footprint_of(peak))
    assert flags(columns, "base_SdssCentroid") == ({"flag", "flag_resetToPeak"} if reset else set())
    expected = peak if reset else CENTRE
    found = [columns["base_SdssCentroid_x"][0], columns["base_SdssCentroid_y"][0]]
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert 0.0 < columns["base_SdssCentroid_xErr"][0] < 0.1


def test_centroids_outside_the_footprint(exposure: Exposure) -> None:
    elsewhere = footprint_of((10.0, 10.0))
    elsewhere.spans[:, 0] -= 40
    settings = {"maxDistToPeak": -1.0}
    columns = measure("base_SdssCentroid", exposure, settings=settings, footprint=elsewhere)
    assert flags(columns, "base_SdssCentroid") == {"flag", "flag_resetToPeak"}
    settings["doFootprintCheck"] = False
    columns = measure("base_SdssCentroid", exposure, settings=settings, footprint=elsewhere)
    assert flags(columns, "base_SdssCentroid") == set()


@pytest.mark.parametrize("footprint", [None, footprint_of(None)])
def test_centroids_that_cannot_be_checked(footprint: Footprint | None, exposure: Exposure) -> None:
    columns = measure("base_SdssCentroid", exposure, footprint=footprint)
    assert flags(columns, "base_SdssCentroid") == {"flag"}
    np.testing.assert_allclose(columns["base_SdssCentroid_x"], CENTRE[0], atol=0.02)


def test_centroids_that_are_not_measured(exposure: Exposure) -> None:
    settings = {"doFootprintCheck": False, "maxDistToPeak": -1.0}
    near = measure("base_SdssCentroid", exposure, (4.0, 60.0), settings=settings)
    assert {"flag", "flag_near_edge"} <= flags(near, "base_SdssCentroid")
    edge = measure("base_SdssCentroid", exposure, (1.0, 60.0), settings=settings)
    assert flags(edge, "base_SdssCentroid") == {"flag", "flag_edge"}
    assert edge["base_SdssCentroid_x"][0] == 1.0
    no_psf = measure("base_SdssCentroid", exposure_of(NoPsf(), GaussianPsf(1.5, 25)), settings=settings)
    assert flags(no_psf, "base_SdssCentroid") == {"flag"}
    assert no_psf["base_InvalidPsf_flag"][0]
    spoilt = exposure_of(GaussianPsf(1.5, 25))
    spoilt.image[60, 60] = np.nan
    not_finite = measure("base_SdssCentroid", spoilt, settings=settings)
    assert {"flag", "flag_badError"} <= flags(not_finite, "base_SdssCentroid")
    assert flags(measure("base_SdssCentroid", exposure, settings=settings, bad=True), "base_SdssCentroid") == {
        "flag"
    }


def batch_of(
    exposure: Exposure, reference: SourceCatalog, schema: Schema, columns: Columns, reference_wcs: Wcs
) -> SourceBatch:
    n = len(reference)
    x, y = np.full(n, CENTRE[0]), np.full(n, CENTRE[1])
    return SourceBatch(
        exposure, columns, schema, x, y, reference=reference, rows=np.arange(n), reference_wcs=reference_wcs
    )


def reference_catalog(with_flag: bool) -> SourceCatalog:
    schema = Schema(aliases={"slot_Centroid": "ref", "slot_Shape": "ref"})
    for name in ("x", "y", "xx", "yy", "xy"):
        schema.add_field(f"ref_{name}", "float64", "")
    if with_flag:
        schema.add_field("ref_flag", "bool", "")
    columns = schema.allocate(3)
    columns["ref_x"][:], columns["ref_y"][:] = [20.0, 30.0, np.nan], 40.0
    columns["ref_xx"][:], columns["ref_yy"][:], columns["ref_xy"][:] = [4.0, np.nan, 4.0], 3.0, 0.5
    return SourceCatalog(schema, columns)


@pytest.mark.parametrize("with_flag", [False, True])
def test_transformed_shapes(with_flag: bool, exposure: Exposure) -> None:
    class Turned:
        """The exposure's WCS, for an image that is turned by 90 degrees and has half as many pixels."""

        def pixel_to_sky(self, x: Any, y: Any) -> Any:
            assert exposure.wcs is not None
            return exposure.wcs.pixel_to_sky(-2.0 * y + 100.0, 2.0 * x)

        def sky_to_pixel(self, ra: Any, dec: Any) -> Any:
            raise NotImplementedError

    assert exposure.wcs is not None
    reference = reference_catalog(with_flag)
    plugin_class = registry["base_TransformedShape"]
    for wcs, expected in ((exposure.wcs, (4.0, 3.0, 0.5)), (Turned(), (12.0, 16.0, -2.0))):
        schema = Schema()
        plugin = plugin_class(plugin_class.ConfigClass(), "base_TransformedShape", schema, {}, reference.schema)
        columns = schema.allocate(3)
        batch = batch_of(exposure, reference, schema, columns, wcs)
        plugin.measure(batch)
        found = [columns[f"base_TransformedShape_{moment}"][0] for moment in ("xx", "yy", "xy")]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert np.isnan(columns["base_TransformedShape_xx"][1])
        assert ("base_TransformedShape_flag" in columns) == with_flag
        assert plugin.reach(batch) == 0.0
        if with_flag:
            # A reference without a centroid matters only where that is needed.
            assert columns["base_TransformedShape_flag"].tolist() == [False, True, wcs is not exposure.wcs]
        plugin.fail(columns, slice(0, 1), np.array([True]))
        assert not with_flag or columns["base_TransformedShape_flag"][0]


def test_transformed_shapes_need_shapes(exposure: Exposure) -> None:
    assert exposure.wcs is not None
    reference = SourceCatalog(Schema(), {})
    plugin_class = registry["base_TransformedShape"]
    plugin = plugin_class(plugin_class.ConfigClass(), "base_TransformedShape", Schema(), {}, reference.schema)
    with pytest.raises(ConfigurationError, match="slot_Shape_xx"):
        plugin.measure(batch_of(exposure, reference, Schema(), {}, exposure.wcs))


@pytest.mark.parametrize("name", ["base_SdssShape", "base_SdssCentroid", "base_GaussianFlux"])
def test_nothing_is_read_beyond_the_reach(name: str, exposure: Exposure) -> None:
    schema = Schema(aliases={"slot_Shape": "given"})
    for moment, value in {"xx": 3.0, "yy": 4.0, "xy": 1.0}.items():
        schema.add_field(f"given_{moment}", "float64", str(value))
    plugin = registry[name](registry[name].ConfigClass(), name, schema, {}, Schema())
    schema.add_field("base_InvalidPsf_flag", "bool", "")

    def measured() -> tuple[Columns, float]:
        columns = schema.allocate(1)
        columns["given_xx"][:], columns["given_yy"][:], columns["given_xy"][:] = 3.0, 4.0, 1.0
        batch = SourceBatch(
            exposure,
            columns,
            schema,
            CENTRE[:1],
            CENTRE[1:],
            reference=SourceCatalog(Schema(), {}),
            rows=np.arange(1),
            reference_wcs=exposure.wcs,  # type: ignore[arg-type]
        )
        plugin.measure(batch)
        return columns, float(np.asarray(plugin.reach(batch))[0])

    before, reach = measured()
    rows, columns = np.indices(exposure.image.shape)
    far = np.hypot(columns - CENTRE[0], rows - CENTRE[1]) > reach
    assert 0 < far.sum() < far.size - 20
    exposure.image[far] = np.nan
    after, _ = measured()
    for field, values in before.items():
        np.testing.assert_array_equal(after[field], values, err_msg=field)


@pytest.mark.parametrize("name", ["base_SdssShape", "base_SdssCentroid", "base_GaussianFlux"])
def test_sources_off_the_image(name: str) -> None:
    schema = Schema(aliases={"slot_Shape": "given"})
    plugin = registry[name](registry[name].ConfigClass(), name, schema, {}, Schema())
    columns = schema.allocate(3)
    plugin.fail(columns, slice(1, 3), np.array([True, False]))
    assert columns[f"{name}_flag"].tolist() == [False, True, True]
    if name == "base_SdssCentroid":
        assert columns[f"{name}_flag_edge"].tolist() == [False, True, False]
