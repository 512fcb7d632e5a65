"""Reading a pickle as data: a small interpreter that calls nothing and imports nothing.

Python's own unpickler calls whatever a pickle names, with arguments of its choice, and sets
attributes of what it finds; an allow-list of classes does not help where a class evaluates a
string (``piff.PixelGrid(interp=...)`` does). Here a class is a name: what the pickle wants to
build is recorded as a `Record`, for the caller to build from values that it has checked.
"""

import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ...errors import FileFormatError, UnsafeContentError

_MARK = object()
_MAX_INTEGER_BITS = 128
_MAX_KEY_PARTS = 4
_KEY_TYPES = (str, int, bytes, type(None))


@dataclass(frozen=True, slots=True)
class ClassName:
    """A class or function that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Record:
    """An object that a pickle asks for: its class, constructor arguments and state."""

    class_name: ClassName
    arguments: tuple[Any, ...]
    state: Any = None


def read_pickle(data: bytes, allowed: Collection[tuple[str, str]]) -> Any:
    """Read a pickle of protocol 2 to 5 without running any of it.

    Parameters
    ----------
    data
        The pickle.
    allowed
        (module, name) of the classes that it may name.

    Returns
    -------
    The pickled object; a `Record` in place of each object that is not a number, string, bytes,
    None, list, tuple, set or dict.

    Raises
    ------
    UnsafeContentError
        If the pickle names anything else; the message has the name.
    FileFormatError
        If it is damaged or truncated, or uses operations that pickled data do not need.
    """
    interpreter = _Interpreter(allowed)
    try:
        for operation, argument, _ in pickletools.genops(data):
            interpreter.run(operation.name, argument)
        return interpreter.result()
    except (FileFormatError, MemoryError):
        raise
    except Exception as error:  # pickletools and the stack raise many types on damaged data
        raise FileFormatError(f"A pickle is damaged: {type(error).__name__}: {error}") from error


class _Interpreter:
    """The stack machine that a pickle is a program for, without calls and imports."""

    def __init__(self, allowed: Collection[tuple[str, str]]) -> None:
        self._allowed = allowed
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        """Carry out one operation."""
        if name in _PUSHES_ITS_ARGUMENT:
            if isinstance(argument, int) and argument.bit_length() > _MAX_INTEGER_BITS:
                raise FileFormatError("A pickle has an integer of an absurd length.")
            self.push(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _MAKES_A_VALUE:
            self.push(_MAKES_A_VALUE[name]())
        elif name in _NEEDS_NO_ACTION:
            return
        elif name in _CREATES_OBJECTS:
            self._create(name, argument)
        else:
            self._arrange(name, argument)

    def _arrange(self, name: str, argument: Any) -> None:
        """Combine values on the stack."""
        match name:
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.make_tuple(int(name[-1]))
            case "TUPLE":
                self.push(tuple(self.pop_to_mark()))
            case "APPEND":
                value = self.pop()
                self.top(list).append(value)
            case "APPENDS":
                values = self.pop_to_mark()
                self.top(list).extend(values)
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self.fill_dict([key, value])
            case "SETITEMS":
                self.fill_dict(self.pop_to_mark())
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.push(self._memo[argument])
            case _:
                raise FileFormatError(f"A pickle uses the operation {name}, which is not supported.")

    def _create(self, name: str, argument: Any) -> None:
        """Note what class is named, what is to be called or filled; nothing of it happens."""
        match name:
            case "GLOBAL":
                self.name_class(*argument.split(" ", 1))
            case "STACK_GLOBAL":
                class_name, module = self.pop(), self.pop()
                self.name_class(module, class_name)
            case "REDUCE" | "NEWOBJ":
                arguments, class_name = self.pop(), self.pop()
                if not isinstance(class_name, ClassName) or not isinstance(arguments, tuple):
                    raise UnsafeContentError("A pickle calls an object that is not a class.")
                self.push(Record(class_name, arguments))
            case "BUILD":
                state = self.pop()
                self.top(Record).state = state
            case _:
                raise UnsafeContentError(f"A pickle asks for {argument or 'an object'} by the operation {name}.")

    def result(self) -> Any:
        (value,) = self._stack
        return value

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise FileFormatError("A pickle's stack is out of order.")
        return value

    def pop_to_mark(self) -> list[Any]:
        for depth in range(len(self._stack) - 1, -1, -1):
            if self._stack[depth] is _MARK:
                values = self._stack[depth + 1 :]
                del self._stack[depth:]
                return values
        raise FileFormatError("A pickle's stack lacks a mark.")

    def top(self, kind: type) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise FileFormatError(f"A pickle fills a {kind.__name__} that is none.")
        return self._stack[-1]

    def make_tuple(self, n: int) -> None:
        values = [self.pop() for _ in range(n)]
        self.push(tuple(reversed(values)))

    def fill_dict(self, pairs: list[Any]) -> None:
        target = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Keys are hashed: long tuples again and again, nested ones in exponential time.
            parts = key if isinstance(key, tuple) and len(key) <= _MAX_KEY_PARTS else (key,)
            if not all(isinstance(part, _KEY_TYPES) for part in parts):
                raise FileFormatError(f"A pickle has a dict with a key of type {type(key).__name__}.")
            target[key] = value

    def name_class(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise FileFormatError("A pickle names a class by something that is no text.")
        if (module, name) not in self._allowed:
            raise UnsafeContentError(f"A pickle asks for {module}.{name}, which PSF models do not need.")
        self.push(ClassName(module, name))


_NEEDS_NO_ACTION = frozenset({"PROTO", "FRAME", "STOP"})

_CREATES_OBJECTS = frozenset(
    {
        "GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD",
        # These have other ways to name a class or an object; no PSF needs them.
        "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID",
    }
)  # fmt: skip

_MAKES_A_VALUE: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}

_PUSHES_ITS_ARGUMENT = frozenset(
    {
        "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
        "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
        "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
    }
)  # fmt: skip
