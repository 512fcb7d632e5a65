"""The simulated sky has what the size asks for, looks like a sky, and says in its truth table what it is."""

import functools
import math
from typing import Any

import numpy as np
import pytest
from astropy import units
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import AB_ZERO_POINT_NJY
from forcedphot.survey import truth
from forcedphot.survey.light_curves import TRANSIENT, VARIABLE, relative_flux
from forcedphot.survey.placement import Layout
from forcedphot.survey.plan import PIXEL_SCALE_ARCSEC, SurveyPlan
from forcedphot.survey.profiles import PROFILES, SIZES, find_profile, find_size
from forcedphot.survey.sky import Sky, make_sky

every_size = pytest.mark.parametrize("size", list(SIZES))


@functools.cache
def plan_of(size: str, profile: str = "dp1", seed: int = 1) -> SurveyPlan:
    return SurveyPlan(find_profile(profile), find_size(size), seed)


@functools.cache
def sky_of(size: str, profile: str = "dp1", seed: int = 1) -> Sky:
    return make_sky(plan_of(size, profile, seed))


def magnitude(table: Any, band: str) -> np.ndarray:
    return np.asarray(AB_ZERO_POINT_NJY - 2.5 * np.log10(table[f"{band}_flux"]))


def in_field(table: Any, plan: SurveyPlan) -> np.ndarray:
    return plan.field_box.contains(*plan.tract_wcs.wcs_world2pix(table["ra"], table["dec"], 0))


def separation_arcsec(one: Any, other: Any) -> np.ndarray:
    east = (one["ra"] - other["ra"]) * np.cos(np.radians(one["dec"]))
    return np.asarray(np.hypot(east, one["dec"] - other["dec"]) * 3600)


def rows_by_id(table: Any, ids: Any) -> Any:
    order = np.argsort(table["id"])
    return table[order[np.searchsorted(table["id"], ids, sorter=order)]]


def same(one: Any, other: Any) -> bool:
    return one.colnames == other.colnames and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one.colnames
    )


@pytest.mark.parametrize("profile", list(PROFILES))
def test_equal_plans_have_equal_skies(profile: str) -> None:
    again = make_sky(SurveyPlan(find_profile(profile), find_size("tiny"), 1))
    assert same(sky_of("tiny", profile).truth(), again.truth())
    assert not same(again.truth(), sky_of("tiny", profile, seed=2).truth())
    mjd = plan_of("tiny", profile).visits[0].mjd
    first, second = (sky.point_sources("r", mjd) for sky in (sky_of("tiny", profile), again))
    np.testing.assert_array_equal(first.flux, second.flux)


@every_size
def test_the_field_has_what_the_size_says(size: str) -> None:
    plan, sky = plan_of(size), sky_of(size)
    inside = sky.stars[in_field(sky.stars, plan)]
    assert np.count_nonzero(inside["kind"] == "star") == plan.size.n_stars
    assert np.count_nonzero(inside["kind"] == "variable") == plan.size.n_variables
    galaxies = sky.galaxies[in_field(sky.galaxies, plan)]
    assert len(galaxies) == plan.size.n_galaxies
    # A supernova may lie beyond the edge of the field that its host is in.
    assert np.count_nonzero(galaxies["kind"] == "host") == plan.size.n_transients - 1
    assert np.count_nonzero(inside["light_curve"] == "rising") == 1


@every_size
def test_the_sky_is_as_dense_beyond_the_field(size: str) -> None:
    plan, sky, layout = plan_of(size), sky_of(size), Layout.of(plan_of(size))
    ratio = layout.area.width * layout.area.height / (layout.field.width * layout.field.height)
    assert ratio > 1.2
    assert np.count_nonzero(sky.stars["kind"] == "star") == pytest.approx(plan.size.n_stars * ratio, abs=2)
    assert len(sky.galaxies) == pytest.approx(plan.size.n_galaxies * ratio, abs=1)
    x, y = plan.tract_wcs.wcs_world2pix(sky.galaxies["ra"], sky.galaxies["dec"], 0)
    assert layout.area.contains(x, y).all()
    # No side has more than its part.
    for position, edge, start, length in (
        (x, layout.field.x0, layout.area.x0, layout.area.width),
        (y, layout.field.y0, layout.area.y0, layout.area.height),
    ):
        expected = len(x) * (edge - start) / length
        assert abs(np.count_nonzero(position < edge) - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_all_that_detectors_see_has_sources(profile: str) -> None:
    plan = plan_of("tiny", profile)
    area = Layout.of(plan).area
    for visit in plan.visits:
        for detector in visit.detectors:
            x, y = np.array([[0, 399, 0, 399], [0, 0, 399, 399]])
            ra, dec = detector.wcs.all_pix2world(x, y, 0)
            assert area.contains(*plan.tract_wcs.wcs_world2pix(ra, dec, 0)).all()


@given(seed=st.integers(0, 2**40))
@settings(max_examples=20, deadline=None)
def test_every_seed_has_a_sky(seed: int) -> None:
    plan = SurveyPlan(find_profile("dp1"), find_size("tiny"), seed)
    sky = make_sky(plan)
    table = sky.truth()
    assert len(np.unique(table["id"])) == len(table)
    assert set(table["kind"]) == {"star", "variable", "transient", "moving", "galaxy", "host"}
    assert np.count_nonzero(in_field(sky.galaxies, plan)) == plan.size.n_galaxies
    assert all(np.isfinite(table[name]).all() for name in ("ra", "dec", "r_flux", "i_flux", "pm_ra", "pm_dec"))


@every_size
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_kinds_are_there(size: str, seed: int) -> None:
    sky = sky_of(size, seed=seed)
    assert set(sky.truth()["kind"]) == {"star", "variable", "transient", "moving", "galaxy", "host"}
    assert set(sky.stars["light_curve"]) == {"constant", *VARIABLE, *TRANSIENT}
    assert set(sky.truth()["is_variable"]) == set(sky.truth()["is_transient"]) == {True, False}


@every_size
def test_truth_has_every_source_once(size: str) -> None:
    sky = sky_of(size)
    table = sky.truth()
    assert len(np.unique(table["id"])) == len(table) == len(sky.stars) + len(sky.galaxies) + len(sky.moving)
    for part in (sky.stars, sky.galaxies, sky.moving):
        rows = rows_by_id(table, part["id"])
        assert same(rows[part.colnames], part)
    assert np.isnan(table["bulge_fraction"][table["is_variable"]]).all()
    assert not np.any(table["host_id"][table["kind"] == "star"])


@every_size
def test_truth_has_the_columns_that_are_described(size: str) -> None:
    table = sky_of(size).truth()
    expected = truth.columns(plan_of(size).size.bands, of_points=True, of_galaxies=True)
    assert table.colnames == list(expected)
    for name, column in expected.items():
        assert table[name].description == column.description
        assert table[name].unit == (units.Unit(column.unit) if column.unit else None)
        documented = "{band}_flux" if name.endswith("_flux") else name
        assert f"``{documented}``" in str(truth.__doc__)
    assert {table[name].unit for name in table.colnames if name.endswith("_flux")} == {units.nJy}
    assert table["id"].dtype == table["host_id"].dtype == table["light_curve_seed"].dtype == np.int64
    assert table["is_variable"].dtype == table["is_transient"].dtype == bool
    assert table["ra"].dtype == np.float64


def test_tables_of_all_sizes_have_equal_types() -> None:
    tiny, small = (sky_of(size).truth() for size in ("tiny", "small"))
    assert {name: tiny[name].dtype for name in tiny.colnames}.items() <= {
        name: small[name].dtype for name in small.colnames
    }.items()


@every_size
def test_all_mean_fluxes_are_positive(size: str) -> None:
    table = sky_of(size).truth()
    for band in plan_of(size).size.bands:
        assert (table[f"{band}_flux"] > 0).all()


@pytest.mark.parametrize("size", ["small", "medium"])
def test_the_colour_magnitude_diagram_has_two_plumes(size: str) -> None:
    stars = sky_of(size).stars
    stars = stars[stars["kind"] == "star"]
    r_i, i = magnitude(stars, "r") - magnitude(stars, "i"), magnitude(stars, "i")
    counts, _ = np.histogram(r_i[(i > 18) & (i < 22)], [0.1, 0.4, 0.5, 0.8, 2.0])
    assert counts[0] > 1.5 * counts[2]
    assert counts[3] > 1.5 * counts[2]
    assert np.median(i[r_i < 0.3]) < np.median(i[r_i > 1.0])


@every_size
def test_a_few_stars_saturate(size: str) -> None:
    plan, stars = plan_of(size), sky_of(size).stars
    i = magnitude(stars, "i")[in_field(stars, plan)]
    assert 2 <= np.count_nonzero((i > 14.7) & (i < 16)) <= max(2, 0.01 * plan.size.n_stars)
    assert i.min() > 14.7


@every_size
def test_blends_are_close(size: str) -> None:
    plan, table = plan_of(size), sky_of(size).truth()
    beside = table[table["neighbour_id"] > 0]
    neighbours = rows_by_id(table, beside["neighbour_id"])
    separation = separation_arcsec(beside, neighbours)
    assert ((separation > 0.69) & (separation < 2.51)).all()
    assert in_field(beside, plan).all()
    assert not np.any(neighbours["neighbour_id"])
    galaxies = {"galaxy", "host"}
    kinds = {
        (one in galaxies, other in galaxies) for one, other in zip(beside["kind"], neighbours["kind"], strict=True)
    }
    assert kinds == {(False, False), (False, True), (True, True)}
    assert len(beside) > 0.02 * plan.size.n_galaxies
    assert magnitude(beside, "i").min() > 16  # a saturated star would hide its neighbour


@every_size
def test_supernovae_lie_in_their_hosts(size: str) -> None:
    sky = sky_of(size)
    supernovae = sky.stars[sky.stars["light_curve"] == "supernova"]
    hosts = rows_by_id(sky.galaxies, supernovae["host_id"])
    assert set(hosts["kind"]) == {"host"}
    assert len(np.unique(hosts["id"])) == len(hosts) == np.count_nonzero(sky.galaxies["kind"] == "host")
    north = (supernovae["dec"] - hosts["dec"]) * 3600
    east = (supernovae["ra"] - hosts["ra"]) * np.cos(np.radians(hosts["dec"])) * 3600
    angle = np.radians(hosts["position_angle_deg"])
    major, minor = north * np.cos(angle) + east * np.sin(angle), east * np.cos(angle) - north * np.sin(angle)
    # In units of the galaxy's own ellipse: off the centre, and not beyond the disc.
    radius = np.hypot(major, minor / hosts["axis_ratio"]) / hosts["disk_half_light_radius_arcsec"]
    assert ((radius > 0.19) & (radius < 1.51)).all()


@every_size
@pytest.mark.parametrize("profile", list(PROFILES))
def test_the_rising_transient_is_nothing_first_and_brightest_at_the_end(size: str, profile: str) -> None:
    plan, sky = plan_of(size, profile), sky_of(size, profile)
    row = sky.stars[sky.stars["light_curve"] == "rising"]
    assert row["host_id"] == 0
    times = np.array(sorted(visit.mjd for visit in plan.visits))
    flux = relative_flux(row, "r", times)[0]
    middle = (times[0] + times[-1]) / 2
    assert (flux[times <= middle] == 0).all()
    assert np.count_nonzero(times <= middle) >= len(times) / 3
    assert (np.diff(flux[times > middle]) > 0).all()
    assert flux[-1] == flux.max() == pytest.approx(1.0)
    assert magnitude(row, "i") < 20
    others = sky.truth()
    others = others[others["id"] != row["id"]]
    assert separation_arcsec(others, row[np.zeros(len(others), dtype=int)]).min() > 2.5


@every_size
@pytest.mark.parametrize("profile", list(PROFILES))
@pytest.mark.parametrize("seed", [1, 2])
def test_every_visit_sees_the_rising_transient(size: str, profile: str, seed: int) -> None:
    plan, sky = plan_of(size, profile, seed), sky_of(size, profile, seed)
    row = sky.stars[sky.stars["light_curve"] == "rising"]
    for visit in plan.visits:
        on_detectors = 0
        for detector in visit.detectors:
            (x,), (y,) = detector.wcs.all_world2pix(row["ra"], row["dec"], 0)
            edge = min(x, y, detector.box.width - 1 - x, detector.box.height - 1 - y)
            on_detectors += edge > 10
        assert on_detectors == 1


@every_size
@pytest.mark.parametrize("profile", list(PROFILES))
def test_the_moving_object_crosses_the_field(size: str, profile: str) -> None:
    plan, sky = plan_of(size, profile), sky_of(size, profile)
    times = np.array(sorted(visit.mjd for visit in plan.visits))
    ra, dec = np.empty(len(times)), np.empty(len(times))
    for index, mjd in enumerate(times):
        points = sky.point_sources("r", mjd)
        (row,) = np.flatnonzero(points.ids == sky.moving["id"][0])
        ra[index], dec[index] = points.ra_deg[row], points.dec_deg[row]
    x, y = plan.tract_wcs.wcs_world2pix(ra, dec, 0)
    field = plan.field_box
    assert x[0] == pytest.approx(field.x0 + 0.08 * field.width, abs=1)
    assert x[-1] == pytest.approx(field.x0 + 0.92 * field.width, abs=1)
    assert field.contains(x, y).all()
    along = (times - times[0]) / (times[-1] - times[0])
    np.testing.assert_allclose(x, x[0] + (x[-1] - x[0]) * along, atol=1.0)
    np.testing.assert_allclose(y, y[0] + (y[-1] - y[0]) * along, atol=1.0)
    # Slow enough to stay a point in 30 s, fast enough to be elsewhere a day later.
    rate_arcsec_day = np.hypot(x[-1] - x[0], y[-1] - y[0]) * PIXEL_SCALE_ARCSEC / (times[-1] - times[0])
    assert 5 < rate_arcsec_day < 100


@every_size
def test_point_sources_are_those_of_the_truth(size: str) -> None:
    plan, sky = plan_of(size), sky_of(size)
    band, mjd = plan.visits[0].band, plan.visits[0].mjd
    points = sky.point_sources(band, mjd)
    table = rows_by_id(sky.truth(), points.ids)
    assert set(table["kind"]) == {"star", "variable", "transient", "moving"}
    assert len(points.ids) == len(sky.stars) + len(sky.moving)
    constant = table["light_curve"] == "constant"
    np.testing.assert_array_equal(points.flux[constant], table[f"{band}_flux"][constant])
    np.testing.assert_allclose(points.flux, table[f"{band}_flux"] * relative_flux(table, band, mjd))
    assert (points.flux[table["is_variable"]] != table[f"{band}_flux"][table["is_variable"]]).all()
    still = table["kind"] != "moving"
    assert np.abs(points.dec_deg - table["dec"])[still].max() < 0.2 / 3600
    assert points.flux[table["light_curve"] == "rising"] == 0


@every_size
def test_the_reference_shows_what_lasts(size: str) -> None:
    sky = sky_of(size)
    points = sky.reference_point_sources("i")
    table = rows_by_id(sky.truth(), points.ids)
    assert set(table["kind"]) == {"star", "variable"}
    assert len(table) == np.count_nonzero(~sky.stars["is_transient"])
    np.testing.assert_array_equal(points.flux, table["i_flux"])
    np.testing.assert_array_equal(points.ra_deg, table["ra"])


@given(seed=st.integers(0, 2**31), n_inside=st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_scattered_positions_lie_inside_and_outside(seed: int, n_inside: int) -> None:
    layout = Layout.of(plan_of("tiny"))
    positions = layout.scatter(np.random.default_rng(seed), n_inside)
    assert positions.shape == (2, n_inside + layout.n_outside(n_inside))
    np.testing.assert_array_equal(layout.in_field(positions), np.arange(n_inside))
    assert layout.area.contains(*positions).all()


def test_scattered_positions_are_everywhere_as_dense(rng: np.random.Generator) -> None:
    layout = Layout.of(plan_of("tiny"))
    x, y = layout.scatter(rng, 50_000)
    area, field = layout.area, layout.field
    edges = [[area.x0, field.x0, field.x_stop, area.x_stop], [area.y0, field.y0, field.y_stop, area.y_stop]]
    counts, *_ = np.histogram2d(x, y, [np.array(edge) - 0.5 for edge in edges])
    expected = len(x) * np.outer(*(np.diff(edge) for edge in edges)) / (area.width * area.height)
    np.testing.assert_allclose(counts, expected, rtol=0.1)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_positions_beside_others_stay_in_the_field(seed: int) -> None:
    layout, rng = Layout.of(plan_of("tiny")), np.random.default_rng(seed)
    positions = layout.scatter(rng, 200)[:, :200]
    beside = layout.beside(rng, positions)
    assert layout.field.contains(*beside).all()
    separation = np.hypot(*(beside - positions)) * PIXEL_SCALE_ARCSEC
    assert ((separation > 0.69) & (separation < 2.51)).all()


@given(
    pm_ra=st.floats(-1e7, 1e7),
    pm_dec=st.floats(-1e7, 1e7),
    dec=st.floats(-60.0, 60.0),
    days=st.floats(-100.0, 100.0),
)
def test_motion_is_in_milliarcseconds_a_year(pm_ra: float, pm_dec: float, dec: float, days: float) -> None:
    wanted = truth.columns(("r",), of_points=True, of_galaxies=False)
    values = {"id": np.array([1]), "ra": 50.0, "dec": dec, "epoch_mjd": 6e4, "pm_ra": pm_ra, "pm_dec": pm_dec}
    ra, now = truth.positions_at(truth.build_table(wanted, values), 6e4 + days)
    years = days / 365.25
    assert (now[0] - dec) * 3.6e6 == pytest.approx(pm_dec * years, abs=1e-4)
    assert (ra[0] - 50) * 3.6e6 * math.cos(math.radians(dec)) == pytest.approx(pm_ra * years, abs=1e-4)


def test_joined_tables_have_defaults_where_a_column_does_not_apply() -> None:
    points = truth.columns(("r",), of_points=True, of_galaxies=False)
    galaxies = truth.columns(("r",), of_points=False, of_galaxies=True)
    tables = [
        truth.build_table(points, {"id": np.array([1, 2]), "kind": "star", "r_flux": [1.0, 2.0]}),
        truth.build_table(galaxies, {"id": np.array([3]), "kind": "galaxy", "axis_ratio": 0.5}),
    ]
    joined = truth.join_tables(tables, truth.columns(("r",), of_points=True, of_galaxies=True))
    assert list(joined["id"]) == [1, 2, 3]
    assert list(joined["light_curve"]) == ["constant"] * 3
    np.testing.assert_array_equal(joined["axis_ratio"], [np.nan, np.nan, 0.5])
    np.testing.assert_array_equal(joined["r_flux"], [1.0, 2.0, np.nan])
    assert not joined["is_variable"].any()
