"""Simulated exposures of point sources with known positions and fluxes: for demonstrations, tests, benchmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from .conventions import Box, FloatArray
from .errors import ConfigurationError
from .exposure import AstWcs, ChebyshevField, ConstantField, Exposure, Identity, Mask, PhotoCalib
from .psf import DoubleGaussianPsf, GaussianPsf, Psf

if TYPE_CHECKING:
    from astropy.table import Table

type Kind = Literal["visit", "coadd"]
type FloatImage = npt.NDArray[np.float32]

PLANES = {
    "BAD": 0,
    "SAT": 1,
    "INTRP": 2,
    "CR": 3,
    "EDGE": 4,
    "DETECTED": 5,
    "DETECTED_NEGATIVE": 6,
    "SUSPECT": 7,
    "NO_DATA": 8,
}
"""Mask planes and their bits, as the pipelines number them."""

CENTRE = (53.1, -28.1)
"""RA and Dec of the image's centre, degrees."""

PIXEL_SCALE = 0.2
"""Arcseconds a pixel."""

EDGE_WIDTH = 10
"""Width of the border with the mask plane EDGE, pixels."""

_POSITION_ANGLE = math.radians(30.0)
_STARS_AT_ONCE = 2000
_PIXELS_A_DEFECT = 100_000


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of an image in nJy.

    Parameters
    ----------
    sky
        Standard deviation of a pixel without sources, nJy.
    gain
        Photoelectrons per nJy: a pixel with a source of s nJy has s / gain more variance.
    """

    sky: float
    gain: float


# A 30 s visit in r, 24.7 mag deep at 5 sigma; and a coadd of a hundred of them.
_NOISE: dict[Kind, Noise] = {"visit": Noise(sky=16.0, gain=1.9), "coadd": Noise(sky=1.6, gain=190.0)}
_ORIGIN: dict[Kind, tuple[int, int]] = {"visit": (0, 0), "coadd": (12000, 8000)}
_IDENTITY: dict[Kind, Identity] = {
    "visit": Identity(instrument="Simulated", visit=1, detector=94, band="r", physical_filter="r_simulated"),
    "coadd": Identity(skymap="simulated", tract=5063, patch=14, band="r"),
}


@dataclass(frozen=True, slots=True)
class SimulatedField:
    """An exposure, and what is in it.

    Parameters
    ----------
    exposure
        Calibrated in nJy.
    catalog
        objectId (int64, from 1), coord_ra and coord_dec (deg), flux (nJy), x and y (pix).
    """

    exposure: Exposure
    catalog: Table


def simulate_exposure(
    *,
    shape: tuple[int, int] = (2000, 2000),
    n_sources: int = 500,
    seed: int = 0,
    kind: Kind = "visit",
    psf: Psf | None = None,
    origin: tuple[int, int] | None = None,
    flux_range: tuple[float, float] = (300.0, 300_000.0),
    min_separation: float = 0.0,
    margin: float = 50.0,
    noise: Noise | None = None,
) -> SimulatedField:
    """Simulate an exposure of point sources.

    Stars are drawn with the exposure's own PSF. The variance is that of the noise that was drawn:
    of the sky, and of the light of the sources. PSF fluxes need the aperture correction
    ``base_PsfFlux_instFlux`` of the exposure, which varies by some percent, to come out right. Masked
    pixels (cosmic rays, a bad column, saturated cores) have good values, as if they had been
    interpolated without error.

    Parameters
    ----------
    shape
        (height, width), pixels.
    n_sources
        Number of sources; their fluxes are log-uniform in ``flux_range``, nJy.
    seed
        Equal arguments give equal exposures.
    kind
        Visit or coadd: sets the identity, and the origin, PSF and noise that are not given.
    psf
        The PSF; a Gaussian, or the sum of two for a coadd, if not given.
    origin
        (x0, y0) of the image.
    min_separation
        Smallest distance between two sources, pixels; 0 lets them overlap.
    margin
        Smallest distance from a source to the outermost pixels' centres; not negative.
    noise
        Noise; ``Noise(sky=0.0, gain=math.inf)`` for an image without, whose variance is then 1.

    Raises
    ------
    ConfigurationError
        If the sources do not fit, or the fluxes are not positive and in order.
    """
    rng = np.random.default_rng(seed)
    origin = _ORIGIN[kind] if origin is None else origin
    noise = _NOISE[kind] if noise is None else noise
    psf = _default_psf(kind) if psf is None else psf
    if not 0 < flux_range[0] <= flux_range[1] < math.inf:
        raise ConfigurationError(f"Fluxes range from a positive number to a larger one, in nJy; got {flux_range}.")
    box = Box(*origin, shape[1], shape[0])
    x, y = _positions(rng, box, n_sources, min_separation, margin)
    flux = np.exp(rng.uniform(math.log(flux_range[0]), math.log(flux_range[1]), n_sources))
    correction = _aperture_correction(box)
    image = np.zeros(shape, dtype=np.float32)
    _add_stars(image, box, psf, x, y, flux / correction.evaluate(x, y))
    mask = _mask(rng, image, noise)
    variance = _add_noise(rng, image, noise)
    wcs = _tangent_plane(box)
    exposure = Exposure(
        image=image,
        variance=variance,
        mask=Mask(mask, PLANES),
        x0=box.x0,
        y0=box.y0,
        wcs=wcs,
        psf=psf,
        aperture_corrections={
            "base_PsfFlux_instFlux": correction,
            "base_PsfFlux_instFluxErr": ConstantField(0.0),
        },
        photo_calib=PhotoCalib(1.0),
        unit=_nanojansky(),
        identity=_IDENTITY[kind],
    )
    return SimulatedField(exposure, _catalog(wcs, x, y, flux))


def _default_psf(kind: Kind) -> Psf:
    return GaussianPsf(1.7, 25) if kind == "visit" else DoubleGaussianPsf(1.7, 3.4, 0.1, 35)


def _nanojansky() -> Any:
    from astropy import units

    return units.nJy


def _positions(
    rng: np.random.Generator, box: Box, n_sources: int, min_separation: float, margin: float
) -> tuple[FloatArray, FloatArray]:
    """Draw positions: anywhere, or each in a grid cell of its own that keeps it from its neighbours."""
    width, height = box.width - 1 - 2 * margin, box.height - 1 - 2 * margin
    if n_sources < 0 or margin < 0 or (n_sources > 0 and min(width, height) < 0):
        raise ConfigurationError(f"{n_sources} sources do not fit in {box} with a margin of {margin} px.")
    if min_separation <= 0 or n_sources == 0:
        x, y = rng.uniform(0, width, n_sources), rng.uniform(0, height, n_sources)
    else:
        columns = max(int((width + min_separation) // min_separation), 1)
        rows = max(int((height + min_separation) // min_separation), 1)
        if columns * rows < n_sources:
            raise ConfigurationError(
                f"{n_sources} sources do not fit in {box} with a separation of {min_separation} px; "
                f"at most {columns * rows} do."
            )
        # As few cells as hold all sources leave them the most room to move.
        shrink = math.sqrt(n_sources / (columns * rows))
        columns = min(math.ceil(columns * shrink), columns)
        rows = min(math.ceil(n_sources / columns), rows)
        columns = max(columns, math.ceil(n_sources / rows))
        pitch_x, pitch_y = (width + min_separation) / columns, (height + min_separation) / rows
        cell = rng.permutation(columns * rows)[:n_sources]
        x = (cell % columns) * pitch_x + rng.uniform(0, pitch_x - min_separation, n_sources)
        y = (cell // columns) * pitch_y + rng.uniform(0, pitch_y - min_separation, n_sources)
    return x + box.x0 + margin, y + box.y0 + margin


def _aperture_correction(box: Box) -> ChebyshevField:
    return ChebyshevField(box, np.array([[1.02, 0.01, 0.004], [-0.008, 0.003, 0.0], [0.002, 0.0, 0.0]]))


def _add_stars(image: FloatImage, box: Box, psf: Psf, x: FloatArray, y: FloatArray, flux: FloatArray) -> None:
    for start in range(0, len(x), _STARS_AT_ONCE):
        chunk = slice(start, start + _STARS_AT_ONCE)
        psf.images(x[chunk], y[chunk]).add_to(image, box.x0, box.y0, flux[chunk])


def _mask(rng: np.random.Generator, model: FloatImage, noise: Noise) -> npt.NDArray[np.int32]:
    """Mark the border, the sources, saturated cores, a bad column and cosmic rays."""
    height, width = model.shape
    bit = {name: 1 << number for name, number in PLANES.items()}
    mask = np.zeros(model.shape, dtype=np.int32)
    mask[model > 2.0 * noise.sky] |= bit["DETECTED"]
    saturation = 0.9 * float(model.max())
    if saturation > 0:
        mask[model > saturation] |= bit["SAT"] | bit["INTRP"]
    row, column = rng.integers(height), rng.integers(width)
    mask[row : row + 200, column] |= bit["BAD"] | bit["INTRP"]
    for _ in range(math.ceil(model.size / _PIXELS_A_DEFECT)):
        row, column, length = rng.integers(height), rng.integers(width), rng.integers(2, 12)
        track = np.arange(length)
        rows, columns = row + track, column + (track * rng.uniform(-2.0, 2.0)).astype(np.int64)
        inside = (rows < height) & (columns >= 0) & (columns < width)
        mask[rows[inside], columns[inside]] |= bit["CR"] | bit["INTRP"]
    border = np.ones(model.shape, dtype=bool)
    border[EDGE_WIDTH:-EDGE_WIDTH, EDGE_WIDTH:-EDGE_WIDTH] = False
    mask[border] |= bit["EDGE"]
    return mask


def _add_noise(rng: np.random.Generator, image: FloatImage, noise: Noise) -> FloatImage:
    """Add noise to the model in place and return its variance."""
    variance = np.maximum(image, np.float32(0.0))  # the wings of shifted PSFs ring a little below 0
    variance /= np.float32(noise.gain)
    variance += np.float32(noise.sky**2)
    if noise.sky == 0 and math.isinf(noise.gain):
        variance += np.float32(1.0)
        return variance
    pixels = rng.standard_normal(image.shape, dtype=np.float32)
    pixels *= np.sqrt(variance)
    image += pixels
    return variance


def _tangent_plane(box: Box) -> AstWcs:
    import starlink.Ast as Ast

    scale, angle = PIXEL_SCALE / 3600.0, _POSITION_ANGLE
    header = {
        "CRVAL1": CENTRE[0],
        "CRVAL2": CENTRE[1],
        # AST counts pixels from 1 where we do from 0: with our number, its coordinates are ours.
        "CRPIX1": box.x0 + (box.width - 1) / 2,
        "CRPIX2": box.y0 + (box.height - 1) / 2,
        "CD1_1": -scale * math.cos(angle),
        "CD1_2": scale * math.sin(angle),
        "CD2_1": scale * math.sin(angle),
        "CD2_2": scale * math.cos(angle),
    }
    cards = [f"{key:<8}= {value!r:>20}" for key, value in header.items()]
    names = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "RADESYS": "ICRS"}
    cards += [f"{key:<8}= '{value:<8}'" for key, value in names.items()]
    return AstWcs(Ast.FitsChan(cards).read())


def _catalog(wcs: AstWcs, x: FloatArray, y: FloatArray, flux: FloatArray) -> Table:
    from astropy.table import Column, Table

    ra, dec = wcs.pixel_to_sky(x, y)
    return Table(
        [
            Column(np.arange(1, len(x) + 1, dtype=np.int64), "objectId", description="Number of the source"),
            Column(np.degrees(ra), "coord_ra", unit="deg", description="Right ascension, ICRS"),
            Column(np.degrees(dec), "coord_dec", unit="deg", description="Declination, ICRS"),
            Column(flux, "flux", unit="nJy", description="True flux"),
            Column(x, "x", unit="pix", description="True position in the image's pixel frame"),
            Column(y, "y", unit="pix", description="True position in the image's pixel frame"),
        ]
    )
