"""forcedphot measure: it writes what the driver measures, and says what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner, Result

from forcedphot import ForcedMeasurementDriverConfig, one_call
from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.cli import main
from forcedphot.conventions import Box
from forcedphot.errors import OffImageError
from forcedphot.exposure import Exposure
from forcedphot.io.afw_table.writer import write_afw_table
from forcedphot.io.catalogs import read_catalog, write_catalog
from forcedphot.psf import GaussianPsf
from forcedphot.simulation import SimulatedField

type Run = Callable[..., Result]


def test_fluxes_are_true(run: Run, image: Path, catalog: Path, field: SimulatedField, tmp_path: Path) -> None:
    result = run("measure", image, catalog, "-o", tmp_path / "out.ecsv")
    assert "20 sources measured, 0 of them flagged" in result.stdout
    table = read_catalog(tmp_path / "out.ecsv")
    pulls = (table["base_PsfFlux_flux"] - field.catalog["flux"]) / table["base_PsfFlux_fluxErr"]
    assert np.abs(pulls).max() < 5
    assert str(table["base_PsfFlux_flux"].unit) == "nJy"
    assert "base_PsfFlux_mag" not in table.colnames


@pytest.mark.parametrize("ending", [".fits", ".csv", ".parquet", ".vot"])
def test_formats(run: Run, image: Path, catalog: Path, tmp_path: Path, ending: str) -> None:
    run("measure", image, catalog, "-o", tmp_path / f"out{ending}", "--magnitudes")
    table = read_catalog(tmp_path / f"out{ending}")
    assert len(table) == 20
    assert np.isfinite(table["base_PsfFlux_mag"]).all()


@pytest.mark.parametrize("hdu", ["1", "POSITIONS"])
def test_hdu_of_the_catalog(run: Run, image: Path, field: SimulatedField, tmp_path: Path, hdu: str) -> None:
    table = fits.table_to_hdu(field.catalog[:3])
    table.name = "POSITIONS"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "catalog.fits")
    arguments = ["measure", image, tmp_path / "catalog.fits", "-o", tmp_path / "out.ecsv", "--hdu"]
    assert "its tables are 1 POSITIONS" in run(*arguments, f"{hdu}7", exit_code=3).stderr
    run(*arguments, hdu)
    assert len(read_catalog(tmp_path / "out.ecsv")) == 3


def test_a_catalog_of_the_pipelines(run: Run, image: Path, field: SimulatedField, tmp_path: Path) -> None:
    columns = {name: np.asarray(field.catalog[name]) for name in ("coord_ra", "coord_dec")}
    columns = {name: np.radians(values) for name, values in columns.items()}
    schema = Schema(
        [Field("id", "int64"), *(Field(name, "float64", "", "rad", is_angle=True) for name in columns)]
    )
    schema.add_field("deblend_skipped", "Flag", "")
    columns |= {"id": np.arange(20, dtype=np.int64), "deblend_skipped": np.zeros(20, dtype=bool)}
    write_afw_table(SourceCatalog(schema, columns), tmp_path / "src.fits")
    run("measure", image, tmp_path / "src.fits", "-o", tmp_path / "out.ecsv")
    table = read_catalog(tmp_path / "out.ecsv")
    pulls = (table["base_PsfFlux_flux"] - field.catalog["flux"]) / table["base_PsfFlux_fluxErr"]
    assert np.abs(pulls).max() < 5


def test_options(run: Run, image: Path, catalog: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "out.ecsv", tmp_path / "overview.png"
    (tmp_path / "config.yaml").write_text(
        "doApCorr: false\nmeasurement.plugins.base_PsfFlux.badMaskPlanes: [BAD]\n"
    )
    arguments: list[Any] = ["--plugins", "base_PsfFlux, base_CircularApertureFlux", "--radii", "3,4.5"]
    arguments += ["--config", tmp_path / "config.yaml", "-c", "doApCorr=true", "--flux-unit", "ct", "--plot", plot]
    arguments += ["--threads", "1", "--off-image", "raise", "--psf-footprint-scaling", "2", "-q"]
    result = run("measure", image, catalog, "-o", out, *arguments)
    assert result.output == ""
    names = read_catalog(out).colnames
    assert [name for name in names if name.endswith("_instFlux") and name.startswith("base")] == [
        "base_CircularApertureFlux_3_0_instFlux",
        "base_CircularApertureFlux_4_5_instFlux",
        "base_PsfFlux_instFlux",
    ]
    assert "base_PsfFlux_apCorr" in names  # the assignment is over the file
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_names_of_columns(run: Run, image: Path, field: SimulatedField, tmp_path: Path) -> None:
    table = Table(field.catalog["objectId", "coord_ra", "coord_dec"], names=["number", "alpha", "delta"])
    write_catalog(table, tmp_path / "other.csv")
    arguments = ["measure", image, tmp_path / "other.csv", "-o", tmp_path / "out.ecsv"]
    names = ["--ra", "alpha", "--dec", "delta"]
    assert "name it with --id" in run(*arguments, *names, exit_code=3).stderr
    run(*arguments, *names, "--id", "number")
    assert len(read_catalog(tmp_path / "out.ecsv")) == 20


def test_box(run: Run, image: Path, catalog: Path, field: SimulatedField, tmp_path: Path) -> None:
    x, y = field.catalog["x"], field.catalog["y"]
    inside = (x >= 1050) & (x < 1150) & (y > 0) & (y < 200)
    result = run("measure", image, catalog, "-o", tmp_path / "out.ecsv", "--bbox", "1050,0,100,200")
    assert f"{inside.sum()} of 20 positions are in the box" in result.stdout
    np.testing.assert_array_equal(
        read_catalog(tmp_path / "out.ecsv")["objectId"], field.catalog["objectId"][inside]
    )


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[Box | None]:
    """What is asked of `Exposure.read`, call by call."""
    asked: list[Box | None] = []
    read = Exposure.read

    def note(path: Path, *, bbox: Box | None = None) -> Exposure:
        asked.append(bbox)
        return read(path, bbox=bbox)

    monkeypatch.setattr(Exposure, "read", note)
    return asked


def same_in_box(run: Run, image: Path, catalog: Path, folder: Path, bbox: str, *options: str) -> None:
    """Check that what is measured in a box is what is measured of it on the whole image."""
    run("measure", image, catalog, *options, "-o", folder / "box.ecsv", "--bbox", bbox)
    box, positions = read_catalog(folder / "box.ecsv"), read_catalog(catalog)
    inside = np.isin(positions["objectId"], box["objectId"])
    assert 0 < inside.sum() < len(positions)
    # The same positions, because sums may be rounded in another way in a batch of others.
    write_catalog(positions[inside], folder / "inside.ecsv")
    run("measure", image, folder / "inside.ecsv", *options, "-o", folder / "whole.ecsv")
    whole = read_catalog(folder / "whole.ecsv")
    assert whole.colnames == box.colnames
    for name in box.colnames:
        np.testing.assert_array_equal(np.asarray(box[name]), np.asarray(whole[name]), err_msg=name)


@pytest.mark.parametrize("bbox", ["1010,-40,90,80", "1050,0,100,99", "1180,120,300,300"])
def test_little_more_than_the_box_is_read(
    run: Run, image: Path, catalog: Path, tmp_path: Path, boxes: list[Box | None], bbox: str
) -> None:
    same_in_box(run, image, catalog, tmp_path, bbox)
    x0, y0, width, height = (int(part) for part in bbox.split(","))
    grown = Box(x0 - 100, y0 - 100, width + 200, height + 200)
    assert boxes == [grown.intersection(Box(1000, -50, 320, 300)), None]


@pytest.mark.parametrize(
    "case", ["driver/piff_pixel/exposure.fits", "exposures/piff_compressed.fits", "dp2/cell_coadd/deep_coadd.fits"]
)
def test_box_of_a_file(
    run: Run, golden: Callable[[str], Path], tmp_path: Path, boxes: list[Box | None], case: str
) -> None:
    path = golden(case)
    image = Exposure.read_component(path, "bbox")
    rng = np.random.default_rng(1)
    x, y = rng.uniform(image.x0, image.x_stop, 60), rng.uniform(image.y0, image.y_stop, 60)
    ra, dec = np.degrees(Exposure.read_component(path, "wcs").pixel_to_sky(x, y))
    write_catalog(Table({"objectId": np.arange(60), "ra": ra, "dec": dec}), tmp_path / "positions.ecsv")
    bbox = f"{image.x0 + 20},{image.y0 + 110},80,90"
    same_in_box(run, path, tmp_path / "positions.ecsv", tmp_path, bbox)
    assert boxes == [Box(image.x0, image.y0 + 10, 200, 290), None]


@pytest.mark.parametrize(
    ("options", "margin"),
    [
        (("--radii", "3,120"), 130),
        (("--radii", "40", "-c", "measurement.plugins.base_CircularApertureFlux.maxSincRadius=50"), 160),
        (("--psf-footprint-scaling", "6"), 120),
        (("-c", "doScaleVariance=true"), None),
        (("-c", "measurement.doReplaceWithNoise=true"), None),
        (("--plugins", "base_PsfFlux,base_LocalBackground"), None),
        (("-c", "measurement.plugins.base_CircularApertureFlux.radii=[5.0]"), 100),
    ],
)
def test_more_is_read_where_more_is_needed(
    run: Run,
    image: Path,
    catalog: Path,
    tmp_path: Path,
    boxes: list[Box | None],
    options: tuple[str, ...],
    margin: int | None,
) -> None:
    run("measure", image, catalog, "-o", tmp_path / "out.ecsv", "--bbox", "1010,-40,90,80", *options)
    far = None if margin is None else Box(1000, -50, 100 + margin, 90 + margin)
    assert boxes == [far]


def test_a_box_beside_the_image(run: Run, image: Path, catalog: Path, tmp_path: Path) -> None:
    result = run("measure", image, catalog, "-o", tmp_path / "out.ecsv", "--bbox", "9000,9000,10,10")
    assert "0 of 20 positions are in the box" in result.stdout


def test_verbose_says_what_is_done(run: Run, image: Path, catalog: Path, tmp_path: Path) -> None:
    result = run("measure", image, catalog, "-o", tmp_path / "out.ecsv", "-v")
    assert "info: Measuring 20 sources" in result.stderr


def test_off_image(run: Run, image: Path, field: SimulatedField, tmp_path: Path) -> None:
    table = field.catalog.copy()
    table["coord_dec"][3] += 1
    write_catalog(table, tmp_path / "catalog.ecsv")
    arguments = ["measure", image, tmp_path / "catalog.ecsv", "-o", tmp_path / "out.ecsv"]
    run(*arguments, "--off-image", "raise", exit_code=OffImageError.exit_code)
    assert not (tmp_path / "out.ecsv").exists()
    result = run(*arguments, "--plot", tmp_path / "plot.png")
    assert "1 of them flagged" in result.stdout
    assert np.isnan(read_catalog(tmp_path / "out.ecsv")["base_PsfFlux_flux"][3])


@pytest.mark.parametrize("name", ["out.ecsv", "plot.png"])
def test_earlier_files_are_kept(run: Run, image: Path, catalog: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    arguments = ["measure", image, catalog, "-o", tmp_path / "out.ecsv", "--plot", tmp_path / "plot.png"]
    assert f"{name} exists" in run(*arguments, exit_code=8).stderr
    assert (tmp_path / name).read_text() == "mine"
    run(*arguments, "--overwrite")
    assert (tmp_path / name).stat().st_size > 100


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--plugins", "base_Nonsense"], 2, "base_Nonsense"),
        (["-c", "doApCorr=3"], 2, "cannot be 3"),
        (["-c", "doDetect=true"], 2, "neither detects nor deblends"),
        (["--radii", "3,-1"], 2, "radii"),
        (["--radii", "3,big"], 2, "is no list of numbers"),
        (["--bbox", "1,2,3"], 2, "is no box"),
        (["--bbox", "1,2,0,9"], 2, "has no pixels"),
        (["--psf-footprint-scaling", "0"], 2, "0"),
        (["--flux-unit", "Jy"], 2, "Jy"),
        (["--plot", "plot.nonsense"], 8, "figures have one of the endings"),
        (["--plot", "plot."], 8, "figures have one of the endings"),
        (["--plot", "plot.png", "--plugins", "base_PixelFlags"], 2, "There is no flux to plot"),
        (["--ra", "alpha"], 3, "alpha"),
    ],
)
def test_errors_are_one_line(
    run: Run, image: Path, catalog: Path, tmp_path: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    arguments = [str(tmp_path / argument) if argument.startswith("plot.") else argument for argument in arguments]
    runner = CliRunner()
    result = runner.invoke(
        main, ["measure", str(image), str(catalog), "-o", str(tmp_path / "out.fits"), *arguments]
    )
    assert result.exit_code == exit_code, result.output
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output
    assert not (tmp_path / "out.fits").exists()


def test_missing_files(run: Run, image: Path, catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.fits"
    assert "There is no file" in run("measure", tmp_path / "none.fits", catalog, "-o", out, exit_code=1).stderr
    assert "There is no file" in run("measure", image, tmp_path / "none.fits", "-o", out, exit_code=3).stderr
    assert "no ending" in run("measure", image, catalog, "-o", tmp_path / "out.txt", exit_code=8).stderr


def test_debug_shows_where(image: Path, tmp_path: Path) -> None:
    arguments = ["measure", str(image), str(tmp_path / "none.csv"), "-o", str(tmp_path / "out.fits"), "--debug"]
    assert type(CliRunner().invoke(main, arguments).exception).__name__ == "InputTableError"


def test_real_file(run: Run, golden: Callable[[str], Path], tmp_path: Path) -> None:
    case = golden("dp2/visit_gaussian")
    arguments = ["measure", case / "visit_image.fits", case / "catalog.ecsv", "-o", tmp_path / "out.ecsv"]
    run(*arguments, "--flux-unit", "ct")
    ours, theirs = (Table.read(path) for path in (tmp_path / "out.ecsv", case / "measured.ecsv"))
    assert ours.colnames == theirs.colnames
    np.testing.assert_allclose(
        ours["base_PsfFlux_instFlux"], theirs["base_PsfFlux_instFlux"], rtol=1e-6, atol=1e-4 * 200
    )


def test_an_image_of_another_survey(
    run: Run, catalog: Path, field: SimulatedField, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    field.exposure.write("plain.fits", "fits")
    with fits.open("plain.fits") as hdus:
        # Other surveys have images that begin at (0, 0).
        hdus["IMAGE"].header.remove("LTV1")
        hdus["IMAGE"].header.remove("LTV2")
        hdus.writeto("survey.fits")
    arguments = ["measure", "survey.fits[IMAGE]", catalog, "--zero-point", "31.4", "-c", "doApCorr=false"]
    planes = ["--variance", "[VARIANCE]", "--mask", "[MASK]", "--psf", "[PSF]"]
    run(*arguments, *planes, "-o", "out.ecsv")
    expected = one_call.measure(field.exposure, field.catalog, config=_without_corrections(), progress=False)
    table = read_catalog("out.ecsv")
    for name in ("base_PsfFlux_flux", "base_PsfFlux_fluxErr", "base_CircularApertureFlux_12_0_flux"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-5)
    assert "has no psf" in run(*arguments, *planes[:4], "-o", "none.ecsv", exit_code=4).stderr.replace(
        "PSF", "psf"
    )
    assert not Path("none.ecsv").exists()


def _without_corrections() -> ForcedMeasurementDriverConfig:
    config = ForcedMeasurementDriverConfig()
    config.doApCorr = False
    return config


def test_an_overview_where_no_pixel_counts(run: Run, catalog: Path, field: SimulatedField, tmp_path: Path) -> None:
    field.exposure.write(tmp_path / "plain.fits", "fits")
    fits.writeto(tmp_path / "weight.fits", np.zeros(field.exposure.image.shape, np.float32))
    arguments = ["measure", f"{tmp_path}/plain.fits[IMAGE]", catalog, "-c", "doApCorr=false", "--psf", "[PSF]"]
    run(*arguments, "--weight", tmp_path / "weight.fits", "-o", tmp_path / "a.ecsv", "--plot", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_another_psf(run: Run, image: Path, catalog: Path, field: SimulatedField, tmp_path: Path) -> None:
    fits.writeto(tmp_path / "psf.fits", GaussianPsf(3.4, 41).kernel)
    box = ["--bbox", "1050,0,100,200"]  # of the image only a part is read
    run("measure", image, catalog, "-o", tmp_path / "own.ecsv", *box)
    run("measure", image, catalog, "-o", tmp_path / "wide.ecsv", *box, "--psf", tmp_path / "psf.fits")
    name = "base_PsfFlux_flux"
    ratio = read_catalog(tmp_path / "wide.ecsv")[name] / read_catalog(tmp_path / "own.ecsv")[name]
    # A Gaussian twice as wide as the star's finds 8/5 of its flux.
    np.testing.assert_allclose(np.median(ratio), 1.6, atol=0.03)
