"""The stack's names lead to our objects, where the stack is not; what is not there is an error that helps."""

import os
import re
import subprocess
import sys
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path

import pytest

from forcedphot.errors import ForcedPhotError
from forcedphot.stack.finder import StackFinder, install
from forcedphot.stack.names import INSTEAD, MODULES


def write_real(folder: Path, module: str, text: str) -> None:
    """Install a package as the stack does: all folders have an ``__init__.py`` that extends the path."""
    parts = module.split(".")
    for i in range(1, len(parts)):
        package = folder.joinpath(*parts[:i])
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
    folder.joinpath(*parts).with_suffix(".py").write_text(text)


@pytest.mark.usefixtures("stack_names")
def test_every_name_is_our_object() -> None:
    for name, places in MODULES.items():
        module = import_module(name)
        for attribute, place in places.items():
            if place != "forcedphot.tap":
                assert getattr(module, attribute) is getattr(import_module(place), attribute), (
                    f"{name}.{attribute}"
                )
        assert set(places) <= set(dir(module))


@pytest.mark.usefixtures("stack_names")
def test_imports_of_the_documents() -> None:
    import lsst.afw.display as afwDisplay  # noqa: N812 - the documents'
    import lsst.daf.persistence as dafPersist  # noqa: N812 - the documents'
    import lsst.drp.tasks.forcedPhotCoadd
    from lsst.meas.base import ForcedPhotCoaddTask
    from lsst.pipe.tasks.measurementDriver import (
        ForcedMeasurementDriverConfig,
        ForcedMeasurementDriverTask,
    )
    from lsst.utils.plotting import set_rubin_plotstyle

    import forcedphot.tasks

    afwDisplay.setDefaultBackend("matplotlib")
    assert callable(dafPersist.Butler)
    assert lsst.drp.tasks.forcedPhotCoadd.ForcedPhotCoaddTask is ForcedPhotCoaddTask
    assert ForcedPhotCoaddTask is forcedphot.tasks.ForcedPhotCoaddTask
    assert ForcedMeasurementDriverTask.ConfigClass is ForcedMeasurementDriverConfig
    assert callable(set_rubin_plotstyle)


@pytest.mark.usefixtures("stack_names")
@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("import lsst.geom", "forcedphot.conventions.Box"),
        ("from lsst import geom", "forcedphot.conventions.Box"),
        ("import lsst.afw.image as afwImage", "forcedphot.Exposure"),
        ("from lsst.afw import image", "forcedphot.Exposure"),
        ("from lsst.afw.image import ExposureF", "forcedphot.Exposure"),
        ("from lsst.meas.base import ForcedPlugin", "measures batches"),
        ("from lsst.meas.base import SingleFrameMeasurementTask", "ForcedMeasurementTask"),
        ("from lsst.meas.base import NoSuchTask", "SimpleForcedMeasurementTask"),
        ("import lsst.pipe.tasks.processCcd", "lsst.pipe.tasks.measurementDriver"),
        ("from lsst.obs.lsst import LsstCam", "forcedphot.butler"),
    ],
)
def test_what_is_not_there_says_what_is(statement: str, hint: str) -> None:
    with pytest.raises(ImportError, match=hint) as caught:
        exec(statement, {})  # noqa: S102
    assert isinstance(caught.value, ForcedPhotError)
    assert "here" in str(caught.value)


@pytest.mark.usefixtures("stack_names")
def test_names_that_nobody_knows_are_left_to_python() -> None:
    assert find_spec("lsst.nonsense") is None
    assert find_spec("lsst_nonsense") is None
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'lsst\.nonsense'"):
        import_module("lsst.nonsense")
    assert not hasattr(import_module("lsst.meas.base"), "__wrapped__")


@pytest.mark.usefixtures("stack_names")
def test_installing_twice_is_installing_once() -> None:
    install()
    assert sum(isinstance(finder, StackFinder) for finder in sys.meta_path) == 1
    assert isinstance(sys.meta_path[-1], StackFinder)


@pytest.mark.usefixtures("stack_names")
def test_what_is_installed_later_is_taken(tmp_path: Path) -> None:
    import_module("lsst.meas")  # ours, by now
    write_real(tmp_path, "lsst.meas.base", "from_stack = True\n")
    write_real(tmp_path, "lsst.pipe.tasks.measurementDriver", "from_stack = True\n")
    sys.path.insert(0, str(tmp_path))
    invalidate_caches()
    real = [import_module(name) for name in ("lsst.meas.base", "lsst.pipe.tasks.measurementDriver")]
    try:
        assert [module.from_stack for module in real] == [True, True]
        # Nor is anything added to a package that is there.
        with pytest.raises(ModuleNotFoundError, match=r"No module named 'lsst\.pipe\.tasks\.postprocess'"):
            import_module("lsst.pipe.tasks.postprocess")
        assert callable(import_module("lsst.afw.display").Display)
    finally:
        sys.path_importer_cache.pop(str(tmp_path), None)


@pytest.mark.usefixtures("no_stack_names")
def test_without_the_import_there_are_no_such_names() -> None:
    assert all(find_spec(name) is None for name in ("lsst.afw", "lsst.meas", "lsst.drp", "lsst.rsp"))


def test_what_is_said_is_of_names_that_are_not_there() -> None:
    provided = {f"{module}.{name}" for module, names in MODULES.items() for name in names} | set(MODULES)
    assert provided.isdisjoint(INSTEAD)


def test_the_comparison_lists_all_that_is_there() -> None:
    page = Path(__file__).parents[2] / "docs" / "compared_with_the_stack.md"
    listed = dict(re.findall(r"^\| `(lsst[\w.]+)` \| (.*) \|$", page.read_text(encoding="utf-8"), re.MULTILINE))
    parts = {"lsst.meas.base." + part for part in ("applyApCorr", "catalogCalculation", "forcedMeasurement")}
    parts |= {"lsst.meas.base.forcedPhotCoadd", "lsst.meas.base.simple_forced_measurement"}
    assert set(listed) == {module for module, names in MODULES.items() if names} - parts
    for module, text in listed.items():
        tasks = {name for name in MODULES[module] if name.endswith(("Task", "Butler", "service", "Display"))}
        assert all(f"`{name}`" in text for name in tasks), module


@pytest.mark.parametrize("arguments", [[], ["-m"], ["nothing.py"]])
def test_a_script_that_is_not_there(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "forcedphot.lsst_names", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert "Usage: python -m forcedphot.lsst_names SCRIPT.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_with_an_installed_package(tmp_path: Path) -> None:
    write_real(tmp_path / "site", "lsst.pipe.tasks.measurementDriver", "from_stack = True\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, lsst.pipe.tasks.measurementDriver as driver, lsst.meas.base, neighbour\n"
        "print(sys.argv[1:], __name__, driver.from_stack, hasattr(driver, 'ForcedMeasurementDriverTask'),\n"
        "      lsst.meas.base.ApplyApCorrTask.__module__)\n"
    )
    (tmp_path / "neighbour.py").write_text("")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "forcedphot.lsst_names", script, "--option", "value"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "['--option', 'value'] __main__ True False forcedphot.aperture_correction\n"
