"""Exposure: the one immutable view of an image that measurement needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..conventions import Box
from ..errors import ExposureError
from ..psf.base import Psf
from .coadd_inputs import CoaddInputs
from .detector import Detector
from .fields import Field
from .mask import Mask
from .photo_calib import PhotoCalib
from .polygon import Polygon
from .summary_stats import SummaryStats
from .visit_info import VisitInfo
from .wcs import AstropyWcs, Wcs

if TYPE_CHECKING:
    from astropy.units import UnitBase

type FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which image this is, as far as the file says."""

    instrument: str | None = None
    visit: int | None = None
    detector: int | None = None
    band: str | None = None
    physical_filter: str | None = None
    skymap: str | None = None
    tract: int | None = None
    patch: int | None = None

    def __str__(self) -> str:
        known = ((name, getattr(self, name)) for name in self.__slots__)
        return ", ".join(f"{name}={value}" for name, value in known if value is not None) or "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """An image with all that forced photometry needs.

    The arrays are held, not copied; treat them as read-only. Conventions for pixels and units
    are those of `forcedphot.conventions`.

    Parameters
    ----------
    image
        Pixels, float32, shape (height, width), native byte order.
    variance
        Variance of each pixel, square of the image's unit, same shape and type.
    mask
        Named mask planes, same shape.
    x0, y0
        Origin: the pixel coordinates of ``image[0, 0]``.
    wcs
        Sky <-> pixel.
    psf
        Point-spread function.
    aperture_corrections
        Factors by flux column, such as ``base_PsfFlux_instFlux``; None if the image has none.
    photo_calib
        Calibration from the image's unit to nJy.
    unit
        Unit of the pixels; None if unknown.
    identity
        Visit, detector, band, tract, patch, where known.
    visit_info, detector, summary_stats, coadd_inputs
        What describes the image, where the file has it.
    valid_polygon
        The part of the image that has data; None where the file does not say.
    metadata
        Header cards and the like; carried along, never interpreted.

    Raises
    ------
    ExposureError
        If the planes differ in shape or are not of the types above.
    """

    image: FloatImage
    variance: FloatImage | None = None
    mask: Mask | None = None
    x0: int = 0
    y0: int = 0
    wcs: Wcs | None = None
    psf: Psf | None = None
    aperture_corrections: Mapping[str, Field] | None = None
    photo_calib: PhotoCalib | None = None
    unit: UnitBase | None = None
    identity: Identity = field(default_factory=Identity)
    visit_info: VisitInfo | None = None
    detector: Detector | None = None
    summary_stats: SummaryStats | None = None
    coadd_inputs: CoaddInputs | None = None
    valid_polygon: Polygon | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image.ndim != 2 or 0 in self.image.shape:
            raise ExposureError(f"An image has two dimensions and some pixels; got shape {self.image.shape}.")
        planes: dict[str, npt.NDArray[Any] | None] = {"image": self.image, "variance": self.variance}
        for name, plane in planes.items():
            if plane is not None and plane.dtype != np.float32:
                raise ExposureError(
                    f"The {name} plane should be native float32, not {plane.dtype}; Exposure.from_arrays converts."
                )
        planes["mask"] = None if self.mask is None else self.mask.array
        for name, plane in planes.items():
            if plane is not None and plane.shape != self.image.shape:
                raise ExposureError(
                    f"The {name} plane has shape {plane.shape}, the image {self.image.shape}; they must be equal."
                )

    @property
    def bbox(self) -> Box:
        """The image's box in its pixel frame."""
        height, width = self.image.shape
        return Box(self.x0, self.y0, width, height)

    @classmethod
    def read(cls, path: str | Path, *, bbox: Box | None = None) -> Exposure:
        """Read any supported file: ExposureF or lsst.images FITS, or a FITS file of one plain image.

        Parameters
        ----------
        path
            A local file, or a URI that lsst.resources knows, such as ``https://`` and ``s3://``.
        bbox
            The part of the image to read, in its pixel frame; None for all. No more is read of the
            file, fetched or decompressed than the pixels in the box need. All else is that of the whole image.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ExposureError
            If ``bbox`` is not inside the image.
        FileFormatError
            If the file is damaged, truncated or of another kind.
        RemoteFileError
            If it is a remote file that cannot be fetched.
        UnsafeContentError
            If its PSF is a pickle that asks for classes outside the allow-list.
        """
        # The one place that knows the readers from below: `Exposure.read` is the front door.
        from ..io.read import read_exposure

        return read_exposure(path, bbox)

    @classmethod
    def read_component(cls, path: str | Path, name: str, *, bbox: Box | None = None) -> Any:
        """Read one part of a file, without the pixels of the rest.

        Parameters
        ----------
        path
            A local file, or a URI as for `read`.
        name
            ``bbox``, ``wcs``, ``psf``, ``photo_calib``, ``aperture_corrections``, ``visit_info``,
            ``detector``, ``filter``, ``identity``, ``summary_stats``, ``coadd_inputs``,
            ``valid_polygon``, ``unit``, ``metadata``, or one of the planes ``image``, ``variance``, ``mask``.
        bbox
            The part of a plane to read, in the image's pixel frame; None for all. Other parts are whole.

        Returns
        -------
        What the exposure would have under that name (a `FilterLabel` for ``filter``); None if the file
        has no such part, or one of a class that cannot be read.

        Raises
        ------
        ExposureError
            If there is no part of that name, or ``bbox`` is not inside the image.
        FileNotFoundError, FileFormatError, RemoteFileError, UnsafeContentError
            As for `read`.
        """
        from ..io.read import read_component

        return read_component(path, name, bbox)

    @classmethod
    def from_arrays(
        cls,
        image: npt.ArrayLike,
        *,
        variance: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | Mask | None = None,
        mask_planes: Mapping[str, int] | None = None,
        psf: Psf | npt.ArrayLike | None = None,
        wcs: Any = None,
        x0: int = 0,
        y0: int = 0,
        **components: Any,
    ) -> Exposure:
        """Build an exposure from arrays of any numeric type.

        Parameters
        ----------
        image, variance
            Two-dimensional; converted to float32 (copied only if they are not).
        mask
            Integers with ``mask_planes`` naming the bits; or booleans, True for bad pixels, which
            become the plane BAD; or a `Mask`. If None, that of ``image``, if this is a masked array.
        psf
            A `Psf`, or a kernel image of odd shape (normalised to sum 1).
        wcs
            A `Wcs`, or an ``astropy.wcs.WCS`` for array indices (its pixel (0, 0) is
            ``image[0, 0]``).
        x0, y0
            Origin of the image.
        components
            The other fields of `Exposure`.

        Raises
        ------
        ExposureError
            If the shapes differ, or a boolean mask is given with ``mask_planes``.
        """
        from ..psf.kernel_image import KernelImagePsf

        if mask is None and np.ma.is_masked(image):
            mask = np.ma.getmaskarray(np.ma.asarray(image))
        if mask is not None and not isinstance(mask, Mask):
            bits = np.asarray(mask)
            if bits.dtype == np.bool_:
                if mask_planes:
                    raise ExposureError(
                        "A boolean mask becomes the plane BAD; give mask_planes with integers only."
                    )
                mask = Mask(bits.view(np.uint8), {"BAD": 0})
            else:
                mask = Mask(bits.astype(bits.dtype.newbyteorder("="), copy=False), dict(mask_planes or {}))
        if psf is not None and not isinstance(psf, Psf):
            psf = KernelImagePsf(np.asarray(psf, dtype=np.float64))
        if wcs is not None and not isinstance(wcs, Wcs):
            wcs = AstropyWcs(wcs, x0=x0, y0=y0)
        return cls(
            image=np.ascontiguousarray(image, dtype=np.float32),
            variance=None if variance is None else np.ascontiguousarray(variance, dtype=np.float32),
            mask=mask,
            psf=psf,
            wcs=wcs,
            x0=x0,
            y0=y0,
            **components,
        )

    @classmethod
    def from_lsst_images(cls, image: Any) -> Exposure:
        """View a VisitImage, DifferenceImage or CellCoadd of lsst.images; pixels are not copied.

        Raises
        ------
        TypeError
            If ``image`` is none of these.
        """
        from ..io.lsst_images import exposure_from_lsst_images

        return exposure_from_lsst_images(image)

    @classmethod
    def from_fits(
        cls,
        image: str | Path,
        *,
        variance: str | Path | None = None,
        weight: str | Path | None = None,
        error: str | Path | None = None,
        mask: str | Path | None = None,
        mask_planes: Mapping[str, int] | None = None,
        psf: str | Path | Psf | npt.ArrayLike | None = None,
        zero_point: float | None = None,
        bbox: Box | None = None,
        **components: Any,
    ) -> Exposure:
        """Read a FITS image of any survey, with a WCS in its header, and what goes with it.

        Each part is a FITS file, or one HDU of it: ``"FILE"``, ``"FILE[2]"``, ``"FILE[SCI]"``, ``"FILE[SCI,1]"``,
        and ``"[WHT]"`` for one in the image's own file. Without an HDU, the first image counts.

        Parameters
        ----------
        image
            The image; its first pixel is (0, 0). SIP, TPV and tabulated distortions are applied.
        variance, weight, error
            At most one: the variance of each pixel, its inverse, or its square root. Pixels without a
            positive weight have an infinite variance, and the mask plane BAD.
        mask
            Integers. Bits are named by cards ``MP_NAME``, or ``mask_planes``; without either, every pixel
            that is not 0 is BAD.
        mask_planes
            Bit number of each mask plane, by its name.
        psf
            A model of PSFEx (``.psf``), a kernel image of odd size in a FITS file, a `Psf` or an array.
        zero_point
            AB magnitude of one unit of the image.
        bbox
            The part of the image to read; None for all.
        components
            Other fields of `Exposure`, instead of what the header says.

        Raises
        ------
        ExposureError
            If the planes do not go together, or ``bbox`` is not inside the image.
        FileNotFoundError, FileFormatError
            If a file is absent, damaged, or has nothing of that kind.
        """
        from ..io.plain_fits import read_plain_fits

        return read_plain_fits(
            image,
            variance=variance,
            weight=weight,
            error=error,
            mask=mask,
            mask_planes=mask_planes,
            psf=psf,
            zero_point=zero_point,
            bbox=bbox,
            **components,
        )

    def to_lsst_images(
        self, kind: Literal["visit-image", "cell-coadd"] | None = None, *, sample_psf: bool = False
    ) -> Any:
        """Turn the exposure into a VisitImage or CellCoadd of lsst.images; pixels are not copied.

        What the type has no place for is named in a warning.

        Parameters
        ----------
        kind
            Which of them; if None, coadds become a CellCoadd, all others a VisitImage.
        sample_psf
            Store samples of a PSF that the type cannot hold as it is; a warning says how much they differ.

        Raises
        ------
        ExposureError
            If there is no variance, WCS or PSF, or one that the type cannot hold.
        """
        from ..io.lsst_images_writer import exposure_to_lsst_images

        return exposure_to_lsst_images(self, kind=kind, sample_psf=sample_psf)

    def write(
        self,
        path: str | Path,
        to: Literal["visit-image", "cell-coadd", "fits"] | None = None,
        *,
        sample_psf: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Write the exposure to a file, whole or not at all.

        Parameters
        ----------
        path
            Where to.
        to
            As `to_lsst_images` has it; or ``fits``: a plain FITS file of image, mask, variance and a kernel
            image of the PSF, with a WCS in the header.
        sample_psf
            As for `to_lsst_images`.
        overwrite
            Replace an existing file.

        Raises
        ------
        ExposureError
            If the format cannot hold the exposure.
        OutputError
            If the file cannot be written.
        """
        if to == "fits":
            from ..io.plain_fits_writer import write_plain_fits

            write_plain_fits(self, path, overwrite=overwrite)
        else:
            from ..io.lsst_images_writer import write_lsst_images

            write_lsst_images(self, path, kind=to, sample_psf=sample_psf, overwrite=overwrite)

    def with_variance(self, variance: FloatImage, **metadata: Any) -> Exposure:
        """Return the same exposure with another variance plane, and cards added to its metadata."""
        return replace(self, variance=variance, metadata={**self.metadata, **metadata})
