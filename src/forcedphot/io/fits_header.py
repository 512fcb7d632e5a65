"""Headers of FITS HDUs: plain cards are parsed here, others by astropy, which takes long for each."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from ..errors import FileFormatError

CARD_LENGTH = 80

_VALUE = re.compile(
    r"""[ ]*(?:
        '(?P<text>[^'&]*)'
        | (?P<integer>[+-]?[0-9]{1,40})
        | (?P<number>[+-]?[0-9]{1,40}\.[0-9]{0,40}(?:E[+-]?[0-9]{1,3})?)
        | (?P<truth>[TF])
    )[ ]*(?:/.*)?""",
    re.VERBOSE,
)
_PLAIN_NAME = re.compile(r"[A-Z0-9_-]{1,8}")
_LONG_NAME = re.compile(r"HIERARCH (?!END\b)(?P<name>[A-Z0-9_-]+(?: [A-Z0-9_-]+)*) *=")
_COMMENTARY = frozenset({"COMMENT", "HISTORY", ""})

_WARNINGS_LOCK = Lock()
"""To hold while warnings are ignored: their filters belong to the process, not to a thread."""


@contextmanager
def astropy_silent() -> Iterator[None]:
    """Ignore what astropy warns of: damage is found by checks, and by what is then missing."""
    from astropy.utils.exceptions import AstropyWarning

    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        yield


class FitsHeader(Mapping[str, Any]):
    """The cards of a header that have values, by their names.

    Of several cards of a name the first is found; `all_items` has all of them. Values are what astropy makes of
    them, None for an empty one, and are parsed when they are asked for.

    Parameters
    ----------
    raw
        The header, of whole cards.
    number
        Which of the file's HDUs it belongs to, from 1; errors name it.

    Raises
    ------
    FileFormatError
        When a card is asked for that is damaged.
    """

    def __init__(self, raw: bytes, number: int = 1) -> None:
        self._number = number
        # As astropy does it; only comments have other characters.
        self._text = raw.decode("ascii", "replace").replace("\ufffd", "?")
        self._cards = list(_named_cards(self._text))
        self._first = dict(reversed(self._cards))

    def __getitem__(self, name: str) -> Any:
        return _value(self._first[name], self._number)

    def __contains__(self, name: object) -> bool:
        return name in self._first

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """List all cards in their order, those of one name one by one."""
        return ((name, _value(card, self._number)) for name, card in self._cards)

    def with_comments(self) -> Any:
        """Return the whole header, comments and all, as an ``astropy.io.fits.Header``."""
        from astropy.io.fits import Header

        return Header.fromstring(self._text)


def _named_cards(text: str) -> Iterator[tuple[str, str]]:
    """Find the cards that have names; those that go on in CONTINUE cards are put together."""
    cards = [text[i : i + CARD_LENGTH] for i in range(0, len(text), CARD_LENGTH)]
    if "CONTINUE" in text:
        cards = _joined(cards)
    for card in cards:
        name = card[:8].rstrip()
        if name == "END":
            return
        if name not in _COMMENTARY and (card[8:10] != "= " or not _PLAIN_NAME.fullmatch(name)):
            match = _LONG_NAME.match(card)
            name = match["name"] if match else _name_by_astropy(card)
        if name not in _COMMENTARY:
            yield name, card


def _joined(cards: list[str]) -> list[str]:
    joined: list[list[str]] = []
    for card in cards:
        if card.startswith("CONTINUE") and joined:
            joined[-1].append(card)
        else:
            joined.append([card])
    return ["".join(parts) for parts in joined]


def _value(card: str, number: int) -> Any:
    start = 10 if card[8:10] == "= " else match.end() if (match := _LONG_NAME.match(card)) else len(card)
    match = _VALUE.fullmatch(card, start) if len(card) == CARD_LENGTH else None
    if match is None:
        return _value_by_astropy(card, number)
    kind, value = match.lastgroup, match[match.lastindex or 0]
    if kind == "text":
        return value.rstrip()
    if kind == "truth":
        return value == "T"
    return int(value) if kind == "integer" else float(value)


def _name_by_astropy(card: str) -> str:
    from astropy.io.fits import Card

    with astropy_silent():
        return str(Card.fromstring(card).keyword)


def _value_by_astropy(card: str, number: int) -> Any:
    from astropy.io.fits import Card
    from astropy.io.fits.card import Undefined
    from astropy.io.fits.verify import VerifyError

    with astropy_silent():
        try:
            value = Card.fromstring(card).value
        except (VerifyError, ValueError) as error:
            raise FileFormatError(
                f"the header of HDU {number} has the card {card.rstrip()[:80]!r}, which cannot be read"
            ) from error
    return None if isinstance(value, Undefined) else value
