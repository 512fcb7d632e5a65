"""Centroids from a reference catalog against the pipelines' own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.measurement import ForcedMeasurementConfig, ForcedMeasurementTask
from forcedphot.plugins import ReferenceCatalog


def test_transformed_centroids_agree(golden: Callable[[str], Path]) -> None:
    folder = golden("all_plugins/field")
    table = Table.read(folder / "reference.ecsv")
    reference = ReferenceCatalog(
        id=np.asarray(table["id"]),
        ra=np.asarray(table["coord_ra"].to("rad")),
        dec=np.asarray(table["coord_dec"].to("rad")),
        columns={
            "slot_Centroid_x": np.asarray(table["ref_centroid_x"]),
            "slot_Centroid_y": np.asarray(table["ref_centroid_y"]),
            "parent": np.asarray(table["parent"]),
            "deblend_nChild": np.asarray(table["deblend_nChild"]),
        },
    )
    config = ForcedMeasurementConfig()
    config.plugins.names |= ["base_TransformedCentroid"]
    config.slots.centroid = "base_TransformedCentroid"
    expected = Table.read(folder / "measured.ecsv")

    columns = ForcedMeasurementTask(config=config).run(reference, Exposure.read(folder / "exposure.fits"))

    for name in ("x", "y"):
        for plugin in ("base_TransformedCentroid", "base_TransformedCentroidFromCoord"):
            np.testing.assert_allclose(columns[f"{plugin}_{name}"], expected[f"{plugin}_{name}"], atol=1e-6)
    np.testing.assert_array_equal(columns["parentObjectId"], expected["parentObjectId"])
    np.testing.assert_array_equal(columns["deblend_nChild"], expected["deblend_nChild"])
