"""What a service can do, as VOSI and TAPRegExt have it."""

from typing import Any, Literal

from vo_models.tapregext.models import (
    DataLimit,
    DataLimits,
    DataModelType,
    Language,
    LanguageFeature,
    LanguageFeatureList,
    OutputFormat,
    TableAccess,
    TimeLimits,
    UploadMethod,
    Version,
)
from vo_models.vodataservice.models import ParamHTTP
from vo_models.voresource.models import AccessURL, Capability, SecurityMethod
from vo_models.vosi.capabilities.models import VOSICapabilities

from ..functions import GEOMETRY
from ..holdings import HoldingsSnapshot
from .formats import FORMATS
from .settings import ServiceSettings

_FEATURES = "ivo://ivoa.net/std/TAPRegExt#features-"

UDFS = {
    "scisql_nanojanskyToAbMag(flux DOUBLE) -> DOUBLE": "The AB magnitude of a flux in nJy.",
    "scisql_nanojanskyToAbMagSigma(flux DOUBLE, flux_error DOUBLE) -> DOUBLE": (
        "The error of the AB magnitude of a flux, both in nJy."
    ),
    "sign(value DOUBLE) -> INTEGER": "-1, 0 or 1.",
}
"""Functions that are not ADQL's own: how they are called, and what they return."""

_WORDS = {
    "adqlgeo": tuple(sorted(name.upper() for name in GEOMETRY - {"in_unit"})),
    "adql-string": ("LOWER", "UPPER", "ILIKE"),
    "adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    "adql-common-table": ("WITH",),
    "adql-type": ("CAST",),
    "adql-unit": ("IN_UNIT",),
    "adql-offset": ("OFFSET",),
}


def capabilities(url: str, settings: ServiceSettings, snapshot: HoldingsSnapshot) -> bytes:
    """Describe the service at a URL, which is that of /tap."""
    security = _security(settings)
    standard = {
        "ivo://ivoa.net/std/VOSI#capabilities": (f"{url}/capabilities", []),
        "ivo://ivoa.net/std/VOSI#availability": (f"{url}/availability", []),
        "ivo://ivoa.net/std/VOSI#tables-1.1": (f"{url}/tables", security),
        "ivo://ivoa.net/std/DALI#examples": (f"{url}/examples", security),
    }
    plain = [
        Capability.model_validate({"standard_id": name, "interface": [_interface(address, "full", methods)]})
        for name, (address, methods) in standard.items()
    ]
    document = VOSICapabilities(capability=[_table_access(url, settings, snapshot), *plain]).to_xml(
        skip_empty=True, encoding="UTF-8", xml_declaration=True
    )
    return document if isinstance(document, bytes) else document.encode()


def _table_access(url: str, settings: ServiceSettings, snapshot: HoldingsSnapshot) -> TableAccess:
    limits = settings.async_limits
    has_images = any(
        table.source.name.lower() == "ivoa.obscore" for schema in snapshot.schemas for table in schema.tables
    )
    return TableAccess(
        interface=[_interface(url, "base", _security(settings), role="std", version="1.1")],
        data_model=[DataModelType(value="ObsCore-1.1", ivo_id="ivo://ivoa.net/std/ObsCore#core-1.1")]
        if has_images
        else [],
        language=[_language()],
        output_format=[
            OutputFormat(mime=form.media_type, alias=list(form.names), ivo_id=form.ivo_id) for form in FORMATS
        ],
        # by URL it takes results of its own jobs only
        upload_method=[
            UploadMethod(ivo_id=f"ivo://ivoa.net/std/TAPRegExt#upload-{name}") for name in ("inline", "http")
        ],
        retention_period=TimeLimits(default=settings.retention, hard=settings.max_retention),
        execution_duration=TimeLimits(default=settings.duration, hard=settings.max_duration),
        output_limit=_rows(limits.rows),
        upload_limit=_rows(limits.upload_rows),
    )


def _rows(count: int) -> DataLimits:
    limit = DataLimit(value=count, unit="row")
    return DataLimits(default=limit, hard=limit)


def _language() -> Language:
    lists = [
        LanguageFeatureList(type=f"{_FEATURES}{kind}", feature=[LanguageFeature(form=word) for word in words])
        for kind, words in _WORDS.items()
    ]
    udfs = [LanguageFeature(form=form, description=description) for form, description in UDFS.items()]
    return Language(
        name="ADQL",
        version=[
            Version(value="2.0", ivo_id="ivo://ivoa.net/std/ADQL#v2.0"),
            Version(value="2.1", ivo_id="ivo://ivoa.net/std/ADQL#v2.1"),
        ],
        description="ADQL 2.1",
        language_features=[*lists, LanguageFeatureList(type=f"{_FEATURES}udf", feature=udfs)],
    )


def _security(settings: ServiceSettings) -> list[SecurityMethod]:
    if not settings.tokens:
        return []
    return [
        SecurityMethod.model_validate({"standard_id": f"ivo://ivoa.net/sso#{name}"})
        for name in ("BasicAA", "BearerToken")
    ]


def _interface(
    url: str, use: Literal["base", "full"], security: list[SecurityMethod], **further: Any
) -> ParamHTTP:
    return ParamHTTP(
        access_url=[AccessURL.model_validate({"value": url, "use": use})], security_method=security, **further
    )
