"""Datasets that the stack has written, and those of a repository of one's own, through the Butler."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler import (
    Butler,
    Config,
    DatasetRef,
    DatasetType,
    FileDataset,
    StorageClassDelegate,
    StorageClassFactory,
)
from lsst.images import Box as ImagesBox

from forcedphot import Exposure
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import Box
from forcedphot.errors import ExposureError, ForcedPhotError, OutputError
from forcedphot.exposure import Detector, FilterLabel
from forcedphot.io import formatters
from forcedphot.io.formatters import REPOSITORY_CONFIG, ExposureDelegate, ExposureFormatter, parts, stack_names

from .http_server import serve

type Golden = Callable[[str], Path]
type DataId = dict[str, Any]

_SCRIPT = Path(__file__).with_name("stack_repository.py")
_CALEXPS = ["exposures/warped_psf.fits", "driver/piff_pixel/exposure.fits"]
_PUBLIC = "exposures/hsc_calexp.fits"


def data_id(number: int) -> DataId:
    return {"instrument": "Cam", "detector": number}


@pytest.fixture(scope="module")
def opted_in(forgotten_stack_names: None) -> None:
    """Let the Butler find our names, as ``import forcedphot.butler`` does."""
    assert stack_names.install() != {}


@pytest.fixture(scope="module")
def repository(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with calexps of two detectors, a catalog, an image alone, and a PSF alone."""
    folder = tmp_path_factory.mktemp("stack")
    fits.writeto(folder / "image.fits", np.arange(12, dtype=np.float32).reshape(3, 4))
    files = [f"calexp:ExposureF:{golden(file)}" for file in _CALEXPS]
    files.append(f"src:SourceCatalog:{golden('tables/forced_heavy.fits')}")
    files.append(f"coverage:ImageF:{folder / 'image.fits'}")
    files.append(f"kernel:Psf:{folder / 'image.fits'}")
    files.append(f"masked:MaskedImageF:{golden(_CALEXPS[0])}")
    root = folder / "repository"
    subprocess.run([sys.executable, _SCRIPT, root, *files], check=True)  # noqa: S603
    return root


@pytest.fixture(scope="module")
def butler(repository: Path, opted_in: None) -> Iterator[Butler]:
    with Butler.from_config(repository, writeable=True, run="ours", collections=["ours", "stack"]) as butler:
        yield butler


def check_equal(part: Any, expected: Any) -> None:
    """Compare parts of an exposure that were read separately."""
    assert type(part) is type(expected)
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(part, expected)
    elif hasattr(expected, "array"):
        np.testing.assert_array_equal(part.array, expected.array)
        assert part.planes == expected.planes
    elif hasattr(expected, "images"):
        x, y = np.array([101.3, 140.0]), np.array([99.6, 120.5])
        np.testing.assert_array_equal(part.images(x, y).images, expected.images(x, y).images)
    elif hasattr(expected, "pixel_to_sky"):
        x, y = np.array([101.3, 140.0]), np.array([99.6, 120.5])
        np.testing.assert_array_equal(part.pixel_to_sky(x, y), expected.pixel_to_sky(x, y))
    elif isinstance(expected, Mapping):
        assert part.keys() == expected.keys()
    elif hasattr(expected, "mean"):
        assert (part.mean, part.mean_err) == (expected.mean, expected.mean_err)
    elif hasattr(expected, "visits"):
        assert part.ccds["id"].tolist() == expected.ccds["id"].tolist()
    elif hasattr(expected, "contains") and not isinstance(expected, Box):
        np.testing.assert_array_equal([part.x, part.y], [expected.x, expected.y])
    else:
        assert repr(part) == repr(expected)  # NaN is not equal to itself


PARTS: dict[str, Callable[[Exposure], Any]] = {
    "image": lambda exposure: exposure.image,
    "mask": lambda exposure: exposure.mask,
    "variance": lambda exposure: exposure.variance,
    "wcs": lambda exposure: exposure.wcs,
    "psf": lambda exposure: exposure.psf,
    "photoCalib": lambda exposure: exposure.photo_calib,
    "visitInfo": lambda exposure: exposure.visit_info,
    "apCorrMap": lambda exposure: exposure.aperture_corrections,
    "coaddInputs": lambda exposure: exposure.coadd_inputs,
    "metadata": lambda exposure: exposure.metadata,
    "detector": lambda exposure: exposure.detector,
    "validPolygon": lambda exposure: exposure.valid_polygon,
    "summaryStats": lambda exposure: exposure.summary_stats,
    "filter": lambda exposure: FilterLabel(exposure.identity.band, exposure.identity.physical_filter),
    "bbox": lambda exposure: exposure.bbox,
    "dimensions": lambda exposure: (exposure.bbox.width, exposure.bbox.height),
    "xy0": lambda exposure: (exposure.x0, exposure.y0),
}


@pytest.mark.parametrize("number", range(len(_CALEXPS)))
def test_exposure(butler: Butler, golden: Golden, number: int) -> None:
    exposure = butler.get("calexp", data_id(number))
    expected = Exposure.read(golden(_CALEXPS[number]))
    for part in PARTS.values():
        check_equal(part(exposure), part(expected))


@pytest.mark.parametrize("number", range(len(_CALEXPS)))
def test_identity_is_the_data_id(butler: Butler, golden: Golden, number: int) -> None:
    of_file = Exposure.read(golden(_CALEXPS[number])).identity
    identity = butler.get("calexp", data_id(number), parameters={"bbox": Box(100, 100, 3, 3)}).identity
    assert identity == replace(of_file, instrument="Cam", detector=number)
    assert identity != of_file


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("number", range(len(_CALEXPS)))
def test_part_of_an_exposure(butler: Butler, golden: Golden, number: int, name: str) -> None:
    check_equal(
        butler.get(f"calexp.{name}", data_id(number)), PARTS[name](Exposure.read(golden(_CALEXPS[number])))
    )


@pytest.mark.parametrize("name", PARTS)
def test_part_of_a_real_exposure(
    golden: Golden, opted_in: None, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    path = golden(_PUBLIC)
    root = tmp_path_factory.getbasetemp() / "public"
    if not root.exists():
        subprocess.run([sys.executable, _SCRIPT, root, f"calexp:ExposureF:{path}"], check=True)  # noqa: S603
    with Butler.from_config(root, collections="stack") as butler:
        part = butler.get(f"calexp.{name}", data_id(0))
    check_equal(part, PARTS[name](Exposure.read(path)))
    assert part is not None or name == "coaddInputs"


def test_all_parts_are_tried(butler: Butler) -> None:
    names = butler.get_dataset_type("calexp").storageClass.allComponents().keys()
    assert names - PARTS.keys() == {"id", "transmissionCurve"}
    for name in ("id", "transmissionCurve"):
        with pytest.raises(ValueError, match=f"The part '{name}' of an exposure is not read"):
            butler.get(f"calexp.{name}", data_id(0))


def test_parts_are_read_without_the_rest(butler: Butler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(parts, "read_exposure")
    for name in PARTS:
        butler.get(f"calexp.{name}", data_id(1))


_BOX = Box(50, 71, 30, 20)
_FIRST = Box(40, 60, 210, 190)  # of the first detector's image


@pytest.mark.parametrize(
    "parameters",
    [
        {"bbox": _BOX},
        {"bbox": _BOX, "origin": "PARENT"},
        {"bbox": Box(10, 11, 30, 20), "origin": "LOCAL"},
        {"bbox": ImagesBox.factory[71:91, 50:80]},
    ],
    ids=["ours", "parent", "local", "lsst.images"],
)
def test_box(butler: Butler, golden: Golden, parameters: dict[str, Any]) -> None:
    whole = Exposure.read(golden(_CALEXPS[0]))
    assert whole.bbox == _FIRST
    cutout = np.s_[11:31, 10:40]
    part = butler.get("calexp", data_id(0), parameters=parameters)
    assert part.bbox == _BOX
    np.testing.assert_array_equal(part.image, whole.image[cutout])
    check_equal(part.psf, whole.psf)
    planes = {"image": whole.image, "variance": whole.variance, "mask": whole.mask.array}
    for name, plane in planes.items():
        got = butler.get(f"calexp.{name}", data_id(0), parameters=parameters)
        np.testing.assert_array_equal(getattr(got, "array", got), plane[cutout])
    # What is no plane is whole.
    assert butler.get("calexp.bbox", data_id(0), parameters=parameters) == whole.bbox


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bbox": Box(0, 0, 10, 10)}, "is not inside the image of .*warped_psf.fits"),
        ({"bbox": (50, 71, 30, 20)}, "bbox is a tuple; give a"),
        ({"bbox": _BOX, "origin": "CENTRE"}, "'PARENT' or 'LOCAL', not 'CENTRE'"),
    ],
)
def test_wrong_box(butler: Butler, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        butler.get("calexp", data_id(0), parameters=parameters)
    assert isinstance(caught.value.__cause__, ExposureError)


def test_parameters_that_are_not_served(butler: Butler) -> None:
    with pytest.raises(KeyError, match="'amp' not understood by StorageClass ExposureF"):
        butler.get("calexp", data_id(0), parameters={"amp": "A"})


def test_deferred(butler: Butler) -> None:
    handle = butler.getDeferred("calexp", data_id(0))
    assert handle.get(component="bbox") == _FIRST
    assert handle.get(parameters={"bbox": _BOX}).bbox == _BOX


def test_image_alone(butler: Butler) -> None:
    image = butler.get("coverage", data_id(3))
    np.testing.assert_array_equal(image, np.arange(12).reshape(3, 4))
    part = butler.get("coverage", data_id(3), parameters={"bbox": Box(1, 0, 2, 3)})
    np.testing.assert_array_equal(part, image[:, 1:3])


def test_masked_image(butler: Butler, golden: Golden) -> None:
    image = butler.get("masked", data_id(5))
    np.testing.assert_array_equal(image.image, Exposure.read(golden(_CALEXPS[0])).image)


def test_catalog(butler: Butler, golden: Golden) -> None:
    catalog = butler.get("src", data_id(2))
    expected = Table.read(golden("tables/forced_heavy.ecsv"))
    assert isinstance(catalog, SourceCatalog)
    assert catalog["id"].tolist() == expected["id"].tolist()
    assert catalog.footprints is not None
    table = butler.get("src", data_id(2), storageClass="ArrowAstropy")
    assert isinstance(table, Table)
    assert table["id"].tolist() == expected["id"].tolist()


def test_a_catalog_is_written(butler: Butler) -> None:
    catalog = butler.get("src", data_id(2))
    butler.put(catalog, "src", data_id(2), run="ours")
    back = butler.get("src", data_id(2))
    assert butler.getURI("src", data_id(2)).ospath.endswith(".fits")
    assert back.schema.getNames() == catalog.schema.getNames()
    np.testing.assert_array_equal(back["id"], catalog["id"])
    assert repr(back.footprints[3]) == repr(catalog.footprints[3])


def test_what_is_no_catalog_is_not_read(butler: Butler) -> None:
    with pytest.raises(ValueError, match="datasets of the storage class Psf are not"):
        butler.get("kernel", data_id(4))


def test_exposures_are_not_written(butler: Butler) -> None:
    exposure = butler.get("calexp", data_id(0))
    with pytest.raises(RuntimeError, match="Failed to serialize") as caught:
        butler.put(exposure, "calexp", data_id(0), run="ours")
    assert isinstance(caught.value.__cause__, OutputError)
    assert "storage class VisitImage" in str(caught.value.__cause__)
    assert butler.get("calexp.bbox", data_id(0)) == _FIRST


def test_images_of_lsst_images_become_exposures(butler: Butler, golden: Golden) -> None:
    from lsst.images import VisitImage
    from lsst.images.serialization import open_archive

    path = golden("dp2/visit_gaussian/visit_image.fits")
    with open_archive(str(path), cls=VisitImage) as archive:
        image = archive.read()
    dimensions = {"instrument", "detector"}
    butler.registry.registerDatasetType(
        DatasetType("visit_image", dimensions, "VisitImage", universe=butler.dimensions)
    )
    butler.put(image, "visit_image", data_id(0))
    exposure = butler.get("visit_image", data_id(0), storageClass="ExposureF")
    np.testing.assert_array_equal(exposure.image, Exposure.read(path).image)


def check_same_image(exposure: Exposure, expected: Exposure) -> None:
    """Compare what an image of lsst.images keeps of an exposure."""
    for name in ("image", "variance", "bbox", "validPolygon"):
        check_equal(PARTS[name](exposure), PARTS[name](expected))
    # Planes have other names and bits.
    bits, expected_bits = exposure.mask.array, expected.mask.array
    np.testing.assert_array_equal(np.bitwise_count(bits), np.bitwise_count(expected_bits))
    x, y = np.array([101.3, 140.0]), np.array([99.6, 120.5])
    sky = expected.wcs.pixel_to_sky(x, y)
    np.testing.assert_allclose(exposure.wcs.pixel_to_sky(x, y), sky, rtol=0, atol=1e-13)
    stamps = expected.psf.images(x, y).images
    np.testing.assert_allclose(exposure.psf.images(x, y).images, stamps, rtol=0, atol=1e-7 * stamps.max())
    scale = expected.photo_calib.scale(x, y)
    np.testing.assert_allclose(exposure.photo_calib.scale(x, y), scale, rtol=1e-12)


def register(butler: Butler, name: str, storage_class: str) -> None:
    """Register a dataset type, and a run of the same name."""
    dimensions = {"instrument", "detector"}
    butler.registry.registerDatasetType(DatasetType(name, dimensions, storage_class, universe=butler.dimensions))
    butler.collections.register(name)


def test_an_exposure_is_put_as_a_visit_image(butler: Butler) -> None:
    from lsst.images import VisitImage

    register(butler, "moved", "VisitImage")
    exposure = butler.get("calexp", data_id(1))
    ref = butler.put(exposure, "moved", data_id(1), run="moved")
    assert isinstance(butler.get(ref), VisitImage)
    check_same_image(butler.get(ref, storageClass="ExposureF"), exposure)


def test_a_psf_that_no_visit_image_can_hold(butler: Butler) -> None:
    register(butler, "sampled", "VisitImage")
    exposure = butler.get("calexp", data_id(0))
    with pytest.raises(ExposureError, match=r"this WarpedPsf is neither.*sample_psf=True"):
        butler.put(exposure, "sampled", data_id(0), run="sampled")
    assert not butler.query_datasets("sampled", "sampled", explain=False)
    ref = butler.put(exposure.to_lsst_images(sample_psf=True), "sampled", data_id(0), run="sampled")
    np.testing.assert_array_equal(butler.get(ref, storageClass="ExposureF").image, exposure.image)


def test_an_exposure_is_put_as_a_cell_coadd(butler: Butler, golden: Golden) -> None:
    register(butler, "cells", "CellCoadd")
    exposure = Exposure.read(golden("dp2/cell_coadd/deep_coadd.fits"))
    ref = butler.put(exposure, "cells", data_id(0), run="cells")
    back = butler.get(ref, storageClass="ExposureF")
    np.testing.assert_array_equal(back.image, exposure.image)
    assert type(back.psf) is type(exposure.psf)


def test_no_difference_images(butler: Butler) -> None:
    register(butler, "difference", "DifferenceImage")
    exposure = butler.get("calexp", data_id(1))
    with pytest.raises(ExposureError, match="no kernel and no templates"):
        butler.put(exposure, "difference", data_id(1), run="difference")


def test_simple_catalog(golden: Golden, opted_in: None, tmp_path: Path) -> None:
    path = golden("tables/ps1-refcat-v1.fits")
    root = tmp_path / "repository"
    subprocess.run([sys.executable, _SCRIPT, root, f"refcat:SimpleCatalog:{path}"], check=True)  # noqa: S603
    with Butler.from_config(root, collections="stack") as butler:
        catalog = butler.get("refcat", data_id(0))
    expected = Table.read(path.with_suffix(".ecsv"))
    assert catalog["id"].tolist() == expected["id"].tolist()


def test_all_names_mean_something(opted_in: None) -> None:
    folder = Path(formatters.__file__).parent / "configs"
    names = yaml.safe_load((folder / "storageClasses.yaml").read_text(encoding="utf-8"))["storageClasses"].keys()
    # Ours would else be names that no repository has.
    packaged = Config("resource://lsst.daf.butler/configs/storageClasses.yaml")["storageClasses"]
    assert names <= set(packaged.names(topLevelOnly=True))
    for name in names:
        storage_class = StorageClassFactory().getStorageClass(name)
        assert isinstance(storage_class.pytype, type)
        assert storage_class.delegateClass is None or issubclass(storage_class.delegateClass, StorageClassDelegate)


def test_types_of_parts(butler: Butler, golden: Golden) -> None:
    parts_of_exposures = StorageClassFactory().getStorageClass("ExposureF").allComponents()
    exposure = Exposure.read(golden(_PUBLIC))
    for name, part in PARTS.items():
        assert isinstance(part(exposure), (parts_of_exposures[name].pytype, type(None)))


def test_parts_in_memory(golden: Golden, opted_in: None) -> None:
    exposure = Exposure.read(golden(_CALEXPS[0]))
    delegate = StorageClassFactory().getStorageClass("ExposureF").delegate()
    assert isinstance(delegate, ExposureDelegate)
    for name, part in PARTS.items():
        check_equal(delegate.getComponent(exposure, name), part(exposure))
    with pytest.raises(ExposureError, match="'id' of an exposure is not read"):
        delegate.getComponent(exposure, "id")


def test_cutouts_in_memory(golden: Golden, opted_in: None) -> None:
    path = golden(_CALEXPS[0])
    exposure = Exposure.read(path)
    delegate = StorageClassFactory().getStorageClass("ExposureF").delegate()
    assert delegate.handleParameters(exposure, None) is exposure
    assert delegate.handleParameters(exposure, {"origin": "LOCAL"}) is exposure
    part, expected = delegate.handleParameters(exposure, {"bbox": _BOX}), Exposure.read(path, bbox=_BOX)
    for name in ("image", "variance", "mask", "bbox", "psf"):
        check_equal(PARTS[name](part), PARTS[name](expected))
    bare = delegate.handleParameters(Exposure(image=exposure.image), {"bbox": Box(1, 2, 3, 4)})
    assert (bare.bbox, bare.mask, bare.variance) == (Box(1, 2, 3, 4), None, None)
    assert delegate.getComponent(bare, "filter") is None
    for box in (Box(0, 0, 5, 5), Box(50, 71, 0, 5)):
        with pytest.raises(ExposureError, match="is not inside the image, which covers x 40"):
            delegate.handleParameters(exposure, {"bbox": box})
    with pytest.raises(ExposureError, match="ndarray by itself has no origin"):
        delegate.handleParameters(exposure.image, {"bbox": _BOX})


@pytest.fixture
def own_repository(golden: Golden, tmp_path: Path) -> Path:
    """A repository with the storage class of ours, an ExposureF file, and one of lsst.images."""
    root = tmp_path / "own"
    Butler.makeRepo(root, Config(REPOSITORY_CONFIG))
    with Butler.from_config(root, writeable=True, run="ours") as butler:
        instrument = {"name": "Cam", "class_name": "Cam", "visit_system": 0}
        maxima = {"visit_max": 1, "exposure_max": 1, "detector_max": 9}
        butler.registry.insertDimensionData("instrument", instrument | maxima)
        dimensions = {"instrument", "detector"}
        dataset_type = DatasetType("image", dimensions, "ForcedPhotExposure", universe=butler.dimensions)
        butler.registry.registerDatasetType(dataset_type)
        for number, file in enumerate((_CALEXPS[0], "dp2/visit_gaussian/visit_image.fits")):
            record = {"instrument": "Cam", "id": number, "full_name": str(number)}
            butler.registry.insertDimensionData("detector", record)
            ref = DatasetRef(dataset_type, butler.registry.expandDataId(data_id(number)), run="ours")
            butler.ingest(FileDataset(golden(file), [ref], formatter=ExposureFormatter), transfer="direct")
    return root


def test_a_repository_of_ones_own(own_repository: Path, golden: Golden) -> None:
    with Butler.from_config(own_repository, collections="ours") as butler:
        expected = Exposure.read(golden(_CALEXPS[0]))
        names = butler.get_dataset_type("image").storageClass.allComponents().keys()
        assert names == PARTS.keys()
        for name, part in PARTS.items():
            check_equal(butler.get(f"image.{name}", data_id(0)), part(expected))
        assert butler.get("image", data_id(0), parameters={"bbox": _BOX}).bbox == _BOX
        exposure = butler.get("image", data_id(1))
        assert isinstance(exposure, Exposure)
        detector = butler.get("image.detector", data_id(1))
        assert detector is None or isinstance(detector, Detector)


def files_of(root: Path) -> list[Path]:
    """List the images in a repository of one's own."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.suffix not in (".sqlite3", ".yaml"))


def test_an_exposure_is_written(own_repository: Path, golden: Golden) -> None:
    from lsst.images import VisitImage
    from lsst.images.serialization import open_archive

    exposure = Exposure.read(golden(_CALEXPS[1]))
    with Butler.from_config(own_repository, writeable=True, run="written") as butler:
        ref = butler.put(exposure, "image", data_id(0))
        back = butler.get(ref)
        path = butler.getURI(ref).ospath
        part = butler.get(ref.makeComponentRef("wcs"))
        cutout = butler.get(ref, parameters={"bbox": Box(50, 71, 30, 20)})
    check_same_image(back, exposure)
    assert (back.identity.instrument, back.identity.detector) == ("Cam", 0)
    x, y = np.array([60.0]), np.array([80.0])
    np.testing.assert_array_equal(part.pixel_to_sky(x, y), back.wcs.pixel_to_sky(x, y))
    np.testing.assert_array_equal(cutout.image, exposure.image[71:91, 50:80])
    assert files_of(own_repository) == [Path(path)]
    with open_archive(path, cls=VisitImage) as archive:
        assert archive.get_component("obs_info").instrument == "Cam"
        assert archive.butler_info.dataset.id == ref.id


def test_nothing_stays_of_what_cannot_be_written(own_repository: Path, golden: Golden) -> None:
    exposure = Exposure.read(golden(_CALEXPS[0]))
    with Butler.from_config(own_repository, writeable=True, run="written") as butler:
        with pytest.raises(RuntimeError, match="Failed to serialize") as caught:
            butler.put(exposure, "image", data_id(0))
        assert not butler.query_datasets("image", "written", explain=False)
    assert isinstance(caught.value.__cause__, ExposureError)
    assert "sample_psf=True" in str(caught.value.__cause__)
    assert files_of(own_repository) == []


def test_recipes(own_repository: Path, golden: Golden) -> None:
    exposure: Any = Exposure.read(golden(_CALEXPS[1]))
    config = Config(own_repository / "butler.yaml")
    name = "forcedphot.io.formatters.exposures.ExposureFormatter"
    lossy = {"algorithm": "RICE_1", "quantization": {"dither": "SUBTRACTIVE_DITHER_2", "level": 16.0}}
    config["datastore", "formatters", "write_recipes"] = {name: {"small": {"image": lossy, "variance": lossy}}}
    config["datastore", "formatters", "ForcedPhotExposure"] = {
        "formatter": name,
        "parameters": {"recipe": "small"},
    }
    with Butler.from_config(config, writeable=True, run="small") as butler:
        ref = butler.put(exposure, "image", data_id(0))
        back = butler.get(ref)
    difference = np.abs(back.image - exposure.image).max()
    assert 0 < difference < np.sqrt(np.median(exposure.variance))
    np.testing.assert_array_equal(back.mask.array != 0, exposure.mask.array != 0)


@pytest.mark.parametrize(
    ("name", "parameters", "most"),
    [
        ("image.psf", {}, 0.5),
        ("image.bbox", {}, 0.5),
        ("image.image", {"bbox": _BOX}, 0.7),
        ("image", {"bbox": _BOX}, 0.7),
        ("image", {}, 1.0),
    ],
    ids=["psf", "bbox", "part of a plane", "part", "whole"],
)
def test_remote_files(
    own_repository: Path, golden: Golden, name: str, parameters: dict[str, Any], most: float
) -> None:
    path = golden(_CALEXPS[1])
    with (
        serve(path.parent) as served,
        Butler.from_config(own_repository, writeable=True, run="remote") as butler,
    ):
        dataset_type = butler.get_dataset_type("image")
        ref = DatasetRef(dataset_type, butler.registry.expandDataId(data_id(0)), run="remote")
        file = FileDataset(f"{served.url}/{path.name}", [ref], formatter=ExposureFormatter)
        butler.ingest(file, transfer="direct")
        served.n_bytes = 0
        dataset = butler.get(name, data_id(0), parameters=parameters, collections="remote")
    assert 0 < served.n_bytes <= most * path.stat().st_size
    expected = Exposure.read(path, bbox=parameters.get("bbox"))
    part = name.partition(".")[2]
    if part:
        check_equal(dataset, PARTS[part](expected))
    else:
        np.testing.assert_array_equal(dataset.image, expected.image)


def test_errors_of_files_are_ours(own_repository: Path) -> None:
    with Butler.from_config(own_repository, collections="ours") as butler:
        with pytest.raises(ValueError, match="is not inside the image of") as caught:
            butler.get("image", data_id(1), parameters={"bbox": Box(10**6, 0, 1, 1)})
        assert isinstance(caught.value.__cause__, ForcedPhotError)
