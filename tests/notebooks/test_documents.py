"""The documents' notebooks run as they are, from the first cell to the last, and their results are right."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import image

from forcedphot.cli import main
from forcedphot.survey import SimulatedSurvey

_NOTEBOOKS = Path(__file__).resolve().parents[3] / "shared" / "notebooks"

type Notebook = dict[str, Any]
type Run = Callable[[str, str, str], tuple[Notebook, dict[str, Any]]]


@pytest.fixture
def run(simulated: Callable[[str], SimulatedSurvey], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a notebook, with one more cell behind the others that prints what its variables say."""

    def run_notebook(name: str, profile: str, last_cell: str) -> tuple[Notebook, dict[str, Any]]:
        paths = sorted(_NOTEBOOKS.glob(f"{name}_*.ipynb"))
        if not paths:
            pytest.skip(f"notebook {name} is not in ../shared/notebooks beside the repository")
        monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(simulated(profile).index))
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        for variable in ("FORCEDPHOT_TAP_URL", "EXTERNAL_TAP_URL"):
            monkeypatch.delenv(variable, raising=False)
        original = json.loads(paths[0].read_text(encoding="utf-8"))
        cell: Notebook = {
            "cell_type": "code",
            "id": "last",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
        }
        cells = [*original["cells"], {**cell, "source": f"import json\n{last_cell}"}]
        (tmp_path / "notebook.ipynb").write_text(json.dumps({**original, "cells": cells}), encoding="utf-8")
        output = tmp_path / "executed.ipynb"
        result = CliRunner().invoke(main, ["notebook", str(tmp_path / "notebook.ipynb"), "-o", str(output), "-q"])
        assert result.exit_code == 0, result.output
        executed = json.loads(output.read_text(encoding="utf-8"))
        for before, after in zip(original["cells"], executed["cells"][:-1], strict=True):
            assert "".join(after["source"]) == "".join(before["source"])
            assert after["metadata"] == before["metadata"]
        assert executed["metadata"]["kernelspec"] == original["metadata"]["kernelspec"]
        outputs = executed["cells"][-1]["outputs"]
        printed = [text for output in outputs if output.get("name") == "stdout" for text in output["text"]]
        return executed, json.loads("".join(printed))

    return run_notebook


def pictures(notebook: Notebook) -> list[np.ndarray[Any, Any]]:
    """Return the pictures that are shown, shape (height, width, channels)."""
    outputs = [output for cell in notebook["cells"] for output in cell["outputs"]]
    encoded = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return [image.imread(io.BytesIO(base64.b64decode(each))) for each in encoded]


def is_drawn_on(picture: np.ndarray[Any, Any]) -> bool:
    return min(picture.shape[:2]) > 200 and float(picture[..., :3].std()) > 0.05


def test_000_forced_photometry(run: Run) -> None:
    _, found = run(
        "000",
        "dp1",
        """
flux = np.asarray(objtable[pick][:5][f"{band}_psfFlux"], float)
print(json.dumps({
    "columns": result.colnames, "ids": [list(map(int, t["objectId"])) for t in (result, table)],
    "measured": np.asarray(result["slot_PsfFlux_instFlux"]).tolist(), "flux": flux.tolist(),
    "error": np.asarray(result["slot_PsfFlux_instFluxErr"]).tolist(),
}))
""",
    )
    assert len(found["columns"]) == 100
    assert found["ids"][0] == found["ids"][1]
    assert len(found["ids"][0]) == 5
    measured, flux, error = (np.array(found[name]) for name in ("measured", "flux", "error"))
    # Both are fits to the same pixels; at a coadd's ragged edge there may be none.
    np.testing.assert_array_less(
        np.abs(measured - flux)[np.isfinite(measured)], (3 * error)[np.isfinite(measured)]
    )
    assert np.isfinite(measured).sum() >= 3


def test_001_forced_photometry_by_tap(run: Run) -> None:
    notebook, found = run(
        "001",
        "dp1",
        """
def isolated(table, ra, dec, everything):
    east = (np.asarray(everything[ra])[None] - np.asarray(table[ra])[:, None]) * np.cos(np.radians(-28.1))
    north = np.asarray(everything[dec])[None] - np.asarray(table[dec])[:, None]
    return np.sort(np.hypot(east, north), axis=1)[:, 1] * 3600 > 4

def compare(result, table, flux, ra, dec, everything):
    return {
        "rows": [len(result), len(table)], "columns": len(result.colnames),
        "flux": np.asarray(table[flux], float).tolist(),
        "measured": np.asarray(result["slot_PsfFlux_flux"], float).tolist(),
        "error": np.asarray(result["slot_PsfFlux_fluxErr"], float).tolist(),
        "unit": str(result["slot_PsfFlux_flux"].unit),
        "isolated": isolated(table, ra, dec, everything).tolist(),
    }

objects = butler.get("object", tract=coadd_img_refs[0].dataId["tract"])
sources = butler.get("source", visit=visit_img_refs[0].dataId["visit"])
print(json.dumps({
    "object": compare(result, objtable, "r_psfFlux", "coord_ra", "coord_dec", objects),
    "source": compare(src_result, srctable, "psfFlux", "ra", "dec", sources),
}))
""",
    )
    for name in ("object", "source"):
        each = found[name]
        assert each["rows"][0] == each["rows"][1] > 10
        assert each["columns"] == 100
        assert each["unit"] == "nJy"
        flux, measured, error = (np.array(each[column]) for column in ("flux", "measured", "error"))
        good = np.array(each["isolated"]) & (flux > 10 * error)
        assert good.sum() >= 5
        assert np.all(np.abs(measured / flux - 1)[good] < 3 * (error / flux)[good])
        assert abs(np.median((measured / flux)[good]) - 1) < 0.01
    assert [is_drawn_on(picture) for picture in pictures(notebook)] == [True, True]


def test_002_multiband_catalogs(run: Run) -> None:
    notebook, found = run(
        "002",
        "hsc",
        """
import numpy as np
truth = butler.butler.get("truth_summary", tract=0)
east = (np.asarray(truth["ra"])[None] - np.degrees(iSources["coord_ra"])[:, None]) * np.cos(np.radians(-0.25))
distance = np.hypot(east, np.asarray(truth["dec"])[None] - np.degrees(iSources["coord_dec"])[:, None]) * 3600
star = truth[distance.argmin(axis=1)]
true = {band: 31.4 - 2.5 * np.log10(np.asarray(star[f"{band}_flux"], float)) for band in "ri"}
constant = np.asarray((star["kind"] == "star") & ~star["is_variable"])
bright = selected & constant & (distance.min(axis=1) < 0.3) & (iMags < 22)
print(json.dumps({
    "rows": [len(rSources), len(iSources), len(refTable)], "selected": int(selected.sum()),
    "colours": (rMags - iMags)[bright].tolist(), "true": (true["r"] - true["i"])[bright].tolist(),
    "names": sorted(refTable.schema.getNames()),
}))
""",
    )
    assert len(set(found["rows"])) == 1
    assert found["rows"][0] >= found["selected"] > 10
    # The locus: colours are those that the stars have.
    colours, true = np.array(found["colours"]), np.array(found["true"])
    assert len(colours) >= 8
    assert np.median(np.abs(colours - true)) < 0.03
    assert np.ptp(colours) > 0.5
    assert {"detect_isPrimary", "merge_peak_sky", "base_PsfFlux_instFlux"} <= set(found["names"])
    outputs = {"".join(cell["source"]).strip(): cell["outputs"] for cell in notebook["cells"]}
    unit = outputs["rSources.getSchema().find('base_PsfFlux_flux').field.getUnits()"]
    assert unit[0]["data"]["text/plain"] == ["'ct'"]
    assert [is_drawn_on(picture) for picture in pictures(notebook)] == [True]


def test_004_butler(run: Run) -> None:
    notebook, found = run(
        "004",
        "dp02",
        """
tables = {"src": src, "dia_src": dia_src, "dia_src_ccd": dia_src_ccd, "obj": obj, "dia_obj": dia_obj,
          "forced_src": forced_src, "dia_forced_src": dia_forced_src}
print(json.dumps({
    "rows": {name: len(table) for name, table in tables.items()},
    "patches": sorted(set(map(int, obj["patch"]))),
    "forced": [len(set(forced_src["objectId"])), len(butler.get("objectTable", tract=4431, patch=16))],
    "ccd": sorted(set(map(int, dia_src_ccd["ccdVisitId"]))),
}))
""",
    )
    assert all(n_rows > 0 for n_rows in found["rows"].values())
    assert found["rows"]["dia_src_ccd"] <= found["rows"]["dia_src"]
    assert found["patches"] == [17]
    assert found["forced"][0] == found["forced"][1]
    assert found["ccd"] == [192350005]
    said = "".join("".join(output.get("text", "")) for cell in notebook["cells"] for output in cell["outputs"])
    for name, beginning in {"src": "sources", "obj": "objects", "forced_src": "forced sources"}.items():
        assert f"Retrieved catalog of {found['rows'][name]} {beginning}." in said
    assert [is_drawn_on(picture) for picture in pictures(notebook)] == [True, True, True]
