"""Wcs: sky <-> pixel for many positions at once, over Starlink AST or astropy."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..conventions import FloatArray
from ..errors import FileFormatError

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
    points = np.array([first, second], dtype=np.float64)
    result = np.full_like(points, np.nan)
    finite = np.isfinite(points).all(axis=0)
    if finite.any():
        with _AST_LOCK:
            moved = np.array(transform(points[:, finite]), dtype=np.float64)
        # AST marks undefined positions with its BAD value, the most negative double.
        moved[:, (np.abs(moved) > 1e300).any(axis=0)] = np.nan
        result[:, finite] = moved
    return result


class AstropyWcs:
    """A WCS held as an astropy object of the shared WCS interface, in its own frame.

    Parameters
    ----------
    wcs
        Two-dimensional celestial ``astropy.wcs.WCS`` (or another APE-14 low-level object) with
        world axes in degrees; positions are converted from and to ICRS where its frame is another.
    x0, y0
        Added to its pixel coordinates, where the image's origin is not (0, 0).
    """

    def __init__(self, wcs: Any, *, x0: int = 0, y0: int = 0) -> None:
        from astropy.wcs.utils import wcs_to_celestial_frame

        self._wcs = wcs
        self._x0 = x0
        self._y0 = y0
        frame = wcs_to_celestial_frame(wcs)
        self._frame = None if frame.name == "icrs" else frame

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        longitude, latitude = np.degrees(ra), np.degrees(dec)
        if self._frame is not None:
            from astropy.coordinates import SkyCoord

            sky = SkyCoord(longitude, latitude, unit="deg").transform_to(self._frame)
            longitude, latitude = sky.spherical.lon.deg, sky.spherical.lat.deg
        x, y = self._wcs.world_to_pixel_values(longitude, latitude)
        return np.asarray(x) + self._x0, np.asarray(y) + self._y0

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        longitude, latitude = self._wcs.pixel_to_world_values(np.asarray(x) - self._x0, np.asarray(y) - self._y0)
        if self._frame is not None:
            from astropy.coordinates import SkyCoord

            sky = SkyCoord(longitude, latitude, unit="deg", frame=self._frame).icrs
            longitude, latitude = sky.ra.deg, sky.dec.deg
        return np.radians(longitude) % (2.0 * np.pi), np.radians(latitude)
