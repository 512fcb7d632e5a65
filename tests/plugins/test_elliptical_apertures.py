"""What Kron and PSF-scaled apertures do with sources, exposures and catalogs that give none."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from forcedphot import Exposure
from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import FloatArray
from forcedphot.errors import ConfigurationError, ExposureError
from forcedphot.exposure import Wcs
from forcedphot.measurement import ForcedMeasurementTask
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.plugins import registry
from forcedphot.psf import GaussianPsf, KernelImages, Psf
from forcedphot.simulation import simulate_exposure

KRON = "ext_photometryKron_KronFlux"
SCALED = "base_ScaledApertureFlux"
CENTER = (60.3, 59.8)


class NoPsf(Psf):
    """A PSF that is undefined everywhere."""

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        return KernelImages.of_one_shape(np.full((len(x), 25, 25), np.nan), np.zeros(len(x), dtype=bool))


@pytest.fixture(scope="module")
def exposure() -> Exposure:
    return simulate_exposure(
        shape=(120, 120), n_sources=0, seed=3, psf=GaussianPsf(1.5, 25), margin=0.0, origin=(0, 0)
    ).exposure


def reference_catalog(
    exposure: Exposure,
    x: float,
    y: float,
    shape: tuple[float, float, float] = (4.0, 3.0, 1.0),
    extra: Mapping[str, float] | None = None,
) -> SourceCatalog:
    """Make a catalog of one source; extra columns are float32."""
    assert exposure.wcs is not None
    ra, dec = exposure.wcs.pixel_to_sky(np.array([x]), np.array([y]))
    columns: dict[str, Any] = {"id": np.array([7]), "coord_ra": ra, "coord_dec": dec}
    names = ["c_x", "c_y", "s_xx", "s_yy", "s_xy"]
    columns |= {name: np.array([value]) for name, value in zip(names, (x, y, *shape), strict=True)}
    columns |= {name: np.array([value], dtype=np.float32) for name, value in (extra or {}).items()}
    fields = [
        Field(name, values.dtype.name, "", is_angle=name.startswith("coord")) for name, values in columns.items()
    ]
    return SourceCatalog(Schema(fields, {"slot_Centroid": "c", "slot_Shape": "s"}), columns)


def measure(
    plugin: str, exposure: Exposure, reference: SourceCatalog, *, wcs: Wcs | None = None, **settings: Any
) -> tuple[SourceCatalog, set[str]]:
    """Measure the source with one plugin; return its row, and the plugin's flags that are set."""
    config = ForcedMeasurementConfig()
    config.plugins.names = ["base_TransformedCentroid", plugin]
    for slot in ("psfFlux", "shape"):
        setattr(config.slots, slot, None)
    config.slots.centroid = "base_TransformedCentroid"
    config.doReplaceWithNoise = False
    config.copyColumns = {"coord_ra": "coord_ra", "coord_dec": "coord_dec"}
    for name, value in settings.items():
        setattr(config.plugins[plugin], name, value)
    task = ForcedMeasurementTask(refSchema=reference.schema, config=config)
    catalog = task.generateMeasCat(exposure, reference)
    reference_wcs = wcs or exposure.wcs
    assert reference_wcs is not None
    task.run(catalog, exposure, reference, reference_wcs)
    flags = {
        field.name.removeprefix(f"{plugin}_")
        for field in task.schema
        if field.name.startswith(f"{plugin}_flag") and catalog[field.name][0]
    }
    return catalog, flags


class TestKron:
    def radius(self, radius: float, for_radius: float = np.nan) -> dict[str, float]:
        return {f"{KRON}_radius": radius, f"{KRON}_radius_for_radius": for_radius}

    def test_a_good_source(self, exposure: Exposure) -> None:
        catalog, flags = measure(KRON, exposure, reference_catalog(exposure, *CENTER, extra=self.radius(3.0, 9.0)))
        assert flags == set()
        assert np.isfinite(catalog[f"{KRON}_instFlux"][0])
        assert catalog[f"{KRON}_radius"][0] == pytest.approx(3.0, rel=1e-6)
        assert catalog[f"{KRON}_psf_radius"][0] == pytest.approx(1.5 * np.sqrt(np.pi / 2), rel=1e-2)

    @pytest.mark.parametrize(
        ("radius", "shape", "expected"),
        [
            (np.nan, (4.0, 3.0, 1.0), {"flag", "flag_bad_radius"}),
            (0.0, (4.0, 3.0, 1.0), {"flag", "flag_bad_radius"}),
            (-2.0, (4.0, 3.0, 1.0), {"flag", "flag_bad_radius"}),
            (3.0, (np.nan, 3.0, 1.0), {"flag", "flag_bad_shape"}),
            (3.0, (4.0, 3.0, 4.0), {"flag", "flag_bad_shape"}),
            (60.0, (4.0, 3.0, 1.0), {"flag", "flag_edge"}),
            (1e30, (4.0, 3.0, 1.0), {"flag", "flag_edge"}),
        ],
    )
    def test_no_aperture_is_nan_with_a_flag(
        self, exposure: Exposure, radius: float, shape: tuple[float, float, float], expected: set[str]
    ) -> None:
        reference = reference_catalog(exposure, *CENTER, shape, self.radius(radius))
        catalog, flags = measure(KRON, exposure, reference)
        assert flags == expected
        assert np.isnan(catalog[f"{KRON}_instFlux"][0])
        assert np.isnan(catalog[f"{KRON}_instFluxErr"][0])

    def test_a_radius_that_is_that_of_its_measurement_is_flagged(self, exposure: Exposure) -> None:
        reference = reference_catalog(exposure, *CENTER, extra=self.radius(9.5, 9.5))
        catalog, flags = measure(KRON, exposure, reference)
        assert flags == {"flag_bad_radius"}
        assert np.isfinite(catalog[f"{KRON}_instFlux"][0])

    def test_without_a_psf_there_is_no_psf_radius(self, exposure: Exposure) -> None:
        reference = reference_catalog(exposure, *CENTER, extra=self.radius(3.0))
        catalog, flags = measure(KRON, dataclasses.replace(exposure, psf=None), reference)
        assert flags == set()
        assert np.isnan(catalog[f"{KRON}_psf_radius"][0])
        catalog, flags = measure(KRON, dataclasses.replace(exposure, psf=NoPsf()), reference)
        assert flags == {"flag"}
        assert np.isfinite(catalog[f"{KRON}_instFlux"][0])

    def test_a_source_off_the_image(self, exposure: Exposure) -> None:
        reference = reference_catalog(exposure, 300.0, 50.0, extra=self.radius(3.0))
        _, flags = measure(KRON, exposure, reference)
        assert flags == {"flag", "flag_edge"}

    def test_a_catalog_without_radii_is_refused(self, exposure: Exposure) -> None:
        with pytest.raises(ConfigurationError, match=f"has no {KRON}_radius"):
            measure(KRON, exposure, reference_catalog(exposure, *CENTER))
        other = reference_catalog(exposure, *CENTER, extra={"other": 3.0})
        assert measure(KRON, exposure, other, refRadiusName="other")[1] == set()

    def test_an_image_without_wcs_is_refused(self, exposure: Exposure) -> None:
        reference = reference_catalog(exposure, *CENTER, extra=self.radius(3.0))
        with pytest.raises(ExposureError, match="WCS"):
            measure(KRON, dataclasses.replace(exposure, wcs=None), reference, wcs=exposure.wcs)

    @pytest.mark.parametrize("name", ["nRadiusForFlux", "nSigmaForRadius"])
    @pytest.mark.parametrize("value", [0.0, np.nan])
    def test_settings_that_give_no_aperture_are_refused(self, name: str, value: float) -> None:
        config = registry[KRON].ConfigClass()
        setattr(config, name, value)
        with pytest.raises(ConfigurationError, match=name):
            config.validate()


class TestScaled:
    def test_the_radius_follows_the_psf(self, exposure: Exposure) -> None:
        assert exposure.variance is not None
        ones = dataclasses.replace(
            exposure, image=np.ones_like(exposure.image), variance=np.ones_like(exposure.variance)
        )
        catalog, flags = measure(SCALED, ones, reference_catalog(exposure, *CENTER), scale=2.0)
        assert flags == set()
        radius = 2.0 * 2.3548 * 1.5
        assert catalog[f"{SCALED}_instFlux"][0] == pytest.approx(np.pi * radius**2, rel=1e-2)

    def test_the_edge(self, exposure: Exposure) -> None:
        catalog, flags = measure(SCALED, exposure, reference_catalog(exposure, 15.0, 60.0))
        assert flags == {"flag_sincCoeffsTruncated"}
        assert np.isfinite(catalog[f"{SCALED}_instFlux"][0])
        catalog, flags = measure(SCALED, exposure, reference_catalog(exposure, 5.0, 60.0))
        assert flags == {"flag", "flag_apertureTruncated", "flag_sincCoeffsTruncated"}
        assert np.isnan(catalog[f"{SCALED}_instFlux"][0])
        _, flags = measure(SCALED, exposure, reference_catalog(exposure, -5.0, 60.0))
        assert flags == {"flag", "flag_apertureTruncated", "flag_sincCoeffsTruncated"}

    def test_where_the_psf_is_undefined(self, exposure: Exposure) -> None:
        without = dataclasses.replace(exposure, psf=NoPsf())
        catalog, flags = measure(SCALED, without, reference_catalog(exposure, *CENTER))
        assert flags == {"flag"}
        assert np.isnan(catalog[f"{SCALED}_instFlux"][0])

    @pytest.mark.parametrize(("name", "value"), [("scale", 0.0), ("scale", np.inf), ("shiftKernel", "lanczos3")])
    def test_settings_that_give_no_aperture_are_refused(self, name: str, value: Any) -> None:
        config = registry[SCALED].ConfigClass()
        setattr(config, name, value)
        with pytest.raises(ConfigurationError, match=name):
            config.validate()
