"""Scenes: sources are where they should be, as bright, and as extended, as GalSim and the PSF say."""

from typing import Any

import galsim
import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.exposure.wcs import AstropyWcs
from forcedphot.survey.drawing import draw_points, draw_scene
from forcedphot.survey.plan import DetectorPlan, SurveyPlan, VisitPlan
from forcedphot.survey.profiles import find_profile, find_size
from forcedphot.survey.visit_psf import VisitPsf, visit_psf

from .scenes import galaxies_at, points_at


@pytest.fixture(scope="module")
def visit() -> VisitPlan:
    return SurveyPlan(find_profile("dp1"), find_size("tiny"), 5).visits[0]


@pytest.fixture(scope="module")
def detector(visit: VisitPlan) -> DetectorPlan:
    return visit.detectors[0]


@pytest.fixture(scope="module")
def psf(visit: VisitPlan, detector: DetectorPlan) -> VisitPsf:
    return visit_psf(visit, detector)


def draw_galaxies(
    visit: VisitPlan, detector: DetectorPlan, psf: VisitPsf, x: Any, y: Any, **values: Any
) -> FloatArray:
    nobody = points_at(detector, [], [], [])
    return draw_scene(visit, detector, psf, nobody, galaxies_at(detector, x, y, **values))


def moments(image: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the centroid x, y and the matrix of second moments."""
    rows, columns = np.indices(image.shape)
    points = np.stack([columns.ravel(), rows.ravel()])
    centre = points @ image.ravel() / image.sum()
    offsets = points - centre[:, np.newaxis]
    return centre, (offsets * image.ravel()) @ offsets.T / image.sum()


def test_points_are_stamps_of_the_psf(detector: DetectorPlan, psf: VisitPsf) -> None:
    x, y, flux = np.array([100.3, 250.5, 390.2]), np.array([200.0, 40.8, 250.7]), np.array([1e3, 5e2, 2e3])
    image = draw_points(detector, psf, points_at(detector, x, y, flux))
    stamps = psf.psf.images(x, y)
    expected = np.zeros((500, 500))
    for stamp, x0, y0, brightness in zip(stamps.images, stamps.x0, stamps.y0, flux, strict=True):
        expected[y0 + 50 : y0 + 91, x0 + 50 : x0 + 91] += brightness * stamp
    # The inverse of the distortion is good to 1e-4 of a pixel.
    np.testing.assert_allclose(
        image, expected[50:450, 50:450], rtol=0, atol=1e-4 * flux.max() * stamps.images.max()
    )


def test_points_beyond_the_border_count(detector: DetectorPlan, psf: VisitPsf) -> None:
    image = draw_points(detector, psf, points_at(detector, [-5.0, -40.0, 200.0], [200.0, 100.0, 1e4], [1e4] * 3))
    assert image[200, 0] > 1.0
    assert image[:, 20:].max() == 0.0
    assert image[:150].max() == 0.0


def test_there_may_be_nothing(visit: VisitPlan, detector: DetectorPlan, psf: VisitPsf) -> None:
    assert draw_galaxies(visit, detector, psf, [], []).max() == 0.0
    assert draw_points(detector, psf, points_at(detector, [50.0], [50.0], [0.0])).max() == 0.0


@pytest.mark.parametrize(("radius", "bulge_fraction"), [(0.2, 0.0), (0.6, 0.3), (1.0, 1.0), (3.0, 0.0)])
def test_galaxies_are_those_of_galsim(
    visit: VisitPlan, detector: DetectorPlan, psf: VisitPsf, radius: float, bulge_fraction: float
) -> None:
    x, y, flux, axis_ratio = 203.4, 188.7, 5e4, 0.6
    image = draw_galaxies(
        visit,
        detector,
        psf,
        [x],
        [y],
        i_flux=flux,
        bulge_fraction=bulge_fraction,
        bulge_half_light_radius_arcsec=0.5 * radius,
        disk_half_light_radius_arcsec=radius,
        axis_ratio=axis_ratio,
        position_angle_deg=40.0,
    )
    round_one = galsim.Add(
        galsim.Sersic(4, half_light_radius=0.5 * radius, flux=flux * bulge_fraction),
        galsim.Sersic(1, half_light_radius=radius, flux=flux * (1 - bulge_fraction)),
    )
    # GalSim's y axis is north here, and its x axis west; half-light radii are along the major axis.
    galaxy = round_one.transform(axis_ratio, 0.0, 0.0, 1.0).withFlux(flux).rotate(40.0 * galsim.degrees)
    psf_on_pixels = galsim.InterpolatedImage(
        galsim.Image(psf.psf.kernel_images(np.array([x]), np.array([y])).images[0]),
        x_interpolant="lanczos11",
        scale=1.0,
    )
    jacobian = np.linalg.inv(north_and_west(detector, x, y))
    on_pixels = galaxy.transform(*jacobian.ravel()).withFlux(flux)
    expected = galsim.Convolve(on_pixels, psf_on_pixels).drawImage(
        galsim.Image(galsim.BoundsI(0, 399, 0, 399), scale=1.0, dtype=float),
        method="no_pixel",
        center=galsim.PositionD(x, y),
    )
    assert np.abs(image - expected.array).max() < 2e-3 * expected.array.max()
    assert image.sum() == pytest.approx(flux, rel=1e-9)


def north_and_west(detector: DetectorPlan, x: float, y: float) -> FloatArray:
    """Return arcseconds to the west and north (rows) per pixel along x and y (columns)."""
    wcs = AstropyWcs(detector.wcs)
    ra, dec = wcs.pixel_to_sky(np.array([x - 0.5, x + 0.5, x, x]), np.array([y, y, y - 0.5, y + 0.5]))
    west, north = -np.degrees(ra) * 3600 * np.cos(dec[0]), np.degrees(dec) * 3600
    return np.array([[west[1] - west[0], west[3] - west[2]], [north[1] - north[0], north[3] - north[2]]])


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_position_angles_go_from_north_to_east(
    visit: VisitPlan, detector: DetectorPlan, psf: VisitPsf, angle: float
) -> None:
    image = draw_galaxies(
        visit,
        detector,
        psf,
        [200.0],
        [201.0],
        i_flux=1e4,
        bulge_fraction=0.0,
        bulge_half_light_radius_arcsec=0.5,
        disk_half_light_radius_arcsec=1.5,
        axis_ratio=0.3,
        position_angle_deg=angle,
    )
    centre, second = moments(image)
    np.testing.assert_allclose(centre, [200.0, 201.0], atol=0.02)
    direction = np.linalg.eigh(second)[1][:, 1]
    ra, dec = AstropyWcs(detector.wcs).pixel_to_sky(
        *(centre[:, np.newaxis] + direction[:, np.newaxis] * [-5.0, 5.0])
    )
    found = np.degrees(np.arctan2((ra[1] - ra[0]) * np.cos(dec[0]), dec[1] - dec[0]))
    assert (found - angle + 90.0) % 180.0 - 90.0 == pytest.approx(0.0, abs=0.5)


def test_galaxies_add_up(visit: VisitPlan, detector: DetectorPlan, psf: VisitPsf) -> None:
    """Galaxies of all sizes, drawn together and alone; some are cut by the border."""
    rng = np.random.default_rng(8)
    n = 30
    x, y = rng.uniform(-60, 460, (2, n))
    values = {
        "i_flux": rng.uniform(1e3, 1e4, n),
        "bulge_fraction": rng.random(n),
        "bulge_half_light_radius_arcsec": rng.uniform(0.1, 1.5, n),
        "disk_half_light_radius_arcsec": rng.uniform(0.1, 9.0, n),
        "axis_ratio": rng.uniform(0.2, 1.0, n),
        "position_angle_deg": rng.uniform(0.0, 180.0, n),
    }
    together = draw_galaxies(visit, detector, psf, x, y, **values)
    alone = sum(
        draw_galaxies(
            visit, detector, psf, x[[i]], y[[i]], **{name: column[[i]] for name, column in values.items()}
        )
        for i in range(n)
    )
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-7 * together.max())
