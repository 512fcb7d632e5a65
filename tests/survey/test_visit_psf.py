"""The PSFs of visits: Piff models that others read alike, and near to the profiles that they are made of."""

import pickle

import galsim
import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.io.lsst_images import psf_from_lsst_images
from forcedphot.psf import PiffPsf
from forcedphot.survey.plan import SurveyPlan, VisitPlan
from forcedphot.survey.profiles import find_profile, find_size
from forcedphot.survey.visit_psf import STAMP_SIZE_PIX, Seeing, VisitPsf, visit_psf

X = np.array([0.0, 120.3, 399.0, 211.4, 17.6])
Y = np.array([399.0, 50.6, 0.0, 211.4, 300.2])


@pytest.fixture(scope="module")
def visit() -> VisitPlan:
    return SurveyPlan(find_profile("dp1"), find_size("tiny"), 3).visits[1]


@pytest.fixture(scope="module")
def psf(visit: VisitPlan) -> VisitPsf:
    return visit_psf(visit, visit.detectors[0])


def drawn(profile: galsim.GSObject) -> FloatArray:
    image: FloatArray = profile.drawImage(nx=STAMP_SIZE_PIX, ny=STAMP_SIZE_PIX, scale=1.0, dtype=float).array
    return image / image.sum()


def test_the_model_is_near_its_profile(psf: VisitPsf) -> None:
    images = psf.psf.kernel_images(X, Y).images
    expected = np.array([drawn(psf.profile(x, y)) for x, y in zip(X, Y, strict=True)])
    # Of the peak: the variation is smooth, and so is its polynomial.
    assert np.abs(images - expected).max() < 1e-3 * expected.max()
    assert np.abs(images - images[0]).max() > 5e-3 * expected.max(), "it should vary over the detector"


def test_the_seeing_is_that_of_the_plan(visit: VisitPlan) -> None:
    profile = Seeing.of_visit(visit).profile(0.0, 0.0)
    assert profile.calculateFWHM(size=128, scale=0.1) == pytest.approx(visit.seeing_fwhm_arcsec / 0.2, rel=0.03)
    moments = galsim.hsm.FindAdaptiveMom(profile.drawImage(nx=128, ny=128, scale=0.5, method="no_pixel"))
    assert moments.observed_e1 == pytest.approx(visit.ellipticity[0], abs=1e-3)
    assert moments.observed_e2 == pytest.approx(visit.ellipticity[1], abs=1e-3)


def test_detectors_share_the_focal_plane(visit: VisitPlan, psf: VisitPsf) -> None:
    other = visit_psf(visit, visit.detectors[1])
    distance = visit.detectors[1].focal_plane_pix[0] - visit.detectors[0].focal_plane_pix[0]
    assert distance == 420.0
    # The same place in the focal plane, seen from the two.
    np.testing.assert_allclose(drawn(psf.profile(410.0, 30.0)), drawn(other.profile(-10.0, 30.0)), atol=1e-9)


def test_others_read_the_same_model(psf: VisitPsf) -> None:
    from lsst.images import Box
    from lsst.images.psfs import PiffWrapper

    wrapper = PiffWrapper(psf.piff, bounds=Box.factory[0:400, 0:400], stamp_size=STAMP_SIZE_PIX)
    stamps = psf.psf.images(X, Y)
    for i, (x, y) in enumerate(zip(X, Y, strict=True)):
        np.testing.assert_allclose(wrapper.compute_stellar_image(x=x, y=y).array, stamps.images[i], atol=1e-12)
    again = psf_from_lsst_images(wrapper)
    assert isinstance(again, PiffPsf)
    np.testing.assert_array_equal(again.images(X, Y).images, stamps.images)


def test_it_travels_to_other_processes(psf: VisitPsf) -> None:
    dumped = pickle.dumps(psf)
    assert len(dumped) < 500_000
    again = pickle.loads(dumped)
    np.testing.assert_array_equal(again.psf.images(X, Y).images, psf.psf.images(X, Y).images)


def test_the_same_plan_the_same_psf(visit: VisitPlan, psf: VisitPsf) -> None:
    images = psf.psf.kernel_images(X, Y).images
    np.testing.assert_array_equal(visit_psf(visit, visit.detectors[0]).psf.kernel_images(X, Y).images, images)
    for other in (
        SurveyPlan(find_profile("dp1"), find_size("tiny"), 4).visits[1],
        SurveyPlan(find_profile("dp1"), find_size("tiny"), 3).visits[0],
    ):
        assert np.abs(visit_psf(other, other.detectors[0]).psf.kernel_images(X, Y).images - images).max() > 1e-4
