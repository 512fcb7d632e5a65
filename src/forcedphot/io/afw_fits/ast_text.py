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
_ITEM = re.compile(r"(?P<name>[A-Za-z]+)(?:(?P<index>[0-9]{1,6})(?:_[0-9]{1,6}|[A-Z])?)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?[0-9]{1,6}", re.ASCII)
_TEXT, _NUMBER, _INTEGER, _PART = "text", "number", "integer", "part"
_PART_CLASSES = {
    "Ax": "Axis", "Frame": "Frame", "Frm": "Frame", "Map": "Mapping", "MapA": "Mapping", "MapB": "Mapping",
}  # fmt: skip
_FRAMES = frozenset({"Frame", "SkyFrame"})
"""These are mappings too, for AST, but none that it writes as parts."""
_MAX_DEPTH = 100
_MAX_COUNT = 100
_MAX_INTEGER = 100_000
_SMALL = frozenset({"Nin", "Nout", "PF", "PI", "MPF", "MPI"})
"""Counts and powers, of which AST makes tables."""
_COUNTS = _SMALL | {"NCF", "NCI", "Naxes", "Nconst", "Nframe", "Nlut", "Nnode", "Nsla"}


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of AST: the class that it derives from, and the items that it writes itself, by what they are."""

    parent: str
    items: frozenset[tuple[str, str]]


def _class(
    parent: str = "Mapping", *, integer: str = "", number: str = "", text: str = "", part: str = ""
) -> _Class:
    kinds = {_INTEGER: integer, _NUMBER: number, _TEXT: text, _PART: part}
    return _Class(parent, frozenset((name, kind) for kind, names in kinds.items() for name in names.split()))


_CLASSES = {
    "Object": _class("", integer="Nobj RefCnt UseDfs", text="ID Ident"),
    "Mapping": _class("Object", integer="AlSimp Fwd Inv Invert IsSimp Nin Nout ReSimp Report"),
    "Frame": _class(
        "Mapping",
        integer="ActUnt Dig Digits Dir MaxAx MchEnd MinAx Naxes Permut Presrv Prm",
        number="Bot Dtai Dut Epoch ObsAlt ObsLat ObsLon Top",
        text="AlSys Domain Fmt Lbl Sym System Title Uni",
        part="Ax Vrnts",
    ),
    "SkyFrame": _class("Frame", integer="AlOff NegLon", number="Eqnox SRef SRefP SkyTol", text="Proj SRefIs"),
    "FrameSet": _class("Frame", integer="Base Currnt Inv Lnk Nframe Nnode Nod", text="VFr", part="Frm Map VFr"),
    "Axis": _class("Object", integer="Digits Dirn", number="Bottom Top", text="Format Label Symbol Unit"),
    "SkyAxis": _class("Axis", integer="AsTime CnZer IsLat", text="Format"),
    "ChebyMap": _class("PolyMap", number="FOFF FSCL IOFF ISCL"),
    "CmpMap": _class(integer="InvA InvB Series", part="MapA MapB"),
    "LutMap": _class(integer="LutInt Nlut", number="Incr L LutEps Start"),
    "MatrixMap": _class(number="IM M", text="Form"),
    "NormMap": _class(part="Frame"),
    "PcdMap": _class(number="Disco PcdCn"),
    "PermMap": _class(integer="In InCpy Nconst Out OutCpy pmsplt", number="Con"),
    "PolyMap": _class(integer="IterInv MPF MPI NCF NCI NiterInv PF PI", number="CF CI TolInv"),
    "RateMap": _class(integer="IIn IOut Inv", part="Map"),
    "ShiftMap": _class(number="Sft"),
    "SlaMap": _class(integer="Nsla", number="Sla", text="Sla"),
    "SphMap": _class(integer="UntRd", number="PlrLg"),
    "TranMap": _class(integer="InvA InvB", part="MapA MapB"),
    "UnitMap": _class(),
    "UnitNormMap": _class(number="Ctr"),
    "WcsMap": _class(integer="FitsPrj LonChk TpnTan WcsAx", number="PV", text="Type"),
    "WinMap": _class(number="Scl Sft"),
    "ZoomMap": _class(number="Zoom"),
}
"""What AST's own writers write; it crashes on some items that stand where they do not belong."""


@dataclass(slots=True)
class _Object:
    class_name: str
    values: dict[str, str] = field(default_factory=dict)
    parts: dict[str, "_Object"] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)

    def end_section(self, class_name: str) -> None:
        """Check the items that came before a line which says of which class they are."""
        line = _line_of(self.class_name)
        if class_name not in line or (self.parents and line.index(class_name) <= line.index(self.parents[-1])):
            raise FileFormatError(f"the text of an AST {self.class_name} has {class_name} out of place")
        # AST crashes on what a FrameSet has from its current frame.
        known = (
            frozenset() if (self.class_name, class_name) == ("FrameSet", "Frame") else _CLASSES[class_name].items
        )
        for key in self.pending:
            self._check_item(key, known)
        self.pending.clear()
        self.parents.append(class_name)

    def _check_item(self, key: str, known: frozenset[tuple[str, str]]) -> None:
        match = _ITEM.fullmatch(key)
        name = match["name"] if match else ""
        value = self.values.get(key, "")
        kinds = {_TEXT} if value.startswith('"') else {_NUMBER, _INTEGER} if value else {_PART}
        if (name, _INTEGER) in known and value:
            low, high = (0 if name in _COUNTS else -_MAX_INTEGER), (_MAX_COUNT if name in _SMALL else _MAX_INTEGER)
            kinds = {_INTEGER} if _WHOLE.fullmatch(value) and low <= int(value) <= high else set()
        if not any((name, kind) in known for kind in kinds):
            raise FileFormatError(f"the text of an AST {self.class_name} has {key} = {value[:60]} out of place")

    def count(self, name: str) -> int:
        """Return a value that counts or numbers parts."""
        value = self.values.get(name, "")
        if not value.isdecimal() or not 1 <= int(value) <= _MAX_COUNT:
            raise FileFormatError(f"an AST {self.class_name} has a {name} of {value or 'nothing'}")
        return int(value)


def _line_of(class_name: str) -> list[str]:
    """Return a class and those it derives from, the first one first."""
    line: list[str] = []
    while class_name:
        line.insert(0, class_name)
        class_name = _CLASSES[class_name].parent
    return line


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
            current.end_section(class_name)
            stack.pop()
        elif mark == "IsA":
            current.end_section(class_name)
        else:
            if match["key"] in current.values or match["key"] in current.parts or current is holder:
                raise FileFormatError(f"the text of an AST object has {match['key']!r} twice")
            current.pending.append(match["key"])
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
    if closing == "SkyFrame" and parsed.count("Naxes") != 2:
        raise FileFormatError("an AST SkyFrame has other than two axes")
    for key, part in parsed.parts.items():
        wanted = _PART_CLASSES.get(key.rstrip("0123456789"), "Object")
        line = _line_of(part.class_name)
        if wanted not in line or (wanted == "Mapping" and part.class_name in _FRAMES):
            raise FileFormatError(f"an AST {closing} has a {part.class_name} as its {key}")
    if not expected <= parsed.parts.keys():
        raise FileFormatError(f"an AST {closing} has not all its parts: {', '.join(parsed.parts) or 'none'}")
