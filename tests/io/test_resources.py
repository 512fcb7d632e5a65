"""Files named by URIs: what is fetched of them, and what is said where that fails."""

import errno
import gzip
import io
import os
import shutil
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from forcedphot import Exposure
from forcedphot.cli.command import Place
from forcedphot.conventions import Box
from forcedphot.errors import FileFormatError, InputTableError, RemoteFileError
from forcedphot.io import resources
from forcedphot.io.afw_table.reader import read_afw_table
from forcedphot.io.catalogs import read_catalog
from forcedphot.io.resources import open_source
from forcedphot.io.source_catalogs import read_source_catalog

from .http_server import Served, serve

type Golden = Callable[[str], Path]

# lsst.resources keeps its connections until they are collected.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")


@pytest.fixture
def exposure_file(golden: Golden, tmp_path: Path) -> Path:
    """An exposure beside which there is much that need not be fetched."""
    from astropy.io import fits

    path = tmp_path / "exposure.fits"
    with fits.open(golden("driver/piff_pixel") / "exposure.fits") as hdus:
        for name in ("IMAGE", "MASK", "VARIANCE"):
            plane = hdus[name]
            array = np.tile(plane.data, (4, 4))
            hdus[hdus.index_of(name)] = fits.ImageHDU(array.astype(plane.data.dtype), plane.header, name=name)
        hdus.writeto(path)
    return path


@pytest.fixture
def server(exposure_file: Path) -> Iterator[Served]:
    with serve(exposure_file.parent) as served:
        yield served


def test_a_cutout_fetches_what_it_needs(exposure_file: Path, server: Served) -> None:
    box = Exposure.read_component(exposure_file, "bbox")
    part = Box(box.x0 + 300, box.y0 + 400, 20, 30)
    local = Exposure.read(exposure_file, bbox=part)
    assert server.n_bytes == 0
    remote = Exposure.read(f"{server.url}/exposure.fits", bbox=part)
    np.testing.assert_array_equal(remote.image, local.image)
    np.testing.assert_array_equal(remote.variance, local.variance)
    np.testing.assert_array_equal(remote.mask.array, local.mask.array)
    x = np.array([box.x0 + 310.0])
    np.testing.assert_array_equal(remote.psf.images(x, x).images, local.psf.images(x, x).images)
    assert 0 < server.n_bytes < exposure_file.stat().st_size / 4
    assert server.paths == {"/exposure.fits"}


def test_components_fetch_no_pixels(exposure_file: Path, server: Served) -> None:
    wcs = Exposure.read_component(f"{server.url}/exposure.fits", "wcs")
    x = np.array([100.0])
    np.testing.assert_array_equal(
        wcs.pixel_to_sky(x, x), Exposure.read_component(exposure_file, "wcs").pixel_to_sky(x, x)
    )
    assert 0 < server.n_bytes < exposure_file.stat().st_size / 4


def test_the_whole_is_fetched_once(exposure_file: Path, server: Served) -> None:
    remote = Exposure.read(f"{server.url}/exposure.fits")
    np.testing.assert_array_equal(remote.image, Exposure.read(exposure_file).image)
    assert server.n_bytes == exposure_file.stat().st_size


def test_a_server_without_ranges(exposure_file: Path) -> None:
    part = Exposure.read_component(exposure_file, "bbox")
    part = Box(part.x0 + 5, part.y0 + 6, 7, 8)
    with serve(exposure_file.parent, ranges=False, says_so=False) as served:
        remote = Exposure.read(f"{served.url}/exposure.fits", bbox=part)
        assert served.n_bytes == exposure_file.stat().st_size
    np.testing.assert_array_equal(remote.image, Exposure.read(exposure_file, bbox=part).image)


def test_a_server_that_has_not_the_ranges_it_promises(exposure_file: Path) -> None:
    with (
        serve(exposure_file.parent, ranges=False) as served,
        pytest.raises(RemoteFileError, match="no ranges though it says so") as caught,
    ):
        Exposure.read_component(f"{served.url}/exposure.fits", "wcs")
    assert served.url in str(caught.value)


def test_files_of_lsst_images(golden: Golden) -> None:
    path = golden("dp2/visit_gaussian/visit_image.fits")
    box = Exposure.read_component(path, "bbox")
    part = Box(box.x0 + 5, box.y0 + 6, 7, 8)
    with serve(path.parent) as served:
        remote = Exposure.read(f"{served.url}/{path.name}", bbox=part)
        np.testing.assert_array_equal(remote.image, Exposure.read(path, bbox=part).image)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED])
def test_what_cannot_be_had(tmp_path: Path, status: HTTPStatus, *, whole: bool) -> None:
    with serve(tmp_path, status=status) as served:
        url = f"{served.url}/exposure.fits"
        with pytest.raises(
            FileNotFoundError, match=rf"{url}, or it may not be seen without credentials.*{status}"
        ):
            Exposure.read(url, bbox=None if whole else Box(0, 0, 1, 1))
        with pytest.raises(InputTableError, match=url):
            read_catalog(url)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("strange://host/exposure.fits", "strange"),
        ("file://elsewhere/exposure.fits", "on the machine 'elsewhere'"),
        ("mem://exposure.fits", "cannot be fetched"),
    ],
)
def test_places_that_are_not_known(uri: str, message: str) -> None:
    with pytest.raises(RemoteFileError, match=message) as caught:
        Exposure.read(uri)
    assert uri in str(caught.value)


def test_s3_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("boto3")
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RemoteFileError, match=r"s3://bucket/exposure\.fits cannot be fetched.*credentials"):
        Exposure.read_component("s3://bucket/exposure.fits", "wcs")


def test_s3(exposure_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of S3 for whole objects and parts of them are those of HTTP; the folder is the bucket."""
    pytest.importorskip("boto3")
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with serve(exposure_file.parent.parent) as served:
        monkeypatch.setenv("S3_ENDPOINT_URL", served.url)
        uri = f"s3://{exposure_file.parent.name}/exposure.fits"
        box = Exposure.read_component(uri, "bbox")
        assert 0 < served.n_bytes < exposure_file.stat().st_size / 4
        served.n_bytes = 0
        part = Box(box.x0 + 300, box.y0 + 400, 20, 30)
        local, remote = (Exposure.read(place, bbox=part) for place in (exposure_file, uri))
        np.testing.assert_array_equal(remote.image, local.image)
        assert 0 < served.n_bytes < exposure_file.stat().st_size / 4
        np.testing.assert_array_equal(Exposure.read(uri).image, Exposure.read(exposure_file).image)
        with pytest.raises(FileNotFoundError, match=r"no file s3://.*/absent\.fits"):
            Exposure.read(uri.replace("exposure", "absent"))


def test_file_uris_are_local_files(exposure_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "with blank#and%20more.fits"
    shutil.copy(exposure_file, path)
    assert Exposure.read_component(path.as_uri(), "bbox") == Exposure.read_component(path, "bbox")
    with pytest.raises(FileNotFoundError, match=r"no file .*absent"):
        Exposure.read((tmp_path / "absent.fits").as_uri())


def test_catalogs(golden: Golden, tmp_path: Path) -> None:
    path = golden("tables/forced_heavy.fits")
    (tmp_path / "table.csv").write_text("id,ra,dec\n1,2.0,3.0\n")
    with serve(path.parent) as served:
        url = f"{served.url}/{path.name}"
        expected = read_source_catalog(path)
        for remote in (read_afw_table(url), read_source_catalog(url)):
            assert remote.schema.getOrderedNames() == expected.schema.getOrderedNames()
            np.testing.assert_array_equal(remote["id"], expected["id"])
        assert read_catalog(f"{url}?token=1").colnames == read_catalog(path).colnames
    with serve(tmp_path) as served:
        assert read_catalog(f"{served.url}/table.csv")["ra"].tolist() == [2.0]
        (tmp_path / "table.csv").write_text("")
        with pytest.raises(InputTableError, match=f"{served.url}/table.csv"):
            read_catalog(f"{served.url}/table.csv")


def test_command_line(exposure_file: Path, server: Served) -> None:
    from forcedphot.cli import main

    result = CliRunner().invoke(main, ["inspect", f"{server.url}/exposure.fits", "--json"])
    assert result.exit_code == 0, result.output
    assert f'"file": "{server.url}/exposure.fits"' in result.output
    result = CliRunner().invoke(main, ["inspect", "strange://host/exposure.fits"])
    assert result.exit_code == RemoteFileError.exit_code
    assert Place().convert("folder/exposure.fits", None, None) == Path("folder/exposure.fits")


def test_what_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "exposure.fits.gz"
    path.write_bytes(gzip.compress(b"SIMPLE  =" + bytes(3_000_000)))
    with open_source(path) as source:
        assert source.size == 3_000_009
    monkeypatch.setattr(resources, "_MAX_UNPACKED_BYTES", 2_000_000)
    with pytest.raises(FileFormatError, match=r"exposure\.fits\.gz unpacks to more"):
        Exposure.read(path)


def test_no_space_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "exposure.fits.gz"
    path.write_bytes(gzip.compress(b"SIMPLE  ="))
    monkeypatch.setattr(resources, "TemporaryFile", Full)
    with pytest.raises(FileFormatError, match=r"exposure\.fits\.gz cannot be unpacked into .*: No space left"):
        Exposure.read(path)


class Handle:
    """What lsst.resources gives for a remote file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0
        self.n_bytes = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = offset + (len(self.content) if whence == os.SEEK_END else 0)
        return self.position

    def read(self, size: int) -> bytes:
        self.n_bytes += size
        return self.content[self.position : self.position + size]


@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.integers(0, 120), st.integers(-1, 50)), max_size=20),
    st.integers(1, 5),
)
def test_blocks_are_put_together(size: int, reads: list[tuple[int, int]], n_kept: int) -> None:
    content = bytes(range(size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resources, "_FETCH_BYTES", 7)
        patch.setattr(resources, "_MAX_KEPT_FETCHES", n_kept)
        stream = resources._Fetched("memory", Handle(content))
        for start, length in reads:
            stream.seek(start)
            assert stream.read(length) == content[start:][: length if length >= 0 else None]
            assert len(stream._blocks) <= max(n_kept, 0)
