"""NDData and CCDData in and out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS, Sip

import forcedphot
from forcedphot import Exposure
from forcedphot.errors import ExposureError
from forcedphot.exposure import AstropyWcs
from forcedphot.io.nddata import exposure_from_nddata, exposure_to_ccddata
from forcedphot.psf import GaussianPsf


def sip_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval, wcs.wcs.crpix = [53.1, -28.1], [30.0, 40.0]
    wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
    a = np.zeros((3, 3))
    a[2, 0] = 1e-6
    wcs.sip = Sip(a, a.T, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def make_ccddata(**options: Any) -> CCDData:
    rng = np.random.default_rng(2)
    defaults = {
        "unit": u.nJy,
        "uncertainty": StdDevUncertainty(np.full((80, 60), 2.0)),
        "mask": rng.random((80, 60)) < 0.01,
        "wcs": sip_wcs(),
        "meta": {"SEEING": 0.8},
    }
    return CCDData(rng.normal(0.0, 2.0, (80, 60)), **(defaults | options))


def test_ccddata_is_measured() -> None:
    data = make_ccddata(psf=GaussianPsf(2.0, 25).kernel)
    sky = data.wcs.pixel_to_world([30.0], [40.0])

    table = forcedphot.measure(data, sky, plugins=["base_PsfFlux", "base_PixelFlags"])

    assert table["slot_Centroid_x"][0] == pytest.approx(30.0, abs=1e-6)
    assert table["slot_PsfFlux_fluxErr"][0] == pytest.approx(2.0 * np.sqrt(4 * np.pi * 2.0**2), rel=1e-2)
    assert table["slot_PsfFlux_flux"].unit == u.nJy


@pytest.mark.parametrize("uncertainty", [StdDevUncertainty, InverseVariance])
def test_components(uncertainty: Any) -> None:
    values = {StdDevUncertainty: 2.0, InverseVariance: 0.25}[uncertainty]
    data = make_ccddata(uncertainty=uncertainty(np.full((80, 60), values)))

    exposure = exposure_from_nddata(data, x0=7)

    assert exposure.variance is not None
    np.testing.assert_allclose(exposure.variance, 4.0)
    np.testing.assert_array_equal(exposure.mask.array & exposure.mask.bits(["BAD"]), data.mask.astype(int))
    assert (exposure.x0, exposure.unit, exposure.metadata) == (7, u.nJy, {"SEEING": 0.8})
    assert exposure.psf is None


def test_what_cannot_be_understood_is_refused() -> None:
    with pytest.raises(ExposureError, match="UnknownUncertainty, has no variance"):
        exposure_from_nddata(make_ccddata(uncertainty=UnknownUncertainty(np.ones((80, 60)))))
    with pytest.raises(ExposureError, match="int64, whose bits it does not name"):
        exposure_from_nddata(NDData(np.ones((80, 60)), mask=np.zeros((80, 60), dtype=int)))
    with pytest.raises(ExposureError, match="two dimensions"):
        exposure_from_nddata(NDData(np.ones(5)))
    bits = np.zeros((80, 60), dtype=np.int32)
    assert exposure_from_nddata(make_ccddata(mask=None), mask=bits, mask_planes={"CR": 3}).mask.bits(["CR"]) == 8


def test_round_trip() -> None:
    data = make_ccddata()
    exposure = exposure_from_nddata(data, x0=100, y0=200)

    back = exposure_to_ccddata(exposure)

    np.testing.assert_allclose(back.data, data.data, rtol=1e-6)
    np.testing.assert_array_equal(back.mask, data.mask)
    np.testing.assert_allclose(back.uncertainty.array, 4.0)
    assert (back.unit, back.meta["SEEING"]) == (u.nJy, 0.8)
    sky = data.wcs.pixel_to_world(10.0, 20.0)
    np.testing.assert_allclose(back.wcs.world_to_pixel(sky), (10.0, 20.0), atol=1e-6)


def test_a_part_of_an_exposure_keeps_its_place_on_the_sky() -> None:
    whole = exposure_from_nddata(make_ccddata())
    part = Exposure.from_arrays(whole.image[20:, 10:], wcs=whole.wcs, x0=10, y0=20)

    back = exposure_to_ccddata(part)

    sky = whole.wcs.wcs.pixel_to_world(30.0, 50.0)
    np.testing.assert_allclose(back.wcs.world_to_pixel(sky), (20.0, 30.0), atol=1e-6)
    assert back.mask is None
    assert back.uncertainty is None


def test_masked_planes_can_be_chosen() -> None:
    bits = np.zeros((80, 60), dtype=np.int32)
    bits[0, 0], bits[0, 1] = 1, 8
    exposure = exposure_from_nddata(make_ccddata(mask=None), mask=bits, mask_planes={"SAT": 0, "CR": 3})
    assert np.flatnonzero(exposure_to_ccddata(exposure).mask).tolist() == [0]
    assert np.flatnonzero(exposure_to_ccddata(exposure, bad_planes=("CR",)).mask).tolist() == [1]
    with pytest.raises(ExposureError, match="no mask plane 'STREAK'"):
        exposure_to_ccddata(exposure, bad_planes=("STREAK",))


@pytest.mark.parametrize("uncertainty", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_uncertainties_in_other_units_than_the_data(uncertainty: Any) -> None:
    values, unit = {
        StdDevUncertainty: (2.0, u.uJy),
        VarianceUncertainty: (4.0, u.uJy**2),
        InverseVariance: (0.25, u.uJy**-2),
    }[uncertainty]
    data = make_ccddata(uncertainty=uncertainty(np.full((80, 60), values), unit=unit))
    variance = exposure_from_nddata(data).variance
    assert variance is not None
    np.testing.assert_allclose(variance, 4.0e6)  # the data are in nJy


def test_any_wcs_and_psf_go_along(golden: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    exposure: Any = Exposure.read(golden("driver/piff_pixel/exposure.fits"))
    assert not isinstance(exposure.wcs, AstropyWcs)

    back = exposure_to_ccddata(exposure)

    x, y = np.array([20.0, 300.0]), np.array([30.0, 200.0])
    sky = exposure.wcs.pixel_to_sky(x + exposure.x0, y + exposure.y0)
    np.testing.assert_allclose(back.wcs.all_pix2world(x, y, 0), np.degrees(sky), rtol=0, atol=1e-9)
    assert "The PiffPsf becomes its kernel image at" in caplog.text
    again: Any = exposure_from_nddata(back, x0=exposure.x0, y0=exposure.y0)
    centre = (
        np.array([exposure.x0 + (exposure.bbox.width - 1) / 2]),
        np.array([exposure.y0 + (exposure.bbox.height - 1) / 2]),
    )
    np.testing.assert_allclose(again.psf.kernel, exposure.psf.kernel_images(*centre).images[0], rtol=0, atol=1e-14)


def test_pixels_without_an_inverse_variance_are_bad() -> None:
    inverse, mask = np.full((80, 60), 0.25), np.zeros((80, 60), dtype=bool)
    inverse[0, :3] = 0.0, -1.0, np.nan
    mask[5, 5] = True
    for given, places in ((None, [0, 1, 2]), (mask, [0, 1, 2, 305])):
        exposure: Any = exposure_from_nddata(make_ccddata(uncertainty=InverseVariance(inverse), mask=given))
        assert np.flatnonzero(exposure.mask.array & exposure.mask.bits(["BAD"])).tolist() == places
        assert np.flatnonzero(np.isinf(exposure.variance)).tolist() == [0, 1, 2]
