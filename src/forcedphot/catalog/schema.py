"""Schema: the fields of a catalog, in order, with aliases and slots; and the arrays that fill them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError, UnknownFieldError

type Columns = dict[str, npt.NDArray[Any]]
"""One array a field, all of the same length, by field name."""

AFW_TYPES = MappingProxyType(
    {
        "B": "uint8",
        "U": "uint16",
        "I": "int32",
        "L": "int64",
        "F": "float32",
        "D": "float64",
        "Flag": "bool",
        "String": "str",
        "Angle": "float64",
    }
)
"""The pipelines' names of field types, and numpy's."""

_AFW_TYPE_OF = {dtype: name for name, dtype in AFW_TYPES.items() if name != "Angle"}

SLOT_PREFIX = "slot_"


@dataclass(frozen=True, slots=True, repr=False)
class Field:
    """A column: its name, numpy type name, documentation and unit.

    Parameters
    ----------
    name
        Letters, digits and underscores; what a plugin declares begins with the plugin's name.
    dtype
        Name of a numpy type; ``str`` for strings.
    doc
        What the column holds.
    unit
        As astropy understands it; ``pixel`` and ``count`` as well as ``pix`` and ``ct``.
    size
        None for one number a row; the number of elements of an array, or of characters of a string;
        0 where it differs from row to row.
    is_angle
        Whether the pipelines' type is Angle: a float64 in radians.
    """

    name: str
    dtype: str
    doc: str = ""
    unit: str = ""
    size: int | None = None
    is_angle: bool = False

    @property
    def type(self) -> str:
        """The pipelines' name of the type: D, F, I, L, U, B, Angle, Flag, String, ArrayD, and so on."""
        if self.is_angle:
            return "Angle"
        name = _AFW_TYPE_OF.get(self.dtype, self.dtype)
        return name if self.size is None or self.dtype == "str" else f"Array{name}"

    @property
    def is_variable(self) -> bool:
        """Whether the column is an array of arrays, one a row, of different lengths."""
        return self.size == 0 and self.dtype != "str"

    def getName(self) -> str:
        """Return the name."""
        return self.name

    def getDoc(self) -> str:
        """Return the documentation."""
        return self.doc

    def getUnits(self) -> str:
        """Return the unit; an empty string if it has none."""
        return self.unit

    def getTypeString(self) -> str:
        """Return the pipelines' name of the type."""
        return self.type

    def allocate(self, n: int) -> npt.NDArray[Any]:
        """Make the array for n rows: NaN for floats, 0 for integers, False for flags, empty strings and arrays."""
        if self.dtype == "str":
            return np.full(n, "", dtype=f"U{max(self.size or 0, 1)}")
        if self.is_variable:
            values = np.empty(n, dtype=object)
            values[:] = [np.empty(0, dtype=self.dtype) for _ in range(n)]
            return values
        shape = n if self.size is None else (n, self.size)
        return np.full(shape, np.nan if self.dtype.startswith("float") else 0, dtype=self.dtype)

    def __repr__(self) -> str:
        size = f", size={self.size}" if self.size is not None else ""
        unit = f', units="{self.unit}"' if self.unit else ""
        return f'Field[\'{self.type}\'](name="{self.name}", doc="{self.doc}"{unit}{size})'


class SchemaItem(NamedTuple):
    """What a schema finds: the field, and the key that a catalog takes, which is the field's name."""

    key: str
    field: Field


class Schema:
    """Fields in the order of their declaration, and aliases of beginnings of their names.

    Parameters
    ----------
    fields
        Fields to begin with.
    aliases
        Aliases to begin with: targets by alias.
    """

    def __init__(self, fields: Iterable[Field] = (), aliases: Mapping[str, str] | None = None) -> None:
        self._fields: dict[str, Field] = {}
        self._aliases = dict(aliases or {})
        for field in fields:
            self.add(field)

    def add_field(self, name: str, dtype: str, doc: str, unit: str = "", size: int | None = None) -> str:
        """Declare a field and return its name.

        Parameters
        ----------
        dtype
            A numpy type name (float64, float32, int64, int32, uint16, uint8, bool, str), or the pipelines'
            (D, F, L, I, U, B, Flag, String, Angle, or one of them after ``Array``).
        size
            Elements of an array, characters of a string; see `Field`.

        Raises
        ------
        ConfigurationError
            If there is such a field already.
        """
        dtype = dtype.removeprefix("Array")
        is_angle = dtype == "Angle"
        field = Field(
            name, AFW_TYPES.get(dtype, dtype), doc, unit or ("rad" if is_angle else ""), size, is_angle=is_angle
        )
        return self.add(field)

    def add(self, field: Field) -> str:
        """Add a field and return its name.

        Raises
        ------
        ConfigurationError
            If there is such a field already.
        """
        if field.name in self._fields:
            raise ConfigurationError(f"The field {field.name} is declared twice.")
        self._fields[field.name] = field
        return field.name

    def set_alias(self, alias: str, target: str) -> None:
        """Let names that begin with ``alias`` stand for those that begin with ``target``."""
        self._aliases[alias] = target

    @property
    def aliases(self) -> Mapping[str, str]:
        """Targets by alias."""
        return MappingProxyType(self._aliases)

    def getAliasMap(self) -> Mapping[str, str]:
        """Return the targets by alias."""
        return self.aliases

    @property
    def slots(self) -> Mapping[str, str]:
        """What fills each slot, by the slot's name without ``slot_``."""
        return {
            alias.removeprefix(SLOT_PREFIX): target
            for alias, target in sorted(self._aliases.items())
            if alias.startswith(SLOT_PREFIX)
        }

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        return list(self) == list(other) and self._aliases == other._aliases

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        lines = [f"    {field!r}," for field in self]
        lines += [f"    '{alias}'->'{target}'" for alias, target in sorted(self._aliases.items())]
        return "\n".join(["Schema(", *lines, ")"])

    def copy(self) -> Schema:
        """Return a schema of the same fields and aliases."""
        return Schema(self, self._aliases)

    def resolve(self, name: str) -> str:
        """Return the name of the field that a name or an alias stands for.

        Aliases may stand for aliases; of several that fit, the longest is taken.

        Raises
        ------
        UnknownFieldError
            If there is none.
        """
        found = self._resolve(name)
        if found is None:
            raise UnknownFieldError(name, self._fields)
        return found

    def _resolve(self, name: str) -> str | None:
        found = name
        # One round an alias: more would go in circles.
        for _ in range(len(self._aliases) + 1):
            if found in self._fields:
                return found
            alias = max((a for a in self._aliases if found.startswith(a)), key=len, default=None)
            if alias is None:
                return None
            found = self._aliases[alias] + found[len(alias) :]
        return None

    def has(self, name: str) -> bool:
        """Tell whether a name, or an alias, stands for a field."""
        return self._resolve(name) is not None

    def find(self, name: str) -> SchemaItem:
        """Look up a field by its name or by an alias.

        Raises
        ------
        UnknownFieldError
            If there is none.
        """
        field = self._fields[self.resolve(name)]
        return SchemaItem(field.name, field)

    def aliases_of(self, name: str) -> list[str]:
        """Return the other names of a field, in alphabetical order of the aliases."""
        found = (
            alias + name.removeprefix(target)
            for alias, target in sorted(self._aliases.items())
            if name.startswith(target)
        )
        return [other for other in dict.fromkeys(found) if other not in self._fields]

    def getNames(self) -> set[str]:
        """Return the names of all fields, without aliases."""
        return set(self._fields)

    def getOrderedNames(self) -> list[str]:
        """Return the names of all fields in order, without aliases."""
        return list(self._fields)

    def extract(self, *globs: str, regex: str | None = None) -> dict[str, SchemaItem]:
        """Find all fields whose name, or an alias of it, fits a pattern.

        Parameters
        ----------
        globs
            Patterns with ``*``, ``?`` and ``[...]``, such as ``base_PsfFlux_*``.
        regex
            A regular expression that the whole name may fit instead.

        Returns
        -------
        What `find` returns, by the names that fit, in the order of the fields.
        """
        expression = re.compile(regex) if regex is not None else None
        return {
            name: SchemaItem(field.name, field)
            for field in self
            for name in (field.name, *self.aliases_of(field.name))
            if any(fnmatchcase(name, glob) for glob in globs)
            or (expression is not None and expression.fullmatch(name))
        }

    def subset(self, names: Iterable[str]) -> Schema:
        """Return a schema of some of the fields, in the order given, with all aliases.

        Raises
        ------
        UnknownFieldError
            If there is no such field.
        """
        return Schema((self.find(name).field for name in names), self._aliases)

    def allocate(self, n: int) -> Columns:
        """Make the arrays for n rows, as `Field.allocate` does."""
        return {field.name: field.allocate(n) for field in self}
