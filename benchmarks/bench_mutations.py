"""Ten thousand damaged and hostile files, each read in bounded time and memory: a result or an error of ours.

Crashes, other exceptions and files that take too long are printed with their number, from which the file can be
made again (``bench_mutations.py NUMBER``); then the exit code is 1.
"""

import argparse
import faulthandler
import logging
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from forcedphot import Exposure
from forcedphot.conventions import Box
from forcedphot.errors import ForcedPhotError
from forcedphot.io.source_catalogs import read_source_catalog
from measuring import keep, print_table

_TESTS = Path(__file__).resolve().parents[1] / "tests" / "data"
_GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden"
_N_MUTATIONS = 10_000
_N_WORKERS = 2
_MAX_SECONDS = 10.0
_GRACE_SECONDS = 10.0  # for code that is not Python's, which no alarm ends
_MAX_MORE_BYTES = 2 << 30
_BLOCK = 2880
_CARD = 80
_WEIGHTS = {"exposure": 10, "table": 4, "lsst": 1}
_MARK = "gadget_ran"

Edit = Callable[[np.random.Generator, bytearray], None]


class TooSlowError(BaseException):
    """The alarm rang; no handler of errors may catch it."""


@cache
def sources() -> list[tuple[str, Path]]:
    """List files to damage, and of what kind each is."""
    exposures = sorted(_TESTS.glob("driver/*/exposure.fits")) + sorted(_TESTS.glob("exposures/*.fits"))
    exposures += sorted(_GOLDEN.glob("exposures/*.fits*"))
    tables = sorted(_TESTS.glob("tables/*.fits")) + sorted(_GOLDEN.glob("tables/*.fits"))
    images = sorted(_TESTS.glob("dp2/*/*.fits"))
    kinds = {"exposure": exposures, "table": tables, "lsst": images}
    return [(kind, path) for kind, paths in kinds.items() for path in paths]


def flip_bits(rng: np.random.Generator, data: bytearray) -> None:
    for place in _places(rng, data, int(rng.integers(1, 20))):
        data[place] ^= 1 << int(rng.integers(8))


def replace_bytes(rng: np.random.Generator, data: bytearray) -> None:
    for place in _places(rng, data, int(rng.integers(1, 10))):
        data[place] = int(rng.integers(256))


def truncate(rng: np.random.Generator, data: bytearray) -> None:
    del data[int(rng.integers(len(data))) :]


def swap_blocks(rng: np.random.Generator, data: bytearray) -> None:
    first, second = (int(i) * _BLOCK for i in rng.integers(max(len(data) // _BLOCK, 1), size=2))
    length = min(_BLOCK * int(rng.integers(1, 4)), len(data) - max(first, second))
    one, other = data[first : first + length], data[second : second + length]
    data[first : first + length], data[second : second + length] = other, one


def repeat_or_drop(rng: np.random.Generator, data: bytearray) -> None:
    place = int(_places(rng, data, 1)[0])
    unit = int(rng.choice([1, 8, _CARD, _BLOCK]))
    place -= place % unit
    if rng.random() < 0.5:
        data[place:place] = data[place : place + unit]
    else:
        del data[place : place + unit]


def fill(rng: np.random.Generator, data: bytearray) -> None:
    place, length = int(_places(rng, data, 1)[0]), int(rng.choice([4, 8, 80, 400]))
    value = bytes([int(rng.choice([0, 0x20, 0x7F, 0x80, 0xFF]))])
    data[place : place + length] = value * len(data[place : place + length])


def absurd_card(rng: np.random.Generator, data: bytearray, names: tuple[bytes, ...] = (b"",)) -> None:
    """Give a number in a header another value."""
    rows = np.frombuffer(bytes(data[: len(data) // _CARD * _CARD]), np.uint8).reshape(-1, _CARD)
    places = np.flatnonzero((rows[:, 8] == ord("=")) & (rows[:, 9] == ord(" "))) * _CARD
    cards = [i for i in places.tolist() if data[i + 10 : i + 30].strip().lstrip(b"-").isdigit()]
    cards = [i for i in cards if data.startswith(names, i)]
    values = (
        "-1",
        "0",
        "1",
        "2",
        "3",
        "7",
        str(2**31),
        str(2**62),
        "9" * 19,
        "-2880",
        "1E300",
        "T",
        "'text'",
        "",
        "NaN",
    )
    for place in rng.choice(cards, int(rng.integers(1, 4))) if cards else []:
        value = str(rng.choice(values))
        data[place + 10 : place + 30] = value.rjust(20).encode()


def lie_about_tiles(rng: np.random.Generator, data: bytearray) -> None:
    """Give a number that decompressing needs another value."""
    absurd_card(rng, data, (b"ZVAL", b"ZTILE", b"ZNAXIS", b"ZBITPIX", b"THEAP"))


def absurd_number(rng: np.random.Generator, data: bytearray) -> None:
    """Put extreme numbers into tables."""
    for place in _places(rng, data, int(rng.integers(1, 6))):
        value = int(rng.choice([0, 1, -1, 2**31 - 1, -(2**31), 2**16, 65, 1000]))
        data[place : place + 4] = value.to_bytes(4, "big", signed=True)


def other_line(rng: np.random.Generator, data: bytearray) -> None:
    """Put a line of AST's language, or a part of one, where such lines are."""
    lines = (
        'System = "FK5"', "System =", 'System = "', "Begin FrameSet", "End FrameSet", "IsA Mapping",
        "Nin = 99999999", "Naxes = 7", "MapA =", "Invert = 1", "Currnt = 9", "Nframe = 1000", "Nout = 0", "Ax3 =",
        'Uses = "x"', "M1 = <bad>", "IsSimp = 1", 'Unit1 = "sr/"', 'Epoch = "J"', "Digits1 = 99",
        'Format1 = "%s%n"',
        "Begin CmpMap", "End CmpMap",
    )  # fmt: skip
    start = data.find(b"Begin FrameSet")
    if start < 0:
        return flip_bits(rng, data)
    stop = max(data.find(b"End FrameSet", start), start + 1)
    breaks = [i for i in range(start, stop) if data[i : i + 1] == b"\n"]
    for place in sorted(rng.choice(breaks, int(rng.integers(1, 4))).tolist(), reverse=True) if breaks else []:
        line = str(rng.choice(lines)).encode() + b"\n"
        length = len(line) if rng.random() < 0.7 else 0  # overwrites what is there, or shifts it
        data[place + 1 : place + 1 + length] = line
    return None


def insert_gadget(rng: np.random.Generator, data: bytearray) -> None:
    """Put calls of functions where pickles are, or anywhere."""
    command = f"touch {_MARK}".encode()
    gadgets = (
        b"cos\nsystem\n(S'" + command + b"'\ntR.",
        b"(S'" + command + b"'\nios\nsystem\n.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command + b"\x85R.",
        b"cbuiltins\neval\n(S'open(\"" + _MARK.encode() + b"\",\"w\")'\ntR.",
        b"\x82\x01", b"\x92", b"\x81", b"R", b"b", b"h\x00", b"\x94" * 50, b"(" * 500, b"]" * 500, b"\x85" * 500,
    )  # fmt: skip
    starts = [i for i in (data.find(b"piff", 0), data.find(b"\x80\x04\x95")) if i >= 0]
    place = int(rng.choice(starts)) if starts and rng.random() < 0.8 else int(_places(rng, data, 1)[0])
    place += int(rng.integers(-40, 3000)) if rng.random() < 0.7 else 0
    gadget = gadgets[int(rng.integers(len(gadgets)))]
    place = min(max(place, 0), len(data) - 1)
    data[place : place + len(gadget)] = gadget


EDITS: tuple[Edit, ...] = (
    flip_bits,
    replace_bytes,
    truncate,
    swap_blocks,
    repeat_or_drop,
    fill,
    absurd_card,
    lie_about_tiles,
    absurd_number,
    other_line,
    insert_gadget,
)


def _places(rng: np.random.Generator, data: bytearray, n: int) -> Any:
    """Draw places, most of them outside the pixels: in the first headers and behind the planes."""
    size = len(data)
    if rng.random() < 0.2 or size < 10 * _BLOCK:
        return rng.integers(size, size=n)
    index = data.find(b"ARCHIVE_INDEX")
    start = index if index >= 0 and rng.random() < 0.8 else 0
    return np.minimum(start + rng.integers(min(size - start, 60 * _BLOCK), size=n), size - 1)


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


def mutation(number: int) -> tuple[str, str, str, bytes]:
    """Make a file: its kind, the name of what it was, what was done to it, its bytes."""
    rng = np.random.default_rng(number)
    files = sources()
    counts = Counter(kind for kind, _ in files)
    weights = np.array([_WEIGHTS[kind] / counts[kind] for kind, _ in files])
    kind, path = files[int(rng.choice(len(files), p=weights / weights.sum()))]
    data = bytearray(_content(path))
    edits = [EDITS[int(i)] for i in rng.integers(len(EDITS), size=int(rng.choice([1, 1, 1, 2])))]
    for edit in edits:
        if data:
            edit(rng, data)
    return kind, path.name, "+".join(edit.__name__ for edit in edits), bytes(data)


def read(kind: str, path: Path, number: int) -> None:
    """Read a file and use what it has."""
    if kind == "table":
        read_source_catalog(path)
        return
    box = Box(0, 0, 4, 4)
    if number % 3 == 0:
        whole = Exposure.read_component(path, "bbox")
        box = Box(whole.x0 + whole.width // 2, whole.y0 + whole.height // 2, 4, 3).intersection(whole)
    exposure = Exposure.read(path, bbox=box if number % 3 == 0 else None)
    x, y = np.array([float(exposure.x0)]), np.array([float(exposure.y0)])
    if exposure.wcs is not None:
        exposure.wcs.sky_to_pixel(*exposure.wcs.pixel_to_sky(x, y))
    if exposure.psf is not None:
        exposure.psf.images(x, y)
    for field in (exposure.aperture_corrections or {}).values():
        field.evaluate(x, y)


def outcome(number: int, folder: Path) -> tuple[str, str]:
    """Read one mutation; tell how that ended, and more if it did not end well."""
    kind, _, _, data = mutation(number)
    path = folder / "mutation.fits"
    path.write_bytes(data)
    signal.setitimer(signal.ITIMER_REAL, _MAX_SECONDS)
    try:
        read(kind, path, number)
    except (ForcedPhotError, FileNotFoundError) as error:
        return type(error).__name__, ""
    except TooSlowError:
        return "too slow", traceback.format_exc(limit=-6)
    except BaseException as error:  # noqa: BLE001 -- whatever it is, it is a fault, and it is reported
        return f"raised {type(error).__name__}", traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read", ""


def _ring(*_: Any) -> None:
    raise TooSlowError


def work(numbers: range, current: Any, results: Any) -> None:
    """Read mutations one after the other; the parent sees which."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _ring)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MAX_MORE_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            current.value = number
            results.put((number, *outcome(number, Path(folder))))
    current.value = -1


def run(numbers: range) -> tuple[Counter[str], list[tuple[int, str, str]]]:
    """Share the mutations among processes; start another one where one has ended or hangs."""
    context = multiprocessing.get_context("fork")
    counts: Counter[str] = Counter()
    faults: list[tuple[int, str, str]] = []
    results = context.SimpleQueue()
    parts = [numbers[i::_N_WORKERS] for i in range(_N_WORKERS)]
    workers: list[Any] = [None] * _N_WORKERS
    currents = [context.Value("q", -2) for _ in parts]
    since = [(-2, 0.0)] * _N_WORKERS

    def collect() -> None:
        while not results.empty():
            number, ending, details = results.get()
            counts[ending] += 1
            if details:
                faults.append((number, ending, details))

    while any(parts) or any(worker is not None for worker in workers):
        for i, worker in enumerate(workers):
            number = currents[i].value
            if worker is None and parts[i]:
                currents[i].value = -2
                workers[i] = context.Process(target=work, args=(parts[i], currents[i], results), daemon=True)
                workers[i].start()
                since[i] = (-2, time.monotonic())
            elif worker is not None:
                if since[i][0] != number:
                    since[i] = (number, time.monotonic())
                hangs = number >= 0 and time.monotonic() - since[i][1] > _MAX_SECONDS + _GRACE_SECONDS
                if hangs:
                    worker.kill()
                    worker.join()
                if not worker.is_alive():
                    collect()
                    done = number == -1 and worker.exitcode == 0
                    if not done:
                        ending = "hung" if hangs else f"crashed ({worker.exitcode})"
                        counts[ending] += 1
                        faults.append((number, ending, ""))
                    parts[i] = range(0) if done else parts[i][parts[i].index(number) + 1 :]
                    workers[i] = None
        collect()
        time.sleep(0.02)
    collect()
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="?", type=int, help="read this one only, without limits, and let it fail")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--count", type=int, default=_N_MUTATIONS)
    options = parser.parse_args()
    if options.number is not None:
        kind, name, edits, data = mutation(options.number)
        path = Path(tempfile.gettempdir()) / f"mutation_{options.number}.fits"
        path.write_bytes(data)
        print(f"{path}: {name}, {edits}", flush=True)
        faulthandler.enable()
        read(kind, path, options.number)
        return 0
    start = time.monotonic()
    for kind, path in sources():  # imports are done before the processes fork
        read(kind, path, 1)
    counts, faults = run(range(options.first, options.first + options.count))
    marks = [path for path in (Path(_MARK), Path(tempfile.gettempdir()) / _MARK) if path.exists()]
    rows = [{"ending": ending, "files": n} for ending, n in counts.most_common()]
    print_table(f"{options.count} damaged files, {time.monotonic() - start:.0f} s", rows)
    for number, ending, details in sorted(faults):
        _, name, edits, _ = mutation(number)
        print(f"\n{number}: {ending}; {name}, {edits}\n{details}")
    for mark in marks:
        print(f"a gadget has run: {mark}")
    keep("mutations", {"mutations": rows, "faults": [list(fault[:2]) for fault in faults]})
    return 1 if faults or marks or sum(counts.values()) != options.count else 0


if __name__ == "__main__":
    sys.exit(main())
