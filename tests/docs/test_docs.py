"""The Python in README.md and docs/ runs, in a file's order and without network; its links lead somewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.pex.config import Registry

from forcedphot.plugins import registry
from forcedphot.simulation import simulate_exposure

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = [_ROOT / "README.md", _ROOT / "CHANGELOG.md", *sorted((_ROOT / "docs").glob("*.md"))]
_WITH_EXAMPLES = {"README.md", "getting_started.md", "architecture.md", "butler.md"}
_PROFILES = {"for_notebook_users.md": "dp1", "for_pipeline_users.md": "hsc", "for_hsc_users.md": "hsc"}
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]+)[^)]*\)")


def run_examples(text: str, name: str) -> int:
    """Run a page's blocks of Python in one namespace; return how many there are."""
    namespace: dict[str, object] = {"__name__": "example"}
    blocks = list(_FENCE.finditer(text))
    for block in blocks:
        # Lines that count from the page's start make tracebacks point into the page.
        padding = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(padding + block[1], name, "exec"), namespace)  # noqa: S102 - our own pages
    return len(blocks)


def broken_links(text: str, folder: Path) -> list[str]:
    return [target for target in _LINK.findall(_FENCE.sub("", text)) if not (folder / target).exists()]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with the files that the examples name; a simulated exposure plays the image."""
    field = simulate_exposure(shape=(400, 400), n_sources=10, seed=3)
    field.catalog["objectId", "coord_ra", "coord_dec"].write(tmp_path / "positions.ecsv")
    field.exposure.write(tmp_path / "visit_image.fits")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def repository(request: pytest.FixtureRequest, tmp_path: Path, forgotten_stack_names: None) -> None:
    """Make the repository that a page has: as the stack does, with a file beside it; or a simulated survey."""
    page = request.getfixturevalue("page").name
    if page == "multi_band.md":
        (tmp_path / "surveys").mkdir()
        (tmp_path / "surveys" / "hsc").symlink_to(request.getfixturevalue("simulated")("hsc").repository)
    if page == "butler.md":
        data = _ROOT / "tests" / "data"
        image = tmp_path / "calexp.fits"
        image.write_bytes((data / "exposures" / "warped_psf.fits").read_bytes())
        files = [f"calexp:ExposureF:{image}", f"src:SourceCatalog:{data / 'tables' / 'forced_heavy.fits'}"]
        script = _ROOT / "tests" / "io" / "stack_repository.py"
        subprocess.run([sys.executable, script, tmp_path / "repository", *files], check=True)  # noqa: S603


@pytest.fixture
def survey(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten_stack_names: None
) -> Iterator[None]:
    """Where a page reads a simulated survey, give it its label; a copy that it may write to is called survey."""
    profile = _PROFILES.get(request.getfixturevalue("page").name)
    if profile is not None:
        found = request.getfixturevalue("own_survey")(profile)
        monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(found.index))
        (tmp_path / "survey").symlink_to(found.repository)
    yield
    # The next page makes these imports for the first time, too.
    for name in ("forcedphot.butler", "forcedphot.lsst_names"):
        sys.modules.pop(name, None)


@pytest.fixture
def unchanged_registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Forget the plugins that examples register."""
    monkeypatch.setattr(registry, "_dict", dict(registry._dict))
    return registry


@pytest.mark.usefixtures("files", "repository", "survey", "unchanged_registry")
@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path) -> None:
    n_examples = run_examples(page.read_text(encoding="utf-8"), page.name)
    assert n_examples > 0 or page.name not in {*_WITH_EXAMPLES, *_PROFILES}


def test_an_example_that_fails_is_reported_with_its_line() -> None:
    page = "# Page\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n"
    with pytest.raises(AssertionError) as caught:
        run_examples(page, "page.md")
    place = caught.traceback[-1]
    assert (str(place.path), place.lineno + 1) == ("page.md", 8)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    assert broken_links(page.read_text(encoding="utf-8"), page.parent) == []


def test_a_broken_link_is_reported(tmp_path: Path) -> None:
    assert broken_links("[a](https://example.org) [b](nowhere.md#part) [c](.)", tmp_path) == ["nowhere.md"]
