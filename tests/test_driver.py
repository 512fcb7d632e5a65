"""The driver: what it accepts and refuses, its log, units, and the rows of sources it cannot measure."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS

import forcedphot
from forcedphot import Exposure, ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask, errors
from forcedphot.conventions import Box, CellGrid
from forcedphot.errors import (
    ConfigurationError,
    ExposureError,
    ForcedPhotError,
    InputTableError,
    OffImageError,
)
from forcedphot.exposure import AstropyWcs, CellField, ConstantField, PhotoCalib
from forcedphot.simulation import SimulatedField, simulate_exposure


@pytest.fixture(scope="module")
def field() -> SimulatedField:
    return simulate_exposure(shape=(300, 320), n_sources=12, seed=3, margin=80.0)


def run(table: Table, exposure: Any, config: ForcedMeasurementDriverConfig | None = None, **options: Any) -> Table:
    return ForcedMeasurementDriverTask(config=config).runFromAstropy(table, exposure, **options)


def positions(field: SimulatedField) -> Table:
    return field.catalog["objectId", "coord_ra", "coord_dec"].copy()


def flag_columns(table: Table, prefix: str) -> list[str]:
    return [name for name in table.colnames if name.startswith(prefix) and table[name].dtype == bool]


class TestResult:
    def test_has_the_documents_columns(self, field: SimulatedField) -> None:
        result = run(positions(field), field.exposure)

        assert len(result.colnames) == 100
        assert result.colnames[:8] == [
            "coord_ra",
            "coord_dec",
            "parent",
            "objectId",
            "parentObjectId",
            "deblend_nChild",
            "base_TransformedCentroidFromCoord_x",
            "slot_Centroid_x",
        ]
        assert result.colnames[-2:] == ["base_PsfFlux_flag_apCorr", "slot_PsfFlux_flag_apCorr"]
        assert list(result["objectId"]) == list(field.catalog["objectId"])
        np.testing.assert_allclose(result["slot_Centroid_x"], field.catalog["x"], atol=1e-6)
        np.testing.assert_allclose(
            result["slot_PsfFlux_instFlux"], field.catalog["flux"], rtol=0.2, err_msg="fluxes are not the truth"
        )

    def test_logs_what_the_documents_show(self, field: SimulatedField, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            run(positions(field)[:5], field.exposure)

        assert [(record.name, record.getMessage()) for record in caplog.records] == [
            (
                "lsst.forcedMeasurementDriver",
                "Measuring 5 sources in a single band using 'ForcedMeasurementTask'",
            ),
            ("lsst.forcedMeasurementDriver.measurement", "Performing forced measurement on 5 sources"),
            ("lsst.forcedMeasurementDriver", "Applying aperture corrections to a single band"),
            (
                "lsst.forcedMeasurementDriver.applyApCorr",
                "Applying aperture corrections to 1 instFlux fields",
            ),
            (
                "lsst.forcedMeasurementDriver",
                "Finished processing for a single band; output catalog has 88 fields and 5 records",
            ),
        ]

    def test_leaves_table_exposure_and_config_alone(self, field: SimulatedField) -> None:
        table, config = positions(field), ForcedMeasurementDriverConfig()
        config.doScaleVariance = True
        image, variance = field.exposure.image.copy(), field.exposure.variance
        before = table.copy(), None if variance is None else variance.copy()

        run(table, field.exposure, config)

        assert (table == before[0]).all()
        np.testing.assert_array_equal(field.exposure.image, image)
        np.testing.assert_array_equal(field.exposure.variance, before[1])
        config.doApCorr = False  # still the caller's own, not frozen

    def test_is_the_same_in_radians(self, field: SimulatedField) -> None:
        table = positions(field)
        for name in ("coord_ra", "coord_dec"):
            table[name] = np.radians(table[name].value)
            table[name].unit = u.rad

        in_radians, in_degrees = run(table, field.exposure), run(positions(field), field.exposure)

        np.testing.assert_allclose(
            in_radians["slot_PsfFlux_instFlux"], in_degrees["slot_PsfFlux_instFlux"], rtol=1e-9
        )

    def test_takes_quantity_tables(self, field: SimulatedField) -> None:
        result = run(QTable(positions(field)), field.exposure)

        assert (result == run(positions(field), field.exposure)).all()

    def test_an_empty_table_gives_an_empty_table(self, field: SimulatedField) -> None:
        result = run(positions(field)[:0], field.exposure)

        assert (len(result), len(result.colnames)) == (0, 100)

    def test_does_not_depend_on_threads(self) -> None:
        crowded = simulate_exposure(shape=(400, 400), n_sources=1500, seed=5, margin=1.0)
        config = ForcedMeasurementDriverConfig()
        one = run(positions(crowded), crowded.exposure, config)
        config.numThreads = 3

        three = run(positions(crowded), crowded.exposure, config)

        for name in one.colnames:
            np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(three[name]), err_msg=name)

    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_reports_progress_of_long_runs(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], n_threads: int
    ) -> None:
        crowded = simulate_exposure(shape=(300, 300), n_sources=600, seed=5, margin=1.0)
        monkeypatch.setattr("forcedphot.driver._PROGRESS_FROM", 5)
        monkeypatch.setenv("FORCE_COLOR", "1")
        config = ForcedMeasurementDriverConfig()
        config.doProgress, config.numThreads = True, n_threads

        run(positions(crowded), crowded.exposure, config)

        captured = capsys.readouterr()
        assert "Measuring sources" in captured.err
        assert captured.out == ""


class TestUnits:
    def test_image_unit(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.fluxUnit = "image"

        result = run(positions(field), field.exposure, config)

        assert not [name for name in result.colnames if "instFlux" in name]
        assert result["slot_PsfFlux_flux"].unit == u.nJy
        assert result["base_CircularApertureFlux_12_0_fluxErr"].unit == u.nJy
        np.testing.assert_array_equal(
            result["slot_PsfFlux_flux"], run(positions(field), field.exposure)["slot_PsfFlux_instFlux"]
        )

    def test_nanojansky_and_magnitudes(self, field: SimulatedField) -> None:
        exposure = dataclasses.replace(field.exposure, photo_calib=PhotoCalib(2.0), unit=u.adu)
        config = ForcedMeasurementDriverConfig()
        config.fluxUnit, config.doMagnitudes = "nJy", True

        result = run(positions(field), exposure, config)

        raw = run(positions(field), exposure)
        np.testing.assert_allclose(result["slot_PsfFlux_flux"], 2.0 * raw["slot_PsfFlux_instFlux"], rtol=1e-12)
        np.testing.assert_allclose(
            result["slot_PsfFlux_fluxErr"], 2.0 * raw["slot_PsfFlux_instFluxErr"], rtol=1e-12
        )
        expected = (np.asarray(result["slot_PsfFlux_flux"]) * u.nJy).to_value(u.ABmag)
        np.testing.assert_allclose(result["slot_PsfFlux_mag"], expected, atol=1e-4)
        ratio = result["slot_PsfFlux_fluxErr"] / result["slot_PsfFlux_flux"]
        np.testing.assert_allclose(result["slot_PsfFlux_magErr"], 2.5 / np.log(10) * ratio, rtol=1e-12)
        names = result.colnames
        assert names.index("base_PsfFlux_mag") == names.index("slot_PsfFlux_fluxErr") + 1

    def test_instrumental_fluxes_can_have_magnitudes(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.doMagnitudes = True

        result = run(positions(field), field.exposure, config)

        expected = 31.4 - 2.5 * np.log10(result["slot_PsfFlux_instFlux"])
        np.testing.assert_allclose(result["slot_PsfFlux_mag"], expected, rtol=1e-12)

    def test_a_negative_flux_has_no_magnitude(self, field: SimulatedField) -> None:
        exposure = dataclasses.replace(field.exposure, image=-field.exposure.image)
        config = ForcedMeasurementDriverConfig()
        config.doMagnitudes = True

        result = run(positions(field), exposure, config)

        assert np.isnan(result["slot_PsfFlux_mag"]).all()
        assert np.isnan(result["slot_PsfFlux_magErr"]).all()

    def test_a_unit_of_flux_density_needs_no_calibration(self, field: SimulatedField) -> None:
        exposure = dataclasses.replace(field.exposure, photo_calib=None, unit=u.uJy)
        config = ForcedMeasurementDriverConfig()
        config.fluxUnit = "nJy"

        result = run(positions(field), exposure, config)

        raw = run(positions(field), exposure)["slot_PsfFlux_instFlux"]
        np.testing.assert_allclose(result["slot_PsfFlux_flux"], 1000.0 * raw, rtol=1e-12)

    @pytest.mark.parametrize(
        ("unit", "name", "expected"), [(u.nJy, "flux", "nJy"), (u.adu, "flux", "adu"), (None, "instFlux", "ct")]
    )
    def test_the_best_unit(
        self,
        field: SimulatedField,
        unit: u.Unit | None,
        name: str,
        expected: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        exposure = dataclasses.replace(field.exposure, photo_calib=None, unit=unit)

        result = forcedphot.measure(exposure, field.catalog)

        assert result[f"slot_PsfFlux_{name}"].unit == expected
        assert ("slot_PsfFlux_mag" in result.colnames) == (expected == "nJy")
        assert ("is not calibrated: no magnitudes" in caplog.text) == (expected != "nJy")

    @pytest.mark.parametrize(("unit", "missing"), [("nJy", "photometric calibration"), ("image", "unit")])
    def test_an_image_without_a_unit_is_refused(self, field: SimulatedField, unit: str, missing: str) -> None:
        exposure = dataclasses.replace(field.exposure, photo_calib=None, unit=None)
        config = ForcedMeasurementDriverConfig()
        config.fluxUnit = unit

        with pytest.raises(ExposureError, match=missing):
            run(positions(field), exposure, config)


class TestBadRows:
    @pytest.fixture
    def spoilt(self, field: SimulatedField) -> Table:
        table = positions(field)
        table["coord_ra"][2] = np.nan
        table["coord_dec"][4] = np.inf
        table["coord_ra"][6] += 1.0
        table["coord_dec"][7] = -95.0
        return table

    def test_are_flagged_and_harm_no_others(self, field: SimulatedField, spoilt: Table) -> None:
        bad = [2, 4, 6, 7]

        result = run(spoilt, field.exposure)

        good = run(positions(field), field.exposure)
        assert list(result["objectId"]) == list(spoilt["objectId"])
        for name in result.colnames:
            ours, theirs = np.delete(np.asarray(result[name]), bad), np.delete(np.asarray(good[name]), bad)
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
        for name in (
            "base_PsfFlux_instFlux",
            "base_PsfFlux_instFluxErr",
            "base_CircularApertureFlux_3_0_instFlux",
        ):
            assert np.isnan(result[name][bad]).all()
        for name in ("base_PixelFlags_flag_offimage", "base_PixelFlags_flag", "base_PsfFlux_flag"):
            assert list(np.flatnonzero(result[name])) == bad
        for radius in ("3_0", "70_0"):
            assert result[f"base_CircularApertureFlux_{radius}_flag"][bad].all()
        assert list(np.flatnonzero(result["base_PsfFlux_flag_apCorr"])) == bad
        assert np.isnan(result["base_PsfFlux_apCorr"][bad]).all()

    @pytest.mark.parametrize("radesys", ["ICRS", "FK5"])
    def test_are_flagged_with_any_wcs(self, field: SimulatedField, spoilt: Table, radesys: str) -> None:
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], radesys
        wcs.wcs.crval, wcs.wcs.crpix = [53.1, -28.1], [160.0, 150.0]
        wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
        exposure = dataclasses.replace(field.exposure, wcs=AstropyWcs(wcs))

        result = run(spoilt, exposure)

        assert list(np.flatnonzero(result["base_PixelFlags_flag_offimage"])) == [2, 4, 6, 7]

    def test_can_be_an_error(self, field: SimulatedField, spoilt: Table) -> None:
        config = ForcedMeasurementDriverConfig()
        config.offImage = "raise"

        with pytest.raises(OffImageError, match=f"4 of 12 positions.*id {spoilt['objectId'][2]}"):
            run(spoilt, field.exposure, config)
        run(positions(field), field.exposure, config)

    def test_masked_coordinates_are_flagged(self, field: SimulatedField) -> None:
        table = Table(positions(field), masked=True)
        table["coord_dec"].mask[3] = True

        result = run(table, field.exposure)

        assert list(np.flatnonzero(result["base_PsfFlux_flag"])) == [3]
        assert np.isnan(result["coord_dec"][3])

    def test_nan_pixels_flag_the_source(self, field: SimulatedField) -> None:
        image = field.exposure.image.copy()
        x, y = round(field.catalog["x"][1]), round(field.catalog["y"][1])
        image[y - 2 : y + 3, x - 2 : x + 3] = np.nan
        exposure = dataclasses.replace(field.exposure, image=image)

        result = run(positions(field), exposure)

        assert result["base_PsfFlux_flag"][1]
        assert not result["base_PsfFlux_flag_noGoodPixels"][1]
        assert np.isnan(result["base_PsfFlux_instFlux"][1])

    def test_a_stamp_of_masked_pixels_only_is_flagged(self, field: SimulatedField) -> None:
        mask = field.exposure.mask
        assert mask is not None
        bits = mask.array.copy()
        x, y = round(field.catalog["x"][1]), round(field.catalog["y"][1])
        bits[y - 40 : y + 40, x - 40 : x + 40] |= mask.bits(["BAD"])
        exposure = dataclasses.replace(field.exposure, mask=dataclasses.replace(mask, array=bits))
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins["base_PsfFlux"].badMaskPlanes = ["BAD"]

        result = run(positions(field), exposure, config)

        assert result["base_PsfFlux_flag_noGoodPixels"][1]
        assert result["base_PsfFlux_flag"][1]
        assert result["base_PsfFlux_npixels"][1] == 0

    def test_sources_without_a_valid_psf_are_flagged(self, field: SimulatedField) -> None:
        from forcedphot.psf import CellPsf, GaussianPsf

        box = field.exposure.bbox
        kernels = np.tile(GaussianPsf(1.8, 25).kernel, (2, 2, 1, 1))
        kernels[0, 0] = np.nan
        grid = CellGrid(box, cell_width=box.width // 2, cell_height=box.height // 2)
        exposure = dataclasses.replace(field.exposure, psf=CellPsf(kernels, grid))

        result = run(positions(field), exposure)

        missing = (field.catalog["x"] < box.width / 2 - 0.5) & (field.catalog["y"] < box.height / 2 - 0.5)
        assert missing.any()
        for name in ("base_InvalidPsf_flag", "base_PsfFlux_flag"):
            np.testing.assert_array_equal(result[name], missing)
        assert np.isnan(result["base_PsfFlux_instFlux"][missing]).all()
        assert np.isfinite(result["base_CircularApertureFlux_12_0_instFlux"]).all()


class TestBadTables:
    def test_missing_column(self, field: SimulatedField) -> None:
        with pytest.raises(InputTableError, match=r"'dec' not found.*objectId, coord_ra, coord_dec"):
            run(positions(field), field.exposure, dec_column_name="dec")

    def test_mixed_units(self, field: SimulatedField) -> None:
        table = positions(field)
        table["coord_dec"].unit = u.rad
        with pytest.raises(InputTableError, match="different units"):
            run(table, field.exposure)

    def test_unit_that_is_no_angle_of_ours(self, field: SimulatedField) -> None:
        table = positions(field)
        table["coord_ra"].unit = table["coord_dec"].unit = u.arcsec
        with pytest.raises(InputTableError, match="arcsec; coordinates are in deg or rad"):
            run(table, field.exposure)

    def test_no_unit_is_degrees(self, field: SimulatedField) -> None:
        table = positions(field)
        table["coord_ra"].unit = table["coord_dec"].unit = None
        assert (run(table, field.exposure) == run(positions(field), field.exposure)).all()

    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            (np.array([f"star {i}" for i in range(12)]), "single integers"),
            (np.arange(12) + 0.5, "single integers"),
            (np.ones((12, 2), dtype=int), "single integers"),
            (np.full(12, 2**63, dtype=np.uint64), "beyond 2"),
            (MaskedColumn(np.arange(12), mask=np.arange(12) == 5), "masked in 1 rows, the first at row 5"),
        ],
    )
    def test_ids_that_are_none(self, field: SimulatedField, ids: Any, message: str) -> None:
        table = positions(field)
        table["objectId"] = ids
        with pytest.raises(InputTableError, match=message):
            run(table, field.exposure)

    def test_coordinates_that_are_no_numbers(self, field: SimulatedField) -> None:
        table = positions(field)
        table["coord_ra"] = ["a"] * 12
        with pytest.raises(InputTableError, match="'coord_ra' has the type"):
            run(table, field.exposure)

    def test_repeated_ids_are_measured_and_reported(
        self, field: SimulatedField, caplog: pytest.LogCaptureFixture
    ) -> None:
        table = positions(field)
        table["objectId"][:3] = 77

        result = run(table, field.exposure)

        assert list(result["objectId"]) == list(table["objectId"])
        assert "1 ids more than once, the first is 77" in caplog.text

    def test_something_else(self, field: SimulatedField) -> None:
        with pytest.raises(TypeError, match="astropy Table; got list"):
            run([1, 2], field.exposure)


class TestBadExposures:
    @pytest.mark.parametrize(
        ("component", "message"), [("psf", "no PSF"), ("wcs", "no WCS"), ("variance", "no variance plane")]
    )
    def test_missing_component(self, field: SimulatedField, component: str, message: str) -> None:
        without: dict[str, Any] = {component: None}
        exposure = dataclasses.replace(field.exposure, **without)
        with pytest.raises(ExposureError, match=message):
            run(positions(field), exposure)

    def test_a_psf_that_could_not_be_read_is_named(self, field: SimulatedField) -> None:
        exposure = dataclasses.replace(field.exposure, psf=None, metadata={"UNREAD_PSF": "NovelPsf"})
        with pytest.raises(ExposureError, match="its PSF is a NovelPsf, which cannot be read yet"):
            run(positions(field), exposure)

    def test_no_mask_means_no_flags(self, field: SimulatedField) -> None:
        result = run(positions(field), dataclasses.replace(field.exposure, mask=None))
        assert not any(result[name].any() for name in flag_columns(result, "base_PixelFlags"))

    @pytest.mark.parametrize("option", ["masksFpAnywhere", "masksFpCenter"])
    def test_planes_asked_for_must_exist(self, field: SimulatedField, option: str) -> None:
        config = ForcedMeasurementDriverConfig()
        setattr(config.measurement.plugins["base_PixelFlags"], option, ["STREAK"])
        with pytest.raises(ExposureError, match="no mask plane 'STREAK'; it has BAD"):
            run(positions(field), field.exposure, config)
        with pytest.raises(ExposureError, match="no mask"):
            run(positions(field), dataclasses.replace(field.exposure, mask=None), config)

    def test_bad_mask_planes_must_exist(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins["base_PsfFlux"].badMaskPlanes = ["STREAK"]
        with pytest.raises(ExposureError, match="no mask plane 'STREAK'"):
            run(positions(field), field.exposure, config)
        with pytest.raises(ExposureError, match="no mask"):
            run(positions(field), dataclasses.replace(field.exposure, mask=None), config)

    def test_planes_differ_in_shape(self, field: SimulatedField) -> None:
        with pytest.raises(ExposureError, match="variance plane has shape"):
            dataclasses.replace(field.exposure, variance=np.ones((3, 3), dtype=np.float32))

    def test_something_else(self, field: SimulatedField) -> None:
        with pytest.raises(TypeError):
            run(positions(field), 42)

    def test_no_such_file(self, field: SimulatedField, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"absent\.fits"):
            run(positions(field), tmp_path / "absent.fits")

    def test_variance_out_of_all_proportion(self, field: SimulatedField) -> None:
        assert field.exposure.variance is not None
        exposure = dataclasses.replace(field.exposure, variance=field.exposure.variance / np.float32(1e4))
        config = ForcedMeasurementDriverConfig()
        config.doScaleVariance = True
        with pytest.raises(ExposureError, match="over the limit of 10"):
            run(positions(field), exposure, config)

    def test_no_variance_to_scale(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.doScaleVariance = True
        with pytest.raises(ExposureError, match="no variance plane"):
            run(positions(field), dataclasses.replace(field.exposure, variance=None), config)

    def test_no_pixel_to_scale_the_variance_with(self, field: SimulatedField) -> None:
        exposure = dataclasses.replace(field.exposure, image=np.full_like(field.exposure.image, np.nan))
        config = ForcedMeasurementDriverConfig()
        config.doScaleVariance = True
        with pytest.raises(ExposureError, match="no pixel without"):
            run(positions(field), exposure, config)


class TestApertureCorrections:
    def test_an_image_without_them_is_measured_without(
        self, field: SimulatedField, caplog: pytest.LogCaptureFixture
    ) -> None:
        exposure = dataclasses.replace(field.exposure, aperture_corrections=None)

        result = run(positions(field), exposure)

        assert "skipping aperture correction" in caplog.text
        assert np.isnan(result["base_PsfFlux_apCorr"]).all()
        assert not result["base_PsfFlux_flag_apCorr"].any()
        assert np.isfinite(result["base_PsfFlux_instFlux"]).all()

    @pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf])
    def test_a_bad_one_flags_and_leaves_the_flux(self, field: SimulatedField, value: float) -> None:
        corrections = {"base_PsfFlux_instFlux": ConstantField(value)}
        exposure = dataclasses.replace(field.exposure, aperture_corrections=corrections)

        result = run(positions(field), exposure)

        assert result["base_PsfFlux_flag_apCorr"].all()
        assert result["base_PsfFlux_flag"].all()
        uncorrected = run(positions(field), dataclasses.replace(exposure, aperture_corrections=None))
        np.testing.assert_array_equal(result["base_PsfFlux_instFlux"], uncorrected["base_PsfFlux_instFlux"])

    def test_a_missing_one_flags(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.applyApCorr.doFlagApCorrFailures = False
        exposure = dataclasses.replace(field.exposure, aperture_corrections={})

        result = run(positions(field), exposure, config)

        assert result["base_PsfFlux_flag_apCorr"].all()
        assert not result["base_PsfFlux_flag"].any()

    def test_ignored_fluxes_are_left_alone(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.applyApCorr.ignoreList = ["base_PsfFlux"]

        result = run(positions(field), field.exposure, config)

        assert "base_PsfFlux_apCorr" not in result.colnames

    def test_a_proxy_lends_its_correction(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.applyApCorr.proxies = {"base_CircularApertureFlux_12_0": "base_PsfFlux"}

        result = run(positions(field), field.exposure, config)

        np.testing.assert_array_equal(
            result["base_CircularApertureFlux_12_0_apCorr"], result["base_PsfFlux_apCorr"]
        )

    def test_cells_without_one_are_flagged(self, field: SimulatedField) -> None:
        grid = CellGrid(Box(0, 0, 320, 300), cell_width=160, cell_height=150)
        values = np.array([[1.1, np.nan], [1.2, 1.3]])
        exposure = dataclasses.replace(
            field.exposure, aperture_corrections={"base_PsfFlux_instFlux": CellField(grid, values)}
        )

        result = run(positions(field), exposure)

        column, row = (field.catalog["x"] >= 159.5).astype(int), (field.catalog["y"] >= 149.5).astype(int)
        np.testing.assert_array_equal(result["base_PsfFlux_apCorr"], values[row, column])
        np.testing.assert_array_equal(result["base_PsfFlux_flag_apCorr"], np.isnan(values[row, column]))


class TestConfiguration:
    def test_unknown_plugin(self) -> None:
        config = ForcedMeasurementDriverConfig()
        with pytest.raises(ValueError, match="base_Magic"):
            config.measurement.plugins.names = ["base_Magic"]

    def test_slot_of_a_plugin_that_does_not_run(self) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins.names = ["base_TransformedCentroidFromCoord", "base_PixelFlags"]
        with pytest.raises(ConfigurationError, match="slot_PsfFlux is base_PsfFlux, but no plugin"):
            ForcedMeasurementDriverTask(config=config)

    def test_centroid_slot_of_another_kind(self) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.slots.centroid = "base_PsfFlux"
        with pytest.raises(ConfigurationError, match="does not say where sources are"):
            ForcedMeasurementDriverTask(config=config)

    @pytest.mark.parametrize(
        ("radii", "message"),
        [([3.0, -1.0], "positive"), ([0.0], "positive"), ([np.nan], "positive"), ([3.0, 3.01], "same name")],
    )
    def test_bad_radii(self, radii: list[float], message: str) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins["base_CircularApertureFlux"].radii = radii
        with pytest.raises(ConfigurationError, match=message):
            ForcedMeasurementDriverTask(config=config)

    def test_unknown_shift_kernel(self) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins["base_CircularApertureFlux"].shiftKernel = "lanczos3"
        with pytest.raises(ConfigurationError, match="lanczos5"):
            ForcedMeasurementDriverTask(config=config)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("doDetect", True, "neither detects"),
            ("doDeblend", True, "neither detects"),
            ("doMeasure", False, "no result"),
            ("numThreads", -1, "numThreads"),
        ],
    )
    def test_what_the_driver_does_not_do(self, name: str, value: Any, message: str) -> None:
        config = ForcedMeasurementDriverConfig()
        setattr(config, name, value)
        with pytest.raises(ConfigurationError, match=message):
            ForcedMeasurementDriverTask(config=config)

    def test_required_values_are_required(self) -> None:
        config = ForcedMeasurementDriverConfig()
        config.psfCache = None
        with pytest.raises(ConfigurationError, match=r"not valid: .*psfCache"):
            ForcedMeasurementDriverTask(config=config)

    def test_unknown_column_to_copy(self) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.copyColumns["colour"] = "colour"
        with pytest.raises(ConfigurationError, match="copyColumns names 'colour'"):
            ForcedMeasurementDriverTask(config=config)

    def test_configuration_of_another_task(self) -> None:
        with pytest.raises(ConfigurationError, match="is configured by ForcedMeasurementDriverConfig"):
            ForcedMeasurementDriverTask(config=ForcedMeasurementDriverConfig().measurement.value)

    @pytest.mark.parametrize("scaling", [0.0, -3.0, np.nan])
    def test_bad_footprint_scaling(self, field: SimulatedField, scaling: float) -> None:
        with pytest.raises(ConfigurationError, match="psf_footprint_scaling"):
            run(positions(field), field.exposure, psf_footprint_scaling=scaling)

    def test_reference_centroids_are_needed_where_they_are_used(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins.names |= ["base_TransformedCentroid"]
        config.measurement.slots.centroid = "base_TransformedCentroid"
        with pytest.raises(ConfigurationError, match="base_TransformedCentroidFromCoord"):
            run(positions(field), field.exposure, config)

    def test_a_plugin_can_be_switched_off(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        config.measurement.plugins["base_CircularApertureFlux"].doMeasure = False

        result = run(positions(field), field.exposure, config)

        assert np.isnan(result["base_CircularApertureFlux_3_0_instFlux"]).all()

    def test_run_and_run_from_image_refuse(self) -> None:
        driver = ForcedMeasurementDriverTask()
        with pytest.raises(NotImplementedError, match="runFromAstropy"):
            driver.run()
        with pytest.raises(NotImplementedError, match="runFromAstropy"):
            driver.runFromImage()

    def test_catalog_calculation_runs(self, field: SimulatedField, caplog: pytest.LogCaptureFixture) -> None:
        config = ForcedMeasurementDriverConfig()
        config.doRunCatalogCalculation = True
        with caplog.at_level(logging.INFO):
            run(positions(field), field.exposure, config)
        assert "Running catalog calculation on a single band" in caplog.text


class TestMeasure:
    def test_one_line(self, field: SimulatedField) -> None:
        result = forcedphot.measure(field.exposure, field.catalog)

        pulls = (result["slot_PsfFlux_flux"] - field.catalog["flux"]) / result["slot_PsfFlux_fluxErr"]
        assert np.abs(pulls).max() < 4.0  # 12 sources: 1 in 1300 by chance
        assert result["slot_PsfFlux_flux"].unit == u.nJy

    def test_sky_coordinates(self, field: SimulatedField) -> None:
        sky = SkyCoord(field.catalog["coord_ra"], field.catalog["coord_dec"])

        result = forcedphot.measure(field.exposure, sky.galactic, plugins=["base_PsfFlux"])

        assert list(result["objectId"]) == list(range(12))
        np.testing.assert_allclose(
            result["slot_PsfFlux_flux"], forcedphot.measure(field.exposure, field.catalog)["slot_PsfFlux_flux"]
        )
        assert "base_PixelFlags_flag" not in result.colnames

    def test_radii(self, field: SimulatedField) -> None:
        result = forcedphot.measure(
            field.exposure, field.catalog, plugins=["base_CircularApertureFlux"], radii=[2.5, 20]
        )

        assert "base_CircularApertureFlux_2_5_flux" in result.colnames
        assert "slot_PsfFlux_flux" not in result.colnames

    def test_other_column_names(self, field: SimulatedField) -> None:
        table = positions(field)
        table.rename_columns(["objectId", "coord_ra", "coord_dec"], ["name", "lon", "lat"])
        with pytest.raises(InputTableError, match="No id column found among name, lon, lat"):
            forcedphot.measure(field.exposure, table)
        result = forcedphot.measure(field.exposure, table, id_column="name", ra_column="lon", dec_column="lat")
        assert list(result["objectId"]) == list(table["name"])

    def test_unknown_plugin(self, field: SimulatedField) -> None:
        with pytest.raises(ConfigurationError, match=r"no plugin 'base_PsfFlx'\. Did you mean base_PsfFlux"):
            forcedphot.measure(field.exposure, field.catalog, plugins=["base_PsfFlx"])

    def test_the_callers_configuration_is_left_alone(self, field: SimulatedField) -> None:
        config = ForcedMeasurementDriverConfig()
        forcedphot.measure(field.exposure, field.catalog, config=config, radii=[5.0])
        assert config.fluxUnit == "ct"
        assert len(config.measurement.plugins["base_CircularApertureFlux"].radii) == 10

    def test_names_of_the_package(self) -> None:
        assert set(forcedphot.__all__) <= set(dir(forcedphot))
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            forcedphot.nothing  # noqa: B018


def test_every_error_has_its_own_exit_code() -> None:
    errors_found = [
        error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, ForcedPhotError)
    ]
    assert len(errors_found) > 5
    assert len({error.exit_code for error in errors_found}) == len(errors_found)
    leaves = [error for error in errors_found if error is not ForcedPhotError]
    builtin = ValueError | OSError | KeyError | RuntimeError | ImportError
    assert all(issubclass(error, builtin) for error in leaves)


def test_exposure_from_arrays_converts() -> None:
    exposure = Exposure.from_arrays(
        np.arange(12.0).reshape(3, 4), variance=np.ones((3, 4), dtype=">f8"), mask=np.eye(3, 4, dtype=bool)
    )
    assert exposure.image.dtype == np.float32
    assert exposure.mask is not None
    assert exposure.mask.bits(["BAD"]) == 1
    with pytest.raises(ExposureError, match="mask_planes"):
        Exposure.from_arrays(np.ones((3, 4)), mask=np.eye(3, 4, dtype=bool), mask_planes={"BAD": 0})
