"""Display: pixels, masks, marks and grids are where they should be, for images of all kinds."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.table import Table
from astropy.wcs import WCS
from matplotlib import pyplot
from matplotlib.figure import Figure

import forcedphot.display as afwDisplay  # noqa: N812 - as the documents do
from forcedphot.display import Display
from forcedphot.errors import ConfigurationError, ExposureError, InputTableError, OutputError
from forcedphot.exposure import AstropyWcs, Exposure, Mask
from forcedphot.simulation import SimulatedField, simulate_exposure

type Look = Callable[[Display, float, float], Any]


@pytest.fixture(autouse=True)
def _no_figure_is_left() -> Iterator[None]:
    yield
    left = pyplot.get_fignums()
    pyplot.close("all")
    assert left == []


@pytest.fixture(scope="module")
def field() -> SimulatedField:
    return simulate_exposure(
        shape=(120, 150), n_sources=6, min_separation=20, margin=10, origin=(1000, -50), seed=4
    )


@pytest.fixture
def exposure(field: SimulatedField) -> Exposure:
    return field.exposure


def axes_of(display: Display) -> Any:
    return display.figure.axes[0]


def test_pixels_are_where_they_should_be(look: Look) -> None:
    image = np.arange(12.0).reshape(3, 4)
    display = Display()
    display.scale("linear", "minmax")
    display.mtv(image, x0=1000, y0=-50)
    for row in range(3):
        for column in range(4):
            shade = look(display, 1000 + column, -50 + row)
            assert shade == pytest.approx(255 * image[row, column] / 11, abs=2)
    assert axes_of(display).get_xlim() == (999.5, 1003.5)
    assert axes_of(display).get_ylim() == (-50.5, -47.5)


def test_a_grid_moves_no_pixel(look: Look, exposure: Exposure) -> None:
    pixels = np.zeros((4, 5), dtype=np.float32)
    pixels[2, 1] = 1.0
    display = Display()
    display.scale("linear", "minmax")
    display.mtv(pixels, wcs=exposure.wcs, x0=1000, y0=-50, grid=True)
    assert (look(display, 1001.2, -48.2) > 250).all()
    assert (look(display, 1002.2, -48.2) < 5).all()


def test_pixels_that_are_not_finite_stand_out(look: Look) -> None:
    display = Display()
    display.mtv([[np.nan, 1.0], [2.0, 3.0]])
    red, green, blue = (int(part) for part in look(display, 0, 0))
    assert blue > red > green


def test_colour_bar_has_the_unit_and_round_values(exposure: Exposure) -> None:
    display = Display()
    display.mtv(exposure)
    bar = axes_of(display).child_axes[0]
    assert bar.get_ylabel() == "nJy"
    before = bar.get_yticks()
    display.scale("linear", 0, 100)
    assert display.limits() == (0.0, 100.0)
    assert list(bar.get_yticks()) != list(before)
    display.mtv(np.ones((2, 2)) * units.adu)
    assert axes_of(display).child_axes[0].get_ylabel() == "adu"


def test_the_notebooks_statements(exposure: Exposure) -> None:
    afwDisplay.setDefaultBackend("matplotlib")
    fig = pyplot.figure()
    display = afwDisplay.Display(frame=fig)
    display.scale("asinh", "zscale")
    display.mtv(exposure.image)
    assert display.frame is fig
    assert axes_of(display).get_xlabel() == "x (pixels)"
    pyplot.close(fig)


def test_frames() -> None:
    numbered = Display(frame=3)
    numbered.mtv(np.zeros((2, 3)))
    assert pyplot.get_fignums() == [3]
    numbered.close()
    assert pyplot.get_fignums() == []
    whole = Figure(figsize=(8, 4))
    for part in whole.subfigures(1, 2):
        Display(frame=part).mtv(np.zeros((3, 3)))
    assert len(whole.axes) == 2
    for bad in ("one", True, 1.5):
        with pytest.raises(ConfigurationError, match="A frame is the number of a figure"):
            Display(frame=bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'ds9'"):
        Display(backend="ds9")
    with pytest.raises(ConfigurationError, match="'firefly'"):
        afwDisplay.setDefaultBackend("firefly")


def test_mask_colours_are_drawn(look: Look) -> None:
    mask = Mask(np.array([[1, 0], [0, 4]], dtype=np.int16), {"SAT": 0, "DETECTED": 2, "CR": 5})
    display = Display()
    display.scale("linear", 0, 1)
    display.setMaskPlaneColor("SATURATED", "red")
    display.setMaskTransparency(50)
    display.mtv(np.zeros((2, 2)), mask=mask)
    assert look(display, 0, 0) == pytest.approx([127, 0, 0], abs=2)
    assert look(display, 1, 1) == pytest.approx([0, 0, 127], abs=2)
    assert look(display, 1, 0) == pytest.approx([0, 0, 0], abs=1)
    assert [text.get_text() for text in axes_of(display).get_legend().get_texts()] == ["SAT", "DETECTED"]
    display.setMaskTransparency(0, "SAT")
    display.setMaskPlaneColor("DETECTED", "ignore")
    assert look(display, 0, 0) == pytest.approx([255, 0, 0], abs=1)
    assert look(display, 1, 1) == pytest.approx([0, 0, 0], abs=1)
    assert display.getMaskTransparency("SATURATED") == 0
    assert display.getMaskPlaneColor("SAT") == "red"
    assert display.getMaskPlaneColor("DETECTED") is None
    display.setMaskPlaneColor("SAT", "ignore")
    assert axes_of(display).get_legend() is None


@pytest.mark.parametrize("shape", [(20, 100), (100, 20)])
@pytest.mark.parametrize("grid", [False, True])
def test_the_legend_covers_no_label(exposure: Exposure, shape: tuple[int, int], grid: bool, look: Look) -> None:
    display = Display()
    mask = Mask(np.ones(shape, dtype=np.uint8), {"BAD": 0})
    display.mtv(np.zeros(shape), mask=mask, wcs=exposure.wcs, x0=1000, y0=-50, grid=grid)
    look(display, 1000, -50)
    axes = axes_of(display)
    label = axes.coords[0]._axislabels if grid else axes.xaxis.label
    assert axes.get_legend().get_window_extent().y1 < label.get_window_extent().y0


def test_a_mask_alone_is_opaque(look: Look) -> None:
    display = Display()
    display.mtv(Mask(np.array([[0, 1]], dtype=np.uint8), {"BAD": 0}), x0=7)
    assert look(display, 7, 0) == pytest.approx([0, 0, 0], abs=1)
    assert look(display, 8, 0) == pytest.approx([255, 0, 0], abs=1)
    assert len(axes_of(display).child_axes) == 0


@pytest.mark.parametrize("grid", [False, True])
def test_lsst_images(exposure: Exposure, grid: bool, caplog: pytest.LogCaptureFixture) -> None:
    visit = exposure.to_lsst_images("visit-image")
    display = Display()
    for image in (visit, visit.image, visit.mask, visit[visit.bbox]):
        display.mtv(image, grid=grid)
        assert axes_of(display).get_xlim() == (999.5, 1149.5)
        assert axes_of(display).get_ylim() == (-50.5, 69.5)
    display.mtv(visit.image, mask=visit.mask)
    names = [text.get_text() for text in axes_of(display).get_legend().get_texts()]
    assert "DETECTION_EDGE" in names


def test_cell_coadd() -> None:
    field = simulate_exposure(shape=(100, 100), n_sources=2, margin=10, kind="coadd", seed=1)
    coadd = field.exposure.to_lsst_images("cell-coadd")
    display = Display()
    display.mtv(coadd, grid=True)
    assert axes_of(display).get_xlim() == (11999.5, 12099.5)
    assert display.mark_positions(field.catalog) == 2


@pytest.mark.parametrize("kind", ["ast", "astropy", "turned", "meridian", "pole"])
def test_grid_of_any_wcs(exposure: Exposure, kind: str, tmp_path: Path) -> None:
    wcs: Any = exposure.wcs
    if kind != "ast":
        header = WCS(naxis=2)
        header.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        header.wcs.crpix = [75.5, 60.5]
        header.wcs.crval = {"meridian": [0.0, 10.0], "pole": [30.0, 90.0]}.get(kind, [53.1, -28.1])
        scale = 0.2 / 3600
        header.wcs.cd = [[0, scale], [scale, 0]] if kind == "turned" else [[-scale, 0], [0, scale]]
        wcs = AstropyWcs(header, x0=1000, y0=-50)
    display = Display()
    display.mtv(dataclasses.replace(exposure, wcs=wcs), grid=True)
    sky = axes_of(display).overlay_coords
    sides = {coordinate.get_axislabel(): coordinate.get_ticklabel_position() for coordinate in sky}
    expected = ("r", "t") if kind == "turned" else ("t", "r")
    assert sides == {"RA (ICRS)": [expected[0]], "Dec (ICRS)": [expected[1]]}
    display.save(tmp_path / "grid.png")
    # The grid's own transform agrees with the WCS.
    x, y = np.array([1010.0, 1100.0]), np.array([0.0, 60.0])
    expected_deg = np.degrees(np.column_stack(wcs.pixel_to_sky(x, y)))
    assert np.allclose(sky._transform.transform(np.column_stack([x, y])), expected_deg, atol=1e-10)


def test_the_grid_knows_the_sky(exposure: Exposure) -> None:
    from astropy.wcs.wcsapi import HighLevelWCSWrapper

    from forcedphot.display.sky_axes import SkyOfPixels

    assert exposure.wcs is not None
    wcs = HighLevelWCSWrapper(SkyOfPixels(exposure.wcs))
    sky = wcs.pixel_to_world(1075.0, 3.0)
    ra, dec = exposure.wcs.pixel_to_sky(np.array([1075.0]), np.array([3.0]))
    assert (sky.ra.rad, sky.dec.rad) == pytest.approx((ra[0], dec[0]))
    assert np.ravel(wcs.world_to_pixel(sky)) == pytest.approx([1075.0, 3.0], abs=1e-6)


def test_positions_are_marked_where_the_stars_are(field: SimulatedField, look: Look) -> None:
    display = Display()
    display.mtv(dataclasses.replace(field.exposure, mask=None))
    off = Table({"ra": [10.0, np.nan], "dec": [10.0, 0.0]})
    assert display.mark_positions(off) == 0
    assert display.mark_positions(field.catalog, size=4.0, ctype="red") == 6
    circles: Any = display._marks[-1]
    assert np.allclose(circles.get_offsets(), np.column_stack([field.catalog["x"], field.catalog["y"]]), atol=1e-3)
    for x, y in zip(field.catalog["x"], field.catalog["y"], strict=True):
        red, green, _ = (int(part) for part in look(display, x + 4.0, y))
        assert red > green + 60
    display.erase()
    assert display._marks == []
    red, green, _ = (int(part) for part in look(display, field.catalog["x"][0] + 4.0, field.catalog["y"][0]))
    assert red == green


def test_positions_in_named_columns_and_radians(field: SimulatedField) -> None:
    display = Display()
    display.mtv(field.exposure)
    table = Table({"a": np.radians(field.catalog["coord_ra"]), "d": np.radians(field.catalog["coord_dec"])})
    table["a"].unit = table["d"].unit = "rad"
    assert display.mark_positions(table, ra_column="a", dec_column="d", symbol="+") == 6
    with pytest.raises(InputTableError, match="No ra column found among a, d"):
        display.mark_positions(table)
    with pytest.raises(InputTableError, match="looked for b"):
        display.mark_positions(table, ra_column="b", dec_column="d")


def test_dots(look: Look) -> None:
    display = Display()
    display.scale("linear", 0, 1)
    display.mtv(np.zeros((40, 50)), x0=100)
    display.dot("o", 110, 10, 5, "red")
    display.dot("+", [120, 130, np.nan], [10, 10, 3], 3, "yellow")
    display.dot("x", 140, 10, 3, "cyan")
    display.dot("@:16,0,4", 110, 30, ctype="magenta")
    display.dot("@:5,4,5", 125, 30, ctype="white")
    display.dot("NGC 1", 140, 30, ctype="green")
    assert look(display, 115, 10) == pytest.approx([255, 0, 0], abs=60)
    assert look(display, 110, 10) == pytest.approx([0, 0, 0], abs=5)
    for x in (118, 122, 128, 132):
        assert look(display, x, 10)[0] > 150
    assert look(display, 142, 12)[2] > 150
    assert look(display, 114, 30)[0] > 100
    assert look(display, 110, 32)[0] > 100
    assert look(display, 114, 34)[0] < 10
    # Moments 9 and 1 along the diagonals.
    long, short = 3 / np.sqrt(2), 1 / np.sqrt(2)
    assert look(display, 125 + long, 30 + long)[0] > 100
    assert look(display, 125 + short, 30 - short)[0] > 100
    assert look(display, 125 + long, 30 - long)[0] < 10
    assert [text.get_text() for text in axes_of(display).texts] == ["NGC 1"]
    assert axes_of(display).get_xlim() == (99.5, 149.5)
    for symbol in ("@:1,2", "@:a,b,c", "@:1,2,1", "@:0,0,1"):
        with pytest.raises(ConfigurationError, match="ellipse"):
            display.dot(symbol, 1, 1)
    with pytest.raises(ConfigurationError, match="no colour"):
        display.dot("o", 1, 1, ctype="ruby red")


def test_pan_and_zoom() -> None:
    display = Display()
    display.mtv(np.zeros((40, 60)), x0=100)
    display.zoom(4)
    assert axes_of(display).get_xlim() == (122.0, 137.0)
    assert axes_of(display).get_ylim() == (14.5, 24.5)
    display.pan(110, 5)
    assert axes_of(display).get_xlim() == (102.5, 117.5)
    assert axes_of(display).get_ylim() == (0.0, 10.0)
    display.zoom(1, 129.5, 19.5)
    assert axes_of(display).get_xlim() == (99.5, 159.5)
    with pytest.raises(ConfigurationError, match="zoom factor"):
        display.zoom(0)


def test_one_image_at_a_time(exposure: Exposure, tmp_path: Path) -> None:
    display = Display()
    display.mtv(exposure, grid=True)
    display.dot("o", 1010, 0)
    display.mtv(np.zeros((2, 2)))
    display.erase()
    assert axes_of(display) is display.figure.axes[-1]
    display.save(tmp_path / "one.png")


def test_titles(exposure: Exposure) -> None:
    display = Display()
    display.mtv(exposure)
    assert axes_of(display).get_title() == str(exposure.identity)
    display.mtv(exposure, "mine")
    assert axes_of(display).get_title() == "mine"
    display.mtv(Exposure.from_arrays(np.zeros((2, 2))))
    assert axes_of(display).get_title() == ""


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(5), "two dimensions"),
        (np.zeros((2, 2, 3)), "two dimensions"),
        (np.zeros((0, 4)), "some pixels"),
        (np.zeros((2, 2), dtype=complex), "complex"),
        ("image.fits", "str"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_image(image: object, message: str) -> None:
    with pytest.raises(ExposureError, match=message):
        Display().mtv(image)


def test_what_an_image_lacks(field: SimulatedField, exposure: Exposure) -> None:
    display = Display()
    bare = dataclasses.replace(exposure, wcs=None)
    with pytest.raises(ExposureError, match="no sky grid"):
        display.mtv(bare, grid=True)
    display.mtv(bare)
    with pytest.raises(ExposureError, match="no sky grid"):
        display.mtv(bare, grid=True)
    assert axes_of(display).get_xlim() == (999.5, 1149.5)  # the image before is still there
    with pytest.raises(ExposureError, match="no WCS"):
        display.mark_positions(field.catalog)
    with pytest.raises(ExposureError, match="mask has shape"):
        display.mtv(np.zeros((2, 2)), mask=exposure.mask)
    with pytest.raises(ExposureError, match="names its planes"):
        display.mtv(np.zeros((2, 2)), mask=np.zeros((2, 2), dtype=int))


def test_nothing_to_mark_without_an_image(field: SimulatedField) -> None:
    display = Display()
    for call in (
        lambda: display.dot("o", 1, 1),
        lambda: display.pan(1, 1),
        lambda: display.zoom(2),
        lambda: display.limits(),
        lambda: display.mark_positions(field.catalog),
    ):
        with pytest.raises(ConfigurationError, match="call mtv first"):
            call()


def test_files(tmp_path: Path) -> None:
    display = Display()
    display.mtv(np.zeros((2, 2)))
    for name in ("a.png", "a.pdf", "a.svg"):
        display.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    with pytest.raises(OutputError, match="exists"):
        display.save(tmp_path / "a.png")
    for name in ("a.xyz", "a", "a."):  # without an ending, matplotlib would write another file
        with pytest.raises(OutputError, match=r"cannot be written: figures have one of the endings .*\.png"):
            display.save(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png", "a.svg"]


def test_no_window_without_a_screen() -> None:
    for frame in (None, 4):
        display = Display(frame=frame)
        with pytest.raises(ConfigurationError, match="no screen"):
            display.show()
        display.close()
