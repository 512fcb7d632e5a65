"""Circular apertures over pixel centres against their numpy twin, in both ways of summing."""

from collections.abc import Callable

import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.kernels import circles
from forcedphot.kernels.circles import ApertureFluxes, circle_fluxes

from . import reference
from .comparison import LAYOUTS, PARITY, SHAPE, FloatImage, assert_close, noise_image, positions, read_only

RADII = np.array([0.3, 1.0, 2.5, 5.0, 10.0, 12.3, 17.0, 30.0])

type Force = Callable[[str], None]

STRATEGIES = {"cumulative": 10**9, "direct": -1}


@pytest.fixture
def force(monkeypatch: pytest.MonkeyPatch) -> Force:
    """Let a test choose how circles are summed."""
    return lambda strategy: monkeypatch.setattr(circles, "_BOX_PIXELS_PER_SOURCE", STRATEGIES[strategy])


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest, force: Force) -> str:
    """Run a test with both ways of summing."""
    name: str = request.param
    force(name)
    return name


def assert_parity(
    found: ApertureFluxes,
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    radii: FloatArray = RADII,
) -> None:
    # Differences of sums along rows are as exact as those sums are.
    row_sizes = np.nansum(np.abs(image), axis=1, where=np.isfinite(image))
    for k, radius in enumerate(radii.tolist()):
        expected = [
            reference.sum_circle(image, variance, *position, radius) for position in zip(x, y, strict=True)
        ]
        scale = np.array(
            [row_sizes[max(int(row - radius), 0) : max(int(row + radius) + 1, 0)].sum() + 1.0 for row in y]
        )
        flux_err = np.array([e.flux_err for e in expected])
        np.testing.assert_array_equal(found.aperture_truncated[k], [e.aperture_truncated for e in expected])
        assert_close(found.flux[k], [e.flux for e in expected], scale)
        # An error may be that of a single pixel in rows of variance 1000.
        assert_close(found.flux_err[k], flux_err, np.where(np.isfinite(flux_err), flux_err, 0.0) * 1e3)
    assert not found.coefficients_truncated.any()


@pytest.mark.usefixtures("strategy")
class TestParity:
    def test_all_kinds_of_positions(self, rng: np.random.Generator) -> None:
        image, variance = noise_image(rng)
        x, y = positions(rng)
        x, y = np.append(x, [-3.0, 60.0, -300.0]), np.append(y, [10.0, 20.0, 4000.0])
        found = circle_fluxes(image, variance, x, y, RADII)
        assert_parity(found, image, variance, x, y)
        assert found.aperture_truncated[-1].all()
        assert np.isfinite(found.flux[:-1]).any(axis=1).all()

    def test_circles_through_pixel_centres(self, rng: np.random.Generator) -> None:
        image, variance = noise_image(rng)
        x, y = (values.ravel() for values in np.meshgrid([20.0, 20.5, 21.0, 22.5], [19.0, 19.5, 20.0]))
        radii = np.array([1.0, 0.5, np.sqrt(0.5) + 1e-12, 5.0, 6.5, 13.0, 2.5])
        assert_parity(circle_fluxes(image, variance, x, y, radii), image, variance, x, y, radii)

    def test_none_and_one(self, rng: np.random.Generator) -> None:
        image, variance = noise_image(rng)
        none = np.empty(0)
        assert circle_fluxes(image, variance, none, none, RADII).flux.shape == (len(RADII), 0)
        one = np.array([20.2])
        assert circle_fluxes(image, variance, one, one, none).flux.shape == (0, 1)
        assert_parity(circle_fluxes(image, variance, one, one, RADII), image, variance, one, one)

    def test_only_far_away(self, rng: np.random.Generator) -> None:
        image, variance = noise_image(rng)
        for x, y in [(20.0, 900.0), (-900.0, 20.0), (900.0, -900.0)]:
            found = circle_fluxes(image, variance, np.array([x]), np.array([y]), RADII)
            assert found.aperture_truncated.all()

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_layouts(self, rng: np.random.Generator, layout: str) -> None:
        image, variance = noise_image(rng)
        x, y = positions(rng)
        found = circle_fluxes(
            LAYOUTS[layout](image), LAYOUTS[layout](variance), read_only(x), read_only(y), read_only(RADII)
        )
        assert_parity(found, image, variance, x, y)

    def test_zero_variance(self, rng: np.random.Generator) -> None:
        image, variance = noise_image(rng)
        variance[15:25, :] = 0.0
        x, y = np.array([20.0, 33.3]), np.array([20.0, 18.6])
        found = circle_fluxes(image, variance, x, y, RADII)
        assert_parity(found, image, variance, x, y)
        assert (found.flux_err[0] == 0.0).all()

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_a_bad_pixel_only_spoils_the_circles_over_it(self, rng: np.random.Generator, bad: float) -> None:
        image, variance = noise_image(rng)
        x, y = positions(rng)
        before = circle_fluxes(image, variance, x, y, RADII)
        image[20, 23] = bad
        after = circle_fluxes(image, variance, x, y, RADII)
        over_it = np.hypot(x - 23, y - 20) <= RADII[:, np.newaxis]
        measured = ~before.aperture_truncated
        assert (over_it & measured).sum() > 10
        assert (~over_it & measured).sum() > 50
        assert not np.isfinite(after.flux[over_it]).any()
        np.testing.assert_array_equal(np.isfinite(after.flux), np.isfinite(before.flux) & ~over_it)
        np.testing.assert_array_equal(np.isfinite(after.flux_err), measured)
        assert_parity(after, image, variance, x, y)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_bad_variance_only_spoils_errors(self, rng: np.random.Generator, bad: float) -> None:
        image, variance = noise_image(rng)
        x, y = positions(rng)
        variance[20, 23] = bad
        found = circle_fluxes(image, variance, x, y, RADII)
        assert_parity(found, image, variance, x, y)
        over_it = np.hypot(x - 23, y - 20) <= RADII[:, np.newaxis]
        np.testing.assert_array_equal(np.isfinite(found.flux_err), ~found.aperture_truncated & ~over_it)
        np.testing.assert_array_equal(np.isfinite(found.flux), ~found.aperture_truncated)


def test_both_ways_agree(rng: np.random.Generator, force: Force) -> None:
    image, variance = noise_image(rng)
    image[11, 11] = np.nan
    x, y = positions(rng)
    force("direct")
    direct = circle_fluxes(image, variance, x, y, RADII)
    force("cumulative")
    cumulative = circle_fluxes(image, variance, x, y, RADII)
    assert (direct.flux != cumulative.flux).any(), "the strategies were the same"
    total = np.nansum(np.abs(image))
    assert_close(cumulative.flux, direct.flux, np.full(direct.flux.shape, total))
    assert_close(cumulative.flux_err, direct.flux_err, np.nan_to_num(direct.flux_err) * 1e3)
    np.testing.assert_array_equal(cumulative.aperture_truncated, direct.aperture_truncated)


@pytest.mark.parametrize("name", ["flux", "flux_err"])
def test_a_perturbed_sum_is_reported(rng: np.random.Generator, name: str) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([20.0]), np.array([20.0])
    found = circle_fluxes(image, variance, x, y, RADII)
    getattr(found, name)[2, 0] += 1e4 * PARITY * np.abs(image).sum()
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_parity(found, image, variance, x, y)


def test_another_radius_is_reported(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng)
    found = circle_fluxes(image, variance, x, y, RADII * 1.1)
    with pytest.raises(AssertionError):
        assert_parity(found, image, variance, x, y)
    assert image.shape == SHAPE
