"""What the plugins that look around a source, or at the image's calibrations, do with what may be missing."""

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.footprint import PEAK_SCHEMA, Footprint, ShapedFootprints
from forcedphot.catalog.schema import Columns, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import Box, FloatArray
from forcedphot.errors import ConfigurationError, ExposureError, InputTableError
from forcedphot.exposure import AstWcs, ConstantField, Mask, PhotoCalib
from forcedphot.exposure.coadd_inputs import CoaddInputs, InputRegion
from forcedphot.exposure.polygon import Polygon
from forcedphot.plugins import registry
from forcedphot.plugins.peak_centroid import PeakCentroid
from forcedphot.psf import GaussianPsf, KernelImages, Psf
from forcedphot.simulation import PIXEL_SCALE, simulate_exposure

from ..golden.single_frame import measure_single_frame

SIGMA = 1.5
CENTRE = np.array([60.3, 59.8])
"""x, y of the source, pixels; the image's origin is (0, 0)."""


@pytest.fixture
def exposure() -> Exposure:
    return simulate_exposure(
        shape=(120, 120), n_sources=0, seed=3, psf=GaussianPsf(SIGMA, 25), margin=0.0
    ).exposure


def measure(
    name: str,
    exposure: Exposure,
    *,
    settings: Mapping[str, Any] | None = None,
    moments: Any = (9.0, 4.0, 1.0),
    bad: bool = False,
) -> Columns:
    """Measure one source with one plugin."""
    table = Table({"slot_Centroid_x": CENTRE[:1], "slot_Centroid_y": CENTRE[1:]})
    for part, value in zip(("xx", "yy", "xy"), moments, strict=True):
        table[f"slot_Shape_{part}"] = [value]
    table["slot_Centroid_flag"] = table["slot_Shape_flag"] = [bad]
    columns, _ = measure_single_frame(name, exposure, table, settings=settings)
    return columns


def flags(columns: Columns, name: str) -> dict[str, bool]:
    """Return the plugin's flags without its name."""
    return {
        field.removeprefix(f"{name}_flag_"): bool(values[0])
        for field, values in columns.items()
        if field.startswith(f"{name}_flag")
    }


def distances() -> FloatArray:
    rows, columns = np.mgrid[:120, :120]
    found: FloatArray = np.hypot(columns - CENTRE[0], rows - CENTRE[1])
    return found


class NoPsf(Psf):
    """A PSF that is undefined everywhere."""

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        return KernelImages.of_one_shape(np.full((len(x), 25, 25), np.nan), np.zeros(len(x), dtype=bool))


class TestLocalBackground:
    NAME = "base_LocalBackground"

    def ring(self, exposure: Exposure, inner: float, outer: float, value: float) -> Exposure:
        """Paint a ring of 7 on a sky, and what is inside and outside of it with another value."""
        image = np.where((distances() > inner) & (distances() <= outer), 7.0, value).astype(np.float32)
        return dataclasses.replace(exposure, image=image)

    def test_the_annulus_grows_with_the_psf(self, exposure: Exposure) -> None:
        painted = self.ring(exposure, 7.0 * SIGMA - 0.1, 15.0 * SIGMA + 0.1, 1000.0)
        columns = measure(self.NAME, painted)
        assert columns[f"{self.NAME}_instFlux"][0] == 7.0
        assert columns[f"{self.NAME}_instFluxErr"][0] == 0.0
        assert not any(flags(columns, self.NAME).values())
        settings = {"annulusInner": 3.0, "annulusOuter": 4.0}
        assert measure(self.NAME, painted, settings=settings)[f"{self.NAME}_instFlux"][0] == 1000.0

    def test_reach_is_where_the_annulus_ends(self, exposure: Exposure) -> None:
        """Noise beyond it changes nothing, and noise within it does."""
        assert exposure.psf is not None
        batch: Any = SimpleNamespace(exposure=exposure, psf_moments=exposure.psf.moments(CENTRE[:1], CENTRE[1:]))
        plugin = registry[self.NAME](registry[self.NAME].ConfigClass(), self.NAME, Schema(), {}, Schema())
        (reach,) = plugin.reach(batch)
        assert reach == pytest.approx(15.0 * SIGMA, rel=1e-3)
        noise = np.random.default_rng(1).normal(0.0, 50.0, (120, 120))
        before = measure(self.NAME, exposure)[f"{self.NAME}_instFlux"][0]
        for limit, changes in ((reach, False), (reach - 1.0, True)):
            image = (exposure.image + np.where(distances() > limit, noise, 0.0)).astype(np.float32)
            after = measure(self.NAME, dataclasses.replace(exposure, image=image))[f"{self.NAME}_instFlux"][0]
            assert bool(after != before) is changes
        without: Any = SimpleNamespace(exposure=dataclasses.replace(exposure, psf=None))
        assert plugin.reach(without) == 0.0

    def test_without_psf(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, dataclasses.replace(exposure, psf=None))
        assert np.isnan(columns[f"{self.NAME}_instFlux"][0])
        assert {name for name, value in flags(columns, self.NAME).items() if value} == {
            f"{self.NAME}_flag",
            "noPsf",
        }

    def test_where_the_psf_is_undefined(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, dataclasses.replace(exposure, psf=NoPsf()))
        assert np.isnan(columns[f"{self.NAME}_instFlux"][0])
        assert {name for name, value in flags(columns, self.NAME).items() if value} == {f"{self.NAME}_flag"}
        assert columns["base_InvalidPsf_flag"][0]

    @pytest.mark.parametrize("plane", ["BAD", "SAT", "NO_DATA"])
    def test_bad_pixels_only(self, exposure: Exposure, plane: str) -> None:
        assert exposure.mask is not None
        bad = np.full_like(exposure.mask.array, exposure.mask.bits([plane]))
        columns = measure(self.NAME, dataclasses.replace(exposure, mask=Mask(bad, exposure.mask.planes)))
        assert np.isnan(columns[f"{self.NAME}_instFlux"][0])
        assert {name for name, value in flags(columns, self.NAME).items() if value} == {
            f"{self.NAME}_flag",
            "noGoodPixels",
        }

    def test_a_bad_centroid_is_flagged(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, exposure, bad=True)
        assert np.isfinite(columns[f"{self.NAME}_instFlux"][0])
        assert columns[f"{self.NAME}_flag"][0]

    @pytest.mark.parametrize(
        "settings",
        [{"annulusInner": 15.0}, {"annulusInner": -1.0}, {"annulusOuter": np.inf}, {"bgRej": 0.0}, {"bgIter": 0}],
    )
    def test_impossible_settings_are_refused(self, exposure: Exposure, settings: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match=r"annulusInner|bgRej"):
            measure(self.NAME, exposure, settings=settings)


class TestVariance:
    NAME = "base_Variance"

    def test_the_ellipse_is_that_of_the_shape(self, exposure: Exposure) -> None:
        variance = np.where(distances() <= 20.0, 4.0, 9.0).astype(np.float32)
        painted = dataclasses.replace(exposure, variance=variance)
        assert measure(self.NAME, painted)[f"{self.NAME}_value"][0] == 4.0
        assert measure(self.NAME, painted, settings={"scale": 20.0})[f"{self.NAME}_value"][0] == 9.0

    @pytest.mark.parametrize("moments", [(np.nan, 4.0, 0.0), (4.0, 4.0, 5.0), (0.0, 0.0, 0.0)])
    def test_no_ellipse(self, exposure: Exposure, moments: tuple[float, float, float]) -> None:
        columns = measure(self.NAME, exposure, moments=moments)
        assert np.isnan(columns[f"{self.NAME}_value"][0])
        assert all(flags(columns, self.NAME).values())

    def test_a_variance_that_is_nan(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, dataclasses.replace(exposure, variance=np.full_like(exposure.image, np.nan)))
        assert flags(columns, self.NAME) == {f"{self.NAME}_flag": True, "emptyFootprint": False}

    @pytest.mark.parametrize("plane", ["DETECTED", "DETECTED_NEGATIVE", "BAD", "SAT"])
    def test_masked_pixels_only(self, exposure: Exposure, plane: str) -> None:
        assert exposure.mask is not None
        bad = np.full_like(exposure.mask.array, exposure.mask.bits([plane]))
        columns = measure(self.NAME, dataclasses.replace(exposure, mask=Mask(bad, exposure.mask.planes)))
        assert all(flags(columns, self.NAME).values())

    def test_a_bad_centroid_is_not_flagged(self, exposure: Exposure) -> None:
        assert not any(flags(measure(self.NAME, exposure, bad=True), self.NAME).values())

    def test_masks_of_others(self, exposure: Exposure) -> None:
        """A standard plane that the image lacks is set nowhere; another is asked for by mistake."""
        planes = {"BAD": 0}
        for mask in (None, Mask(np.zeros((120, 120), dtype=np.uint8), planes)):
            other = dataclasses.replace(exposure, mask=mask)
            assert np.isfinite(measure(self.NAME, other)[f"{self.NAME}_value"][0])
            with pytest.raises(ExposureError, match=r"STREAK|no mask"):
                measure(self.NAME, other, settings={"mask": ["BAD", "STREAK"]})


class TestInputCount:
    NAME = "base_InputCount"

    def inputs(self, exposure: Exposure, *regions: InputRegion) -> Exposure:
        table = Table({"id": np.arange(len(regions))})
        return dataclasses.replace(exposure, coadd_inputs=CoaddInputs(table, table, regions))

    def test_boxes_count_and_polygons_if_asked(self, exposure: Exposure) -> None:
        near = Polygon(np.array([0.0, 50.0, 0.0]), np.array([0.0, 0.0, 50.0]))
        wcs = exposure.wcs
        coadd = self.inputs(
            exposure,
            InputRegion(Box(0, 0, 120, 120), wcs),
            InputRegion(Box(0, 0, 120, 120), wcs, near),
            InputRegion(Box(0, 0, 60, 120), wcs),
        )
        columns = measure(self.NAME, coadd)
        assert columns[f"{self.NAME}_value"].tolist() == [2]
        assert not any(flags(columns, self.NAME).values())
        settings = {"inValidPolygon": True}
        assert measure(self.NAME, coadd, settings=settings)[f"{self.NAME}_value"].tolist() == [1]

    def test_without_inputs(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, exposure)
        assert columns[f"{self.NAME}_value"].tolist() == [0]
        assert all(flags(columns, self.NAME).values())

    def test_no_inputs_at_all_are_none_that_contribute(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, self.inputs(exposure), bad=True)
        assert columns[f"{self.NAME}_value"].tolist() == [0]
        assert not any(flags(columns, self.NAME).values())

    def test_inputs_of_unknown_place(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, self.inputs(exposure, InputRegion(Box(0, 0, 120, 120))))
        assert flags(columns, self.NAME) == {f"{self.NAME}_flag": True, "noInputs": False}


class TestLocalPhotoCalib:
    NAME = "base_LocalPhotoCalib"

    def test_value_and_error(self, exposure: Exposure) -> None:
        calibration = PhotoCalib(2.0, 0.25, ConstantField(3.0))
        columns = measure(self.NAME, dataclasses.replace(exposure, photo_calib=calibration))
        assert (columns[self.NAME][0], columns[f"{self.NAME}Err"][0]) == (3.0, 0.25)
        assert not columns[f"{self.NAME}_flag"][0]

    def test_without_calibration(self, exposure: Exposure) -> None:
        columns = measure(self.NAME, dataclasses.replace(exposure, photo_calib=None))
        assert np.isnan([columns[self.NAME][0], columns[f"{self.NAME}Err"][0]]).all()
        assert columns[f"{self.NAME}_flag"][0]


class GnomonicWcs:
    """A tangent plane that touches the sky at (ra0, dec0), pixels along east and north."""

    def __init__(self, ra0: float, dec0: float, scale: float) -> None:
        self.ra0, self.dec0, self.scale = ra0, dec0, scale

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        xi, eta = (x - CENTRE[0]) * self.scale, (y - CENTRE[1]) * self.scale
        ra = self.ra0 + np.arctan2(xi, np.cos(self.dec0) - eta * np.sin(self.dec0))
        z = (np.sin(self.dec0) + eta * np.cos(self.dec0)) / np.sqrt(1.0 + xi**2 + eta**2)
        return ra % (2.0 * np.pi), np.arcsin(z)

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        raise NotImplementedError


class TestLocalWcs:
    NAME = "base_LocalWcs"

    def matrix(self, columns: Columns) -> FloatArray:
        return np.array([[columns[f"{self.NAME}_CDMatrix_{i}_{j}"][0] for j in (1, 2)] for i in (1, 2)])

    @pytest.mark.parametrize(("ra0", "dec0"), [(1.0, 0.3), (0.0, -1.2), (2.0, 1.57), (6.2831853, 0.0)])
    def test_of_a_tangent_plane(self, exposure: Exposure, ra0: float, dec0: float) -> None:
        """At the point where it touches; also where ra jumps, and at a pole."""
        columns = measure(self.NAME, dataclasses.replace(exposure, wcs=GnomonicWcs(ra0, dec0, 1e-6)))
        np.testing.assert_allclose(self.matrix(columns), 1e-6 * np.eye(2), atol=1e-14)
        assert not columns[f"{self.NAME}_flag"][0]

    def test_of_the_simulation(self, exposure: Exposure) -> None:
        """Its pixels are square, and turned by 30 degrees."""
        matrix = self.matrix(measure(self.NAME, exposure))
        scale = np.radians(PIXEL_SCALE / 3600.0)
        np.testing.assert_allclose(matrix @ matrix.T, scale**2 * np.eye(2), atol=1e-6 * scale**2)
        assert abs(matrix[0, 1]) / scale == pytest.approx(0.5, abs=1e-3)

    def test_where_the_wcs_is_undefined(self, exposure: Exposure) -> None:
        class Undefined(GnomonicWcs):
            def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
                return np.full_like(x, np.nan), np.full_like(y, np.nan)

        for wcs in (Undefined(0.0, 0.0, 1.0), None):
            table = dataclasses.replace(exposure, wcs=wcs)
            columns = measure(self.NAME, table)
            assert np.isnan(self.matrix(columns)).all()
            assert columns[f"{self.NAME}_flag"][0]


class TestPeakCentroid:
    def plugin(self) -> PeakCentroid:
        return PeakCentroid(PeakCentroid.ConfigClass(), "base_PeakCentroid", Schema(), {}, Schema())

    def locate(self, exposure: Exposure, footprints: Any, n: int) -> tuple[FloatArray, FloatArray]:
        schema = Schema()
        schema.add_field("id", "int64", "")
        reference = SourceCatalog(schema, {"id": np.arange(n)}, footprints=footprints)
        assert isinstance(exposure.wcs, AstWcs)
        return self.plugin().locate(reference, exposure.wcs, exposure.wcs)

    def peaks(self, *positions: tuple[float, float]) -> Footprint:
        columns = PEAK_SCHEMA.allocate(len(positions))
        for i, (x, y) in enumerate(positions):
            columns["f_x"][i], columns["f_y"][i] = x, y
        return Footprint(
            spans=np.zeros((0, 3), dtype=np.int32), peaks=SourceCatalog(PEAK_SCHEMA, columns, kind="BASE")
        )

    def test_the_first_peak_counts(self, exposure: Exposure) -> None:
        footprints = [self.peaks((10.5, 20.25), (30.0, 40.0)), None, self.peaks(), self.peaks((5.0, 6.0))]
        x, y = self.locate(exposure, footprints, 4)
        np.testing.assert_allclose(x, [10.5, np.nan, np.nan, 5.0], atol=1e-6)
        np.testing.assert_allclose(y, [20.25, np.nan, np.nan, 6.0], atol=1e-6)

    def test_footprints_of_the_psfs_shape_have_their_peak_in_the_nearest_pixel(self, exposure: Exposure) -> None:
        shaped = ShapedFootprints(exposure, np.array([10.7, 500.0, np.nan]), np.array([20.2, 0.0, 1.0]), 3.0)
        x, y = self.locate(exposure, shaped, 3)
        np.testing.assert_allclose(x, [11.0, np.nan, np.nan], atol=1e-6)
        np.testing.assert_allclose(y, [20.0, np.nan, np.nan], atol=1e-6)
        peak = shaped[0].peaks
        assert (peak["f_x"][0], peak["f_y"][0]) == (11.0, 20.0)

    def test_without_footprints(self, exposure: Exposure) -> None:
        with pytest.raises(InputTableError, match="base_PeakCentroid takes the peaks"):
            self.locate(exposure, None, 1)

    def test_fields(self) -> None:
        schema = Schema()
        registry["base_PeakCentroid"](PeakCentroid.ConfigClass(), "base_PeakCentroid", schema, {}, Schema())
        assert [(field.name, field.doc, field.unit) for field in schema] == [
            ("base_PeakCentroid_x", "peak centroid", "pix"),
            ("base_PeakCentroid_y", "peak centroid", "pix"),
        ]


@pytest.mark.parametrize(
    ("name", "alias"),
    [("base_LocalBackground", True), ("base_Variance", True), ("base_InputCount", True), ("base_LocalWcs", False)],
)
def test_failed_rows_and_aliases(name: str, alias: bool) -> None:
    schema = Schema(aliases={"slot_Centroid": "given_Centroid"})
    plugin = registry[name](registry[name].ConfigClass(), name, schema, {}, Schema())
    columns = schema.allocate(3)
    plugin.fail(columns, slice(1, 3), np.array([True, False]))
    assert columns[f"{name}_flag"].tolist() == [False, True, True]
    assert schema.aliases.get(f"{name}_flag_badCentroid") == ("given_Centroid_flag" if alias else None)
