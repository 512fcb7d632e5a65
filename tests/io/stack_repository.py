"""Make a repository as the LSST stack does: run as a script, with the new repository and the files to ingest.

The stack's formatters are modules without content here, in this process only; what stays of them is their names in
the repository's records. The order of the files gives the number of their detector. Arguments: the repository, and
for each file ``dataset type:storage class:path``.
"""

import sys
from types import ModuleType

from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset, FormatterV2

_PLACE = "lsst.obs.base.formatters"
_FORMATTERS = {
    "ExposureF": "fitsExposure.FitsExposureFormatter",
    "ImageF": "fitsExposure.FitsImageFormatter",
    "MaskedImageF": "fitsExposure.FitsMaskedImageFormatter",
}
_OTHERS = "fitsGeneric.FitsGenericFormatter"


def stack_formatter(name: str) -> type[FormatterV2]:
    module_name, _, class_name = f"{_PLACE}.{name}".rpartition(".")
    parts = module_name.split(".")
    for i in range(2, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), ModuleType(".".join(parts[:i])))
    formatter = type(class_name, (FormatterV2,), {"__module__": module_name})
    setattr(sys.modules[module_name], class_name, formatter)
    return formatter


def main(root: str, *files: str) -> None:
    Butler.makeRepo(root)
    with Butler.from_config(root, writeable=True, run="stack") as butler:
        registry = butler.registry
        registry.insertDimensionData(
            "instrument",
            {
                "name": "Cam",
                "visit_max": 1,
                "exposure_max": 1,
                "detector_max": 99,
                "visit_system": 0,
                "class_name": "Cam",
            },
        )
        for number, file in enumerate(files):
            name, storage_class, path = file.split(":", 2)
            registry.insertDimensionData(
                "detector", {"instrument": "Cam", "id": number, "full_name": f"D{number}"}
            )
            dataset_type = DatasetType(name, {"instrument", "detector"}, storage_class, universe=butler.dimensions)
            registry.registerDatasetType(dataset_type)
            data_id = registry.expandDataId(instrument="Cam", detector=number)
            ref = DatasetRef(dataset_type, data_id, run="stack")
            formatter = stack_formatter(_FORMATTERS.get(storage_class, _OTHERS))
            butler.ingest(FileDataset(path, [ref], formatter=formatter), transfer="direct")


if __name__ == "__main__":
    main(*sys.argv[1:])
