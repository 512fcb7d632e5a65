"""Fixtures that every test may use: golden data and random numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

_REPOSITORY = Path(__file__).resolve().parents[1]
_GOLDEN_FOLDERS = (_REPOSITORY / "tests" / "data", _REPOSITORY.parent / "shared" / "golden")


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """Find a case of the golden data by its name, such as ``driver/visit_gaussian``; skip where it is absent."""

    def find(name: str) -> Path:
        for folder in _GOLDEN_FOLDERS:
            if (folder / name).exists():
                return folder / name
        pytest.skip(f"golden data {name!r} are not in tests/data, nor in ../shared/golden beside the repository")

    return find


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded, so that a failure repeats."""
    return np.random.default_rng(20260518)
