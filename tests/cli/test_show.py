"""forcedphot show: pictures of files, and of datasets of a Butler repository."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import Result
from matplotlib import pyplot
from matplotlib.image import imread

from forcedphot.conventions import Box
from forcedphot.display import Display
from forcedphot.exposure import Exposure
from forcedphot.io import formatters
from forcedphot.simulation import SimulatedField

type Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_figure_is_left() -> Iterator[None]:
    yield
    left = pyplot.get_fignums()
    pyplot.close("all")
    assert left == []


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What is handed to the display: images, and how."""
    calls: list[tuple[Any, dict[str, Any]]] = []
    mtv = Display.mtv

    def remember(self: Display, image: Any, title: str | None = None, **options: Any) -> None:
        mtv(self, image, title, **options)
        calls.append((image, {"title": title, "limits": self.limits(), **options}))

    monkeypatch.setattr(Display, "mtv", remember)
    return calls


@pytest.fixture
def centre(field: SimulatedField) -> tuple[str, str]:
    """The sky position of pixel (1100, 50)."""
    angles = field.exposure.wcs.pixel_to_sky(np.array([1100.0]), np.array([50.0]))
    ra, dec = (repr(float(np.degrees(angle[0]))) for angle in angles)
    return ra, dec


def test_picture(run: Run, image: Path, catalog: Path, tmp_path: Path, shown: list[Any]) -> None:
    output = tmp_path / "picture.png"
    text = run("show", image, "-o", output, "--positions", catalog, "--grid").stdout
    assert "20 of 20 positions are on the image" in text
    assert f"{output}: image, 320 x 300 pixels, x 1000..1319, y -50..249" in text
    height, width, _ = imread(output).shape
    assert min(height, width) > 700
    assert shown[0][1]["grid"] is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.ecsv", "picture.png"]


def test_planes(run: Run, image: Path, field: SimulatedField, tmp_path: Path, shown: list[Any]) -> None:
    run("show", image, "-o", tmp_path / "v.png", "--plane", "variance", "--no-mask", "--title", "Noise")
    run("show", image, "-o", tmp_path / "m.png", "--plane", "mask")
    (variance, options), (mask, _) = shown
    np.testing.assert_array_equal(variance.image, field.exposure.variance)
    assert str(variance.unit) == "nJy2"
    assert variance.mask is None
    assert options["title"] == "Noise"
    assert mask is field.exposure.mask


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("-5,200", lambda image: (-5.0, 200.0)),
        ("minmax", lambda image: (image.min(), image.max())),
        ("1%,99.5%", lambda image: np.percentile(image, (1, 99.5))),
        ("98%", lambda image: np.percentile(image, (1, 99))),
    ],
)
def test_scale(
    run: Run,
    image: Path,
    field: SimulatedField,
    tmp_path: Path,
    shown: list[Any],
    limits: str,
    expected: Callable[[Any], Any],
) -> None:
    run("show", image, "-o", tmp_path / "a.png", "--scale", "sqrt", "--limits", limits)
    assert shown[0][1]["limits"] == pytest.approx(tuple(expected(field.exposure.image)))


def test_cutout_reads_no_more(
    run: Run,
    image: Path,
    centre: tuple[str, str],
    tmp_path: Path,
    shown: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes = []
    read = Exposure.read

    def remember(path: Path, *, bbox: Box | None = None) -> Exposure:
        boxes.append(bbox)
        return read(path, bbox=bbox)

    monkeypatch.setattr(Exposure, "read", remember)
    run("show", image, "-o", tmp_path / "a.png", "--cutout", *centre, 41)
    assert boxes == [Box(1080, 30, 41, 41)]
    assert shown[0][0].bbox == boxes[0]


def test_plain_fits(run: Run, tmp_path: Path, shown: list[Any]) -> None:
    path = tmp_path / "plain.fits"
    second = fits.ImageHDU(np.eye(30, dtype=np.float32), name="SECOND")
    fits.HDUList([fits.PrimaryHDU(np.zeros((20, 20), np.float32)), second]).writeto(path)
    run("show", f"{path}[SECOND]", "-o", tmp_path / "a.png")
    np.testing.assert_array_equal(shown[0][0].image, np.eye(30))
    message = run("show", f"{path}[SECOND]", "-o", tmp_path / "b.png", "--grid", exit_code=4).stderr
    assert "no WCS" in message
    assert not (tmp_path / "b.png").exists()
    message = run("show", f"{path}[SECOND]", "-o", tmp_path / "b.png", "--plane", "mask", exit_code=4).stderr
    assert "no mask plane" in message


def test_what_goes_wrong(run: Run, image: Path, catalog: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.png"
    output.write_text("mine")
    assert "exists" in run("show", image, "-o", output, exit_code=8).stderr
    assert output.read_text() == "mine"
    run("show", image, "-o", output, "--overwrite")
    assert output.stat().st_size > 10_000
    other, nothing = tmp_path / "b.png", tmp_path / "nothing.csv"
    nothing.write_text("a,b\n1,2\n")
    for arguments, code, message in (
        ([tmp_path / "absent.fits"], 1, "absent.fits"),
        ([tmp_path], 2, "is a folder"),
        ([image, "--where", "visit=1"], 2, "say of which type with --dataset"),
        ([image, "--cutout", 10, 10, 5], 7, "outside the image"),
        ([image, "--cutout", 10, 10, 0], 2, "--cutout"),
        ([image, "--limits", "iraf"], 2, "'iraf' is no pair of limits"),
        ([image, "--limits", "a,b"], 2, "no pair of limits such as"),
        ([image, "--limits", "1,2,3"], 2, "no pair of limits such as"),
        ([image, "--limits", "9,2"], 2, "should be below"),
        ([image, "--positions", tmp_path / "no.ecsv"], 3, "no.ecsv"),
        ([image, "--positions", catalog, "--ra", "alpha"], 3, "looked for alpha"),
        ([image, "--positions", nothing], 3, "looked for coord_ra"),
        ([image, "--positions", nothing], 3, "name it with --ra."),
    ):
        assert message in " ".join(run("show", *arguments, "-o", other, exit_code=code).stderr.split())
        assert not other.exists()


def test_no_window_without_a_screen(run: Run, image: Path) -> None:
    assert "no screen" in run("show", image, exit_code=2).stderr


def test_help_teaches(run: Run) -> None:
    text = run("show", "--help").stdout
    for part in ("--where", "forcedphot show dp1 --dataset visit_image", "--cutout 53.1 -28.1 101", "zscale"):
        assert part in text
    assert "\\b" not in text


@pytest.mark.parametrize("name", ["picture", "picture.nonsense", "picture.fits"])
def test_endings_that_are_no_figures(run: Run, tmp_path: Path, name: str) -> None:
    error = run("show", tmp_path / "absent.fits", "-o", tmp_path / name, exit_code=8).stderr
    assert "figures have one of the endings" in error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def repository(
    field: SimulatedField, tmp_path_factory: pytest.TempPathFactory, forgotten_stack_names: None
) -> Path:
    """A repository with images of two detectors, and a table of one."""
    from lsst.daf.butler import Butler, Config, DatasetType

    root = tmp_path_factory.mktemp("butler") / "repository"
    Butler.makeRepo(str(root), Config(formatters.REPOSITORY_CONFIG))
    with Butler.from_config(root, writeable=True, run="made") as butler:
        butler.registry.insertDimensionData("instrument", {"name": "Cam"})
        for number in (4, 5):
            record = {"instrument": "Cam", "id": number, "full_name": f"D{number}"}
            butler.registry.insertDimensionData("detector", record)
        for name, kind in (("picture", "VisitImage"), ("numbers", "StructuredDataDict")):
            dataset = DatasetType(name, ["instrument", "detector"], kind, universe=butler.dimensions)
            butler.registry.registerDatasetType(dataset)
        for number in (4, 5):
            identity = dataclasses.replace(field.exposure.identity, instrument="Cam", detector=number)
            made = dataclasses.replace(field.exposure, identity=identity).to_lsst_images("visit-image")
            butler.put(made, "picture", instrument="Cam", detector=number)
        butler.put({"a": 1}, "numbers", instrument="Cam", detector=4)
    return root


def test_dataset(
    run: Run,
    repository: Path,
    field: SimulatedField,
    centre: tuple[str, str],
    catalog: Path,
    tmp_path: Path,
    shown: list[Any],
) -> None:
    where = ("--dataset", "picture", "--where", "instrument='Cam' and detector=5")
    text = run("show", repository, *where, "-o", tmp_path / "a.png", "--positions", catalog).stdout
    assert "20 of 20 positions" in text
    run("show", repository, *where, "--collections", "made", "-o", tmp_path / "b.png", "--cutout", *centre, 21)
    (whole, _), (part, _) = shown
    assert whole.identity.detector == 5
    np.testing.assert_allclose(whole.image, field.exposure.image)
    assert part.bbox == Box(1090, 40, 21, 21)


def test_datasets_that_are_not_one_image(run: Run, repository: Path, tmp_path: Path) -> None:
    for arguments, code, message in (
        (["picture"], 2, "Several datasets picture fit; choose one with --where: {instrument: 'Cam', detector:"),
        (["picture", "--where", "instrument='Cam' and detector=4 and visit=7"], 2, "picture"),
        (["picture", "--where", "instrument='Cam' and detector=9"], 2, "no picture of which this is true"),
        (["picture", "--where", "detector is"], 2, "cannot find picture"),
        (["pictures", "--where", "instrument='Cam'"], 2, "pictures"),
        (["picture", "--collections", "others"], 2, "others"),
        (["picture", "--collections", "m*"], 2, "cannot find picture: CollectionExpressionError"),
        (["picture", "--where", "detector"], 2, "cannot find picture: AssertionError"),
        (["numbers"], 2, "forcedphot: This dataset is no image"),
    ):
        output = tmp_path / "a.png"
        result = run("show", repository, "--dataset", *arguments, "-o", output, exit_code=code)
        assert message in " ".join(result.stderr.split())
        assert not output.exists()
    run("show", tmp_path / "nothing", "--dataset", "picture", "-o", tmp_path / "a.png", exit_code=1)


@pytest.mark.parametrize(
    ("name", "content", "exit_code", "message"),
    [
        ("gen3.sqlite3", b"", 2, "OperationalError: (sqlite3.OperationalError) no such table"),
        ("butler.yaml", b"a: [", 2, "ParserError: while parsing"),
        ("picture_*5*.fits", b"SIMPLE", 5, "A file of"),
    ],
)
def test_damaged_repositories(
    run: Run, repository: Path, tmp_path: Path, name: str, content: bytes, exit_code: int, message: str
) -> None:
    shutil.copytree(repository, tmp_path / "copy")
    (damaged,) = (tmp_path / "copy").rglob(name)
    damaged.write_bytes(content)
    options = ("--dataset", "picture", "--where", "instrument='Cam' and detector=5", "-o", tmp_path / "a.png")
    result = run("show", tmp_path / "copy", *options, exit_code=exit_code)
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "a.png").exists()
