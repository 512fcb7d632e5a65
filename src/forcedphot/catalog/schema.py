"""Schema: the columns of a measurement table, in order, with aliases; and the arrays that fill them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError

type Columns = dict[str, npt.NDArray[Any]]
"""One array a field, all of the same length, by field name."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name, numpy type name, documentation and astropy unit."""

    name: str
    dtype: str
    doc: str
    unit: str = ""


class Schema:
    """Fields in the order of their declaration, and aliases of name prefixes."""

    def __init__(self) -> None:
        self._fields: dict[str, Field] = {}
        self._aliases: dict[str, str] = {}

    def add_field(self, name: str, dtype: str, doc: str, unit: str = "") -> str:
        """Declare a field and return its name.

        Parameters
        ----------
        dtype
            One of float64, float32, int64, int32, bool.

        Raises
        ------
        ConfigurationError
            If there is such a field already.
        """
        if name in self._fields:
            raise ConfigurationError(f"The field {name} is declared twice.")
        self._fields[name] = Field(name, dtype, doc, unit)
        return name

    def set_alias(self, alias: str, target: str) -> None:
        """Give another name to all fields whose name is ``target`` or begins with ``target_``."""
        self._aliases[alias] = target

    @property
    def aliases(self) -> Mapping[str, str]:
        """Targets by alias."""
        return self._aliases

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def aliases_of(self, name: str) -> list[str]:
        """Return the other names of a field, in alphabetical order of the aliases."""
        return [
            alias + name.removeprefix(target)
            for alias, target in sorted(self._aliases.items())
            if name == target or name.startswith(f"{target}_")
        ]

    def allocate(self, n: int) -> Columns:
        """Make the arrays for n rows: NaN for floats, 0 for integers, False for flags."""
        return {
            field.name: np.full(n, np.nan if field.dtype.startswith("float") else 0, dtype=field.dtype)
            for field in self
        }
