"""Names as a query must write them."""

import re

_REGULAR = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def delimited(name: str) -> str:
    """Return a column's name with quotation marks if a query must have them, as reserved words and odd names."""
    from vo_models.adql.misc import ADQL_SQL_KEYWORDS

    if _REGULAR.fullmatch(name) and name.upper() not in ADQL_SQL_KEYWORDS:
        return name
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
