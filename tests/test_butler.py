"""forcedphot.butler: what it changes, for whom, and that an installed stack goes before it."""

import json
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

type Golden = Callable[[str], Path]

_SCRIPT = Path(__file__).parent / "io" / "stack_repository.py"
_VARIABLES = ("PYTHONPATH", "DAF_BUTLER_CONFIG_PATH")
_READ = """
from lsst.daf.butler import Butler

with Butler.from_config({root!r}, collections="stack") as butler:
    data_id = {{"instrument": "Cam", "detector": 0}}
    exposure = butler.get("calexp", data_id)
    psf = butler.get("calexp.psf", data_id)
    part = butler.get("calexp", data_id, parameters={{"bbox": exposure.bbox}})
    catalog = butler.get("src", instrument="Cam", detector=1)
    print("read", type(exposure).__name__, part.bbox == exposure.bbox, type(psf).__name__, len(catalog))
"""
_IS_READ = "read Exposure True WarpedPsf 50"
_WHICH_FILE = "from lsst.obs.base.formatters import fitsExposure; print(fitsExposure.__file__)"
_OPEN_PACKAGE = "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n"


def run(script: str | Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code, or a script, in a new process that has nothing of ours but these variables."""
    what = [script] if isinstance(script, Path) else ["-c", script]
    clean = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    return subprocess.run(  # noqa: S603
        [sys.executable, *what, *map(str, arguments)],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def printed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stack") / "repository"
    files = [
        f"calexp:ExposureF:{golden('exposures/warped_psf.fits')}",
        f"src:SourceCatalog:{golden('tables/forced_heavy.fits')}",
    ]
    assert printed(run(_SCRIPT, root, *files)) == ""
    return root


@pytest.fixture(scope="module")
def read(repository: Path) -> str:
    """Code that reads the repository."""
    return _READ.format(root=str(repository))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A folder for the import path with what counts of the stack."""
    folder = tmp_path / "stack"
    formatters = folder / "lsst" / "obs" / "base" / "formatters"
    formatters.mkdir(parents=True)
    for package in (folder / "lsst", folder / "lsst" / "obs"):
        (package / "__init__.py").write_text(_OPEN_PACKAGE, encoding="utf-8")
    for package in (formatters.parent, formatters):
        (package / "__init__.py").touch()
    (formatters / "fitsExposure.py").write_text("class FitsExposureFormatter: ...\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def exported() -> dict[str, str]:
    """The variables that the shell gets."""
    done = subprocess.run(
        [sys.executable, "-m", "forcedphot.butler"],
        env={name: value for name, value in os.environ.items() if name not in _VARIABLES},
        capture_output=True,
        text=True,
        check=True,
    )
    words = [shlex.split(line) for line in done.stdout.splitlines()]
    assert [command for command, _ in words] == ["export", "export"]
    return dict(assignment.split("=", 1) for _, assignment in words)


def test_nothing_is_read_without_it(read: str) -> None:
    done = run(read)
    assert "ImportError" in done.stderr
    assert "lsst.obs" in done.stderr


def test_an_import_suffices(read: str) -> None:
    assert printed(run(f"import forcedphot.butler\n{read}")) == _IS_READ


def test_the_butler_may_be_loaded_already(read: str) -> None:
    first = "from lsst.daf.butler import StorageClassFactory; StorageClassFactory()"
    assert printed(run(f"{first}\nimport forcedphot.butler\n{read}")) == _IS_READ


def test_child_processes_inherit_it(read: str) -> None:
    script = f"""
import subprocess, sys
import forcedphot.butler
print(subprocess.run([sys.executable, "-c", {read!r}], capture_output=True, text=True, check=True).stdout)
"""
    assert printed(run(script)) == _IS_READ


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_inherit_it(repository: Path, tmp_path: Path, method: str) -> None:
    script = tmp_path / "workers.py"
    script.write_text(
        f"""
import multiprocessing
from lsst.daf.butler import Butler

def read(number):
    with Butler.from_config({str(repository)!r}, collections="stack") as butler:
        return type(butler.get("calexp.psf", instrument="Cam", detector=0)).__name__

if __name__ == "__main__":
    import forcedphot.butler
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        print(*pool.map(read, [0]))
""",
        encoding="utf-8",
    )
    assert printed(run(script)) == "WarpedPsf"


def test_what_the_shell_exports_suffices(read: str, exported: dict[str, str]) -> None:
    assert exported.keys() == set(_VARIABLES)
    assert printed(run(read, **exported)) == _IS_READ


def test_what_others_have_set_goes_before(tmp_path: Path) -> None:
    script = f"""
import json, os, sys
import forcedphot.butler
from forcedphot.io.formatters.stack_names import install
first = [os.environ[name] for name in {_VARIABLES!r}]
path = list(sys.path)
install()
print(json.dumps([first, [os.environ[name] for name in {_VARIABLES!r}], sys.path == path, path[-1]]))
"""
    first, again, same_path, last = json.loads(
        printed(run(script, PYTHONPATH=str(tmp_path), DAF_BUTLER_CONFIG_PATH=str(tmp_path)))
    )
    assert first == again
    assert same_path
    for value in first:
        theirs, ours = value.split(os.pathsep)
        assert theirs == str(tmp_path)
        assert Path(ours).parent.name == "formatters"
    assert first[0].endswith(last)


def test_settings_of_the_user_go_before(tmp_path: Path) -> None:
    settings = "storageClasses:\n  SourceCatalog:\n    pytype: theirs.Catalog\n"
    (tmp_path / "storageClasses.yaml").write_text(settings, encoding="utf-8")
    script = """
import forcedphot.butler
from lsst.daf.butler import StorageClassFactory
print(repr(StorageClassFactory().getStorageClass("SourceCatalog")))
print(repr(StorageClassFactory().getStorageClass("SimpleCatalog")))
"""
    theirs, ours = printed(run(script, DAF_BUTLER_CONFIG_PATH=str(tmp_path))).splitlines()
    assert "theirs.Catalog" in theirs
    assert "forcedphot.catalog.source_catalog.SourceCatalog" in ours


def test_an_installed_stack_stays_in_charge(stack: Path) -> None:
    script = f"""
import os, sys
path = list(sys.path)
import forcedphot.butler
from lsst.daf.butler import StorageClassFactory
assert "lsst.afw.image.ExposureF" in repr(StorageClassFactory().getStorageClass("ExposureF"))
assert sys.path == path
assert "DAF_BUTLER_CONFIG_PATH" not in os.environ
{_WHICH_FILE}
"""
    assert printed(run(script, PYTHONPATH=str(stack))).startswith(str(stack))


@pytest.mark.parametrize("stack_is_first", [True, False])
def test_a_stack_goes_before_what_was_exported(
    stack: Path, exported: dict[str, str], stack_is_first: bool
) -> None:
    ours = exported["PYTHONPATH"]
    folders = [str(stack), ours] if stack_is_first else [ours, str(stack)]
    assert printed(run(_WHICH_FILE, PYTHONPATH=ours)).startswith(ours)
    assert printed(run(_WHICH_FILE, PYTHONPATH=os.pathsep.join(folders))).startswith(str(stack))


def test_the_shell_is_told_of_a_stack(stack: Path) -> None:
    script = "import runpy; runpy.run_module('forcedphot.butler', run_name='__main__')"
    done = run(script, PYTHONPATH=str(stack))
    assert (done.returncode, done.stdout) == (1, "")
    assert "The LSST stack is installed here" in done.stderr


def test_packages_loaded_before_are_extended(read: str) -> None:
    assert printed(run(f"import lsst, lsst.resources\nimport forcedphot.butler\n{read}")) == _IS_READ


def test_another_package_of_instruments(tmp_path: Path, read: str) -> None:
    package = tmp_path / "lsst" / "obs"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text(_OPEN_PACKAGE, encoding="utf-8")
    (package / "mycam.py").touch()
    script = f"import lsst.obs.mycam\nimport forcedphot.butler\n{read}"
    assert printed(run(script, PYTHONPATH=str(tmp_path))) == _IS_READ


def test_a_standalone_repository(tmp_path: Path) -> None:
    root = tmp_path / "standalone"
    script = f"""
import forcedphot.butler
from lsst.daf.butler import Butler, Config
config = Config({str(root / "butler.yaml")!r})
del config["storageClasses"]
with Butler.from_config(config) as butler:
    print(butler.registry.getDatasetType("calexp").storageClass.pytype.__module__)
"""
    make = f"""
from lsst.daf.butler import Butler, DatasetType
Butler.makeRepo({str(root)!r}, standalone=True)
with Butler.from_config({str(root)!r}, writeable=True) as butler:
    butler.registry.registerDatasetType(
        DatasetType("calexp", {{"instrument"}}, "ExposureF", universe=butler.dimensions)
    )
"""
    assert printed(run(make)) == ""
    assert printed(run(script)) == "forcedphot.exposure.exposure"


def test_importing_forcedphot_changes_nothing() -> None:
    script = """
import os, sys
path, environment = list(sys.path), dict(os.environ)
import forcedphot
forcedphot.Exposure
import forcedphot.io.formatters
assert (sys.path, dict(os.environ)) == (path, environment)
assert "lsst.obs" not in sys.modules
"""
    assert printed(run(script)) == ""


def test_it_does_not_load_the_butler() -> None:
    assert printed(run("import sys, forcedphot.butler; print('lsst.daf' in sys.modules)")) == "False"


def test_all_its_files_are_installed() -> None:
    root = Path(__file__).resolve().parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    package = root / "src" / "forcedphot"
    patterns = project["tool"]["setuptools"]["package-data"]["forcedphot"]
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    folder = package / "io" / "formatters"
    files = {path for path in folder.rglob("*.*") if path.suffix in (".py", ".yaml") and path.parent != folder}
    assert len(files) >= 4
    assert files <= installed
