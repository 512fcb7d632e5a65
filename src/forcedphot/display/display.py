"""Display: images on a matplotlib figure, with the methods of afwDisplay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..catalog.tables import DEC_COLUMNS, RA_COLUMNS, find_column, read_coordinates
from ..errors import ConfigurationError, ExposureError
from .figures import check_colour, new_figure, save_figure
from .marks import draw_marks
from .mask_colours import MaskColours
from .picture import as_picture
from .scaling import Limit, Scale
from .view import View

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.artist import Artist
    from matplotlib.figure import FigureBase

_BACKEND = "matplotlib"
_SIZE_INCHES = 8.0


def setDefaultBackend(backend: str) -> None:
    """Choose the only backend, matplotlib, as the documents do.

    Raises
    ------
    ConfigurationError
        If it is another.
    """
    if backend != _BACKEND:
        raise ConfigurationError(f"There is no display backend {backend!r}; the only one is {_BACKEND}.")


class Display:
    """A figure that shows one image at a time, in the image's own pixel coordinates.

    Parameters
    ----------
    frame
        A matplotlib figure or subfigure to draw on, which is cleared; the number of one of pyplot's figures,
        which is made if need be; None for a figure of its own, for files and notebooks.
    backend
        ``matplotlib``.

    Raises
    ------
    ConfigurationError
        If the frame is none of these, or the backend another.

    Examples
    --------
    >>> import numpy as np
    >>> display = Display()
    >>> display.scale("asinh", "zscale")
    >>> display.mtv(np.arange(12.0).reshape(3, 4), title="Twelve pixels")
    """

    def __init__(self, frame: int | FigureBase | None = None, backend: str = _BACKEND) -> None:
        from matplotlib.figure import FigureBase

        setDefaultBackend(backend)
        self.frame = frame
        if isinstance(frame, FigureBase):
            self.figure = frame
        elif frame is None:
            self.figure = new_figure(_SIZE_INCHES, _SIZE_INCHES)
        elif isinstance(frame, int) and not isinstance(frame, bool):
            from matplotlib import pyplot

            self.figure = pyplot.figure(frame, layout="constrained")
        else:
            raise ConfigurationError(
                f"A frame is the number of a figure, or a matplotlib figure; got {type(frame).__name__}."
            )
        self._is_own = self.figure is not frame
        self._scale = Scale()
        self._mask_colours = MaskColours()
        self._forget()

    def _forget(self) -> None:
        self._view: View | None = None
        self._marks: list[Artist] = []

    def scale(self, algorithm: str, low: Limit = "zscale", high: Limit | None = None, Q: float = 8.0) -> None:
        """Choose how pixel values become shades of grey, for this image and the next.

        Parameters
        ----------
        algorithm, low, high, Q
            As `Scale` has them: ``scale("asinh", "zscale")``, ``scale("linear", "minmax")``,
            ``scale("sqrt", "1%", "99.5%")``, ``scale("log", 10, 5000)``.

        Raises
        ------
        ConfigurationError
            If these make no scale.
        """
        self._scale = Scale(algorithm, low, high, Q)
        if self._view is not None:
            self._view.set_scale(self._scale)

    def mtv(
        self,
        image: Any,
        title: str | None = None,
        *,
        mask: Any = None,
        wcs: Any = None,
        x0: int | None = None,
        y0: int | None = None,
        grid: bool = False,
    ) -> None:
        """Show an image, instead of the one before.

        Parameters
        ----------
        image
            An `Exposure` or `Mask`; an image, masked image, coadd or mask of lsst.images; an array.
        title
            If None, what the image says of itself.
        mask, wcs, x0, y0
            Instead of its own, as for arrays: a mask with named planes, a WCS, the origin.
        grid
            Draw a grid of right ascension and declination.

        Raises
        ------
        ExposureError
            If it is no image that can be shown, or has no WCS for a grid.
        """
        picture = as_picture(image, mask=mask, wcs=wcs, x0=x0, y0=y0)
        if grid and picture.wcs is None:
            raise ExposureError("This image has no WCS, so that no sky grid can be drawn.")
        self.figure.clear()
        if self._is_own:
            self._root().set_layout_engine("constrained")  # a grid goes without
        self._forget()
        title = picture.title if title is None else title
        self._view = View(self.figure, picture, self._scale, self._mask_colours, title=title, grid=grid)

    def setMaskTransparency(self, transparency: float, name: str | None = None) -> None:
        """Set how transparent mask planes are: 0 (opaque) to 100 (invisible) percent.

        Parameters
        ----------
        name
            A plane, in either vocabulary; None for all.

        Raises
        ------
        ConfigurationError
            If it is not in this range.
        """
        self._mask_colours.set_transparency(transparency, name)
        self._repaint_mask()

    def getMaskTransparency(self, name: str | None = None) -> float:
        """Return the transparency of a mask plane, or of those of which nothing was said, percent."""
        return self._mask_colours.transparency(name)

    def setMaskPlaneColor(self, name: str, color: str | None) -> None:
        """Set the colour of a mask plane, named in either vocabulary; ``"ignore"`` hides it.

        Raises
        ------
        ConfigurationError
            If there is no such colour.
        """
        self._mask_colours.set_colour(name, color)
        self._repaint_mask()

    def getMaskPlaneColor(self, name: str) -> str | None:
        """Return the colour of a mask plane; None if it is hidden."""
        return self._mask_colours.colour(name, None if self._view is None else self._view.picture.mask)

    def _repaint_mask(self) -> None:
        if self._view is not None:
            self._view.set_mask_colours(self._mask_colours)

    def dot(
        self, symbol: str, x: npt.ArrayLike, y: npt.ArrayLike, size: float = 2.0, ctype: str = "limegreen"
    ) -> None:
        """Draw a symbol at one or more pixel positions.

        Parameters
        ----------
        symbol
            ``o``, ``+``, ``x``, ``*``; ``@:xx,xy,yy``, an ellipse of these moments; or a text.
        x, y
            In the image's own pixel coordinates; positions that are not finite are left out.
        size
            Radius, or half the width of a symbol, pixels.
        ctype
            Colour.

        Raises
        ------
        ConfigurationError
            If there is no image, no such colour, or the moments are not those of an ellipse.
        """
        view = self._shown()
        columns, rows = np.broadcast_arrays(
            np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
        )
        finite = np.isfinite(columns) & np.isfinite(rows)
        self._marks += draw_marks(view.axes, symbol, columns[finite], rows[finite], size, check_colour(ctype))

    def mark_positions(
        self,
        table: Table,
        *,
        ra_column: str | None = None,
        dec_column: str | None = None,
        symbol: str = "o",
        size: float | None = None,
        ctype: str = "limegreen",
    ) -> int:
        """Draw a symbol at each of a catalog's sky positions that is on the image.

        Parameters
        ----------
        table
            Right ascensions and declinations, ICRS, degrees or radians by their unit.
        ra_column, dec_column
            Names of these columns; guessed from common ones if None.
        symbol, size, ctype
            As for `dot`; without a size, a hundredth of the image's, and at least 3 pixels.

        Returns
        -------
        The number of positions on the image.

        Raises
        ------
        ConfigurationError
            If there is no image, or no such colour.
        ExposureError
            If the image has no WCS.
        InputTableError
            If the table has no such columns.
        """
        picture = self._shown().picture
        if picture.wcs is None:
            raise ExposureError("This image has no WCS, so that no sky position can be found on it.")
        ra, dec = read_coordinates(
            table,
            ra_column or find_column(table, "ra", RA_COLUMNS),
            dec_column or find_column(table, "dec", DEC_COLUMNS),
        )
        x, y = picture.wcs.sky_to_pixel(ra, dec)
        inside = picture.box.contains(x, y)
        radius = max(3.0, 0.01 * max(picture.box.shape)) if size is None else size
        self.dot(symbol, x[inside], y[inside], radius, ctype)
        return int(inside.sum())

    def erase(self) -> None:
        """Remove the symbols from the image."""
        for mark in self._marks:
            mark.remove()
        self._marks = []

    def pan(self, x: float, y: float) -> None:
        """Move the view so that a pixel position is in its middle.

        Raises
        ------
        ConfigurationError
            If there is no image.
        """
        view = self._shown()
        view.look_at(x, y, float(np.ptp(view.axes.get_xlim())), float(np.ptp(view.axes.get_ylim())))

    def zoom(self, factor: float, x: float | None = None, y: float | None = None) -> None:
        """Show a part of the image.

        Parameters
        ----------
        factor
            1: a view as large as the image; 2: half as wide and high, and so on.
        x, y
            The middle of the view; if None, it stays where it is.

        Raises
        ------
        ConfigurationError
            If there is no image, or the factor is not positive.
        """
        view = self._shown()
        if not factor > 0:
            raise ConfigurationError(f"The zoom factor should be positive, not {factor}.")
        middle_x, middle_y = np.mean(view.axes.get_xlim()), np.mean(view.axes.get_ylim())
        view.look_at(
            float(middle_x) if x is None else x,
            float(middle_y) if y is None else y,
            view.picture.box.width / factor,
            view.picture.box.height / factor,
        )

    def _root(self) -> Any:
        """Return the figure of which ours may be a part."""
        return self.figure.figure

    def _shown(self) -> View:
        if self._view is None:
            raise ConfigurationError("The display shows no image yet; call mtv first.")
        return self._view

    def limits(self) -> tuple[float, float]:
        """Return the pixel values that are black and white.

        Raises
        ------
        ConfigurationError
            If there is no image.
        """
        return self._shown().limits

    def show(self) -> None:
        """Open a window, and wait until it is closed.

        Raises
        ------
        ConfigurationError
            If the frame is none of pyplot's figures, or there is no screen.
        """
        from matplotlib import pyplot

        canvas = self._root().canvas
        if not isinstance(self.frame, int) or canvas.required_interactive_framework is None:
            raise ConfigurationError("There is no screen to open a window on; save the picture to a file.")
        pyplot.show()

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the figure to a file, whole or not at all.

        Parameters
        ----------
        path
            PNG, PDF or SVG file.
        overwrite
            Replace an existing file.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        save_figure(self.figure, path, overwrite=overwrite)

    def close(self) -> None:
        """Forget the image; close the window, if the frame was a number."""
        self._forget()
        self.figure.clear()
        if isinstance(self.frame, int):
            from matplotlib import pyplot

            pyplot.close(self.frame)
