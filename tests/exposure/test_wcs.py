"""Astropy's WCS as ours: frames, distortions, and positions that are none."""

import numpy as np
import pytest
from astropy.coordinates import FK5, SkyCoord
from astropy.wcs import WCS, DistortionLookupTable, Sip

from forcedphot.errors import ExposureError
from forcedphot.exposure import AstropyWcs


def tan_wcs(*, radesys: str = "ICRS", swapped: bool = False, sip: float = 0.0) -> WCS:
    wcs = WCS(naxis=2)
    axes = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.ctype = [f"{axis}-SIP" if sip else axis for axis in (axes[::-1] if swapped else axes)]
    wcs.wcs.crval = [-28.1, 53.1] if swapped else [53.1, -28.1]
    wcs.wcs.crpix = [50.0, 60.0]
    wcs.wcs.cd = np.array([[-0.2, 0.05], [0.05, 0.2]]) / 3600
    wcs.wcs.radesys = radesys
    if radesys == "FK5":
        wcs.wcs.equinox = 1975.0
    if sip:
        a = np.zeros((3, 3))
        a[2, 0] = sip
        wcs.sip = Sip(a, a.T, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("radesys", ["ICRS", "FK5"])
@pytest.mark.parametrize("sip", [0.0, 1e-6])
def test_agrees_with_astropy(swapped: bool, radesys: str, sip: float, rng: np.random.Generator) -> None:
    wcs = tan_wcs(radesys=radesys, swapped=swapped, sip=sip)
    ours = AstropyWcs(wcs, x0=1000, y0=-20)
    x, y = rng.uniform(1000, 1100, 30), rng.uniform(-20, 80, 30)

    ra, dec = ours.pixel_to_sky(x, y)

    expected = wcs.pixel_to_world(x - 1000, y + 20)
    if radesys == "FK5":
        assert expected.frame.name == FK5.name
    separation = SkyCoord(ra, dec, unit="rad").separation(expected.icrs)
    assert separation.arcsec.max() < 1e-7
    np.testing.assert_allclose(ours.sky_to_pixel(ra, dec), (x, y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("radesys", ["ICRS", "FK5"])
def test_one_bad_position_harms_no_other(radesys: str) -> None:
    wcs = AstropyWcs(tan_wcs(radesys=radesys))
    ra, dec = wcs.pixel_to_sky(np.array([10.0, np.nan, 12.0]), np.array([1.0, 1.0, np.inf]))
    assert list(np.isnan(ra)) == list(np.isnan(dec)) == [False, True, True]

    x, y = wcs.sky_to_pixel(
        np.array([ra[0], np.nan, 1.0, ra[0] + np.pi]), np.array([dec[0], 0.0, np.inf, -dec[0]])
    )

    assert (x[0], y[0]) == (pytest.approx(10.0, abs=1e-6), pytest.approx(1.0, abs=1e-6))
    assert list(np.isnan(x)) == list(np.isnan(y)) == [False, True, True, True]


def test_distortions_that_cannot_be_inverted_give_nan() -> None:
    wcs = AstropyWcs(tan_wcs(sip=1e-3))
    near = wcs.pixel_to_sky(np.array([60.0]), np.array([70.0]))
    ra, dec = np.append(near[0], near[0] + 0.2), np.append(near[1], near[1])

    x, y = wcs.sky_to_pixel(ra, dec)

    assert (x[0], y[0]) == (pytest.approx(60.0, abs=1e-3), pytest.approx(70.0, abs=1e-3))
    assert np.isnan(x[1])
    assert np.isnan(y[1])


def test_other_wcs_are_refused() -> None:
    linear = WCS(naxis=2)
    with pytest.raises(ExposureError, match="two axes to the sky"):
        AstropyWcs(linear)
    with pytest.raises(ExposureError, match="got str"):
        AstropyWcs("a header")


@pytest.mark.parametrize("tables", [("cpdis1", "cpdis2"), ("det2im1", "det2im2")])
def test_distortions_in_tables_stay_where_they_are(rng: np.random.Generator, tables: tuple[str, str]) -> None:
    wcs = tan_wcs(sip=1e-6)
    for name in tables:
        offsets = rng.normal(size=(8, 9)).astype(np.float32)
        setattr(wcs, name, DistortionLookupTable(offsets, (1.0, 1.0), (1.0, 1.0), (10.0, 10.0)))
    whole = AstropyWcs(wcs, x0=100, y0=-50)
    x, y = np.array([25.3, 40.0]), np.array([30.2, 44.0])
    sky = np.degrees(whole.pixel_to_sky(x + 100, y - 50))
    for x0, y0 in ((0, 0), (20, 25)):
        part = whole.array_wcs(100 + x0, -50 + y0)
        np.testing.assert_allclose(part.all_pix2world(x - x0, y - y0, 0), sky, rtol=0, atol=1e-11)
