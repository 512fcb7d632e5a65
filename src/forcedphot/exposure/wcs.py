"""Wcs: sky <-> pixel for many positions at once, over Starlink AST or astropy."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..conventions import FloatArray
from ..errors import ExposureError, FileFormatError

_AST_LOCK = Lock()  # AST objects must not be used by two threads at once


@runtime_checkable
class Wcs(Protocol):
    """A mapping between an image's pixel frame and the sky.

    Pixels follow `forcedphot.conventions`; the sky is ICRS, radians, 0 <= ra < 2 pi. Arguments
    and results are float64 of shape (n,); NaN where the mapping is undefined or the input is not
    finite.
    """

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x, y."""
        ...

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ra, dec."""
        ...


class AstWcs:
    """A WCS held as an AST FrameSet whose base frame is pixels (0-based) and current frame ICRS.

    Parameters
    ----------
    frame_set
        A ``starlink.Ast.FrameSet``; held, and used by one thread at a time.
    """

    def __init__(self, frame_set: Any) -> None:
        self._frame_set = frame_set

    @classmethod
    def from_text(cls, lines: Iterable[str]) -> "AstWcs":
        """Read the text dump that AST's Channel writes.

        Raises
        ------
        FileFormatError
            If the text is no FrameSet.
        """
        import starlink.Ast as Ast

        try:
            frame_set = Ast.Channel(list(lines)).read()
        except Ast.AstError as error:
            raise FileFormatError(f"The WCS is not readable AST text: {error}") from error
        if not isinstance(frame_set, Ast.FrameSet):
            raise FileFormatError(f"The WCS should be an AST FrameSet; the file has {type(frame_set).__name__}.")
        return cls(frame_set)

    def to_text(self) -> str:
        """Return the text dump that AST's Channel writes."""
        import starlink.Ast as Ast

        lines: list[str] = []

        class Sink:
            def astsink(self, line: str) -> None:
                lines.append(line)

        with _AST_LOCK:
            Ast.Channel(None, Sink()).write(self._frame_set)
        return "\n".join(lines) + "\n"

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        x, y = self._transform(ra, dec, forward=False)
        return x, y

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        ra, dec = self._transform(x, y, forward=True)
        return ra % (2.0 * np.pi), dec

    def _transform(self, first: FloatArray, second: FloatArray, *, forward: bool) -> FloatArray:
        return transform_with_ast(lambda points: self._frame_set.tran(points, forward), first, second)


def transform_with_ast(
    transform: Callable[[FloatArray], Any], first: FloatArray, second: FloatArray
) -> FloatArray:
    """Call code that uses AST, one thread at a time, and only with finite positions.

    Parameters
    ----------
    transform
        Takes and returns coordinates of shape (2, n).
    first, second
        Coordinates, shape (n,).

    Returns
    -------
    Shape (2, n); NaN where the input is not finite or the mapping is undefined.
    """

    def moved(points: FloatArray) -> FloatArray:
        with _AST_LOCK:
            result = np.array(transform(points), dtype=np.float64)
        # AST marks undefined positions with its BAD value, the most negative double.
        result[:, (np.abs(result) > 1e300).any(axis=0)] = np.nan
        return result

    return _where_finite(moved, first, second)


class AstropyWcs:
    """A WCS held as an astropy object, in its own celestial frame.

    Parameters
    ----------
    wcs
        Two-dimensional celestial ``astropy.wcs.WCS``; positions are converted from and to ICRS where
        its frame is another. Held, not copied.
    x0, y0
        Added to its pixel coordinates, where the image's origin is not (0, 0).

    Raises
    ------
    ExposureError
        If it is no celestial WCS of two axes.
    """

    def __init__(self, wcs: Any, *, x0: int = 0, y0: int = 0) -> None:
        from astropy.wcs import WCS
        from astropy.wcs.utils import wcs_to_celestial_frame

        if not isinstance(wcs, WCS) or wcs.naxis != 2 or not wcs.has_celestial:
            raise ExposureError(
                f"A WCS of an image maps two axes to the sky; got {type(wcs).__name__} of "
                f"{', '.join(getattr(wcs, 'axis_type_names', [])) or 'no axes'}."
            )
        self.wcs = wcs
        self.origin = x0, y0
        frame = wcs_to_celestial_frame(wcs)
        self._frame = None if frame.name == "icrs" else frame

    def array_wcs(self, x0: int, y0: int) -> Any:
        """Return an ``astropy.wcs.WCS`` of an array whose first pixel is at (x0, y0)."""
        from astropy.wcs import DistortionLookupTable, Sip

        wcs = self.wcs.deepcopy()
        shift = np.array(self.origin) - (x0, y0)
        wcs.wcs.crpix = wcs.wcs.crpix + shift
        if wcs.sip is not None:
            wcs.sip = Sip(wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, wcs.sip.crpix + shift)
        for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"):
            table = getattr(wcs, name)
            if table is not None:
                # The value at its reference point is a place in the image.
                moved = DistortionLookupTable(table.data, table.crpix, table.crval + shift, table.cdelt)
                setattr(wcs, name, moved)
        return wcs

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        x, y = _where_finite(self._from_sky, ra, dec)
        return x, y

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        ra, dec = _where_finite(self._to_sky, x, y)
        return ra, dec

    def _from_sky(self, sky: FloatArray) -> FloatArray:
        """Map ra, dec (radians, shape (2, n)) to x, y; NaN where distortions cannot be inverted."""
        from astropy.wcs import NoConvergence

        world = np.degrees(sky)
        if self._frame is not None:
            from astropy.coordinates import SkyCoord

            there = SkyCoord(*world, unit="deg").transform_to(self._frame).spherical
            world = np.array([there.lon.deg, there.lat.deg])
        if self.wcs.wcs.lng == 1:
            world = world[::-1]
        try:
            pixels = np.array(self.wcs.all_world2pix(world.T, 0))
        except NoConvergence as error:
            pixels = np.array(error.best_solution)
            for rows in (error.divergent, error.slow_conv):
                if rows is not None:
                    pixels[rows] = np.nan
        moved: FloatArray = pixels.T + np.array(self.origin)[:, np.newaxis]
        return moved

    def _to_sky(self, pixels: FloatArray) -> FloatArray:
        """Map x, y (shape (2, n)) to ra, dec in radians."""
        world = self.wcs.all_pix2world((pixels - np.array(self.origin)[:, np.newaxis]).T, 0).T
        if self.wcs.wcs.lng == 1:
            world = world[::-1]
        if self._frame is not None:
            from astropy.coordinates import SkyCoord

            sky = SkyCoord(*world, unit="deg", frame=self._frame).icrs
            world = np.array([sky.ra.deg, sky.dec.deg])
        ra, dec = np.radians(world)
        return np.array([ra % (2.0 * np.pi), dec])


def _where_finite(
    transform: Callable[[FloatArray], FloatArray], first: FloatArray, second: FloatArray
) -> FloatArray:
    """Transform coordinates where both are finite; shape (2, n), NaN elsewhere."""
    points = np.array([first, second], dtype=np.float64)
    result = np.full_like(points, np.nan)
    finite = np.isfinite(points).all(axis=0)
    if finite.any():
        result[:, finite] = transform(points[:, finite])
    return result
