"""Visit and difference images: what is in them, and what files keep of it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest

from forcedphot import Exposure
from forcedphot.errors import ExposureError
from forcedphot.exposure.wcs import AstropyWcs
from forcedphot.survey import images
from forcedphot.survey.plan import DetectorPlan, SurveyPlan, VisitPlan
from forcedphot.survey.profiles import PROFILES, find_profile, find_size
from forcedphot.survey.visits import VisitArrays, simulate_visit

from .scenes import sky_of

type Make = Callable[[SurveyPlan, VisitPlan, DetectorPlan, VisitArrays], Any]
type Planned = tuple[SurveyPlan, VisitPlan, DetectorPlan, VisitArrays]

MAKERS = {"visit": images.visit_image, "difference": images.difference_image}


def planned(profile: str) -> Planned:
    """The first detector of the first visit, of an empty sky."""
    plan = SurveyPlan(find_profile(profile), find_size("tiny"), 1)
    visit = plan.visits[0]
    detector = visit.detectors[1]
    return plan, visit, detector, simulate_visit(plan, visit, detector, sky_of(detector))


@pytest.fixture(scope="module")
def dp1() -> Planned:
    return planned("dp1")


@pytest.fixture(params=MAKERS)
def stored(request: pytest.FixtureRequest, dp1: Planned, tmp_path: Path) -> tuple[str, Any, Path]:
    from lsst.images.serialization import write_archive

    image = MAKERS[request.param](*dp1)
    path = tmp_path / "image.fits"
    write_archive(image, str(path))
    return request.param, image, path


def test_files_hold_what_was_simulated(stored: tuple[str, Any, Path], dp1: Planned) -> None:
    kind, _, path = stored
    plan, visit, detector, arrays = dp1
    exposure = Exposure.read(path)
    expected = arrays.visit_exposure() if kind == "visit" else arrays.difference_exposure()
    np.testing.assert_array_equal(exposure.image, expected.image)
    np.testing.assert_array_equal(exposure.variance, expected.variance)
    assert exposure.mask is not None
    assert expected.mask is not None
    assert dict(exposure.mask.planes) == dict(expected.mask.planes)
    np.testing.assert_array_equal(exposure.mask.array, expected.mask.array)
    assert exposure.identity == expected.identity
    assert exposure.unit == u.nJy
    x, y = np.array([3.3, 200.0, 390.7]), np.array([120.2, 200.0, 11.0])
    assert exposure.psf is not None
    assert expected.psf is not None
    np.testing.assert_allclose(
        exposure.psf.images(x, y).images, expected.psf.images(x, y).images, rtol=0, atol=1e-12
    )
    assert exposure.wcs is not None
    np.testing.assert_allclose(
        exposure.wcs.pixel_to_sky(x, y), AstropyWcs(detector.wcs).pixel_to_sky(x, y), rtol=0, atol=1e-12
    )
    assert exposure.aperture_corrections is not None
    assert exposure.aperture_corrections.keys() == arrays.aperture_corrections.keys()
    for name, field in arrays.aperture_corrections.items():
        np.testing.assert_allclose(exposure.aperture_corrections[name].evaluate(x, y), field.evaluate(x, y))
    assert exposure.detector == images.detector_description(plan, detector)
    found, told = exposure.visit_info, images.visit_info(plan, visit)
    assert found is not None
    assert (found.visit, found.rotation_type, found.has_simulated_content) == (visit.id, "SKY", True)
    assert found.mid_mjd_tai == pytest.approx(visit.mjd + 15 / 86400, abs=1e-9)
    for name in ("boresight_ra_deg", "boresight_altitude_deg", "boresight_airmass", "latitude_deg", "elevation_m"):
        assert getattr(found, name) == pytest.approx(getattr(told, name), abs=1e-6)


def test_nothing_is_lost_on_the_way(dp1: Planned, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for make in MAKERS.values():
            make(*dp1)
    assert caplog.text == ""


def test_the_difference_has_a_kernel(dp1: Planned, tmp_path: Path) -> None:
    from lsst.images import DifferenceImage
    from lsst.images.serialization import read_archive, write_archive

    write_archive(images.difference_image(*dp1), str(tmp_path / "difference.fits"))
    found = read_archive(str(tmp_path / "difference.fits"), DifferenceImage)
    kernel = found.kernel.compute_kernel_image(x=30, y=300).array
    assert kernel[10, 10] == kernel.sum() == 1.0
    assert found.templates == []


def test_the_camera_has_the_scale_of_the_image(dp1: Planned) -> None:
    _, _, detector, _ = dp1
    found = images.visit_image(*dp1).detector
    box = detector.box
    middle = {"x": np.array([(box.width - 1) / 2]), "y": np.array([(box.height - 1) / 2])}
    plane = found.to_focal_plane.apply_forward(**middle)
    assert (plane.x[0], plane.y[0]) == pytest.approx(np.array(detector.focal_plane_pix) * 0.01)
    angle = found.to_field_angle.apply_forward(**middle)
    assert angle.x[0] == pytest.approx(np.radians(detector.focal_plane_pix[0] * 0.2 / 3600), rel=1e-9)


def test_calibrations_can_be_undone(dp1: Planned) -> None:
    _, visit, _, arrays = dp1
    electrons = images.visit_image(*dp1).convert_unit(u.electron)
    np.testing.assert_allclose(electrons.image.array, arrays.image * visit.gain, rtol=1e-5)


def test_summary_statistics_follow_from_the_image(dp1: Planned) -> None:
    plan, visit, detector, arrays = dp1
    stats = images.summary_stats(plan, visit, detector, arrays.visit_exposure())
    assert 2.355 * stats.psf_sigma_pixels * 0.2 == pytest.approx(visit.seeing_fwhm_arcsec, rel=0.15)
    # The same depth from a star's light: sigma of a PSF flux is the noise times the root of the effective area.
    faintest = 10 ** ((31.4 - stats.magnitude_limit) / 2.5)
    assert faintest == pytest.approx(5 * visit.sky_sigma_njy * np.sqrt(stats.psf_area_pixels2), rel=1e-9)
    assert stats.mean_variance_adu2 == pytest.approx(visit.sky_sigma_njy**2, rel=0.01)
    x, y = AstropyWcs(detector.wcs).sky_to_pixel(*np.radians([stats.ra_corners_deg, stats.dec_corners_deg]))
    np.testing.assert_allclose(x, [-0.5, 399.5, 399.5, -0.5], atol=1e-5)
    np.testing.assert_allclose(y, [-0.5, -0.5, 399.5, 399.5], atol=1e-5)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_described(profile: str) -> None:
    plan = SurveyPlan(find_profile(profile), find_size("small"), 1)
    for visit in plan.visits:
        info = images.visit_info(plan, visit)
        assert 20 < info.boresight_altitude_deg <= 90
        assert 1.0 <= info.boresight_airmass < 3.0
        names = {images.detector_description(plan, detector).name for detector in visit.detectors}
        assert len(names) == len(visit.detectors)


@pytest.mark.parametrize(
    ("instrument", "number", "name"),
    [
        ("LSSTComCam", 0, "R22_S00"),
        ("LSSTComCam", 5, "R22_S12"),
        ("LSSTCam-imSim", 0, "R01_S00"),
        ("LSSTCam-imSim", 94, "R22_S11"),
        ("LSSTCam-imSim", 175, "R42_S11"),
        ("LSSTCam-imSim", 188, "R43_S22"),
        ("HSC", 49, "049"),
    ],
)
def test_detectors_have_the_names_of_their_cameras(instrument: str, number: int, name: str) -> None:
    assert images.detector_name(instrument, number) == name


def test_directions_agree_with_astropy() -> None:
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    site = images.Site(-70.75, -30.24, 2663.0, 0.01)
    place = EarthLocation.from_geodetic(-70.75 * u.deg, -30.24 * u.deg, 2663.0 * u.m)
    with iers.conf.set_temp("auto_download", False):
        for mjd, ra, dec in ((57000.1, 80.0, -28.0), (57100.3, 190.0, 5.0), (57300.77, 300.0, -70.0)):
            frame = AltAz(obstime=Time(mjd, format="mjd"), location=place)
            expected = SkyCoord(ra, dec, unit="deg").transform_to(frame)
            azimuth, altitude = images.horizontal_deg(site, mjd, ra, dec)
            assert altitude == pytest.approx(expected.alt.deg, abs=0.5)
            turn = (azimuth - expected.az.deg + 180) % 360 - 180
            assert abs(turn) * np.cos(np.radians(altitude)) < 0.5


def test_an_image_without_psf_is_refused(dp1: Planned) -> None:
    plan, visit, detector, arrays = dp1
    with pytest.raises(ExposureError, match="no statistics"):
        images.summary_stats(plan, visit, detector, replace(arrays.visit_exposure(), psf=None))
