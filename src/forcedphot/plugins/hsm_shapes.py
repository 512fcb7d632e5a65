"""ext_shapeHSM_HsmShapeRegauss, HsmShapeBj, HsmShapeLinear, HsmShapeKsb: galsim's shapes corrected for the PSF."""

from threading import Lock
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lsst.pex.config import Field, ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray, IntArray, nearest_pixel
from ..errors import ConfigurationError
from .bad_pixels import bad_pixels
from .base import SHAPE_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry
from .footprint_reach import footprint_reach
from .hsm_moments import SHAPE_FLAGS

_GALSIM = Lock()
"""galsim plans Fourier transforms with FFTW, whose planner is for one thread at a time."""


class HsmShapeConfig(ForcedPluginConfig):
    """Configuration that all HSM shapes share."""

    deblendNChild = Field[str](
        doc="Field with the number of deblended children; sources that have any are not measured. Empty for none.",
        default="",
    )
    badMaskPlanes = ListField[str](
        doc="Mask planes, in either vocabulary, whose pixels are left out", default=["BAD", "SAT"]
    )


class HsmShape(ForcedPlugin):
    """The shape that the source has without the PSF, measured in the box around its footprint."""

    ConfigClass = HsmShapeConfig
    execution_order = SHAPE_ORDER
    method: ClassVar[str]
    """galsim's name of the correction."""
    described_as: ClassVar[str]
    measured: ClassVar[str] = "e"
    """e for a distortion, g for a shear."""

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name, letter = self.name, self.measured
        n_children = self.config.deblendNChild
        if n_children and not schema.has(n_children):
            raise ConfigurationError(
                f"deblendNChild of {name} is {n_children!r}, and the output has no such field; let copyColumns "
                "copy it."
            )
        for flag, doc in SHAPE_FLAGS.items():
            schema.add_field(f"{name}_{flag}", "bool", doc)
        self.use_centroid(schema)
        what = {"e": "ellipticity", "g": "estimated shear"}[letter]
        prefix = f"PSF-corrected shear using {self.described_as} method"
        schema.add_field(f"{name}_{letter}1", "float64", f"{prefix} (+ component of {what})")
        schema.add_field(f"{name}_{letter}2", "float64", f"{prefix} (x component of {what})")
        schema.add_field(f"{name}_sigma", "float64", f"{prefix} (shape measurement uncertainty per component)")
        schema.add_field(f"{name}_resolution", "float64", "Resolution factor (0=unresolved, 1=resolved)")

    def measure(self, batch: SourceBatch) -> None:
        columns, name, letter = batch.columns, self.name, self.measured
        psf_sigma = np.sqrt(0.5 * (batch.psf_moments[:, 0] + batch.psf_moments[:, 1]))
        boxes = batch.footprints.boxes()
        column, row = nearest_pixel(batch.x), nearest_pixel(batch.y)
        is_measured = (
            (column >= boxes[:, 0]) & (column <= boxes[:, 2]) & (row >= boxes[:, 1]) & (row <= boxes[:, 3])
        )
        is_measured &= np.isfinite(psf_sigma) & batch.psf_valid
        if self.config.deblendNChild:
            is_measured &= ~(batch.column(self.config.deblendNChild) > 0)
        columns[f"{name}_flag"][:] = True
        mask, bad_bits = bad_pixels(batch.exposure, self.config.badMaskPlanes)
        for i in np.flatnonzero(is_measured).tolist():
            found = self._estimate(batch, i, boxes[i], mask, bad_bits, psf_sigma[i])
            if found is not None:
                for field, value in zip((f"{letter}1", f"{letter}2", "sigma", "resolution"), found, strict=True):
                    columns[f"{name}_{field}"][i] = value
                columns[f"{name}_flag"][i] = False

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        """Do nothing: a shape found from a bad centroid counts, as in the pipelines; the alias tells."""

    def reach(self, batch: SourceBatch) -> FloatArray:
        return footprint_reach(batch)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True

    def _estimate(
        self,
        batch: SourceBatch,
        i: int,
        box: IntArray,
        mask: npt.NDArray[np.integer[Any]],
        bad_bits: int,
        psf_sigma: float,
    ) -> tuple[float, float, float, float] | None:
        """Return the two components, their error and the resolution of a source; None if galsim fails."""
        import galsim

        exposure = batch.exposure
        x0, y0, x1, y1 = box.tolist()
        pixels = np.s_[y0 - exposure.y0 : y1 + 1 - exposure.y0, x0 - exposure.x0 : x1 + 1 - exposure.x0]
        is_good = np.ones((y1 - y0 + 1, x1 - x0 + 1), dtype=np.int32)
        if bad_bits:
            is_good[:] = mask[pixels].astype(np.uint64) & np.uint64(bad_bits) == 0
        variances = batch.variance[pixels][is_good > 0]
        variances = variances[~np.isnan(variances)]
        if not len(variances):
            return None
        bounds = galsim.BoundsI(x0, x1, y0, y1)
        with _GALSIM:
            found = galsim.hsm.EstimateShear(
                galsim.Image(exposure.image[pixels], bounds=bounds),
                galsim.Image(batch.psf_images.stamp(i)),
                weight=galsim.Image(is_good, bounds=bounds),
                sky_var=float(np.median(variances)),
                shear_est=self.method,
                recompute_flux="FIT",
                guess_sig_gal=2.5 * psf_sigma,
                guess_sig_PSF=psf_sigma,
                guess_centroid=galsim.PositionD(batch.x[i], batch.y[i]),
                strict=False,
                check=False,
            )
        if found.error_message or found.correction_status != 0:
            return None
        if self.measured == "e":
            # Twice, for an ellipticity is about twice the shear.
            error = 2.0 * found.corrected_shape_err
            return found.corrected_e1, found.corrected_e2, error, found.resolution_factor
        return found.corrected_g1, found.corrected_g2, found.corrected_shape_err, found.resolution_factor


class HsmShapeRegauss(HsmShape):
    """Corrected by re-Gaussianization."""

    method = "REGAUSS"
    described_as = "Hirata & Seljak (2003) 'regaussianization'"


class HsmShapeBj(HsmShape):
    """Corrected as Bernstein & Jarvis do."""

    method = "BJ"
    described_as = "Bernstein & Jarvis (2002)"


class HsmShapeLinear(HsmShape):
    """Corrected to the first order of the PSF's deviation from a Gaussian."""

    method = "LINEAR"
    described_as = "Hirata & Seljak (2003) 'linear'"


class HsmShapeKsb(HsmShape):
    """Corrected as Kaiser, Squires & Broadhurst do."""

    method = "KSB"
    described_as = "Kaiser, Squires, & Broadhurst (1995)"
    measured = "g"


for _plugin in (HsmShapeRegauss, HsmShapeBj, HsmShapeLinear, HsmShapeKsb):
    registry.register(f"ext_shapeHSM_{_plugin.__name__}", _plugin)
