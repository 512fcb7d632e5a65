"""A command line to call, and an image and catalog for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forcedphot.cli import main
from forcedphot.exposure import Exposure
from forcedphot.io.catalogs import write_catalog
from forcedphot.simulation import SimulatedField, simulate_exposure


@pytest.fixture
def run() -> Callable[..., Result]:
    """Call ``forcedphot`` with arguments; check that its exit code is the expected one, without a traceback."""

    def call(*arguments: object, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        assert "Traceback" not in result.output
        if exit_code:
            assert result.stdout == ""
        return result

    return call


@pytest.fixture(scope="session")
def field() -> SimulatedField:
    return simulate_exposure(shape=(300, 320), n_sources=20, min_separation=40, origin=(1000, -50), seed=4)


@pytest.fixture
def image(field: SimulatedField, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A path that reads as the simulated exposure; there is no writer of images."""
    read = Exposure.read
    path = tmp_path / "image.fits"
    monkeypatch.setattr(Exposure, "read", lambda given: field.exposure if Path(given) == path else read(given))
    return path


@pytest.fixture
def catalog(field: SimulatedField, tmp_path: Path) -> Path:
    write_catalog(field.catalog, tmp_path / "catalog.ecsv")
    return tmp_path / "catalog.ecsv"
