"""Centroids from a reference catalog against the pipelines' own."""

from collections.abc import Callable
from pathlib import Path

from .forced import differences, measure_case


def test_transformed_centroids_agree(golden: Callable[[str], Path]) -> None:
    names = ["base_TransformedCentroid", "base_TransformedCentroidFromCoord"]
    ours, expected = measure_case(golden("all_plugins/field"), names, psf_flux=None, shape=None)
    columns = [name for name in ours.colnames if "CentroidFromCoord" in name or "_TransformedCentroid_" in name]
    assert len(columns) == 9
    assert (
        differences(ours, expected, [*columns, "id", "objectId", "coord_ra", "parentObjectId", "deblend_nChild"])
        == []
    )
