"""Reading a pickle as data: a small interpreter that calls nothing and imports nothing.

Python's own unpickler calls whatever a pickle names, with arguments of its choice, and sets
attributes of what it finds; an allow-list of classes does not help where a class evaluates a
string (``piff.PixelGrid(interp=...)`` does). Here a class is a name: what the pickle wants to
build is recorded as a `Record`, for the caller to build from values that it has checked.
"""

import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from struct import Struct
from typing import Any

from ...errors import FileFormatError, UnsafeContentError

_MARK = object()
_MAX_INTEGER_BYTES = 16
_MAX_KEY_PARTS = 4
_MAX_KEY = 1 << 31
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
    try:
        return _Interpreter(data, allowed).run()
    except (FileFormatError, MemoryError):
        raise
    except Exception as error:  # structs, texts and the stack raise many types on damaged data
        raise FileFormatError(f"A pickle is damaged: {type(error).__name__}: {error}") from error


class _Interpreter:
    """The stack machine that a pickle is a program for, without calls and imports.

    Each operation is a method without arguments, which takes what it needs from the data and the stack:
    a model has ten thousands of them.
    """

    def __init__(self, data: bytes, allowed: Collection[tuple[str, str]]) -> None:
        self._data = data
        self._position = 0
        self._allowed = allowed
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Carry out all operations, and return the only value that is left."""
        data, stop = self._data, pickle.STOP[0]
        while True:
            code = data[self._position]
            self._position += 1
            if code == stop:
                break
            _OPERATION_OF_BYTE[code](self)
        (value,) = self._stack
        return value

    def refuse(self) -> None:
        code = self._data[self._position - 1 : self._position]
        if code in _OTHER_WAYS_TO_OBJECTS:
            raise UnsafeContentError(f"A pickle asks for an object by the operation {code!r}.")
        raise FileFormatError(f"A pickle uses the operation {code!r}, which is not supported.")

    # The arguments of operations, in the data

    def take(self, length: int) -> bytes:
        start, stop = self._position, self._position + length
        if stop > len(self._data):
            raise FileFormatError("A pickle ends too early.")
        self._position = stop
        return self._data[start:stop]

    def take_number(self, form: Struct) -> Any:
        value = form.unpack_from(self._data, self._position)[0]
        self._position += form.size
        return value

    def take_byte(self) -> int:
        value = self._data[self._position]
        self._position += 1
        return value

    def take_line(self) -> str:
        stop = self._data.index(b"\n", self._position)
        line = self._data[self._position : stop]
        self._position = stop + 1
        return line.decode("utf-8")

    # Operations that push a value

    def short_text(self) -> None:
        self._stack.append(self.take(self.take_byte()).decode("utf-8", "surrogatepass"))

    def text(self) -> None:
        self._stack.append(self.take(self.take_number(_UINT4)).decode("utf-8", "surrogatepass"))

    def long_text(self) -> None:
        self._stack.append(self.take(self.take_number(_UINT8)).decode("utf-8", "surrogatepass"))

    def short_bytes(self) -> None:
        self._stack.append(self.take(self.take_byte()))

    def plain_bytes(self) -> None:
        self._stack.append(self.take(self.take_number(_UINT4)))

    def long_bytes(self) -> None:
        self._stack.append(self.take(self.take_number(_UINT8)))

    def uint1(self) -> None:
        self._stack.append(self.take_byte())

    def uint2(self) -> None:
        self._stack.append(self.take_number(_UINT2))

    def int4(self) -> None:
        self._stack.append(self.take_number(_INT4))

    def long_integer(self) -> None:
        self._push_integer(self.take_byte())

    def longer_integer(self) -> None:
        self._push_integer(self.take_number(_UINT4))

    def _push_integer(self, n_bytes: int) -> None:
        if n_bytes > _MAX_INTEGER_BYTES:
            raise FileFormatError("A pickle has an integer of an absurd length.")
        self._stack.append(int.from_bytes(self.take(n_bytes), "little", signed=True))

    def number(self) -> None:
        self._stack.append(self.take_number(_FLOAT8))

    def mark(self) -> None:
        self._stack.append(_MARK)

    def none(self) -> None:
        self._stack.append(None)

    def true(self) -> None:
        self._stack.append(True)

    def false(self) -> None:
        self._stack.append(False)

    def empty_list(self) -> None:
        self._stack.append([])

    def empty_dict(self) -> None:
        self._stack.append({})

    def empty_tuple(self) -> None:
        self._stack.append(())

    # Operations that combine values on the stack

    def tuple1(self) -> None:
        self._stack.append((self.pop(),))

    def tuple2(self) -> None:
        second, first = self.pop(), self.pop()
        self._stack.append((first, second))

    def tuple3(self) -> None:
        third, second, first = self.pop(), self.pop(), self.pop()
        self._stack.append((first, second, third))

    def marked_tuple(self) -> None:
        self._stack.append((*self.pop_to_mark(),))

    def append(self) -> None:
        value = self.pop()
        self.top(list).append(value)

    def appends(self) -> None:
        values = self.pop_to_mark()
        self.top(list).extend(values)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.fill_dict([key, value])

    def set_items(self) -> None:
        self.fill_dict(self.pop_to_mark())

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def put(self) -> None:
        self._memo[self.take_byte()] = self._stack[-1]

    def long_put(self) -> None:
        self._memo[self.take_number(_UINT4)] = self._stack[-1]

    def get(self) -> None:
        self._stack.append(self._memo[self.take_byte()])

    def long_get(self) -> None:
        self._stack.append(self._memo[self.take_number(_UINT4)])

    # Operations that need no action

    def skip_version(self) -> None:
        self._position += 1

    def skip_frame_size(self) -> None:
        self._position += 8

    # Operations that make objects: what is named, called or filled is noted; nothing of it happens

    def named_class(self) -> None:
        module, name = self.take_line(), self.take_line()
        self.name_class(module, name)

    def stacked_class(self) -> None:
        name, module = self.pop(), self.pop()
        self.name_class(module, name)

    def call(self) -> None:
        arguments, class_name = self.pop(), self.pop()
        if type(class_name) is not ClassName or type(arguments) is not tuple:
            raise UnsafeContentError("A pickle calls an object that is not a class.")
        self._stack.append(Record(class_name, arguments))

    def build(self) -> None:
        state = self.pop()
        self.top(Record).state = state

    # What operations are made of

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise FileFormatError("A pickle's stack is out of order.")
        return value

    def pop_to_mark(self) -> list[Any]:
        stack = self._stack
        for depth in range(len(stack) - 1, -1, -1):
            if stack[depth] is _MARK:
                values = stack[depth + 1 :]
                del stack[depth:]
                return values
        raise FileFormatError("A pickle's stack lacks a mark.")

    def top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise FileFormatError(f"A pickle fills a {kind.__name__} that is none.")
        return self._stack[-1]

    def fill_dict(self, pairs: list[Any]) -> None:
        target = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) is not str:
                _check_key(key)
            target[key] = value

    def name_class(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise FileFormatError("A pickle names a class by something that is no text.")
        if (module, name) not in self._allowed:
            raise UnsafeContentError(f"A pickle asks for {module}.{name}, which PSF models do not need.")
        self._stack.append(ClassName(module, name))


def _check_key(key: Any) -> None:
    """Raise if a key cannot be hashed fast: long tuples again and again, nested ones in exponential time.

    Large integers may be chosen so that all have one hash, which takes the square of their number.
    """
    parts = key if isinstance(key, tuple) and len(key) <= _MAX_KEY_PARTS else (key,)
    if not all(isinstance(part, _KEY_TYPES) for part in parts):
        raise FileFormatError(f"A pickle has a dict with a key of type {type(key).__name__}.")
    if any(isinstance(part, int) and abs(part) >= _MAX_KEY for part in parts):
        raise FileFormatError("A pickle has a dict with a large integer as a key.")


_UINT2, _UINT4, _UINT8, _INT4, _FLOAT8 = (Struct(form) for form in ("<H", "<I", "<Q", "<i", ">d"))

_OPERATIONS: dict[bytes, Callable[[_Interpreter], None]] = {
    pickle.SHORT_BINUNICODE: _Interpreter.short_text,
    pickle.BINUNICODE: _Interpreter.text,
    pickle.BINUNICODE8: _Interpreter.long_text,
    pickle.SHORT_BINBYTES: _Interpreter.short_bytes,
    pickle.BINBYTES: _Interpreter.plain_bytes,
    pickle.BINBYTES8: _Interpreter.long_bytes,
    pickle.BYTEARRAY8: _Interpreter.long_bytes,
    pickle.BININT1: _Interpreter.uint1,
    pickle.BININT2: _Interpreter.uint2,
    pickle.BININT: _Interpreter.int4,
    pickle.LONG1: _Interpreter.long_integer,
    pickle.LONG4: _Interpreter.longer_integer,
    pickle.BINFLOAT: _Interpreter.number,
    pickle.MARK: _Interpreter.mark,
    pickle.NONE: _Interpreter.none,
    pickle.NEWTRUE: _Interpreter.true,
    pickle.NEWFALSE: _Interpreter.false,
    pickle.EMPTY_LIST: _Interpreter.empty_list,
    pickle.EMPTY_DICT: _Interpreter.empty_dict,
    pickle.EMPTY_TUPLE: _Interpreter.empty_tuple,
    pickle.TUPLE1: _Interpreter.tuple1,
    pickle.TUPLE2: _Interpreter.tuple2,
    pickle.TUPLE3: _Interpreter.tuple3,
    pickle.TUPLE: _Interpreter.marked_tuple,
    pickle.APPEND: _Interpreter.append,
    pickle.APPENDS: _Interpreter.appends,
    pickle.SETITEM: _Interpreter.set_item,
    pickle.SETITEMS: _Interpreter.set_items,
    pickle.MEMOIZE: _Interpreter.memoize,
    pickle.BINPUT: _Interpreter.put,
    pickle.LONG_BINPUT: _Interpreter.long_put,
    pickle.BINGET: _Interpreter.get,
    pickle.LONG_BINGET: _Interpreter.long_get,
    pickle.PROTO: _Interpreter.skip_version,
    pickle.FRAME: _Interpreter.skip_frame_size,
    pickle.GLOBAL: _Interpreter.named_class,
    pickle.STACK_GLOBAL: _Interpreter.stacked_class,
    pickle.REDUCE: _Interpreter.call,
    pickle.NEWOBJ: _Interpreter.call,
    pickle.BUILD: _Interpreter.build,
}
"""All that a pickle may do."""

_OPERATION_OF_BYTE = tuple(_OPERATIONS.get(bytes([i]), _Interpreter.refuse) for i in range(256))

_OTHER_WAYS_TO_OBJECTS = frozenset(
    {
        pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4,
        pickle.PERSID, pickle.BINPERSID,
    }
)  # fmt: skip
"""No PSF needs them."""
