"""Products: the datasets of a survey and what is made on the way to them, and their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..catalog.source_catalog import SourceCatalog
from ..io.afw_table.writer import write_afw_table
from ..io.parquet import write_parquet
from .plan import SurveyPlan
from .profiles import Profile
from .repository import runs

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef

_IMAGE_CLASSES = ("CellCoadd", "DifferenceImage", "VisitImage")
_TILE_ROWS = 64


class Product(NamedTuple):
    """Something that is made once.

    Parameters
    ----------
    role
        What it is: a key of a profile's datasets, or the name of something that only leads to such.
    visit, detector, patch, band
        Of what; None where it is of all.
    """

    role: str
    visit: int | None = None
    detector: int | None = None
    patch: int | None = None
    band: str | None = None

    def __str__(self) -> str:
        places = [
            f"{name} {value}" for name, value in self._asdict().items() if name != "role" and value is not None
        ]
        return f"{self.role} ({', '.join(places)})" if places else self.role


def write_product(product: object, folder: Path, name: str) -> Path:
    """Write a table, a catalog or an image of lsst.images as the Butler's formatters do, and return the path.

    The Butler itself would store a random id in tables; these are the same bytes in every repository. Arrays by
    name, which only lead to tables, become a file of numpy.
    """
    from astropy.table import Table

    if isinstance(product, Table):
        path = folder / f"{name}.parq"
        write_parquet(product, path)
    elif isinstance(product, dict):
        path = folder / f"{name}.npz"
        np.savez(path, **product)
    elif isinstance(product, SourceCatalog):
        path = folder / f"{name}.fits"
        write_afw_table(product, path)
    else:
        from lsst.images.serialization import write_archive

        path = folder / f"{name}.fits"
        write_archive(product, str(path), compression_options=_compression(product))
    return path


def _compression(image: Any) -> dict[str, Any]:
    """Return how the arrays of an image are stored: noise, which hardly shrinks, as it is; masks in tall tiles.

    By default, all would be compressed row by row, which takes three times as long to write and to read.
    """
    from lsst.images.fits import FitsCompressionAlgorithm, FitsCompressionOptions

    tile = min(_TILE_ROWS, image.bbox.y.size), image.bbox.x.size
    mask = FitsCompressionOptions(algorithm=FitsCompressionAlgorithm.RICE_1, tile_shape=tile)
    return {"image": None, "variance": None, "psf": None, "mask": mask}


class Datasets:
    """Datasets in the repository of a survey.

    Parameters
    ----------
    butler
        May write.
    plan
        What the repository was made for.
    """

    def __init__(self, butler: Butler, plan: SurveyPlan) -> None:
        self._butler = butler
        self._profile = plan.profile

    def existing(self) -> dict[Product, Path]:
        """Find what is there, and where."""
        return {product: path for product, path, _ in self._known() if path.exists()}

    def forget_lost(self) -> None:
        """Remove the records of datasets whose files somebody has removed, so that they can be made again."""
        lost = [ref for _, path, ref in self._known() if not path.exists()]
        self._butler.pruneDatasets(lost, disassociate=True, unstore=True, purge=True)

    def _known(self) -> Iterator[tuple[Product, Path, DatasetRef]]:
        for role, dataset in self._profile.datasets.items():
            run = _run(self._profile, role)
            for ref in self._butler.query_datasets(dataset.name, run, limit=None, explain=False):
                yield _product(role, ref), Path(self._butler.getURI(ref).ospath), ref

    def add(self, files: Mapping[Product, Path]) -> dict[Product, Path]:
        """Move files into the repository, and return where they are; all of them or none."""
        from lsst.daf.butler import FileDataset

        refs = {product: self._ref(product) for product in files}
        self._butler.ingest(
            *(FileDataset(str(path), [refs[product]]) for product, path in files.items()), transfer="move"
        )
        return {product: Path(self._butler.getURI(ref).ospath) for product, ref in refs.items()}

    def _ref(self, product: Product) -> DatasetRef:
        from lsst.daf.butler import DatasetRef

        dataset_type = self._butler.get_dataset_type(self._profile.datasets[product.role].name)
        values = {**product._asdict(), "instrument": self._profile.instrument, "skymap": self._profile.skymap}
        values["tract"] = self._profile.tract
        data_id = {name: values[name] for name in dataset_type.dimensions.required}
        return DatasetRef(
            dataset_type, self._butler.registry.expandDataId(data_id), run=_run(self._profile, product.role)
        )


def _run(profile: Profile, role: str) -> str:
    is_image = profile.datasets[role].storage_class in _IMAGE_CLASSES
    return runs(profile)["images" if is_image else "catalogs"]


def _product(role: str, ref: DatasetRef) -> Product:
    data_id = ref.dataId.required
    return Product(role, **{name: data_id[name] for name in Product._fields[1:] if name in data_id})
