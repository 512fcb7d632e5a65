"""A command line to call, and an image and catalog for it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from forcedphot.cli import main
from forcedphot.conventions import Box
from forcedphot.exposure import Exposure, Mask
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
    """A path that reads as the simulated exposure, to the last bit and without a file."""
    read, read_component = Exposure.read, Exposure.read_component
    path = tmp_path / "image.fits"

    def read_simulated(given: Path, *, bbox: Box | None = None) -> Exposure:
        if Path(given) != path:
            return read(given, bbox=bbox)
        return field.exposure if bbox is None else cut(field.exposure, bbox)

    def read_simulated_component(given: Path, name: str) -> object:
        return getattr(field.exposure, name) if Path(given) == path else read_component(given, name)

    monkeypatch.setattr(Exposure, "read", read_simulated)
    monkeypatch.setattr(Exposure, "read_component", read_simulated_component)
    return path


def cut(exposure: Exposure, box: Box) -> Exposure:
    """Return the part of an exposure in a box."""
    assert exposure.variance is not None
    assert exposure.mask is not None
    part = np.s_[box.y0 - exposure.y0 : box.y_stop - exposure.y0, box.x0 - exposure.x0 : box.x_stop - exposure.x0]
    return dataclasses.replace(
        exposure,
        image=exposure.image[part].copy(),
        variance=exposure.variance[part].copy(),
        mask=Mask(exposure.mask.array[part].copy(), exposure.mask.planes),
        x0=box.x0,
        y0=box.y0,
    )


@pytest.fixture
def catalog(field: SimulatedField, tmp_path: Path) -> Path:
    write_catalog(field.catalog, tmp_path / "catalog.ecsv")
    return tmp_path / "catalog.ecsv"
