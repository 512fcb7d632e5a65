"""Headers say what astropy finds in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from forcedphot.errors import FileFormatError
from forcedphot.io.fits_header import FitsHeader, astropy_silent

_SHORT_NAMES = st.from_regex(r"\A[A-Z][A-Z0-9_-]{0,7}\Z").filter(
    lambda name: name not in {"END", "COMMENT", "HISTORY"}
)
_NAMES = _SHORT_NAMES | st.lists(_SHORT_NAMES, min_size=2, max_size=4).map(
    lambda words: f"HIERARCH {' '.join(words)}"
)
_TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=150)
_VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXTS,
    st.none(),
)


def astropy_items(header: Any) -> list[tuple[str, str]]:
    return [(name, repr(value)) for name, value in header.items() if name not in ("COMMENT", "HISTORY", "")]


def our_items(header: FitsHeader) -> list[tuple[str, str]]:
    return [(name, repr(value)) for name, value in header.all_items()]


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@given(st.lists(st.tuples(_NAMES, _VALUES, st.text("abc /", max_size=10))))
def test_cards_of_all_kinds(cards: list[tuple[str, Any, str]]) -> None:
    written = fits.Header()
    for name, value, comment in cards:
        written.append((name, value, comment), end=True)
    raw = written.tostring().encode("ascii")
    ours, expected = FitsHeader(raw), fits.Header.fromstring(raw.decode())
    assert our_items(ours) == astropy_items(expected)
    assert all(repr(ours[name]) == repr(expected[name]) for name in ours)
    assert set(ours) == {name for name, _ in astropy_items(expected)}


@pytest.mark.parametrize(
    "card",
    [
        "A       = 'it''s'",
        "A       = '  blank '",
        "A       = 'open",
        "A       =                    T / true",
        "A       =                  1.5D3",
        "A       = 1e5",
        "A       = -.5",
        "A       = +7",
        "A       = (1, 2)",
        "A       =",
        "A       = / nothing",
        "A       = 12 34",
        "A       =7",
        "A         7",
        "a       = 7",
        "HIERARCH LSST BUTLER DATAID VISIT = 12 / visit",
        "HIERARCH LSST text = 'some text'",
        "HIERARCH LSST  BUTLER = 1.5",
        "HIERARCH LSST BUTLER=T/yes",
        "HIERARCH A = 'it''s = 1'",
        "HIERARCH A = 1e5",
        "HIERARCH A = 12 = 13",
        "HIERARCH A",
        "HIERARCH END = 7",
        "HIERARCH = 7",
        "COMMENT = 7",
    ],
)
def test_single_cards(card: str) -> None:
    raw = card.ljust(80) + "END".ljust(80)
    try:
        with astropy_silent():
            items = astropy_items(fits.Header.fromstring(raw))
    except fits.VerifyError:
        with pytest.raises(FileFormatError, match="cannot be read"):
            our_items(FitsHeader(raw.encode()))
    else:
        assert our_items(FitsHeader(raw.encode())) == items


@pytest.mark.parametrize("name", ["driver/piff_pixel", "driver/kernel_psf", "driver/visit_options"])
def test_headers_of_real_files(golden: Callable[[str], Path], name: str) -> None:
    with fits.open(golden(name) / "exposure.fits", disable_image_compression=True) as hdus:
        for hdu in hdus:
            assert our_items(FitsHeader(hdu.header.tostring().encode())) == astropy_items(hdu.header)


def test_characters_that_no_header_may_have() -> None:
    raw = b"A       = 7 / \xe9t\xe9".ljust(80) + b"B       = '\xe9'".ljust(80) + b"END".ljust(80)
    assert our_items(FitsHeader(raw)) == [("A", "7"), ("B", "'?'")]
