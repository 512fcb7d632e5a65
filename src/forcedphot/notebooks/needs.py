"""What a notebook needs besides itself: repositories, known by the strings in its cells, and the TAP service."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..survey.profiles import PROFILES

if TYPE_CHECKING:
    from ..survey.profiles import Profile

_NO_PYTHON = ("%", "!", "?")
_TAP_FUNCTION = "get_tap_service"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a notebook needs.

    Parameters
    ----------
    profiles
        Names of the profiles whose data it opens.
    uses_tap
        Whether it queries a TAP service.
    """

    profiles: tuple[str, ...]
    uses_tap: bool


def find_needs(sources: Iterable[str]) -> Needs:
    """Find out what code needs, without running it.

    A profile is needed if its label, its collection, or ``.../rerun/NAME`` with the last part of its collection,
    is a string in the code.

    Parameters
    ----------
    sources
        The code cells, of which lines of IPython's own, such as magics, are left out.
    """
    trees = [_parse(source) for source in sources]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    profiles = tuple(name for name, profile in PROFILES.items() if any(_is_place(text, profile) for text in texts))
    return Needs(profiles, uses_tap=_TAP_FUNCTION in set(_names(nodes)))


def _parse(source: str) -> ast.Module:
    lines = ("" if line.lstrip().startswith(_NO_PYTHON) else line for line in source.splitlines())
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:  # of which its cell will tell when it runs
        return ast.Module(body=[], type_ignores=[])


def _is_place(text: str, profile: Profile) -> bool:
    run = profile.collection.rpartition("/")[2]
    return text in (profile.label, profile.collection) or text.endswith(f"/rerun/{run}")


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
