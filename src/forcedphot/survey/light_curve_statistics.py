"""Statistics of light curves: what tables of DIA objects say of the fluxes of their sources, band by band."""

from __future__ import annotations

import numpy as np

from ..conventions import FloatArray

type Statistics = dict[str, float]
"""Values by the names that DP1 gives them, without the band."""

_STETSON_SCALE = 2.0
_STETSON_POWER = 2.0
_STETSON_ITERATIONS = 20
_STETSON_TOLERANCE = 1e-6
_PERCENTILES = (5, 25, 50, 75, 95)


def psf_flux_statistics(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray) -> Statistics:
    """Summarise the PSF fluxes of one source on difference images of one band.

    Parameters
    ----------
    mjd
        Times, days, shape (n,).
    flux, flux_err
        nJy, shape (n,); points that are not finite, or without a positive error, do not count.

    Returns
    -------
    Means are weighted by the inverse variances; standard deviations are those of samples (n - 1). What a few
    points cannot tell is NaN: the scatter, slopes and index of one, the skew of two.
    """
    good = np.isfinite(mjd) & np.isfinite(flux) & np.isfinite(flux_err) & (flux_err > 0)
    order = np.argsort(mjd[good], kind="stable")
    mjd, flux, flux_err = (values[good][order] for values in (mjd, flux, flux_err))
    n = len(flux)
    result: Statistics = dict.fromkeys(PSF_FLUX_STATISTICS, np.nan)
    result["psfFluxNdata"] = float(n)
    if n == 0:
        return result
    mean, mean_err = weighted_mean(flux, flux_err)
    result |= {
        "psfFluxMean": mean,
        "psfFluxMeanErr": mean_err,
        "psfFluxErrMean": float(flux_err.mean()),
        "psfFluxMin": float(flux.min()),
        "psfFluxMax": float(flux.max()),
        "psfFluxMAD": float(np.median(np.abs(flux - np.median(flux)))),
        "psfFluxChi2": float((((flux - mean) / flux_err) ** 2).sum()),
        **dict(zip(_percentile_names(), np.percentile(flux, _PERCENTILES).tolist(), strict=True)),
    }
    if n > 1:
        result["psfFluxSigma"] = float(flux.std(ddof=1))
        result["psfFluxStetsonJ"] = stetson_j(flux, flux_err)
        result |= _slopes(mjd, flux, flux_err)
    if n > 2:
        result["psfFluxSkew"] = _skewness(flux)
    return result


def science_flux_statistics(flux: FloatArray, flux_err: FloatArray) -> Statistics:
    """Summarise the PSF fluxes of one source on visit images of one band; arguments as `psf_flux_statistics`."""
    good = np.isfinite(flux) & np.isfinite(flux_err) & (flux_err > 0)
    flux, flux_err = flux[good], flux_err[good]
    result: Statistics = dict.fromkeys(SCIENCE_FLUX_STATISTICS, np.nan)
    if len(flux):
        result["scienceFluxMean"], result["scienceFluxMeanErr"] = weighted_mean(flux, flux_err)
    if len(flux) > 1:
        result["scienceFluxSigma"] = float(flux.std(ddof=1))
    return result


def weighted_mean(flux: FloatArray, flux_err: FloatArray) -> tuple[float, float]:
    """Return the mean with inverse variances as weights, and its error."""
    weights = 1.0 / flux_err**2
    return float((weights * flux).sum() / weights.sum()), float(weights.sum() ** -0.5)


def stetson_j(flux: FloatArray, flux_err: FloatArray) -> float:
    """Return the variability index J of Stetson (1996, PASP 108, 851) of single observations, each of weight 1.

    Residuals are from the mean that gives outliers less weight. The expectation for a constant source with
    Gaussian errors is somewhat below 0; correlated points do not count as pairs.
    """
    n = len(flux)
    correction = np.sqrt(n / (n - 1.0))
    inverse_variance = flux_err**-2.0
    mean, _ = weighted_mean(flux, flux_err)
    for _ in range(_STETSON_ITERATIONS):
        residual = np.abs(correction * (flux - mean) / flux_err)
        weights = inverse_variance / (1.0 + (residual / _STETSON_SCALE) ** _STETSON_POWER)
        previous, mean = mean, float((weights * flux).sum() / weights.sum())
        if abs(mean - previous) <= _STETSON_TOLERANCE * max(1.0, abs(mean)):
            break
    excess = (correction * (flux - mean) / flux_err) ** 2 - 1.0
    return float((np.sign(excess) * np.sqrt(np.abs(excess))).mean())


def _slopes(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray) -> Statistics:
    """Fit a line, and find the steepest step; NaN if all points are of one time."""
    steps = np.diff(mjd)
    if not (steps > 0).any():
        return {}
    # A line is fitted about the middle of the times: they are large numbers.
    middle = float(mjd.mean())
    design = np.stack([mjd - middle, np.ones_like(mjd)], axis=1) / flux_err[:, None]
    slope, height = np.linalg.lstsq(design, flux / flux_err)[0].tolist()
    moved = steps > 0
    ratio = np.diff(flux)[moved] / steps[moved]
    return {
        "psfFluxLinearSlope": slope,
        "psfFluxLinearIntercept": height - slope * middle,
        "psfFluxMaxSlope": float(ratio.max()),
    }


def _skewness(flux: FloatArray) -> float:
    deviation = flux - flux.mean()
    variance = (deviation**2).mean()
    with np.errstate(all="ignore"):
        return float((deviation**3).mean() / variance**1.5)


def _percentile_names() -> list[str]:
    return [f"psfFluxPercentile{percentile:02d}" for percentile in _PERCENTILES]


PSF_FLUX_STATISTICS = (
    *("psfFluxMean", "psfFluxMeanErr", "psfFluxErrMean", "psfFluxNdata", "psfFluxMin", "psfFluxMax"),
    *("psfFluxMAD", "psfFluxChi2", "psfFluxSigma", "psfFluxStetsonJ", "psfFluxSkew"),
    *("psfFluxLinearSlope", "psfFluxLinearIntercept", "psfFluxMaxSlope"),
    *_percentile_names(),
)
"""Names of what `psf_flux_statistics` returns."""

SCIENCE_FLUX_STATISTICS = ("scienceFluxMean", "scienceFluxMeanErr", "scienceFluxSigma")
"""Names of what `science_flux_statistics` returns."""
