"""Profiles: whose data a simulated survey looks like; sizes: how much of it there is."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ..errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class DatasetName:
    """A dataset type of a profile.

    Parameters
    ----------
    name
        What the profile calls it.
    dimensions
        Names of the Butler's dimensions.
    storage_class
        How the Butler stores it.
    """

    name: str
    dimensions: tuple[str, ...]
    storage_class: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Names, ids and places of a survey.

    Parameters
    ----------
    name
        What the command line calls it.
    label
        What the repository is registered as, as in ``Butler("dp1")``.
    collection
        The chained collection with everything.
    instrument, skymap
        Names of dimensions.
    tract, patches_per_side, first_patch
        Id of the tract, the patches on its side, and the column and row of the first patch with data; a patch's id
        is row * patches_per_side + column.
    ra_deg, dec_deg
        Centre of the patches with data, ICRS.
    detectors
        Ids, in the order in which they are used.
    physical_filters
        By band.
    first_visit
        Id of the first visit of the band that the documents load; the others follow.
    first_day_mjd
        Of the first night.
    datasets
        Dataset types by what they are; see `ROLES`.
    """

    name: str
    label: str
    collection: str
    instrument: str
    skymap: str
    tract: int
    patches_per_side: int
    first_patch: tuple[int, int]
    ra_deg: float
    dec_deg: float
    detectors: tuple[int, ...]
    physical_filters: MappingProxyType[str, str]
    first_visit: int
    first_day_mjd: int
    datasets: MappingProxyType[str, DatasetName]


ROLES = MappingProxyType(
    {
        "visit_image": "the calibrated image of one detector in one visit",
        "difference_image": "the same, less the template",
        "coadd": "the coadd of a patch in one band",
        "template": "the coadd that differences are made with",
        "source": "sources detected on visit images",
        "dia_source": "sources detected on difference images",
        "object": "objects detected on coadds, all bands in a row",
        "dia_object": "DIA sources associated by their position",
        "forced_source": "objects measured on all visit and difference images",
        "dia_forced_source": "DIA objects measured on all visit and difference images",
        "visit_table": "visits, a row each",
        "visit_detector_table": "detectors of visits, a row each",
        "truth": "what was simulated",
        "reference": "objects detected on coadds of all bands: what forced measurement on coadds refers to",
        "reference_schema": "the columns of all reference catalogs, without rows",
        "coadd_measured": "the reference's objects measured in one band, each by itself",
        "coadd_forced": "the reference's objects measured in one band at the reference's positions",
    }
)
"""What the datasets of a survey are; a profile has some of them."""

_VISIT_DETECTOR = ("instrument", "visit", "detector")
_PATCH = ("skymap", "tract", "patch")
_TRACT = ("skymap", "tract")
_COADD = (*_PATCH, "band")

_TRUTH = DatasetName("truth_summary", _TRACT, "ArrowAstropy")
_COADD_CATALOGS = MappingProxyType(
    {
        "reference": DatasetName("deepCoadd_ref", _PATCH, "SourceCatalog"),
        "reference_schema": DatasetName("deepCoadd_ref_schema", (), "SourceCatalog"),
        "coadd_measured": DatasetName("deepCoadd_meas", _COADD, "SourceCatalog"),
        "coadd_forced": DatasetName("deepCoadd_forced_src", _COADD, "SourceCatalog"),
    }
)

_DP1 = Profile(
    name="dp1",
    label="dp1",
    collection="LSSTComCam/DP1",
    instrument="LSSTComCam",
    skymap="lsst_cells_v1",
    tract=5063,
    patches_per_side=10,
    first_patch=(4, 1),
    ra_deg=53.088,
    dec_deg=-28.105,
    detectors=(4, 5, 1, 2, 3, 7, 8, 0, 6),
    physical_filters=MappingProxyType({"g": "g_01", "r": "r_03", "i": "i_06"}),
    first_visit=2024110800245,
    first_day_mjd=60622,
    datasets=MappingProxyType(
        {
            "visit_image": DatasetName("visit_image", _VISIT_DETECTOR, "VisitImage"),
            "difference_image": DatasetName("difference_image", _VISIT_DETECTOR, "DifferenceImage"),
            "coadd": DatasetName("deep_coadd", _COADD, "CellCoadd"),
            "template": DatasetName("template_coadd", _COADD, "CellCoadd"),
            "source": DatasetName("source", ("instrument", "visit"), "ArrowAstropy"),
            "dia_source": DatasetName("dia_source", _TRACT, "ArrowAstropy"),
            "object": DatasetName("object", _TRACT, "ArrowAstropy"),
            "dia_object": DatasetName("dia_object", _TRACT, "ArrowAstropy"),
            "forced_source": DatasetName("object_forced_source", _PATCH, "ArrowAstropy"),
            "dia_forced_source": DatasetName("dia_object_forced_source", _PATCH, "ArrowAstropy"),
            "visit_table": DatasetName("visit_table", ("instrument",), "ArrowAstropy"),
            "visit_detector_table": DatasetName("visit_detector_table", ("instrument",), "ArrowAstropy"),
            "reference": DatasetName("object_ref_measurement", _PATCH, "SourceCatalog"),
            "reference_schema": DatasetName("object_ref_measurement_schema", (), "SourceCatalog"),
            "coadd_measured": DatasetName("object_unforced_measurement", _COADD, "SourceCatalog"),
            "coadd_forced": DatasetName("object_forced_measurement", _COADD, "SourceCatalog"),
            "truth": _TRUTH,
        }
    ),
)

_DP02 = Profile(
    name="dp02",
    label="dp02",
    collection="2.2i/runs/DP0.2",
    instrument="LSSTCam-imSim",
    skymap="DC2",
    tract=4431,
    patches_per_side=7,
    first_patch=(2, 2),
    ra_deg=55.75,
    dec_deg=-32.27,
    detectors=(175, 5, 174, 4, 173, 3, 172, 2),
    physical_filters=MappingProxyType({"g": "g_sim_1.4", "r": "r_sim_1.4", "i": "i_sim_1.4"}),
    first_visit=192350,
    first_day_mjd=59823,
    datasets=MappingProxyType(
        {
            "visit_image": DatasetName("calexp", _VISIT_DETECTOR, "VisitImage"),
            "difference_image": DatasetName("goodSeeingDiff_differenceExp", _VISIT_DETECTOR, "DifferenceImage"),
            "coadd": DatasetName("deepCoadd", _COADD, "CellCoadd"),
            "template": DatasetName("goodSeeingCoadd", _COADD, "CellCoadd"),
            "source": DatasetName("sourceTable", _VISIT_DETECTOR, "ArrowAstropy"),
            "dia_source": DatasetName("diaSourceTable", ("instrument", "visit"), "ArrowAstropy"),
            "object": DatasetName("objectTable", _PATCH, "ArrowAstropy"),
            "dia_object": DatasetName("diaObjectTable_tract", _TRACT, "ArrowAstropy"),
            "forced_source": DatasetName("forcedSourceTable", _PATCH, "ArrowAstropy"),
            "dia_forced_source": DatasetName("forcedSourceOnDiaObjectTable", _PATCH, "ArrowAstropy"),
            "visit_table": DatasetName("visitTable", ("instrument",), "ArrowAstropy"),
            "visit_detector_table": DatasetName("ccdVisitTable", ("instrument",), "ArrowAstropy"),
            **_COADD_CATALOGS,
            "truth": _TRUTH,
        }
    ),
)

_HSC = Profile(
    name="hsc",
    label="hsc",
    collection="HSC/runs/coaddForcedPhot",
    instrument="HSC",
    skymap="hsc_rings_v1",
    tract=0,
    patches_per_side=9,
    first_patch=(1, 1),
    ra_deg=320.8,
    dec_deg=-0.25,
    detectors=(49, 50, 41, 42),
    physical_filters=MappingProxyType({"g": "HSC-G", "r": "HSC-R", "i": "HSC-I"}),
    first_visit=903332,
    first_day_mjd=56598,
    datasets=MappingProxyType(
        {
            "visit_image": DatasetName("calexp", _VISIT_DETECTOR, "VisitImage"),
            "difference_image": DatasetName("deepDiff_differenceExp", _VISIT_DETECTOR, "DifferenceImage"),
            "coadd": DatasetName("deepCoadd_calexp", _COADD, "CellCoadd"),
            "template": DatasetName("deepDiff_template", _COADD, "CellCoadd"),
            **_COADD_CATALOGS,
            "truth": _TRUTH,
        }
    ),
)

PROFILES = MappingProxyType({profile.name: profile for profile in (_DP1, _DP02, _HSC)})


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated.

    Parameters
    ----------
    name
        What the command line calls it.
    bands
        Bands that are observed.
    n_visits
        Visits in each band.
    detectors_shape
        Rows and columns of detectors.
    detector_size_pix
        Width and height of a detector.
    patches_shape
        Rows and columns of patches with data.
    patch_inner_pix, patch_border_pix, cell_pix
        Sizes of a patch without its overlap, of the overlap on each side, and of a cell. The outer patch is a
        whole number of cells.
    n_stars, n_galaxies, n_variables, n_transients
        On the patches with data, and as densely around them.
    """

    name: str
    bands: tuple[str, ...]
    n_visits: int
    detectors_shape: tuple[int, int]
    detector_size_pix: int
    patches_shape: tuple[int, int]
    patch_inner_pix: int
    patch_border_pix: int
    cell_pix: int
    n_stars: int
    n_galaxies: int
    n_variables: int
    n_transients: int


SIZES = MappingProxyType(
    {
        size.name: size
        for size in (
            Size("tiny", ("r", "i"), 2, (1, 2), 400, (1, 2), 300, 50, 50, 90, 40, 6, 4),
            Size("small", ("g", "r", "i"), 5, (2, 2), 760, (2, 2), 700, 50, 50, 700, 500, 30, 12),
            Size("medium", ("g", "r", "i"), 10, (2, 2), 2060, (2, 2), 2000, 100, 100, 6000, 6000, 200, 60),
        )
    }
)


def find_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    if name not in PROFILES:
        raise ConfigurationError(f"There is no profile {name!r}; there are {', '.join(PROFILES)}.")
    return PROFILES[name]


def find_size(name: str) -> Size:
    """Return a size by name.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    if name not in SIZES:
        raise ConfigurationError(f"There is no size {name!r}; there are {', '.join(SIZES)}.")
    return SIZES[name]
