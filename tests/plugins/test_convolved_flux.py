"""Compensated apertures, peak likelihoods and wider seeings: edges, undefined PSFs, bad pixels, odd settings."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from forcedphot import Exposure
from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import FloatArray
from forcedphot.errors import ConfigurationError, ExposureError
from forcedphot.measurement import ForcedMeasurementTask
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.plugins import registry
from forcedphot.psf import GaussianPsf, KernelImages, Psf
from forcedphot.simulation import simulate_exposure

CONVOLVED = "ext_convolved_ConvolvedFlux"
TOPHAT, GAUSSIAN = "base_CompensatedTophatFlux", "base_CompensatedGaussianFlux"
PEAK = "base_PeakLikelihoodFlux"
RADIUS = "ext_photometryKron_KronFlux_radius"
X, Y = 60.3, 59.8
SIGMA = 1.5


class NoPsf(Psf):
    """A PSF that is undefined everywhere."""

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        return KernelImages.of_one_shape(np.full((len(x), 25, 25), np.nan), np.zeros(len(x), dtype=bool))


class WideningPsf(Psf):
    """A Gaussian that is wider towards the right of the image."""

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        dy, dx = np.mgrid[-12:13, -12:13]
        images = np.exp(-0.5 * (dx**2 + dy**2) / (1.0 + x / 100.0)[:, np.newaxis, np.newaxis] ** 2)
        return KernelImages.of_one_shape(images / images.sum(axis=(1, 2), keepdims=True))


@pytest.fixture(scope="module")
def exposure() -> Exposure:
    """One bright point source, without noise, on a variance of 1."""
    empty = simulate_exposure(
        shape=(120, 120), n_sources=0, seed=3, psf=GaussianPsf(SIGMA, 25), margin=0.0, origin=(0, 0)
    ).exposure
    rows, columns = np.indices(empty.image.shape)
    profile = np.exp(-0.5 * ((columns - X) ** 2 + (rows - Y) ** 2) / SIGMA**2) / (2.0 * np.pi * SIGMA**2)
    image = (1e4 * profile).astype(np.float32)
    return dataclasses.replace(empty, image=image, variance=np.ones_like(image))


def catalog_of(
    exposure: Exposure, x: float, y: float, *, dx: float = 0.0, radius: float | None = None
) -> SourceCatalog:
    """Make a reference catalog of one source, whose coordinates may be off its centroid."""
    ra, dec = exposure.wcs.pixel_to_sky(np.array([x + dx]), np.array([y]))
    columns: dict[str, Any] = {"id": np.array([7]), "coord_ra": ra, "coord_dec": dec}
    names = ["c_x", "c_y", "s_xx", "s_yy", "s_xy"]
    columns |= {name: np.array([value]) for name, value in zip(names, (x, y, 4.0, 3.0, 1.0), strict=True)}
    if radius is not None:
        columns[RADIUS] = np.array([radius], dtype=np.float32)
    fields = [
        Field(name, values.dtype.name, "", is_angle=name.startswith("coord")) for name, values in columns.items()
    ]
    return SourceCatalog(Schema(fields, {"slot_Centroid": "c", "slot_Shape": "s"}), columns)


def measure(
    plugin: str,
    exposure: Exposure,
    reference: SourceCatalog,
    centroid: str = "base_TransformedCentroid",
    **settings: Any,
) -> tuple[dict[str, Any], set[str]]:
    """Measure the source; return its columns without the plugin's name, and the flags that are set."""
    config = ForcedMeasurementConfig()
    config.plugins.names = [centroid, plugin]
    config.slots.psfFlux = config.slots.shape = None
    config.slots.centroid = centroid
    config.doReplaceWithNoise = False
    config.copyColumns = {"coord_ra": "coord_ra", "coord_dec": "coord_dec"}
    for name, value in settings.items():
        setattr(config.plugins[plugin], name, value)
    task = ForcedMeasurementTask(refSchema=reference.schema, config=config)
    catalog = task.generateMeasCat(exposure, reference)
    task.attachPsfShapeFootprints(catalog, exposure)
    task.run(catalog, exposure, reference, exposure.wcs)
    names = [field.name for field in task.schema if field.name.startswith(f"{plugin}_")]
    row = {name.removeprefix(f"{plugin}_"): catalog[name][0] for name in names}
    return row, {name for name, value in row.items() if isinstance(value, np.bool_) and value}


class TestConvolved:
    def test_a_point_source_in_each_seeing(self, exposure: Exposure) -> None:
        reference = catalog_of(exposure, X, Y, radius=4.0)
        row, flags = measure(CONVOLVED, exposure, reference, seeing=[4.0, 5.5, 3.0])
        assert flags == {"2_deconv"}
        assert row["seeing"] == pytest.approx(SIGMA, rel=2e-3)
        for s, fwhm in enumerate([4.0, 5.5, 2.3548 * SIGMA]):
            for radius in (4.5, 6.0):
                expected = 1e4 * (1.0 - np.exp(-0.5 * (radius * 2.3548 / fwhm) ** 2))
                label = f"{s}_{radius}".replace(".", "_")
                assert row[f"{label}_instFlux"] == pytest.approx(expected, rel=3e-3)
            # 10 pixels in radius.
            assert row[f"{s}_kron_instFlux"] == pytest.approx(1e4, rel=5e-3)
        # Noise that is averaged, and taken to be uncorrelated.
        assert row["1_6_0_instFluxErr"] < row["0_6_0_instFluxErr"] < row["2_6_0_instFluxErr"]
        assert row["2_kron_instFluxErr"] == pytest.approx(np.sqrt(np.pi) * 10.0, rel=0.02)

    @pytest.mark.parametrize("radius", [None, np.nan, 0.0, -3.0, 1e30])
    def test_without_a_kron_aperture_there_are_circles(self, exposure: Exposure, radius: float | None) -> None:
        good, _ = measure(CONVOLVED, exposure, catalog_of(exposure, X, Y, radius=4.0))
        row, flags = measure(CONVOLVED, exposure, catalog_of(exposure, X, Y, radius=radius))
        assert flags == {"0_deconv", "0_kron_flag", "1_kron_flag", "2_kron_flag"}
        for s in range(3):
            assert row[f"{s}_6_0_instFlux"] == pytest.approx(good[f"{s}_6_0_instFlux"], rel=1e-5)
            assert np.isnan(row[f"{s}_kron_instFlux"])
            assert np.isnan(row[f"{s}_kron_instFluxErr"])

    def test_where_the_psf_is_undefined(self, exposure: Exposure) -> None:
        reference = catalog_of(exposure, X, Y, radius=4.0)
        row, flags = measure(CONVOLVED, dataclasses.replace(exposure, psf=NoPsf()), reference)
        labels = ("3_3", "4_5", "6_0", "kron")
        assert flags == {"flag", *(f"{s}_{label}_flag" for s in range(3) for label in labels)}
        assert all(np.isnan(value) for name, value in row.items() if name.endswith(("instFlux", "instFluxErr")))
        with pytest.raises(ExposureError, match="PSF"):
            measure(CONVOLVED, dataclasses.replace(exposure, psf=None), reference)

    def test_edges(self, exposure: Exposure) -> None:
        row, flags = measure(CONVOLVED, exposure, catalog_of(exposure, 3.9, Y, radius=1.0))
        assert {"1_4_5_flag", "1_4_5_flag_apertureTruncated", "1_4_5_flag_sincCoeffsTruncated"} <= flags
        assert "1_3_3_flag" not in flags
        assert "1_3_3_flag_sincCoeffsTruncated" in flags
        assert np.isfinite(row["1_kron_instFlux"])
        _, flags = measure(CONVOLVED, exposure, catalog_of(exposure, -40.0, Y, radius=1.0))
        assert {"flag", "1_kron_flag", "0_6_0_flag", "0_6_0_flag_apertureTruncated"} <= flags

    def test_the_seeing_is_that_at_the_references_centroid(self, exposure: Exposure) -> None:
        widening = dataclasses.replace(exposure, psf=WideningPsf())
        centroid = "base_TransformedCentroidFromCoord"
        row, _ = measure(CONVOLVED, widening, catalog_of(exposure, 40.0, Y, dx=30.0, radius=2.0), centroid)
        assert row["seeing"] == pytest.approx(1.4, rel=1e-2)
        # The circles are around the coordinates.
        same, _ = measure(CONVOLVED, widening, catalog_of(exposure, 70.0, Y, radius=2.0), seeing=[1.0])
        other, _ = measure(
            CONVOLVED, widening, catalog_of(exposure, 40.0, Y, dx=30.0, radius=2.0), centroid, seeing=[1.0]
        )
        assert other["0_6_0_instFlux"] == pytest.approx(same["0_6_0_instFlux"], rel=1e-6)
        assert other["0_kron_instFlux"] < 1e-3 * same["0_kron_instFlux"]

    def test_names(self) -> None:
        config = registry[CONVOLVED].ConfigClass()
        config.seeing = [8.0, 4.0]
        config.aperture.radii = [3.0, 12.5]
        assert config.getBaseNameForSeeing(4.0) == f"{CONVOLVED}_1"
        assert config.getApertureResultName(8.0, 12.5, "a") == "a_0_12_5"
        assert config.getAllResultNames("a") == [
            "a_0_3_0",
            "a_0_12_5",
            "a_1_3_0",
            "a_1_12_5",
            "a_0_kron",
            "a_1_kron",
        ]
        with pytest.raises(ConfigurationError, match=r"5\.0 is none"):
            config.getKronResultName(5.0)

    def test_corrections_may_be_left_out(self) -> None:
        config = registry[CONVOLVED].ConfigClass()
        assert len(registry[CONVOLVED](config, CONVOLVED, Schema(), {}, Schema()).corrected_fluxes) == 12
        config.registerForApCorr = False
        assert registry[CONVOLVED](config, CONVOLVED, Schema(), {}, Schema()).corrected_fluxes == []


def test_sources_off_the_image_are_flagged(exposure: Exposure) -> None:
    reference = catalog_of(exposure, -40.0, Y)
    assert measure(TOPHAT, exposure, reference)[1] == {"12_flag", "12_flag_bounds"}
    expected = {"3_flag", "3_flag_bounds", "5_flag", "5_flag_bounds"}
    assert measure(GAUSSIAN, exposure, reference)[1] == expected
    assert measure(PEAK, exposure, reference)[1] == {"flag"}


def test_point_sources(exposure: Exposure) -> None:
    reference = catalog_of(exposure, X, Y)
    row, flags = measure(TOPHAT, exposure, reference)
    assert flags == set()
    assert row["12_instFlux"] == pytest.approx(1e4, rel=1e-3)
    # A source narrower than the inner Gaussian has 2 (t^2 + 1) / (t^2 - 1) of the difference of the two at it.
    row, flags = measure(GAUSSIAN, exposure, reference, kernel_widths=[3])
    inner, outer = 9.0 / (9.0 + SIGMA**2), 9.0 / (36.0 + SIGMA**2)
    assert row["3_instFlux"] == pytest.approx(1e4 * 10.0 / 3.0 * (inner - outer), rel=1e-3)
    row, flags = measure(PEAK, exposure, reference)
    assert row["instFlux"] == pytest.approx(2e4, rel=1e-2)  # not filtered: the area is twice that of the profile


def test_peaks_need_a_psf(exposure: Exposure) -> None:
    row, flags = measure(PEAK, dataclasses.replace(exposure, psf=NoPsf()), catalog_of(exposure, X, Y))
    assert flags == {"flag"}
    assert np.isnan(row["instFlux"])


def test_a_bad_pixel_is_flagged(exposure: Exposure) -> None:
    image = exposure.image.copy()
    image[60, 62] = np.nan
    bad = dataclasses.replace(exposure, image=image)
    reference = catalog_of(exposure, X, Y)
    assert measure(TOPHAT, bad, reference)[1] == {"12_flag"}
    assert measure(GAUSSIAN, bad, reference)[1] == {"3_flag", "5_flag"}
    assert measure(PEAK, bad, reference)[1] == {"flag"}


@pytest.mark.parametrize(
    ("plugin", "name", "value"),
    [
        (CONVOLVED, "seeing", [4.0, np.nan]),
        (CONVOLVED, "seeing", [4.0, 4.0]),
        (CONVOLVED, "kernelScale", 0.0),
        (CONVOLVED, "kronRadiusForFlux", np.inf),
        (TOPHAT, "apertures", [12, 12]),
        (TOPHAT, "apertures", [0]),
        (TOPHAT, "outer_scale", 1.0),
        (TOPHAT, "outer_scale", np.inf),
        (GAUSSIAN, "kernel_widths", [-3]),
        (GAUSSIAN, "t", 1.0),
        (GAUSSIAN, "t", np.nan),
        (PEAK, "warpingKernelName", "bilinear"),
        (PEAK, "warpingKernelName", "lanczos0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(plugin: str, name: str, value: Any) -> None:
    config = registry[plugin].ConfigClass()
    setattr(config, name, value)
    with pytest.raises(ConfigurationError, match=name):
        config.validate()
