"""How close columns must be to the pipelines' own, by family; the tolerances of the golden data's README."""

import numpy as np
import numpy.typing as npt
from astropy.table import Table


def allowed_difference(
    expected: Table, name: str, *, is_piff: bool, is_variance_scaled: bool
) -> npt.NDArray[np.float64]:
    """Return the largest allowed |ours - expected| of a float column, for each row.

    Parameters
    ----------
    expected
        The pipelines' table.
    name
        A column of it that is no slot alias.
    is_piff
        Whether the PSF is a Piff model.
    is_variance_scaled
        Whether the variance plane was scaled: by another background mesh than ours, so that errors
        may differ by 0.6% and chi2 by 1.2%.
    """
    values = np.abs(np.asarray(expected[name], dtype=np.float64))
    if is_variance_scaled and name.endswith("Err"):
        return 6e-3 * values
    if is_variance_scaled and name.endswith("_chi2"):
        return 1.2e-2 * values
    if name.endswith(("_apCorr", "_apCorrErr")):
        return 1e-9 * values
    if name.endswith(("_area", "_chi2")):
        return (1e-4 if is_piff else 1e-5) * values
    if "Centroid" in name:
        return np.full_like(values, 1e-6)
    if name.startswith("coord_"):
        return 1e-15 * values
    relative, of_error = (1e-6, 1e-4) if "PsfFlux" in name and not is_piff else (1e-5, 1e-3)
    error = np.abs(np.asarray(expected[name.removesuffix("Err") + "Err"], dtype=np.float64))
    return relative * values + of_error * error
