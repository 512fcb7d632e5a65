"""Checking the text of an AST object before AST reads it: AST crashes on some damaged texts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...errors import FileFormatError

_LINE = re.compile(
    r"""\s*(?:
        (?P<mark>Begin|End|IsA)\s+(?P<class_name>\w+)
        | (?P<key>\w+)\s*=\s*(?P<value>|"[^"]*"|[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?|<bad>)
    )\s*(?:\#.*)?""",
    re.VERBOSE | re.ASCII,
)
_CLASSES = frozenset(
    {
        "Axis", "Frame", "FrameSet", "Mapping", "Object", "SkyAxis", "SkyFrame",
        "ChebyMap", "CmpMap", "LutMap", "MatrixMap", "NormMap", "PcdMap", "PermMap", "PolyMap", "RateMap",
        "ShiftMap", "SlaMap", "SphMap", "TranMap", "UnitMap", "UnitNormMap", "WcsMap", "WinMap", "ZoomMap",
    }
)  # fmt: skip
_MAX_DEPTH = 100
_MAX_COUNT = 100


@dataclass(slots=True)
class _Object:
    class_name: str
    values: dict[str, str] = field(default_factory=dict)
    parts: dict[str, "_Object"] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)

    def count(self, name: str) -> int:
        """Return a value that counts or numbers parts."""
        value = self.values.get(name, "")
        if not value.isdecimal() or not 1 <= int(value) <= _MAX_COUNT:
            raise FileFormatError(f"an AST {self.class_name} has a {name} of {value or 'nothing'}")
        return int(value)


def checked_ast_text(lines: Iterable[str], *, is_mapping: bool = False) -> list[str]:
    """Check that a text is a FrameSet as AST's Channel writes it, with all its parts.

    Parameters
    ----------
    lines
        The text.
    is_mapping
        Expect any other mapping instead of a FrameSet.

    Returns
    -------
    The same without comments.

    Raises
    ------
    FileFormatError
        If a line is none that AST writes, objects are not closed in order, or a part is missing.
    """
    text: list[str] = []
    root = _parse(lines, text)
    if is_mapping and not root.class_name.endswith("Map"):
        raise FileFormatError(f"a transform should be an AST Mapping; it is a {root.class_name}")
    if not is_mapping and root.class_name != "FrameSet":
        raise FileFormatError(f"the WCS should be an AST FrameSet; it is a {root.class_name}")
    return text


def _parse(lines: Iterable[str], text: list[str]) -> _Object:
    """Read the objects, and collect their lines without comments."""
    holder = _Object("")
    stack, key = [holder], "root"
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise FileFormatError(f"the text of an AST object has the line {line[:60]!r}")
        mark, class_name = match["mark"], match["class_name"]
        current = stack[-1]
        text.append(f"{mark} {class_name}" if mark else f"{match['key']} = {match['value']}")
        if (mark == "Begin") != bool(key):
            raise FileFormatError(f"the text of an AST object has {line.strip()[:60]!r} out of place")
        if mark and (class_name not in _CLASSES or len(stack) > _MAX_DEPTH):
            raise FileFormatError(f"the text of a WCS has a {class_name}")
        if mark == "Begin":
            current.parts[key] = _Object(class_name)
            stack.append(current.parts[key])
            key = ""
        elif mark == "End":
            _check_parts(current, class_name)
            stack.pop()
        elif mark == "IsA":
            current.parents.add(class_name)
        else:
            if match["key"] in current.values or match["key"] in current.parts or current is holder:
                raise FileFormatError(f"the text of an AST object has {match['key']!r} twice")
            if match["value"]:
                current.values[match["key"]] = match["value"]
            else:
                key = match["key"]
    if len(stack) != 1 or "root" not in holder.parts:
        raise FileFormatError("the text of an AST object ends too early")
    return holder.parts["root"]


def _check_parts(parsed: _Object, closing: str) -> None:
    """Check that an object has the parts without which AST would follow null pointers."""
    if parsed.class_name != closing:
        raise FileFormatError(f"the text of an AST {parsed.class_name or 'object'} ends as a {closing}")
    parent = "Mapping" if closing.endswith("Map") else "Frame" if closing in ("FrameSet", "SkyFrame") else None
    if parent and parent not in parsed.parents:
        raise FileFormatError(f"the text of an AST {closing} does not say that it is a {parent}")
    expected: set[str] = set()
    if closing in ("CmpMap", "TranMap"):
        expected = {"MapA", "MapB"}
    elif closing in ("Frame", "SkyFrame"):
        expected = {f"Ax{i}" for i in range(1, parsed.count("Naxes") + 1)}
    elif closing == "FrameSet":
        n_frames = parsed.count("Nframe")
        expected = {f"Frm{i}" for i in range(1, n_frames + 1)} | {f"Map{i}" for i in range(2, n_frames + 1)}
        for name in ("Base", "Currnt"):
            if name in parsed.values and parsed.count(name) > n_frames:
                raise FileFormatError(f"an AST FrameSet has no frame {parsed.values[name]}")
    if not expected <= parsed.parts.keys():
        raise FileFormatError(f"an AST {closing} has not all its parts: {', '.join(parsed.parts) or 'none'}")
