"""Text files taken apart in plain Python. Grain out: one record, or one line that is not blank.

This reads what the engine refuses: it loses no row to a broken one before it, and keeps each broken
row as it stands in the file.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LONGEST = 131_072  # characters of a record; csv's own limit of a field, where an open quote ends

WRONG_NUMBER = "wrong number of fields"


class Record(NamedTuple):
    """fields is missing where the record could not be read, for the reason in problem.

    line : as it stands in the file; bytes that are no text in its encoding as \\xff.
    """

    line: str
    fields: Sequence[str] | None
    problem: str | None = None


def lines(path: Path, encoding: str) -> Iterator[str]:
    """Lines with their ends; bytes that are no text become lone surrogates.

    Raises UnicodeError where the encoding cannot go on after such bytes (UTF-16 and the like).
    """
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with path.open(encoding=codec, errors="surrogateescape", newline="") as text:
        yield from text


def of_csv(lines: Iterable[str], *, delimiter: str, quote: str) -> Iterator[Record]:
    """Records as RFC 4180 has them. After a quote that is never closed, the next line is the next."""
    source, ahead = iter(lines), deque[str]()

    def following() -> str | None:
        return ahead.popleft() if ahead else next(source, None)

    def collected(first: str, taken: list[str]) -> Iterator[str]:
        line: str | None = first
        while line is not None:
            taken.append(line)
            yield line
            line = following()

    while (line := following()) is not None:
        if not line.strip("\r\n"):
            continue
        if not quote or quote not in line:
            yield _record(line, line.rstrip("\r\n").split(delimiter))
            continue
        taken: list[str] = []
        reader = csv.reader(
            collected(line, taken), delimiter=delimiter, quotechar=quote, strict=True
        )
        try:
            fields = next(reader)
        except csv.Error:
            ahead.extendleft(reversed(taken[1:]))
            yield _record(line, None, "a quote that is not closed, or closed amid text")
        else:
            yield _record("".join(taken), fields)


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


def of_lines(lines: Iterable[str]) -> Iterator[Record]:
    """Each line as its only field."""
    return (_record(line, [line.strip()]) for line in lines if line.strip())


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
    line = line.rstrip("\r\n")
    if not line.isascii():
        try:
            line.encode()
        except UnicodeEncodeError:
            as_bytes = line.encode(errors="surrogateescape")
            return Record(as_bytes.decode(errors="backslashreplace"), None, "not text")
    if len(line) > LONGEST:
        return Record(line, None, f"longer than {LONGEST:,} characters")
    return Record(line, fields, problem)
