"""forcedphot inspect: what is in a file, an image or a catalog."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .catalog_files import describe_catalog, is_catalog
from .command import Command, Place
from .plain_images import plain_image_options, read_image

if TYPE_CHECKING:
    from rich.table import Table

    from ..exposure import Exposure, Mask
    from ..psf import Psf

type Description = dict[str, Any]

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@click.command(
    "inspect",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot inspect visit_image.fits\n"
    "  forcedphot inspect ztf_sciimg.fits --variance ztf_unc.fits --psf ztf_psf.fits\n"
    "  forcedphot inspect src.fits --json",
)
@click.argument("file", type=Place())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plain_image_options
def command(file: str | Path, *, as_json: bool, **options: Any) -> None:
    """Tell what is in FILE, an image or a catalog; it may be a URI, such as https:// and s3://.

    Of an image: planes, mask, PSF, WCS, calibration, aperture corrections, visit, detector, inputs. PSF, aperture
    corrections and pixel scale are those at its centre. Plain FITS images of other surveys go with the options
    that say where their variance, mask and PSF are.

    Of a catalog: rows, fields with their types and units, flags, slots, footprints.
    """
    from ..errors import FileFormatError

    try:
        found = describe(read_image(file, options))
    except FileFormatError:
        if not is_catalog(file):
            raise
        _show_catalog(file, as_json=as_json)
        return
    description = {"file": str(file), **found}
    if as_json:
        click.echo(json.dumps(description, indent=2))
    else:
        _print(description)


def _show_catalog(file: str | Path, *, as_json: bool) -> None:
    from rich.console import Console

    from ..io.source_catalogs import read_source_catalog

    description = {"file": str(file), **describe_catalog(read_source_catalog(file))}
    if as_json:
        click.echo(json.dumps(description, indent=2))
        return
    n_footprints = description["footprints"]
    overview = {
        "rows": str(description["rows"]),
        "fields": f"{len(description['fields'])}, and {description['flags']} flags",
        "slots": ", ".join(f"{name} {target}" for name, target in description["slots"].items()) or "none",
        "footprints": "none" if n_footprints is None else str(n_footprints),
        "metadata": f"{description['metadata']} cards",
    }
    console = Console()
    console.print(_two_columns(description["file"], overview))
    fields = {field["name"]: f"{field['type']} {field['unit']}".rstrip() for field in description["fields"]}
    console.print(_two_columns("Fields: type and unit", fields))


def describe(exposure: Exposure) -> Description:
    """Describe an exposure in plain Python objects; None where it lacks a part, or a number is not finite."""
    box = exposure.bbox
    centre = np.array([box.x0 + (box.width - 1) / 2]), np.array([box.y0 + (box.height - 1) / 2])
    wcs = _describe_wcs(exposure, *centre)
    corrections = exposure.aperture_corrections
    return {
        "identity": {
            name: getattr(exposure.identity, name)
            for name in exposure.identity.__slots__
            if getattr(exposure.identity, name) is not None
        },
        "size": {"width": box.width, "height": box.height},
        "origin": {"x0": box.x0, "y0": box.y0},
        "unit": None if exposure.unit is None else str(exposure.unit),
        "image": _describe_plane(exposure.image),
        "variance": None if exposure.variance is None else _describe_plane(exposure.variance),
        "mask": None if exposure.mask is None else mask_fractions(exposure.mask),
        "psf": None if exposure.psf is None else _describe_psf(exposure.psf, *centre, wcs),
        "wcs": wcs,
        "calibration": _describe_calibration(exposure),
        "aperture_corrections": None
        if corrections is None
        else {name: _number(field.evaluate(*centre)[0]) for name, field in sorted(corrections.items())},
        **_describe_circumstances(exposure),
        "metadata": len(exposure.metadata),
    }


def _describe_circumstances(exposure: Exposure) -> Description:
    """Describe visit, detector, statistics and inputs."""
    info, detector, stats, inputs = (
        exposure.visit_info,
        exposure.detector,
        exposure.summary_stats,
        exposure.coadd_inputs,
    )
    return {
        "visit_info": None if info is None else _plain(dataclasses.asdict(info)),
        "detector": None if detector is None else _plain(dataclasses.asdict(detector)),
        "summary_stats": None if stats is None else _plain(dataclasses.asdict(stats)),
        "coadd_inputs": None if inputs is None else {"visits": len(inputs.visits), "ccds": len(inputs.ccds)},
    }


def _plain(value: Any) -> Any:
    """Turn numbers that are not finite into None, here and within."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return _number(value, 15) if isinstance(value, float) else value


def mask_fractions(mask: Mask) -> dict[str, float]:
    """Return the fraction of pixels that are set, by mask plane in the order of the bits."""
    # One pass over the pixels counts all values of the mask, of which there are few.
    values, counts = np.unique(mask.array, return_counts=True)
    return {
        name: float(counts[(values >> values.dtype.type(bit)) & 1 != 0].sum() / mask.array.size)
        for name, bit in sorted(mask.planes.items(), key=lambda plane: plane[1])
    }


def _number(value: Any, digits: int = 10) -> float | None:
    """Make a number JSON can hold."""
    return float(f"{float(value):.{digits}g}") if np.isfinite(value) else None


def _describe_plane(pixels: np.ndarray[Any, np.dtype[np.float32]]) -> Description:
    finite = pixels[np.isfinite(pixels)]
    numbers = (finite.min(), np.median(finite), finite.max()) if len(finite) else (np.nan,) * 3
    names = ("minimum", "median", "maximum")
    return {
        **{name: _number(number, 7) for name, number in zip(names, numbers, strict=True)},
        "not_finite": int(pixels.size - len(finite)),
    }


def _describe_psf(
    psf: Psf, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], wcs: Description | None
) -> Description:
    xx, yy, xy = psf.moments(x, y)[0]
    stamps = psf.images(x, y)
    fwhm = _number(_FWHM_PER_SIGMA * max(xx * yy - xy**2, 0.0) ** 0.25, 6)
    scale = None if wcs is None else wcs["pixel_scale_arcsec"]
    return {
        "model": type(psf).__name__,
        "stamp": [int(stamps.widths[0]), int(stamps.heights[0])],
        "fwhm_pixels": fwhm,
        "fwhm_arcsec": None if fwhm is None or scale is None else _number(fwhm * scale, 6),
        "ellipticity": _number(math.hypot(xx - yy, 2 * xy) / (xx + yy), 4),
    }


def _describe_wcs(exposure: Exposure, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Description | None:
    if exposure.wcs is None:
        return None
    box = exposure.bbox
    low_x, high_x, low_y, high_y = box.x0 - 0.5, box.x_stop - 0.5, box.y0 - 0.5, box.y_stop - 0.5
    corners_x, corners_y = [low_x, high_x, high_x, low_x], [low_y, low_y, high_y, high_y]
    # The centre, a pixel to its right, a pixel above it, and the outer corners.
    ra, dec = exposure.wcs.pixel_to_sky(
        np.array([x[0], x[0] + 1, x[0], *corners_x]), np.array([y[0], y[0], y[0] + 1, *corners_y])
    )
    turned = np.remainder(ra[1:3] - ra[0] + np.pi, 2 * np.pi) - np.pi  # from 2 pi to 0 is no large step
    east, north = turned * np.cos(dec[0]), dec[1:3] - dec[0]
    area = abs(east[0] * north[1] - east[1] * north[0])
    degrees = np.degrees(np.column_stack([ra, dec]))
    return {
        "model": type(exposure.wcs).__name__,
        "centre_deg": [_number(angle) for angle in degrees[0]],
        "pixel_scale_arcsec": _number(np.degrees(np.sqrt(area)) * 3600, 6),
        "corners_deg": [[_number(angle) for angle in corner] for corner in degrees[3:]],
    }


def _describe_calibration(exposure: Exposure) -> Description | None:
    from ..conventions import AB_ZERO_POINT_NJY

    calibration = exposure.photo_calib
    if calibration is None:
        return None
    return {
        "njy_per_unit": _number(calibration.mean),
        "error": _number(calibration.mean_err),
        "zero_point_mag": _number(AB_ZERO_POINT_NJY - 2.5 * math.log10(calibration.mean), 7),
        "varies": calibration.field is not None,
    }


def _print(description: Description) -> None:
    from rich.console import Console

    console = Console()
    size, origin = description["size"], description["origin"]
    overview = {
        "identity": ", ".join(f"{name} {value}" for name, value in description["identity"].items()) or "unknown",
        "size": f"{size['width']} x {size['height']} pixels, origin ({origin['x0']}, {origin['y0']})",
        "unit": description["unit"] or "unknown",
        "image": _plane_line(description["image"]),
        "variance": _plane_line(description["variance"]),
        "PSF": _psf_line(description["psf"]),
        "WCS": _wcs_line(description["wcs"]),
        "corners": _corner_lines(description["wcs"]),
        "calibration": _calibration_line(description["calibration"]),
        "visit": _visit_line(description["visit_info"]),
        "detector": _detector_line(description["detector"]),
        "statistics": _statistics_line(description["summary_stats"]),
        "inputs": _inputs_line(description["coadd_inputs"]),
        "metadata": f"{description['metadata']} cards",
    }
    console.print(_two_columns(description["file"], overview))
    fractions = description["mask"]
    if fractions is None:
        console.print("No mask.")
    else:
        percent = {name: f"{100 * value:.3f} %" for name, value in fractions.items()}
        console.print(_two_columns("Mask planes: pixels set", percent))
    corrections = description["aperture_corrections"]
    if corrections is None:
        console.print("No aperture corrections.")
    else:
        values = {name: "undefined" if value is None else f"{value:.6f}" for name, value in corrections.items()}
        console.print(_two_columns("Aperture corrections at the centre", values))


def _two_columns(title: str, rows: dict[str, str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    return table


def _plane_line(plane: Description | None) -> str:
    if plane is None:
        return "none"
    line = (
        f"median {plane['median']:.5g}, from {plane['minimum']:.5g} to {plane['maximum']:.5g}"
        if (plane["median"] is not None)
        else "no finite pixel"
    )
    return line + (f"; {plane['not_finite']} pixels not finite" if plane["not_finite"] else "")


def _psf_line(psf: Description | None) -> str:
    if psf is None:
        return "none"
    width, height = psf["stamp"]
    line = f"{psf['model']}, stamps of {width} x {height} pixels"
    if psf["fwhm_pixels"] is None:
        return f"{line}, undefined at the centre"
    line += f", FWHM {psf['fwhm_pixels']:.3f} pixels"
    return line if psf["fwhm_arcsec"] is None else f'{line} = {psf["fwhm_arcsec"]:.3f}"'


def _wcs_line(wcs: Description | None) -> str:
    if wcs is None:
        return "none"
    scale = wcs["pixel_scale_arcsec"]
    return f"{'no scale' if scale is None else f'{scale}" per pixel'}, centre {_place(wcs['centre_deg'])}"


def _corner_lines(wcs: Description | None) -> str:
    return "none" if wcs is None else "\n".join(_place(corner) for corner in wcs["corners_deg"])


def _place(degrees: list[float | None]) -> str:
    """Format a position; pixels around a map of the whole sky have none."""
    known = [f"{angle:.6f}" for angle in degrees if angle is not None]
    return f"({', '.join(known)}) deg" if len(known) == len(degrees) else "not on the sky"


def _calibration_line(calibration: Description | None) -> str:
    if calibration is None:
        return "none"
    line = f"1 unit = {calibration['njy_per_unit']:.6g} nJy, zero point {calibration['zero_point_mag']:.4f} mag"
    return line + (", varies over the image" if calibration["varies"] else "")


def _visit_line(info: Description | None) -> str:
    if info is None:
        return "none"
    parts = {
        "{:.6f} MJD (TAI)": info["mid_mjd_tai"],
        "{:g} s": info["exposure_time_s"],
        "boresight ({:.5f}, {:.5f}) deg": (info["boresight_ra_deg"], info["boresight_dec_deg"]),
        "airmass {:.3f}": info["boresight_airmass"],
    }
    return _join_known(parts) or "nothing known"


def _detector_line(detector: Description | None) -> str:
    if detector is None:
        return "none"
    line = f"{detector['name']}, number {detector['number']}, serial {detector['serial']}, {detector['purpose']}"
    return f"{line}, {len(detector['amplifiers'])} amplifiers"


def _statistics_line(stats: Description | None) -> str:
    if stats is None:
        return "none"
    parts = {
        "PSF sigma {:.3f} pixels": stats["psf_sigma_pixels"],
        "zero point {:.3f} mag": stats["zero_point_mag"],
        "sky {:.2f} adu": stats["sky_background_adu"],
        "noise {:.2f} adu": stats["sky_noise_adu"],
        "limit {:.2f} mag": stats["magnitude_limit"],
        "effective time {:.1f} s": stats["effective_time_s"],
    }
    return _join_known(parts) or "nothing known"


def _inputs_line(inputs: Description | None) -> str:
    return "none" if inputs is None else f"{inputs['visits']} visits, {inputs['ccds']} detector images"


def _join_known(parts: dict[str, Any]) -> str:
    """Format the values that are known, and join them."""
    values = ((text, value if isinstance(value, tuple) else (value,)) for text, value in parts.items())
    return ", ".join(text.format(*value) for text, value in values if None not in value)
