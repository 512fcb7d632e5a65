"""Catalogs beside the truth: what is found, and how true its fluxes are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lsst.daf.butler import Butler

from forcedphot.conventions import FloatArray
from forcedphot.errors import ConfigurationError
from forcedphot.survey import SimulatedSurvey
from forcedphot.survey.plan import PIXEL_SCALE_ARCSEC
from forcedphot.survey.pulls import robust_sigma
from forcedphot.survey.report import SurveyReport, make_report, star_colours, star_pulls
from forcedphot.survey.repository import create_repository, stored_plan
from forcedphot.survey.truth_matching import MATCH_RADIUS_ARCSEC, TrueSources, find_objects, tract_pixels
from forcedphot.survey.varying import varying_pulls
from forcedphot.survey.work import find_plan

type Survey = Callable[[str], SimulatedSurvey]


@pytest.fixture(scope="module")
def report(simulated: Survey) -> SurveyReport:
    return make_report(simulated("dp1").repository)


@pytest.fixture(scope="module")
def truth(simulated: Survey) -> TrueSources:
    survey = simulated("dp1")
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        table = butler.get("truth_summary", skymap="lsst_cells_v1", tract=5063)
    return TrueSources.of(stored_plan(survey.repository), table)


def pulls_on(report: SurveyReport, image: str) -> FloatArray:
    """Return the pulls on an image that count."""
    pull, counts = star_pulls(report.stars)
    result: FloatArray = pull[counts & (np.asarray(report.stars["image"]) == image)]
    return result


def test_isolated_stars_are_found(report: SurveyReport) -> None:
    table = report.completeness
    # Brighter ones are saturated; a magnitude fainter noise hides some.
    for band, faint in (("r", 23.0), ("i", 22.5)):
        bright = table[(table["band"] == band) & (table["mag_low"] >= 16.0) & (table["mag_high"] <= faint)]
        assert bright["isolated"].sum() >= 5
        # At the coadd's ragged edge, where a cell has no PSF, one is found, but has no PSF flux.
        assert bright["isolated_found"].sum() >= bright["isolated"].sum() - 1
        # Of those beside a brighter star, at 1 arcsec or so, some are not told apart.
        assert bright["stars_found"].sum() >= 0.75 * bright["stars"].sum()


def test_what_is_too_faint_is_not_found(report: SurveyReport) -> None:
    table = report.completeness
    faint = table[table["mag_low"] >= 25.5]
    assert faint["stars"].sum() >= 10
    assert faint["stars_found"].sum() <= 0.2 * faint["stars"].sum()


def test_objects_are_real(report: SurveyReport) -> None:
    table = report.purity
    assert table["objects"].sum() >= 80
    assert table["real"].sum() >= 0.93 * table["objects"].sum()
    # The match tells something: elsewhere there is hardly ever a source.
    assert table["by_chance"].sum() <= 0.1 * table["objects"].sum()


@pytest.mark.parametrize("image", ["visit", "difference"])
def test_pulls_of_isolated_stars(report: SurveyReport, image: str) -> None:
    pulls = pulls_on(report, image)
    assert len(pulls) >= 40
    # Three standard deviations of such numbers of independent stars.
    assert abs(pulls.mean()) < 3 / np.sqrt(len(pulls))
    assert abs(pulls.std() - 1) < 3 / np.sqrt(2 * len(pulls))
    assert np.abs(pulls).max() < 5


@pytest.mark.parametrize(
    ("kind", "image", "least"),
    [("variable", "visit", 10), ("variable", "difference", 10), ("transient", "difference", 12)],
)
def test_forced_fluxes_follow_light_curves(report: SurveyReport, kind: str, image: str, least: int) -> None:
    table = report.varying_fluxes
    table = table[(table["kind"] == kind) & (table["image"] == image)]
    pulls = varying_pulls(table)
    assert len(pulls) >= least
    assert abs(pulls.mean()) < 3 / np.sqrt(len(pulls))
    assert abs(pulls.std() - 1) < 3 / np.sqrt(2 * len(pulls))
    assert np.abs(pulls).max() < 4
    mean = [np.mean(table["flux"][table["true_id"] == source]) for source in table["true_id"]]
    # Constant ones would not scatter by more than their errors.
    assert np.std((table["flux"] - mean) / table["flux_err"]) > 5
    rows = report.varying[(report.varying["kind"] == kind) & (report.varying["image"] == image)]
    assert rows["n"].sum() == len(pulls)


def test_the_rising_transient_is_recovered(report: SurveyReport) -> None:
    table = report.varying_fluxes
    table = table[(table["light_curve"] == "rising") & (table["image"] == "difference")]
    assert set(table["true_id"]) == set(report.rising["id"])
    assert set(table["band"]) == {"r", "i"}
    early = np.asarray(table["mjd"] < report.rising["start_mjd"][0])
    assert np.abs(table["flux"] / table["flux_err"])[early].max() < 4
    assert (table["flux"] / table["flux_err"])[~early].min() > 50
    np.testing.assert_array_equal(table["expected"][early], 0.0)
    assert np.abs(varying_pulls(table)).max() < 4
    assert 1 <= early.sum() < len(table)


def test_pulls_on_coadds(report: SurveyReport) -> None:
    pulls = pulls_on(report, "coadd")
    assert len(pulls) >= 8
    # Warping correlates the noise of pixels, which errors leave out: they are 10 % too small.
    assert abs(pulls.mean()) < 1.1 * 3 / np.sqrt(len(pulls))
    assert 0.4 < pulls.std() < 1.1 * (1 + 3 / np.sqrt(2 * len(pulls)))


def test_bright_stars_have_their_flux(report: SurveyReport) -> None:
    floor = report.floor[(report.floor["image"] != "deblended") & (report.floor["n"] > 1)]
    assert set(floor["image"]) >= {"visit", "difference"}
    assert np.abs(floor["offset"]).max() < 0.01
    assert floor["sigma"].max() < 0.015


def test_colours_of_stars(report: SurveyReport) -> None:
    _, wrong, noise = star_colours(report.stars)
    assert len(wrong) >= 4
    pulls = wrong / noise
    assert abs(pulls.mean()) < 1.1 * 3 / np.sqrt(len(pulls))
    assert np.abs(pulls).max() < 5


def test_isolated_means_alone(truth: TrueSources) -> None:
    assert 10 <= (truth.is_isolated & truth.is_constant_star).sum() < truth.is_constant_star.sum()
    distance = PIXEL_SCALE_ARCSEC * np.hypot(
        truth.x[:, None] - truth.x[truth.is_isolated], truth.y[:, None] - truth.y[truth.is_isolated]
    )
    distance[distance == 0] = np.inf
    assert distance.min() > 2.0
    bright = np.asarray(truth.table["r_flux"]) > 1e5
    assert distance[bright].min() > 3.5
    blended = np.asarray(truth.table["neighbour_id"]) != 0
    pairs = np.isin(truth.table["id"], truth.table["neighbour_id"][blended]) | blended
    assert not (truth.is_isolated & pairs & (truth.table["kind"] == "star")).all()


def test_two_that_vary_are_not_alone_in_differences(simulated: Survey, truth: TrueSources) -> None:
    assert truth.is_alone_in_differences[truth.is_isolated].all()
    table = truth.table.copy()
    first, second = (
        int(np.flatnonzero(table[name] & truth.is_alone_in_differences)[0])
        for name in ("is_transient", "is_variable")
    )
    table["ra"][second], table["dec"][second] = table["ra"][first], table["dec"][first] + 1 / 3600
    moved = TrueSources.of(stored_plan(simulated("dp1").repository), table)
    changed = np.flatnonzero(moved.is_alone_in_differences != truth.is_alone_in_differences)
    assert changed.tolist() == sorted([first, second])


def test_matching_finds_the_nearest(truth: TrueSources) -> None:
    alone = np.flatnonzero(truth.is_isolated)
    offset = 0.9 * MATCH_RADIUS_ARCSEC / PIXEL_SCALE_ARCSEC
    x, y = truth.x[alone], truth.y[alone] + offset
    np.testing.assert_array_equal(truth.nearest(x, y), alone)
    assert (truth.nearest(x, y + 0.2 * offset) == -1).all()
    np.testing.assert_array_equal(find_objects(truth, x, y)[alone], np.arange(len(alone)))
    assert (find_objects(truth, x[:0], y[:0]) == -1).all()
    # What moves is real wherever a visit has seen it.
    assert truth.apparitions.shape == (2, 4)
    assert truth.is_real(truth.apparitions[0], truth.apparitions[1]).all()


def test_positions_that_are_not_finite_are_nowhere(simulated: Survey, truth: TrueSources) -> None:
    plan = stored_plan(simulated("dp1").repository)
    x, y = tract_pixels(plan, np.array([np.nan, plan.profile.ra_deg]), np.array([0.0, plan.profile.dec_deg]))
    assert truth.nearest(x, y)[0] == -1
    assert plan.field_box.contains(x, y).tolist() == [False, True]


def test_robust_sigma(rng: np.random.Generator) -> None:
    values = np.concatenate([rng.normal(3.0, 2.0, 10_000), np.full(100, 1e6)])
    assert robust_sigma(values) == pytest.approx(2.0, rel=0.05)
    assert np.isnan(robust_sigma(np.array([])))


def test_pulls_are_counted_by_visit(report: SurveyReport) -> None:
    for image in ("visit", "difference"):
        table = report.pulls[report.pulls["image"] == image]
        of_bands = table["visit"] == 0
        assert table[of_bands]["n"].sum() == table[~of_bands]["n"].sum()
        assert len(table[~of_bands]) == 4


def test_the_other_release_tells_the_same(report: SurveyReport, simulated: Survey) -> None:
    """The sky is the same, and its images but for their noise; the tables have other names and rows."""
    other = make_report(simulated("dp02").repository)
    for image in ("visit", "difference", "coadd"):
        assert len(pulls_on(other, image)) == pytest.approx(len(pulls_on(report, image)), rel=0.2)
    ours, theirs = (each.completeness["stars_found"].sum() for each in (report, other))
    assert theirs == pytest.approx(ours, rel=0.1)
    assert len(set(other.pulls["visit"])) == 5


@pytest.mark.parametrize(
    ("profile", "message"),
    [("hsc", "profile hsc, which has no tables of objects"), ("dp1", "has 0 of 1 truth_summary")],
)
def test_only_complete_surveys_with_tables_can_be_reported(tmp_path: Path, profile: str, message: str) -> None:
    create_repository(tmp_path / "survey", find_plan(profile, "tiny", 1)).close()
    with pytest.raises(ConfigurationError, match=message):
        make_report(tmp_path / "survey")
