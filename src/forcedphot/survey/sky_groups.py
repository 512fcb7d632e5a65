"""What the simulated sky is made of: stars, variables, galaxies, transients, a moving object; one group each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..conventions import AB_ZERO_POINT_NJY, FloatArray, IntArray
from .galaxy_population import draw_galaxies
from .light_curves import VARIABLE
from .placement import Layout
from .plan import PIXEL_SCALE_ARCSEC
from .stellar_population import draw_stars
from .truth import DAYS_PER_YEAR, MAS_PER_DEGREE

if TYPE_CHECKING:
    from astropy.wcs import WCS

BULGE_SERSIC_INDEX = 4.0
DISK_SERSIC_INDEX = 1.0

_STAR_MAGNITUDES, _BRIGHT_STAR_MAGNITUDES = (16.0, 25.3), (14.8, 16.0)
_ONE_BRIGHT_STAR_IN = 200
_VARIABLE_MAGNITUDES = (16.5, 22.0)
_SUPERNOVA_MAGNITUDES = (19.5, 22.5)
_RISING_MAGNITUDE, _MOVING_MAGNITUDE = 19.5, 20.5
_COLOUR_SCATTER = 0.03

# g - r and r - i. RR Lyrae stars are bluer than the turn-off; random walks are quasars; what moves is sunlit.
_COLOURS = MappingProxyType(
    {
        "rr_lyrae": (0.20, 0.05),
        "random_walk": (0.20, 0.15),
        "supernova": (0.10, 0.05),
        "rising": (-0.10, -0.10),
        "moving": (0.55, 0.20),
    }
)

_FIRST_ID = MappingProxyType(
    {"star": 1_000_000, "variable": 2_000_000, "transient": 3_000_000, "moving": 4_000_000, "galaxy": 5_000_000}
)


@dataclass(slots=True, eq=False)
class Group:
    """Sources of one kind while the sky is made.

    Parameters
    ----------
    kind
        As in the truth table.
    positions
        x, y, pixels of the tract, shape (2, n); `put_side_by_side` moves some.
    magnitudes
        AB, by band, shape (n,).
    values
        Other columns of the truth table, shape (n,) or ().
    """

    kind: str
    positions: FloatArray
    magnitudes: Mapping[str, FloatArray]
    values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_sources = self.positions.shape[1]
        numbered = {
            "id": _FIRST_ID[self.kind] + np.arange(n_sources),
            "kind": np.full(n_sources, self.kind),
            "neighbour_id": np.zeros(n_sources, dtype=np.int64),
        }
        self.values = numbered | self.values

    def columns(self) -> dict[str, Any]:
        """Return what is known of the columns of the truth table, but for the positions."""
        fluxes = {
            f"{band}_flux": 10 ** (0.4 * (AB_ZERO_POINT_NJY - magnitude))
            for band, magnitude in self.magnitudes.items()
        }
        return fluxes | self.values


def make_stars(rng: np.random.Generator, layout: Layout, n_stars: int) -> Group:
    """Make constant stars, a few of them so bright that they saturate; those come first."""
    n_bright = max(2, n_stars // _ONE_BRIGHT_STAR_IN)
    bright, others = layout.scatter(rng, n_bright), layout.scatter(rng, n_stars - n_bright)
    samples = (
        draw_stars(rng, bright.shape[1], _BRIGHT_STAR_MAGNITUDES),
        draw_stars(rng, others.shape[1], _STAR_MAGNITUDES),
    )
    motion = np.concatenate([sample.proper_motion for sample in samples], axis=1)
    return Group(
        "star",
        np.concatenate([bright, others], axis=1),
        {band: np.concatenate([sample.magnitudes[band] for sample in samples]) for band in samples[0].magnitudes},
        {"pm_ra": motion[0], "pm_dec": motion[1]},
    )


def make_variables(rng: np.random.Generator, layout: Layout, n_variables: int, first_mjd: float) -> Group:
    """Make as many RR Lyrae stars as stars with sinusoidal light curves and quasars."""
    positions = layout.scatter(rng, n_variables)
    n: int = positions.shape[1]
    sample = draw_stars(rng, n, _VARIABLE_MAGNITUDES)
    light_curve = np.array(VARIABLE)[np.arange(n) % len(VARIABLE)]
    is_lyrae, is_walk = light_curve == "rr_lyrae", light_curve == "random_walk"
    # The stars' own magnitudes would make most of them as faint as can be.
    i = rng.uniform(*_VARIABLE_MAGNITUDES, n)
    colours = _colours(rng, np.where(is_walk, "random_walk", "rr_lyrae"))
    of_stars = sample.magnitudes
    colours = np.where(is_lyrae | is_walk, colours, [of_stars["g"] - of_stars["r"], of_stars["r"] - of_stars["i"]])
    period = np.where(is_lyrae, rng.uniform(0.35, 0.8, n), 10 ** rng.uniform(0.0, 1.3, n))
    amplitude = np.select(
        [is_lyrae, is_walk], [rng.uniform(0.5, 1.2, n), rng.uniform(0.1, 0.3, n)], rng.uniform(0.15, 0.6, n)
    )
    motion = np.where(is_walk, 0.0, sample.proper_motion)
    return Group(
        "variable",
        positions,
        _magnitudes(i, colours),
        {
            "pm_ra": motion[0],
            "pm_dec": motion[1],
            "is_variable": True,
            "light_curve": light_curve,
            "amplitude_mag": amplitude,
            "period_day": np.where(is_walk, np.nan, period),
            "timescale_day": np.where(is_walk, 10 ** rng.uniform(0.7, 1.8, n), np.nan),
            "peak_mjd": np.where(is_walk, np.nan, first_mjd + period * rng.random(n)),
            "light_curve_seed": np.where(is_walk, rng.integers(1, 2**62, n), 0),
        },
    )


def make_galaxies(rng: np.random.Generator, layout: Layout, n_galaxies: int) -> Group:
    """Make galaxies; none is a host yet."""
    positions = layout.scatter(rng, n_galaxies)
    sample = draw_galaxies(rng, positions.shape[1])
    values = {
        "kind": np.full(positions.shape[1], "galaxy"),
        "bulge_fraction": sample.bulge_fraction,
        "bulge_half_light_radius_arcsec": sample.bulge_radius_arcsec,
        "disk_half_light_radius_arcsec": sample.disk_radius_arcsec,
        "bulge_sersic_index": BULGE_SERSIC_INDEX,
        "disk_sersic_index": DISK_SERSIC_INDEX,
        "axis_ratio": sample.axis_ratio,
        "position_angle_deg": sample.position_angle_deg,
    }
    return Group("galaxy", positions, sample.magnitudes, values)


def put_side_by_side(rng: np.random.Generator, layout: Layout, stars: Group, galaxies: Group) -> None:
    """Move some sources of the field beside others, in place: stars by stars, and stars and galaxies by galaxies.

    They are of the brighter half of their kind, so that blends can be told from single sources; none saturates.
    """
    chosen = {}
    for group in (stars, galaxies):
        rows = layout.in_field(group.positions)
        rows = rows[group.magnitudes["i"][rows] > _STAR_MAGNITUDES[0]]
        rows = rows[np.argsort(group.magnitudes["i"][rows], kind="stable")][: len(rows) // 2]
        chosen[group.kind] = rng.permutation(rows)
    n_pairs = max(1, min(map(len, chosen.values())) // 12)
    s, g = (np.split(rows[: 4 * n_pairs], range(n_pairs, 4 * n_pairs, n_pairs)) for rows in chosen.values())
    for group, rows, neighbours, neighbour_rows in (
        (stars, s[0], stars, s[1]),
        (stars, s[2], galaxies, g[0]),
        (galaxies, g[1], galaxies, g[2]),
    ):
        group.positions[:, rows] = layout.beside(rng, neighbours.positions[:, neighbour_rows])
        group.values["neighbour_id"][rows] = neighbours.values["id"][neighbour_rows]


def make_supernovae(
    rng: np.random.Generator, layout: Layout, n_supernovae: int, galaxies: Group, survey_mjd: tuple[float, float]
) -> Group:
    """Make supernovae in galaxies, of which the kind becomes ``host``: some in the field, others around it.

    Parameters
    ----------
    n_supernovae
        In the field.
    survey_mjd
        Begin and end of the survey; the maxima are about that time.
    """
    hosts = _draw_hosts(rng, layout, n_supernovae, galaxies)
    galaxies.values["kind"][hosts] = "host"
    n = len(hosts)
    start = rng.uniform(survey_mjd[0] - 20.0, survey_mjd[1] - 2.0, n)
    i = rng.uniform(*_SUPERNOVA_MAGNITUDES, n)
    return Group(
        "transient",
        galaxies.positions[:, hosts] + _offsets_in_hosts(rng, galaxies, hosts),
        _magnitudes(i, _colours(rng, np.full(n, "supernova"))),
        {
            "is_transient": True,
            "light_curve": "supernova",
            "start_mjd": start,
            "peak_mjd": start + rng.uniform(12.0, 18.0, n),
            "timescale_day": rng.uniform(12.0, 20.0, n),
            "host_id": galaxies.values["id"][hosts],
        },
    )


def _draw_hosts(rng: np.random.Generator, layout: Layout, n_inside: int, galaxies: Group) -> IntArray:
    """Return rows of galaxies, each at most once; luminous ones have more supernovae."""
    inside = layout.in_field(galaxies.positions)
    outside = np.setdiff1d(np.arange(galaxies.positions.shape[1]), inside)
    weight = 10 ** (-0.2 * galaxies.magnitudes["i"])
    return np.concatenate(
        [
            rng.choice(rows, min(number, len(rows)), replace=False, p=weight[rows] / weight[rows].sum())
            for rows, number in ((inside, n_inside), (outside, layout.n_outside(n_inside)))
        ]
    )


def _offsets_in_hosts(rng: np.random.Generator, galaxies: Group, hosts: IntArray) -> FloatArray:
    """Return offsets from the centres of galaxies within their discs, pixels of the tract, shape (2, n)."""
    n = len(hosts)
    radius = galaxies.values["disk_half_light_radius_arcsec"][hosts] * rng.uniform(0.2, 1.5, n)
    azimuth = rng.uniform(0.0, 2 * np.pi, n)
    major = radius * np.cos(azimuth)
    minor = radius * np.sin(azimuth) * galaxies.values["axis_ratio"][hosts]
    angle = np.radians(galaxies.values["position_angle_deg"][hosts])
    north = major * np.cos(angle) - minor * np.sin(angle)
    east = major * np.sin(angle) + minor * np.cos(angle)
    return np.stack([-east, north]) / PIXEL_SCALE_ARCSEC


def make_rising(
    rng: np.random.Generator, position: FloatArray, survey_mjd: tuple[float, float], id_: int
) -> Group:
    """Make a transient without a host, which begins in the middle of the survey and gets brighter until its end.

    Parameters
    ----------
    position
        Shape (2, 1).
    """
    return Group(
        "transient",
        position,
        _magnitudes(np.array([_RISING_MAGNITUDE]), _colours(rng, np.array(["rising"]))),
        {
            "id": np.array([id_]),
            "is_transient": True,
            "light_curve": "rising",
            "start_mjd": sum(survey_mjd) / 2,
            "peak_mjd": survey_mjd[1],
        },
    )


def make_moving(
    rng: np.random.Generator, layout: Layout, tract_wcs: WCS, survey_mjd: tuple[float, float]
) -> Group:
    """Make an object that crosses the field while the survey lasts; its position is that of the middle."""
    path = layout.crossing()
    middle = path.mean(axis=1, keepdims=True)
    ra, dec = tract_wcs.wcs_pix2world(*path, 0)
    _, middle_dec = tract_wcs.wcs_pix2world(*middle, 0)
    scale = MAS_PER_DEGREE * DAYS_PER_YEAR / (survey_mjd[1] - survey_mjd[0])
    return Group(
        "moving",
        middle,
        _magnitudes(np.array([_MOVING_MAGNITUDE]), _colours(rng, np.array(["moving"]))),
        {
            "pm_ra": (ra[1] - ra[0]) * np.cos(np.radians(middle_dec)) * scale,
            "pm_dec": (dec[1] - dec[0]) * scale,
        },
    )


def _colours(rng: np.random.Generator, names: npt.NDArray[np.str_]) -> FloatArray:
    """Return g - r and r - i, shape (2, n)."""
    colours = np.array([_COLOURS[str(name)] for name in names]).reshape(-1, 2).T
    return colours + rng.normal(0.0, _COLOUR_SCATTER, colours.shape)


def _magnitudes(i: FloatArray, colours: FloatArray) -> dict[str, FloatArray]:
    r = i + colours[1]
    return {"g": r + colours[0], "r": r, "i": i}
