"""Coadds: fluxes measured on them are right, and masks, PSFs and provenance say what was done."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure, ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.conventions import Box, FloatArray
from forcedphot.errors import ExposureError
from forcedphot.exposure import ConstantField, Identity, Mask, PhotoCalib
from forcedphot.exposure.wcs import AstropyWcs
from forcedphot.psf import CoaddPsf, GaussianPsf
from forcedphot.psf.coadd import CoaddInput
from forcedphot.survey.coadd_cells import PatchCells
from forcedphot.survey.coadds import coadd_patch, template_patch
from forcedphot.survey.detector_effects import PLANES
from forcedphot.survey.drawing import draw_points
from forcedphot.survey.plan import DetectorPlan, SurveyPlan, VisitPlan
from forcedphot.survey.profiles import find_profile, find_size
from forcedphot.survey.sky import PointSources
from forcedphot.survey.visit_psf import VisitPsf, visit_psf
from forcedphot.survey.warps import WARPING_KERNEL, warp_to

FLUX = 3000.0
N_REALISATIONS = 8
FLAT_WEIGHTS = (1.0, 4.0, 2.0)


def make_plan(profile: str = "dp1") -> SurveyPlan:
    """Three visits of one detector, larger than the one patch."""
    size = dataclasses.replace(
        find_size("tiny"),
        bands=("i",),
        n_visits=3,
        detectors_shape=(1, 1),
        detector_size_pix=500,
        patches_shape=(1, 1),
    )
    return SurveyPlan(find_profile(profile), size, 3)


def turned(visit: VisitPlan, angle_deg: float, seeing_arcsec: float) -> tuple[VisitPlan, DetectorPlan]:
    """Turn the only detector of a visit about its middle."""
    (detector,) = visit.detectors
    wcs, angle = detector.wcs.deepcopy(), np.radians(angle_deg)
    wcs.wcs.cd = wcs.wcs.cd @ [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    wcs.wcs.set()
    detector = dataclasses.replace(detector, wcs=wcs)
    return dataclasses.replace(visit, detectors=(detector,), seeing_fwhm_arcsec=seeing_arcsec), detector


def variance_of(exposure: Exposure) -> npt.NDArray[np.float32]:
    assert exposure.variance is not None
    return exposure.variance


class Seen(NamedTuple):
    """What a visit would see without noise."""

    visit: VisitPlan
    detector: DetectorPlan
    psf: VisitPsf
    scene: FloatArray

    def exposure(self, rng: np.random.Generator | None) -> Exposure:
        sigma = self.visit.sky_sigma_njy
        noise = 0.0 if rng is None else rng.normal(0.0, sigma, self.scene.shape)
        return Exposure.from_arrays(
            self.scene + noise,
            variance=np.full(self.scene.shape, sigma**2),
            mask=np.zeros(self.scene.shape, dtype=np.uint16),
            mask_planes=PLANES,
            psf=self.psf.psf,
            wcs=self.detector.wcs,
            aperture_corrections={"base_PsfFlux_instFlux": ConstantField(1.0)},
            unit=u.nJy,
            photo_calib=PhotoCalib(1.0),
            identity=identity(self.visit, self.detector),
        )


def identity(visit: VisitPlan, detector: DetectorPlan) -> Identity:
    return Identity(
        instrument="LSSTComCam",
        visit=visit.id,
        detector=detector.id,
        band=visit.band,
        physical_filter=visit.physical_filter,
    )


class Field:
    """Stars far from each other, in three visits of different seeing and rotation."""

    def __init__(self) -> None:
        self.plan = make_plan()
        self.patch = self.plan.patches[0]
        rng = np.random.default_rng(1)
        outer = self.patch.outer
        x, y = np.meshgrid(np.arange(60.0, 350.0, 35.0), np.arange(60.0, 350.0, 35.0))
        self.x = outer.x0 + x.ravel() + rng.uniform(-3.0, 3.0, x.size)
        self.y = outer.y0 + y.ravel() + rng.uniform(-3.0, 3.0, y.size)
        ra, dec = np.degrees(AstropyWcs(self.plan.tract_wcs).pixel_to_sky(self.x, self.y))
        self.stars = PointSources(np.arange(len(ra)), ra, dec, np.full(len(ra), FLUX))
        self.seen = [
            self._see(*turned(visit, angle, seeing))
            for visit, angle, seeing in zip(self.plan.visits, (0.0, 50.0, 170.0), (0.7, 0.9, 1.1), strict=True)
        ]

    def _see(self, visit: VisitPlan, detector: DetectorPlan) -> Seen:
        psf = visit_psf(visit, detector)
        return Seen(visit, detector, psf, draw_points(detector, psf, self.stars))

    @cached_property
    def driver(self) -> ForcedMeasurementDriverTask:
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins.names = ["base_TransformedCentroidFromCoord", "base_PsfFlux"]
        config.doApCorr = True
        return ForcedMeasurementDriverTask(config=config)

    def measured(self, rng: np.random.Generator | None) -> tuple[Exposure, Table]:
        inputs = [seen.exposure(rng) for seen in self.seen]
        exposure = Exposure.from_lsst_images(coadd_patch(self.plan, self.patch, "i", inputs))
        return exposure, self.measure(exposure)

    def measure(self, exposure: Exposure) -> Table:
        catalog = Table({"id": self.stars.ids, "coord_ra": self.stars.ra_deg, "coord_dec": self.stars.dec_deg})
        catalog["coord_ra"].unit = catalog["coord_dec"].unit = u.deg
        return self.driver.runFromAstropy(catalog, exposure, id_column_name="id")

    def is_exact(self, exposure: Exposure) -> Any:
        """Stars whose PSF's stamp has no pixel with other inputs than the PSF."""
        assert exposure.mask is not None
        inexact = exposure.mask.array & exposure.mask.bits(["INEXACT_PSF"]) != 0
        columns, rows = (self.x - exposure.x0).astype(int), (self.y - exposure.y0).astype(int)
        return np.array(
            [
                not inexact[row - 20 : row + 22, column - 20 : column + 22].any()
                for row, column in zip(rows, columns, strict=True)
            ]
        )


@pytest.fixture(scope="module")
def field() -> Field:
    return Field()


def test_fluxes_are_right_without_noise(field: Field) -> None:
    exposure, result = field.measured(None)
    exact = field.is_exact(exposure)
    assert exact.mean() > 0.9
    ratio = result["base_PsfFlux_instFlux"][exact] / FLUX
    # The whole focal plane is ten cells wide here, so that PSFs vary within cells as they do within detectors.
    assert abs(ratio.mean() - 1.0) < 1e-3
    assert np.abs(ratio - 1.0).mean() < 3e-3
    assert np.abs(ratio - 1.0).max() < 1e-2


def test_fluxes_are_exact_with_the_psf_at_each_star(field: Field) -> None:
    exposure, _ = field.measured(None)
    parts = [
        CoaddInput(seen.psf.psf, AstropyWcs(seen.detector.wcs), seen.detector.box, seen.visit.sky_sigma_njy**-2)
        for seen in field.seen
    ]
    psf = CoaddPsf(parts, AstropyWcs(field.plan.tract_wcs), WARPING_KERNEL)
    result = field.measure(dataclasses.replace(exposure, psf=psf))
    ratio = result["base_PsfFlux_instFlux"][field.is_exact(exposure)] / FLUX
    assert np.abs(ratio - 1.0).max() < 2e-3


def test_fluxes_scatter_as_the_noise_of_the_visits(field: Field, rng: np.random.Generator) -> None:
    pulls = []
    for _ in range(N_REALISATIONS):
        exposure, result = field.measured(rng)
        exact = field.is_exact(exposure)
        pull = (result["base_PsfFlux_instFlux"] - FLUX) / result["base_PsfFlux_instFluxErr"]
        pulls.append(pull[exact])
    found = np.concatenate(pulls)
    assert len(found) > 500
    # A flux has the noise of the visits' pixels; its error has that of the warps', which are smoother.
    of_visits = 1.0 / sum(seen.visit.sky_sigma_njy**-2 for seen in field.seen)
    expected = np.sqrt(of_visits / np.nanmedian(variance_of(exposure)))
    assert 1.08 < expected < 1.15
    assert abs(found.mean()) < 4.0 * expected / np.sqrt(len(found))
    assert found.std() == pytest.approx(expected, rel=0.1)


def test_the_psf_is_the_mean_of_the_warped_ones(field: Field) -> None:
    inputs = [seen.exposure(None) for seen in field.seen]
    coadd = Exposure.from_lsst_images(coadd_patch(field.plan, field.patch, "i", inputs))
    outer = field.patch.outer
    x, y = np.array([outer.x0 + 174.5]), np.array([outer.y0 + 224.5])
    assert coadd.psf is not None
    xx, yy, xy = coadd.psf.moments(x, y)[0]
    kernel = coadd.psf.kernel_images(x, y).images[0]
    assert kernel.sum() == pytest.approx(1.0, abs=1e-9)
    sizes = np.array([seen.visit.seeing_fwhm_arcsec for seen in field.seen])
    smallest, largest = (np.array([sizes.min(), sizes.max()]) / 0.2 / 2.355) ** 2
    assert smallest < (xx + yy) / 2 < largest
    assert abs(xy) < 0.1 * xx


def flat_inputs(plan: SurveyPlan, *, values: Sequence[float] = (1.0, 2.0, 6.0)) -> list[Exposure]:
    """Images without stars, whose pixels have all one value, and variances one over `FLAT_WEIGHTS`."""
    inputs = []
    for visit, value, weight in zip(plan.visits, values, FLAT_WEIGHTS, strict=True):
        detector = visit.detectors[0]
        shape = detector.box.shape
        inputs.append(
            Exposure.from_arrays(
                np.full(shape, value),
                variance=np.full(shape, 1.0 / weight),
                mask=np.zeros(shape, dtype=np.uint16),
                mask_planes=PLANES,
                psf=GaussianPsf(1.5 + 0.1 * weight, 25),
                wcs=detector.wcs,
                aperture_corrections={"a": ConstantField(value), "b": ConstantField(1.0)},
                unit=u.nJy,
                photo_calib=PhotoCalib(1.0),
                identity=identity(visit, detector),
            )
        )
    return inputs


def mark(exposure: Exposure, plane: str, x: float, y: float, plan: SurveyPlan, reach: int = 0) -> None:
    """Mark the pixel of an input at a position on the coadd, and those around it; their values are absurd."""
    assert exposure.mask is not None
    assert exposure.wcs is not None
    ra, dec = AstropyWcs(plan.tract_wcs).pixel_to_sky(np.array([x]), np.array([y]))
    there_x, there_y = exposure.wcs.sky_to_pixel(ra, dec)
    column, row = round(float(there_x[0])), round(float(there_y[0]))
    part = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
    exposure.mask.array[part] |= exposure.mask.bits([plane])
    exposure.image[part] = 1e6


def planes_at(coadd: Exposure, x: float, y: float) -> set[str]:
    assert coadd.mask is not None
    bits = int(coadd.mask.array[int(y) - coadd.y0, int(x) - coadd.x0])
    return {name for name, bit in coadd.mask.planes.items() if bits >> bit & 1}


def value_at(coadd: Exposure, x: float, y: float) -> float:
    return float(coadd.image[int(y) - coadd.y0, int(x) - coadd.x0])


@pytest.fixture(scope="module")
def plan() -> SurveyPlan:
    return make_plan()


def coadded(plan: SurveyPlan, inputs: list[Exposure]) -> Exposure:
    return Exposure.from_lsst_images(coadd_patch(plan, plan.patches[0], "i", inputs))


def test_inputs_are_weighted_with_their_variance(plan: SurveyPlan) -> None:
    coadd = coadded(plan, flat_inputs(plan))
    x, y = coadd.x0 + 210.0, coadd.y0 + 190.0
    # Pixels of the inputs and of the coadd are equally large, but for the distortion.
    assert value_at(coadd, x, y) == pytest.approx((1.0 * 1 + 4.0 * 2 + 2.0 * 6) / 7, rel=1e-3)
    assert planes_at(coadd, x, y) == set()
    assert 0.5 / 7 < np.nanmedian(variance_of(coadd)) < 1.0 / 7
    position = np.array([x]), np.array([y])
    assert coadd.aperture_corrections is not None
    assert coadd.aperture_corrections["a"].evaluate(*position)[0] == pytest.approx(3.0)
    assert coadd.aperture_corrections["b"].evaluate(*position)[0] == pytest.approx(1.0)


def test_corrections_that_an_input_lacks_are_left_out(plan: SurveyPlan) -> None:
    first, *others = flat_inputs(plan)
    first = dataclasses.replace(first, aperture_corrections={"b": ConstantField(1.0)})
    corrections = coadded(plan, [first, *others]).aperture_corrections
    assert corrections is not None
    assert set(corrections) == {"b"}


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        ("BAD", {"REJECTED", "INEXACT_PSF"}),
        ("COSMIC_RAY", {"REJECTED", "INEXACT_PSF", "COSMIC_RAY"}),
        ("SATURATED", {"REJECTED", "INEXACT_PSF", "SATURATED"}),
        ("NO_DATA", {"INEXACT_PSF"}),
    ],
)
def test_masked_pixels_are_left_out(plan: SurveyPlan, plane: str, expected: set[str]) -> None:
    inputs = flat_inputs(plan)
    x, y = plan.patches[0].outer.x0 + 160.0, plan.patches[0].outer.y0 + 230.0
    mark(inputs[1], plane, x, y, plan)
    coadd = coadded(plan, inputs)
    assert planes_at(coadd, x, y) == expected
    assert value_at(coadd, x, y) == pytest.approx((1.0 * 1 + 2.0 * 6) / 3, rel=1e-3)
    assert np.nanmax(coadd.image) < 5.0
    # Where the interpolation does not touch the pixel, all is as before.
    assert planes_at(coadd, x + 6, y) == set()


@pytest.mark.parametrize(
    ("plane", "expected"),
    [("INTERPOLATED", "INTERPOLATED"), ("SUSPECT", "SUSPECT"), ("DETECTION_EDGE", "SENSOR_EDGE")],
)
def test_other_planes_are_passed_on(plan: SurveyPlan, plane: str, expected: str) -> None:
    inputs = flat_inputs(plan)
    x, y = plan.patches[0].outer.x0 + 160.0, plan.patches[0].outer.y0 + 230.0
    mark(inputs[1], plane, x, y, plan)
    coadd = coadded(plan, inputs)
    assert planes_at(coadd, x, y) == {expected}
    assert value_at(coadd, x, y) > 1e5


def test_what_all_inputs_lack_is_interpolated(plan: SurveyPlan) -> None:
    inputs = flat_inputs(plan)
    x, y = plan.patches[0].outer.x0 + 160.0, plan.patches[0].outer.y0 + 230.0
    for exposure in inputs:
        mark(exposure, "SATURATED", x, y, plan, reach=3)
    coadd = coadded(plan, inputs)
    assert planes_at(coadd, x, y) == {"NO_DATA", "INTERPOLATED", "REJECTED", "INEXACT_PSF", "SATURATED"}
    assert 1.0 <= value_at(coadd, x, y) <= 6.01


def test_beyond_the_inputs_there_is_nothing(plan: SurveyPlan) -> None:
    inputs = flat_inputs(plan)
    half = [exposure.mask for exposure in inputs]
    x = plan.patches[0].outer.x0 + 285.0
    wcs = AstropyWcs(plan.tract_wcs)
    for exposure, mask in zip(inputs, half, strict=True):
        assert exposure.wcs is not None
        assert mask is not None
        columns, rows = np.meshgrid(np.arange(500.0), np.arange(500.0))
        there, _ = wcs.sky_to_pixel(*exposure.wcs.pixel_to_sky(columns.ravel(), rows.ravel()))
        mask.array[there.reshape(500, 500) > x] |= mask.bits(["NO_DATA"])
    stored = coadd_patch(plan, plan.patches[0], "i", inputs)
    assert {cell.j for cell in stored.bounds.missing} == {6, 7}
    coadd = Exposure.from_lsst_images(stored)
    outer = plan.patches[0].outer
    assert planes_at(coadd, outer.x0 + 300, outer.y0 + 200) >= {"NO_DATA"}
    assert np.isnan(coadd.image[:, 300:]).all()
    assert np.isnan(variance_of(coadd)).sum() == np.isnan(coadd.image).sum()
    assert coadd.psf is not None
    positions = np.array([outer.x0 + 260.0, outer.x0 + 320.0]), np.array([outer.y0 + 200.0, outer.y0 + 200.0])
    assert coadd.psf.images(*positions).valid.tolist() == [True, False]


def test_a_patch_without_inputs_is_empty(plan: SurveyPlan, tmp_path: Path) -> None:
    from lsst.images.serialization import write_archive

    far = [dataclasses.replace(exposure, x0=100_000) for exposure in flat_inputs(plan)[:1]]
    for inputs in ([], far):
        stored = coadd_patch(plan, plan.patches[0], "i", inputs)
        path = tmp_path / f"{len(inputs)}.fits"
        write_archive(stored, str(path))
        coadd = Exposure.read(path)
        assert np.isnan(coadd.image).all()
        assert len(stored.bounds.missing) == 64


def test_an_image_without_good_pixels_is_passed_over(plan: SurveyPlan) -> None:
    first, *others = flat_inputs(plan)
    assert first.mask is not None
    first.mask.array[:] |= first.mask.bits(["BAD"])
    stored = coadd_patch(plan, plan.patches[0], "i", [first, *others])
    assert len(stored.provenance.inputs) == 2


@pytest.mark.parametrize("profile", ["dp1", "hsc"])
def test_files_hold_the_coadd(profile: str, tmp_path: Path) -> None:
    from lsst.images.serialization import write_archive

    plan = make_plan(profile)
    patch = plan.patches[0]
    inputs = flat_inputs(plan)
    mark(inputs[0], "BAD", patch.outer.x0 + 99.0, patch.outer.y0 + 123.0, plan)
    stored = coadd_patch(plan, patch, "i", inputs)
    path = tmp_path / "coadd.fits"
    write_archive(stored, str(path))
    found, expected = Exposure.read(path), Exposure.from_lsst_images(stored)
    assert found.bbox == patch.outer
    assert found.identity == Identity(
        band="i", skymap=plan.profile.skymap, tract=plan.profile.tract, patch=patch.id
    )
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.variance, expected.variance)
    assert found.mask is not None
    assert expected.mask is not None
    assert found.mask.planes == expected.mask.planes
    np.testing.assert_array_equal(found.mask.array, expected.mask.array)
    x, y = np.array([99.0, 301.2]) + patch.outer.x0, np.array([123.0, 44.5]) + patch.outer.y0
    assert found.psf is not None
    assert expected.psf is not None
    np.testing.assert_array_equal(found.psf.images(x, y).images, expected.psf.images(x, y).images)
    assert found.wcs is not None
    np.testing.assert_allclose(
        found.wcs.pixel_to_sky(x, y), AstropyWcs(plan.tract_wcs).pixel_to_sky(x, y), rtol=0, atol=1e-12
    )
    assert found.aperture_corrections is not None
    np.testing.assert_allclose(found.aperture_corrections["a"].evaluate(x, y), 3.0)
    part = Exposure.read(path, bbox=Box(patch.outer.x0 + 90, patch.outer.y0 + 110, 60, 40))
    np.testing.assert_array_equal(part.image, found.image[110:150, 90:150])
    assert part.psf is not None
    np.testing.assert_array_equal(part.psf.images(x[:1], y[:1]).images, found.psf.images(x[:1], y[:1]).images)


def test_the_provenance_tells_what_contributed(plan: SurveyPlan) -> None:
    inputs = flat_inputs(plan)
    outer = plan.patches[0].outer
    mark(inputs[0], "BAD", outer.x0 + 174.0, outer.y0 + 224.0, plan)
    provenance = coadd_patch(plan, plan.patches[0], "i", inputs).provenance
    assert provenance.inputs["visit"].tolist() == [visit.id for visit in plan.visits]
    assert provenance.inputs["day_obs"].tolist() == [visit.day_obs for visit in plan.visits]
    assert all(polygon.area > 0.8 * 400**2 for polygon in provenance.inputs["polygon"])
    table = provenance.contributions
    cell = table[(table["cell_i"] == 4) & (table["cell_j"] == 3)]
    assert cell["overlaps_center"].all()
    assert cell["overlap_fraction"].tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(cell["unmasked_fraction"], [1 - 36 / 2500, 1.0, 1.0], atol=14 / 2500)
    assert cell["unmasked_fraction"][0] < 1.0
    np.testing.assert_allclose(cell["weight"], FLAT_WEIGHTS, rtol=1e-6)
    np.testing.assert_allclose(
        cell["psf_shape_xx"], [(1.5 + 0.1 * weight) ** 2 for weight in FLAT_WEIGHTS], rtol=0.01
    )
    assert not cell["psf_shape_flag"].any()


def test_the_template_is_what_was_subtracted(plan: SurveyPlan) -> None:
    visits = flat_inputs(plan, values=(10.0, 10.0, 10.0))
    differences = [
        dataclasses.replace(visit, image=visit.image - 3.0, variance=np.float32(1.25) * variance_of(visit))
        for visit in visits
    ]
    stored = template_patch(plan, plan.patches[0], "i", list(zip(visits, differences, strict=True)))
    template = Exposure.from_lsst_images(stored)
    assert np.nanmedian(template.image) == pytest.approx(3.0, rel=1e-3)
    visit_coadd = coadded(plan, visits)
    assert np.nanmedian(variance_of(template)) == pytest.approx(
        0.25 * np.nanmedian(variance_of(visit_coadd)), rel=1e-4
    )


@pytest.mark.parametrize("missing", ["variance", "wcs", "psf"])
def test_incomplete_images_are_refused(plan: SurveyPlan, missing: str) -> None:
    nothing: dict[str, Any] = {missing: None}
    first = dataclasses.replace(flat_inputs(plan)[0], **nothing)
    with pytest.raises(ExposureError, match="cannot be coadded"):
        coadd_patch(plan, plan.patches[0], "i", [first])


def test_a_difference_without_variance_is_refused(plan: SurveyPlan) -> None:
    first = flat_inputs(plan)[0]
    with pytest.raises(ExposureError, match="variance"):
        template_patch(plan, plan.patches[0], "i", [(first, dataclasses.replace(first, variance=None))])


def test_cells_fill_a_patch() -> None:
    with pytest.raises(ExposureError, match="cells of 50 x 50"):
        PatchCells(Box(0, 0, 100, 120), 50)


def test_a_warp_reaches_as_far_as_the_image(plan: SurveyPlan) -> None:
    exposure = flat_inputs(plan)[0]
    outer = plan.patches[0].outer
    wcs = AstropyWcs(plan.tract_wcs)
    wide = Box(outer.x0 - 300, outer.y0 - 300, 1000, 1000)
    warp = warp_to(wcs, wide, exposure)
    assert warp is not None
    assert exposure.wcs is not None
    assert warp.box.width < 700
    # The area inside the image, less the border that the interpolation's taps need.
    reach = WARPING_KERNEL.taps.shape[1] / 2
    assert np.isfinite(warp.image).sum() == pytest.approx((500 - 2 * reach + 1) ** 2, rel=3e-3)
    y, x = np.indices(warp.image.shape).astype(np.float64)
    ra, dec = wcs.pixel_to_sky(x.ravel() + warp.box.x0, y.ravel() + warp.box.y0)
    there_x, there_y = (places.reshape(x.shape) for places in exposure.wcs.sky_to_pixel(ra, dec))
    inside = (np.abs(there_x - 249.5) < 246) & (np.abs(there_y - 249.5) < 246)
    np.testing.assert_array_equal(np.isfinite(warp.image) | ~inside, True)


def test_fluxes_do_not_depend_on_the_size_of_pixels(plan: SurveyPlan) -> None:
    exposure = flat_inputs(plan)[1]
    fine = plan.tract_wcs.deepcopy()
    fine.wcs.cd = fine.wcs.cd / 2.0
    fine.wcs.crpix = 2.0 * fine.wcs.crpix
    fine.wcs.set()
    outer = plan.patches[0].outer
    box = Box(2 * outer.x0 + 300, 2 * outer.y0 + 300, 200, 200)
    warp = warp_to(AstropyWcs(fine), box, exposure)
    assert warp is not None
    np.testing.assert_allclose(warp.image, 0.25 * 2.0, rtol=2e-3)
    assert (warp.variance < 0.25**2 / FLAT_WEIGHTS[1]).all()


def test_masks_may_be_absent(plan: SurveyPlan) -> None:
    inputs = [dataclasses.replace(exposure, mask=None) for exposure in flat_inputs(plan)]
    coadd = coadded(plan, inputs)
    assert isinstance(coadd.mask, Mask)
    assert planes_at(coadd, coadd.x0 + 200, coadd.y0 + 200) == set()
