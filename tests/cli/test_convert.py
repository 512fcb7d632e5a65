"""forcedphot convert: images and catalogs into other formats, whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from click.testing import Result

from forcedphot import Exposure
from forcedphot.io.catalogs import read_catalog, write_catalog
from forcedphot.io.read import ImageFormat, sniff_format
from forcedphot.io.source_catalogs import read_source_catalog
from forcedphot.psf import CellPsf, GaussianPsf, KernelImagePsf, PiffPsf
from forcedphot.simulation import SimulatedField

type Run = Callable[..., Result]
type Golden = Callable[[str], Path]


@pytest.fixture
def visit_image(field: SimulatedField, tmp_path: Path) -> Path:
    field.exposure.write(tmp_path / "visit_image.fits")
    return tmp_path / "visit_image.fits"


def test_from_the_pipelines_to_lsst_images(run: Run, golden: Golden, tmp_path: Path) -> None:
    source, output = golden("driver/piff_pixel/exposure.fits"), tmp_path / "visit_image.fits"
    result = run("convert", source, output)
    assert result.stdout == f"{output}: 560 x 500 pixels, band=r, physical_filter=r_sim\n"
    assert "warning: Nothing is known of instrument, detector" in result.stderr
    assert sniff_format(output) is ImageFormat.LSST_IMAGES
    converted: Any = Exposure.read(output)
    np.testing.assert_array_equal(converted.image, Exposure.read(source).image)
    assert isinstance(converted.psf, PiffPsf)


def test_psfs_that_must_be_sampled(run: Run, golden: Golden, tmp_path: Path) -> None:
    source, output = golden("exposures/warped_psf.fits"), tmp_path / "visit_image.fits"
    error = run("convert", source, output, exit_code=4).stderr
    assert "--sample-psf" in error
    assert not output.exists()
    result = run("convert", source, output, "--sample-psf")
    assert "its stamps differ by up to" in result.stderr
    assert isinstance(Exposure.read(output).psf, PiffPsf)


def test_coadds(run: Run, golden: Golden, tmp_path: Path) -> None:
    source, output = golden("driver/kernel_psf/exposure.fits"), tmp_path / "coadd.fits"
    result = run("convert", source, output, "--to", "cell-coadd", "-q")
    assert result.output == ""
    assert isinstance(Exposure.read(output).psf, CellPsf)


def test_from_lsst_images_to_plain(run: Run, visit_image: Path, field: SimulatedField, tmp_path: Path) -> None:
    output = tmp_path / "plain.fits"
    run("convert", visit_image, output)
    with fits.open(output) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "IMAGE", "MASK", "VARIANCE", "PSF"]
    read: Any = Exposure.read(output)
    np.testing.assert_array_equal(read.image, field.exposure.image)
    assert read.bbox == field.exposure.bbox
    run("convert", f"{output}[IMAGE]", tmp_path / "back.fits", "--variance", "[VARIANCE]", "--psf", "[PSF]")
    assert sniff_format(tmp_path / "back.fits") is ImageFormat.LSST_IMAGES


def test_lsst_images_are_not_written_again(run: Run, visit_image: Path, tmp_path: Path) -> None:
    error = run("convert", visit_image, tmp_path / "again.fits", "--to", "visit-image", exit_code=4).stderr
    assert "is a file of lsst.images already; copy it" in error


def test_other_surveys(run: Run, field: SimulatedField, visit_image: Path, tmp_path: Path) -> None:
    run("convert", visit_image, tmp_path / "plain.fits")
    with fits.open(tmp_path / "plain.fits") as hdus:
        fits.writeto(tmp_path / "sci.fits", hdus["IMAGE"].data, hdus["IMAGE"].header)
        fits.writeto(tmp_path / "weight.fits", 1 / hdus["VARIANCE"].data)
        fits.writeto(tmp_path / "flags.fits", hdus["MASK"].data)
        fits.writeto(tmp_path / "psf.fits", hdus["PSF"].data)
    arguments = ["convert", tmp_path / "sci.fits", tmp_path / "out.fits", "--weight", tmp_path / "weight.fits"]
    arguments += ["--psf", tmp_path / "psf.fits", "--mask", tmp_path / "flags.fits", "--zero-point", "31.4"]
    error = run(*arguments, "--mask-planes", "SAT", exit_code=2).stderr
    assert "no list of names and bits such as BAD=0,SAT=3" in error
    run(*arguments, "--mask-planes", "SAT=1,EDGE=4")
    converted: Any = Exposure.read(tmp_path / "out.fits")
    np.testing.assert_allclose(converted.variance, np.asarray(field.exposure.variance), rtol=1e-6)
    assert converted.mask.planes == {"SATURATED": 1, "DETECTION_EDGE": 4, "BAD": 0}
    assert converted.photo_calib.mean == pytest.approx(1.0)


def test_a_psf_for_an_image_without(run: Run, golden: Golden, tmp_path: Path) -> None:
    source, output = golden("exposures/afw_HSC-0908120-056-small.fits"), tmp_path / "out.fits"
    assert "has no psf" in run("convert", source, output, exit_code=4).stderr
    fits.writeto(tmp_path / "psf.fits", GaussianPsf(2.0, 21).kernel)
    run("convert", source, output, "--psf", tmp_path / "psf.fits")
    assert isinstance(Exposure.read(output).psf, PiffPsf)


@pytest.fixture
def table() -> Table:
    table = Table(
        {
            "id": np.array([1, 2, 2**53 + 1]),
            "flux": np.array([1.5, np.nan, -2.0]) * u.nJy,
            "good": [True, False, True],
            "name": ["a", "b", "é"],
        }
    )
    table["flux"].description = "how bright"
    return table


@pytest.mark.parametrize("first", [".ecsv", ".parquet", ".vot", ".fits", ".csv"])
@pytest.mark.parametrize("second", [".ecsv", ".parquet", ".vot", ".fits", ".csv"])
def test_catalogs(run: Run, table: Table, tmp_path: Path, first: str, second: str) -> None:
    if ".fits" in (first, second):
        table["name"] = ["a", "b", "c"]
    write_catalog(table, tmp_path / f"in{first}")
    result = run("convert", tmp_path / f"in{first}", tmp_path / f"out{second}")
    assert result.stdout == f"{tmp_path / f'out{second}'}: 3 rows, 4 columns\n"
    converted = read_catalog(tmp_path / f"out{second}")
    assert converted.colnames == table.colnames
    for name in table.colnames:
        np.testing.assert_array_equal(np.asarray(converted[name]), np.asarray(table[name]))
    if ".csv" not in (first, second):
        assert (converted["flux"].unit, converted["flux"].description) == (u.nJy, "how bright")


def test_masks_that_fits_has_no_place_for(run: Run, table: Table, tmp_path: Path) -> None:
    table["good"] = MaskedColumn([True, False, False], mask=[False, True, False])
    table.remove_column("name")
    write_catalog(table, tmp_path / "in.parquet")
    assert run("convert", tmp_path / "in.parquet", tmp_path / "out.ecsv").stderr == ""
    assert read_catalog(tmp_path / "out.ecsv")["good"].mask.tolist() == [False, True, False]
    error = run("convert", tmp_path / "in.parquet", tmp_path / "out.fits").stderr
    assert error == f"warning: {tmp_path / 'out.fits'}: what is masked becomes true in good\n"
    assert read_catalog(tmp_path / "out.fits")["good"].tolist() == [True, True, False]


@pytest.mark.parametrize("ending", [".parquet", ".ecsv"])
def test_catalogs_of_the_pipelines(run: Run, golden: Golden, tmp_path: Path, ending: str) -> None:
    source = golden("tables/forced_heavy.fits")
    run("convert", source, tmp_path / f"out{ending}")
    run("convert", tmp_path / f"out{ending}", tmp_path / "back.fits", "--to", "afw-table")
    before, after = read_source_catalog(source), read_source_catalog(tmp_path / "back.fits")
    for field in before.schema:
        ours = after.schema.find(field.name).field
        assert (ours.doc, ours.unit) == (field.doc, field.unit), field.name
        np.testing.assert_array_equal(after[field.name], before[field.name])
    assert after.schema.getAliasMap() == before.schema.getAliasMap()


def test_pipelines_to_a_plain_table(run: Run, golden: Golden, tmp_path: Path) -> None:
    source = golden("tables/forced_heavy.fits")
    run("convert", source, tmp_path / "plain.fits")
    plain, before = Table.read(tmp_path / "plain.fits", hdu=1), read_catalog(source)
    assert plain.colnames == before.colnames
    flags = [name for name in before.colnames if before[name].dtype == bool]
    assert flags
    for name in flags:
        np.testing.assert_array_equal(plain[name], before[name])


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason"),
    [
        (["absent.fits", "out.fits"], 1, "absent.fits"),
        (["absent.csv", "out.ecsv"], 3, "There is no file"),
        (["positions.ecsv", "out.txt"], 8, "no ending of a format of tables"),
        (["positions.ecsv", "out.ecsv", "--to", "afw-table"], 2, "give OUTPUT the ending .fits"),
        (["positions.ecsv", "positions.ecsv"], 8, "exists; give another name, or ask to overwrite it"),
        (["visit_image.fits", "nowhere/out.fits"], 8, "There is no folder"),
        (["visit_image.fits", "out.fits", "--to", "nothing"], 2, "'nothing' is not one of"),
        (["positions.ecsv", "out.fits", "--to", "visit-image"], 5, "is not a FITS file"),
        (["visit_image.fits", "out.fits", "--hdu", "2"], 2, "name the HDU of an image as in INPUT[EXT]"),
    ],
)
def test_errors(
    run: Run,
    visit_image: Path,
    table: Table,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    exit_code: int,
    reason: str,
) -> None:
    monkeypatch.chdir(visit_image.parent)
    write_catalog(table, "positions.ecsv")
    before = sorted(Path().iterdir())
    assert reason in " ".join(run("convert", *arguments, exit_code=exit_code).stderr.split())
    assert sorted(Path().iterdir()) == before


def test_overwrite(run: Run, table: Table, visit_image: Path, tmp_path: Path) -> None:
    write_catalog(table, tmp_path / "in.ecsv")
    (tmp_path / "out.csv").write_text("old")
    run("convert", tmp_path / "in.ecsv", tmp_path / "out.csv", "--overwrite")
    assert len(read_catalog(tmp_path / "out.csv")) == 3
    (tmp_path / "plain.fits").write_text("old")
    run("convert", visit_image, tmp_path / "plain.fits", "--overwrite")
    assert isinstance(Exposure.from_fits(f"{tmp_path}/plain.fits[IMAGE]", psf="[PSF]").psf, KernelImagePsf)


def test_help_teaches(run: Run) -> None:
    text = run("convert", "--help").stdout
    for example in ("convert calexp.fits visit_image.fits", "--sample-psf", "--to fits", "src.parquet"):
        assert example in text
