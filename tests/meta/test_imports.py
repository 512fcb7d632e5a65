"""Imports go one way, and ``import forcedphot`` is free; every check has a twin that it must fail."""

import ast
import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_PACKAGE = Path(__file__).resolve().parents[2] / "src" / "forcedphot"

_GROUND = {"errors", "conventions"}
_IMAGE = {*_GROUND, "kernels", "psf", "exposure"}
_PLUGIN = {*_IMAGE, "catalog"}
_STEP = {*_PLUGIN, "plugins", "task"}
_MEASUREMENT = {*_STEP, "aperture_correction", "catalog_calculation", "neighbours", "variance_scaling"}
_DRIVER = {*_MEASUREMENT, "measurement", "references", "io"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "conventions": {"errors"},
    "kernels": _GROUND,
    "psf": _IMAGE,
    "exposure": _IMAGE,
    "catalog": {*_GROUND, "exposure", "kernels", "psf"},
    "io": _PLUGIN,
    "third_party": set(),
    "plugins": {*_PLUGIN, "third_party"},
    "task": _GROUND,
    "aperture_correction": _STEP,
    "catalog_calculation": _STEP,
    "neighbours": _STEP,
    "variance_scaling": _STEP,
    "footprints": _PLUGIN,
    "batches": {*_STEP, "neighbours"},
    "measurement_config": {*_STEP, "neighbours"},
    "references": {*_GROUND, "catalog"},
    "measurement": {*_MEASUREMENT, "batches", "footprints", "measurement_config", "references"},
    "id_generator": _GROUND,
    "plugin_reference": {*_STEP, "catalog_calculation", "references"},
    "simple_measurement": {*_MEASUREMENT, "measurement", "measurement_config", "references"},
    "driver": _DRIVER,
    "one_call": {*_DRIVER, "driver"},
    "tasks": {*_DRIVER, "driver", "id_generator"},
    "multi_band": _PLUGIN,
    "display": {*_PLUGIN, "io"},
    "simulation": {*_PLUGIN, "io"},
    "survey": {*_DRIVER, "driver", "id_generator", "tasks"},
    "tap": _GROUND,
    "butler": {"io"},
    "stack": {*_DRIVER, "driver", "tasks"},
    "lsst_names": {"butler", "stack"},
    "notebooks": {*_GROUND, "io", "survey", "tap"},
    "cli": {
        *_DRIVER,
        "display",
        "driver",
        "multi_band",
        "notebooks",
        "one_call",
        "plugin_reference",
        "simulation",
        "survey",
        "tap",
        "tasks",
    },
    "__init__": {
        "aperture_correction",
        "catalog",
        "catalog_calculation",
        "driver",
        "exposure",
        "id_generator",
        "measurement",
        "measurement_config",
        "one_call",
        "plugins",
        "simple_measurement",
    },
}
"""What each part of the package may import; a part may always import from itself."""

LAZILY = {
    ("exposure/exposure.py", function, "io")
    for function in ("read", "read_component", "from_fits", "from_lsst_images", "to_lsst_images", "write")
}
"""The front doors: file, function and the part that it alone may import, when it is called."""

FORBIDDEN = ("lsst.afw", "lsst.geom", "lsst.meas", "lsst.obs")
BUTLER = ("lsst.daf", "lsst.pipe")
BUTLER_PLACES = (
    "id_generator",
    "driver",
    "multi_band",
    "notebooks",
    "stack",
    "tasks",
    "survey",
    "io/formatters",
    "cli/repositories",
    "tap/repository",
)
HEAVY = {"astropy", "galsim", "lsst", "numba", "piff"}


DISTRIBUTIONS = {
    "astro_metadata_translator": "astro-metadata-translator",
    "felis": "lsst-felis",
    "jupyter_client": "jupyter-client",
    "lsst.ctrl.bps": "lsst-ctrl-bps",
    "lsst.ctrl.mpexec": "lsst-ctrl-mpexec",
    "lsst.daf": "lsst-daf-butler",
    "lsst.images": "lsst-images",
    "lsst.pex": "lsst-pex-config",
    "lsst.pipe": "lsst-pipe-base",
    "lsst.resources": "lsst-resources",
    "lsst.sphgeom": "lsst-sphgeom",
    "starlink": "starlink-pyast",
    "vo_models": "vo-models",
    "yaml": "pyyaml",
}
"""Names under which packages are installed, where they differ from those under which they are imported."""

EXTRAS = ("notebook", "pipelines", "service")
"""Those whose packages parts of forcedphot import, when they are asked for."""


class Import(NamedTuple):
    name: str
    """Absolute dotted name."""
    function: str | None
    """Function that it stands in, if any."""
    line: int


def imports(source: str, file: str) -> Iterator[Import]:
    """Find all imports of a file of the package, relative ones made absolute."""
    package = ["forcedphot", *Path(file).parts[:-1]]

    def visit(node: ast.AST, function: str | None) -> Iterator[Import]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        elif isinstance(node, ast.Import):
            yield from (Import(alias.name, function, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (Import(f"{module}.{alias.name}", function, node.lineno) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    return visit(ast.parse(source), None)


def part(file: str) -> str:
    return Path(file).parts[0].removesuffix(".py")


def one_way_faults(source: str, file: str) -> list[str]:
    """List imports from parts of the package that this file may not know."""
    own = part(file)
    if own not in MAY_IMPORT:
        return [f"{file}: {own!r} is not in MAY_IMPORT: decide what it may import"]
    faults = []
    for name, function, line in imports(source, file):
        target = name.split(".")[1] if name.startswith("forcedphot.") else own
        is_front_door = (file, function, target) in LAZILY
        if target != own and target not in MAY_IMPORT[own] and not target.startswith("__") and not is_front_door:
            faults.append(f"{file}:{line}: {own} may not import {target}")
    return faults


def stack_faults(source: str, file: str) -> list[str]:
    """List imports of the LSST stack, and of the Butler where it does not belong."""
    unwanted = FORBIDDEN if file.removesuffix(".py").startswith(BUTLER_PLACES) else FORBIDDEN + BUTLER
    # lsst.meas also stands for lsst.meas.base and the like; "lsst.geometry" would not be lsst.geom
    return [
        f"{file}:{line}: imports {name}"
        for name, _, line in imports(source, file)
        if any(f"{name}.".startswith(f"{prefix}.") for prefix in unwanted)
    ]


def undeclared(source: str, file: str, declared: set[str]) -> list[str]:
    """List imports of packages that pyproject.toml does not ask for: they are there by chance only."""
    faults = []
    for name, _, line in imports(source, file):
        top = name.split(".")[0]
        prefix = next((prefix for prefix in DISTRIBUTIONS if f"{name}.".startswith(f"{prefix}.")), top)
        wanted = DISTRIBUTIONS.get(prefix, prefix)
        if top != "forcedphot" and top not in sys.stdlib_module_names and wanted not in declared:
            faults.append(f"{file}:{line}: imports {name}, but {wanted} is not in pyproject.toml")
    return faults


def docstring_faults(source: str, file: str) -> list[str]:
    return [] if ast.get_docstring(ast.parse(source)) else [f"{file}: says nowhere what it is for"]


def heavy_modules(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter; return the heavy packages that it has loaded."""
    script = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    return {name.split(".")[0] for name in json.loads(done.stdout)} & HEAVY


@pytest.fixture(scope="module")
def declared() -> set[str]:
    project = tomllib.loads((_PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][name] for name in EXTRAS]
    requirements = [*project["dependencies"], *itertools.chain(*extras)]
    return {re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    found = {
        path.relative_to(_PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in _PACKAGE.rglob("*.py")
    }
    assert len(found) > 10
    return found


def test_imports_go_one_way(sources: dict[str, str]) -> None:
    assert [fault for file, source in sources.items() for fault in one_way_faults(source, file)] == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("kernels/moments.py", "from ..psf import Psf"),
        ("psf/piff.py", "from ..io.afw_fits import archive"),
        ("plugins/psf_flux.py", "def measure():\n    from forcedphot.measurement import slots"),
        ("plugins/psf_flux.py", "from .. import driver"),
        ("exposure/exposure.py", "from ..io.read import read_exposure"),
        ("exposure/exposure.py", "def with_variance():\n    from ..io.read import read_exposure"),
        ("exposure/wcs.py", "def read():\n    from ..io.read import read_exposure"),
        ("measurement.py", "if TYPE_CHECKING:\n    import forcedphot.driver"),
        ("driver.py", "from .cli import main"),
        ("driver.py", "from .simulation import simulate_exposure"),
        ("novelty.py", ""),
    ],
)
def test_an_import_against_the_rule_is_reported(file: str, source: str) -> None:
    assert len(one_way_faults(source, file)) == 1


def test_the_front_doors_may_import_readers_when_called() -> None:
    source = "class Exposure:\n    def read(cls):\n        from ..io.read import read_exposure"
    assert one_way_faults(source, "exposure/exposure.py") == []


def test_nothing_imports_the_lsst_stack(sources: dict[str, str]) -> None:
    assert [fault for file, source in sources.items() for fault in stack_faults(source, file)] == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("driver.py", "import lsst.afw.image"),
        ("io/lsst_images.py", "def f():\n    from lsst.geom import Box2I"),
        ("plugins/psf_flux.py", "from lsst import meas"),
        ("plugins/psf_flux.py", "import lsst.meas.base as mb"),
        ("io/read.py", "from lsst.obs.base import FitsExposureFormatter"),
        ("measurement.py", "from lsst.pipe.base import Task"),
        ("io/read.py", "from lsst.daf.butler import Butler"),
    ],
)
def test_an_import_of_the_stack_is_reported(file: str, source: str) -> None:
    assert len(stack_faults(source, file)) == 1


@pytest.mark.parametrize("file", ["driver.py", "tasks/forced.py", "io/formatters.py"])
def test_the_butler_has_its_places(file: str) -> None:
    assert stack_faults("from lsst.daf.butler import Butler\nfrom lsst.geometry import x", file) == []


def test_what_is_imported_is_declared(sources: dict[str, str], declared: set[str]) -> None:
    assert [fault for file, source in sources.items() for fault in undeclared(source, file, declared)] == []


def test_an_import_that_is_not_declared_is_reported(declared: set[str]) -> None:
    source = "import os.path\nimport numpy as np\nimport photutils.psf\nfrom lsst.utils import timer\nimport yaml"
    assert len(undeclared(source, "io/read.py", declared)) == 2
    assert len(undeclared(source, "io/read.py", declared - {"pyyaml", "numpy"})) == 4


def test_every_module_says_what_it_is_for(sources: dict[str, str]) -> None:
    assert [fault for file, source in sources.items() for fault in docstring_faults(source, file)] == []


def test_a_module_without_docstring_is_reported() -> None:
    assert docstring_faults("import numpy\n", "kernels/silent.py") != []


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert heavy_modules("import forcedphot; dir(forcedphot)") == set()


def test_heavy_modules_are_seen() -> None:
    assert heavy_modules("import forcedphot; forcedphot.Exposure; import astropy") >= {"astropy"}
