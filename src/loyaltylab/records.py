"""Text files taken apart in plain Python. Grain out: one record, or one line that is not blank.

This reads what the engine refuses: it loses no row to a broken one before it, and keeps each broken
row as it stands in the file. Memory is bounded: of a line longer than LONGEST the rest is skipped.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LONGEST = 131_072  # characters of a record; csv's own limit of a field, where an open quote ends
_SKIPPED = 1024**2  # characters of an overlong line that are skipped at once

WRONG_NUMBER = "wrong number of fields"
NOT_TEXT = "not text"
OPEN_QUOTE = "a quote that is not closed, or closed amid text"
MARK = "\ufeff"  # of byte order; where exports were put together, each begins with one


class Record(NamedTuple):
    """fields is missing where the record could not be taken apart; problem says why.

    A record with bytes that are no text in its encoding has both: they stand as \\xff in its fields.
    line : as it stands in the file, such bytes as \\xff.
    """

    line: str
    fields: Sequence[str] | None
    problem: str | None = None


class Cut(str):
    """The beginning of a line that is longer than LONGEST; whole is its length in characters."""

    whole: int


def lines(path: Path, encoding: str) -> Iterator[str]:
    """Lines with their ends, \\n, \\r\\n or \\r alone; bytes that are no text become lone surrogates.

    Raises UnicodeError where the encoding cannot go on after such bytes (UTF-16 and the like).
    """
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as text:
        while line := text.readline(LONGEST + 1):
            if len(line) > LONGEST and line[-1] not in "\r\n":
                cut = Cut(line[:LONGEST])
                cut.whole = len(line)
                while line[-1] not in "\r\n" and (line := text.readline(_SKIPPED)):
                    cut.whole += len(line.rstrip("\r\n"))
                yield cut
            else:
                yield line.lstrip(MARK) if line[0] == MARK else line


def of_csv(lines: Iterable[str], *, delimiter: str, quote: str) -> Iterator[Record]:
    """Records as RFC 4180 has them; blanks may stand before a quote, as the engine takes it too.

    After a quote that is never closed, the next line is the next record.
    """
    source, ahead = iter(lines), deque[str]()

    def following() -> str | None:
        return ahead.popleft() if ahead else next(source, None)

    def collected(first: str, taken: list[str]) -> Iterator[str]:
        line: str | None = first
        length = 0
        while line is not None:
            taken.append(line)
            if isinstance(line, Cut) or length > LONGEST:
                return  # amid a record, which the reader then finds unclosed
            yield line
            length += len(line)
            line = following()

    def parsed(line: str, *, blanks: bool) -> Record:
        taken: list[str] = []
        reader = csv.reader(
            collected(line, taken),
            delimiter=delimiter,
            quotechar=quote,
            strict=True,
            skipinitialspace=blanks,
        )
        try:
            fields = next(reader)
        except csv.Error:
            ahead.extendleft(reversed(taken[1:]))
            return _record(line, None, OPEN_QUOTE)
        if blanks or not any(f.startswith(" ") and f.lstrip(" ").startswith(quote) for f in fields):
            return _record("".join(taken), fields)
        ahead.extendleft(reversed(taken[1:]))
        record = parsed(line, blanks=True)
        if len(record.fields or []) != len(fields):
            return record
        both = zip(fields, record.fields or [], strict=True)
        return record._replace(
            fields=[b if f.lstrip(" ").startswith(quote) else f for f, b in both]
        )

    while (line := following()) is not None:
        if not line.strip("\r\n"):
            continue
        if isinstance(line, Cut):
            yield _record(line, None)
        elif not quote or quote not in line:
            yield _record(line, line.rstrip("\r\n").split(delimiter))
        else:
            yield parsed(line, blanks=False)


def of_text(lines: Iterable[str]) -> Iterator[Record]:
    """Fields set apart by white space."""
    return (_record(line, line.split()) for line in lines if line.strip())


def of_fixed(lines: Iterable[str], widths: Sequence[int]) -> Iterator[Record]:
    """Fields of so many characters each; a line may end early, but not go on after the last."""
    ends = [sum(widths[: i + 1]) for i in range(len(widths))]
    for line in lines:
        if not line.strip():
            continue
        fields = [line[end - width : end].strip() for end, width in zip(ends, widths, strict=True)]
        whole = not line[ends[-1] :].strip()
        yield _record(line, fields if whole else None, None if whole else "longer than its widths")


def of_json(lines: Iterable[str]) -> Iterator[Record]:
    """Each line as its only field; in it, a byte that is no text stands as JSON can hold it."""
    for line in lines:
        if line.strip():
            record = _record(line, [line.strip()])
            if record.problem == NOT_TEXT:
                record = record._replace(fields=[_escaped(line.strip(), "\\\\")])
            yield record


def of_width(records: Iterable[Record], width: int) -> Iterator[Record]:
    """The same, with any other number of fields as a problem; empty ones at the end may be more."""
    for record in records:
        fields = record.fields
        if fields is not None and len(fields) != width:
            if len(fields) > width and not any(fields[width:]):
                record = record._replace(fields=fields[:width])
            else:
                record = record._replace(fields=None, problem=WRONG_NUMBER)
        yield record


def _record(line: str, fields: list[str] | None, problem: str | None = None) -> Record:
    length = line.whole if isinstance(line, Cut) else len(line.rstrip("\r\n"))
    line = line.rstrip("\r\n")
    if not _is_text(line):
        line = _escaped(line)
        fields = None if fields is None else [_escaped(field) for field in fields]
        problem = problem or NOT_TEXT
    if length > LONGEST:
        kept = f"{line[:LONGEST]} … ({length:,} characters)"
        return Record(kept, None, f"longer than {LONGEST:,} characters")
    return Record(line, fields, problem)


def _is_text(line: str) -> bool:
    if line.isascii():
        return True
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(text: str, backslash: str = "\\") -> str:
    """Bytes that are no text as \\xff."""
    return "".join(
        f"{backslash}x{ord(sign) - 0xDC00:02x}" if "\udc80" <= sign <= "\udcff" else sign
        for sign in text
    )
