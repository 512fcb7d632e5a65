"""Texts that XML can hold."""

import re
from xml.sax.saxutils import escape, quoteattr

FORBIDDEN = "\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f"
"""Characters that no XML document may have, even escaped, as a regular expression's set."""

_FORBIDDEN = re.compile(f"[{FORBIDDEN}\\ud800-\\udfff\\ufffe\\uffff]")


def legal(text: str) -> str:
    """Put a sign for characters that XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def content(text: str) -> str:
    """Return a text as an element's content."""
    return escape(legal(text))


def attributes(**values: str) -> str:
    """Return attributes, those without value left out, each with a space before it."""
    return "".join(f" {name}={quoteattr(legal(value))}" for name, value in values.items() if value)
