"""How a file of text is laid out: its encoding, and the sign between its columns.

Grain: one file. Looks at the bytes and at the first records, at no meaning but the names of columns.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loyaltylab import records
from loyaltylab.errors import LabError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the first half of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_AT_ONCE = 1024**2  # bytes
_RECORDS = 200  # records that are looked at for the sign between columns
_FITS = 0.9  # share of them that must have as many fields as the first


@dataclass(frozen=True)
class Guess:
    """What is taken, and what else it might be; sure if there is nothing else."""

    value: str
    others: tuple[str, ...] = ()


def encoding(path: Path, label: str) -> Guess:
    """The encoding of a file.

    Raises LabError if it is no text.
    """
    with path.open("rb") as opened:
        beginning = opened.read(_AT_ONCE)
    for mark, name in _MARKS:
        if beginning.startswith(mark):
            return Guess(name)
    if b"\0" in beginning:
        for name, places in (("utf-16-le", beginning[1::2]), ("utf-16-be", beginning[::2])):
            # Nearly all letters of a table of numbers and dates have a zero there.
            if places.count(0) > 0.5 * len(places) and _reads(
                beginning[: len(beginning) & ~1], name
            ):
                return Guess(name, ("utf-8",))
        raise LabError(
            f"{label}: expected a table as text (CSV), found bytes that are none. "
            "Export it as CSV, or give it the ending of what it is (.xlsx, .parquet)."
        )
    return _eight_bits(path)


def _reads(text: bytes, name: str) -> bool:
    try:
        # Not to its end, which may be amid a letter.
        codecs.getincrementaldecoder(name)().decode(text)
    except UnicodeDecodeError:
        return False
    return True


def _eight_bits(path: Path) -> Guess:
    """UTF-8, or else Windows-1252, which holds all letters of ISO 8859-1."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    letters, lost, strange = 0, 0, False
    with path.open("rb") as opened:
        while piece := opened.read(_AT_ONCE):
            text = decoder.decode(piece)
            letters += sum(sign > "\x7f" for sign in text) if not text.isascii() else 0
            lost += text.count("\ufffd")
            # Bytes that Windows-1252 lacks; or several letters in a row that no western word has.
            strange |= re.search(rb"[\x81\x8d\x8f\x90\x9d]|[\x80-\xff]{3}", piece) is not None
    if not lost:
        return Guess("utf-8")
    if letters - lost > lost:
        return Guess("utf-8", ("cp1252",))
    return Guess("cp1252", ("cp1250", "cp850", "mac_roman") if strange else ())


def delimiter(
    path: Path, encoding: str, label: str, known: Callable[[list[str]], int]
) -> Guess | None:
    """The sign between columns; None if it is white space.

    known : how many names of a header are those of columns that one looks for.
    Raises LabError if there is but one column.
    """
    fits = {}
    for sign in DELIMITERS:
        rows = records.of_csv(records.lines(path, encoding), delimiter=sign, quote='"')
        looked_at = [record.fields or [] for record in itertools.islice(rows, _RECORDS)]
        header, below = looked_at[0] if looked_at else [], looked_at[1:]
        alike = sum(len(fields) == len(header) for fields in below)
        if len(header) > 1 and alike >= _FITS * len(below):
            fits[sign] = (known(list(header)), len(header))
    if fits:
        ranked = sorted(fits, key=lambda sign: fits[sign], reverse=True)
        alike_good = [sign for sign in ranked[1:] if fits[sign][0] >= fits[ranked[0]][0]]
        return Guess(ranked[0], tuple(alike_good))
    spaced = list(itertools.islice(records.of_text(records.lines(path, encoding)), _RECORDS))
    widths = {len(record.fields or []) for record in spaced}
    if len(spaced) > 1 and len(widths) == 1 and widths.pop() > 1:
        return None
    raise LabError(
        f"{label}: expected several columns with a comma, semicolon, tab or bar between them and as "
        "many in each row, found none such. Export the table as CSV, with the names of its columns in "
        "the first row."
    )
