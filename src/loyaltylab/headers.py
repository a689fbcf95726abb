"""The header of a file: what its columns are called. Grain: one file."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from loyaltylab import schemas
from loyaltylab.errors import LabError
from loyaltylab.locations import Source
from loyaltylab.records import Record

BELOW = 5  # rows in which a header is looked for that is not the first
COLUMNS = 16_384  # as many as Excel has

REPEATED = "repeats the header"


@dataclass(frozen=True)
class Header:
    """names : the columns', as everything else calls them; record : as in the file, if it has one."""

    names: list[str]
    record: Record | None = None


def holds_values(names: Iterable[str]) -> bool:
    """Whether a first row looks like values, which no message may repeat, rather than like names."""
    return any(re.search(r"@|[0-9]{4}|^[\W\d_]+$", name) for name in names)


def named(given: Sequence[str], source: Source) -> list[str]:
    """The columns' names: stripped, all different, a column without one called by its place."""
    if len(given) > COLUMNS:
        raise LabError(
            f"{source.label}: expected at most {COLUMNS:,} columns, found {len(given):,}. "
            "Export fewer, or correct delimiter in dataset.yml."
        )
    if any("\0" in name for name in given):
        raise LabError(
            f"{source.label}: expected names of columns, found NUL bytes in them. "
            "Correct encoding in dataset.yml (utf-16-le, perhaps), or export it again."
        )
    names = [n.strip() or f"column {place}" for place, n in enumerate(given, 1)]
    folded = [name.lower() for name in names]
    counted = Counter(folded)
    twice = [name for name, low in zip(names, folded, strict=True) if counted[low] > 1]
    if twice and holds_values(names):
        raise LabError(
            f"{source.label}: expected a header, found what look like values in the first row. "
            "Give names in dataset.yml."
        )
    if twice:
        told = " and ".join(f'"{name}"' for name in twice[:2])
        raise LabError(
            f"{source.label}: expected names that differ, found columns {told}. "
            "Rename one in the export; upper and lower case are the same here."
        )
    return names


def taken_off(rows: Iterator[Record], source: Source) -> tuple[Header, Iterator[Record]]:
    """The header, from the file's entry or else from its first record, and the records after it.

    A later record that is the header once more, as where exports were put together, has that as its
    problem.
    Raises LabError if the first record cannot be a header.
    """
    if source.file.names:
        return Header(source.file.names), rows
    first = next(rows, Record("", []))
    if first.fields is None or first.problem:
        raise LabError(
            f"{source.label}: expected a header in the first row; it cannot be read "
            f"({first.problem}). Correct encoding or quote in dataset.yml, or the export."
        )
    if not any(name.strip() for name in first.fields):
        raise LabError(f"{source.label} is empty: expected a table with rows. Export it again.")
    below = list(itertools.islice(rows, BELOW))
    _refuse_lines_above(first.fields, below, source)
    after = _repeats_told(itertools.chain(below, rows), first.fields)
    return Header(named(first.fields, source), first), after


def _refuse_lines_above(fields: Sequence[str], below: Sequence[Record], source: Source) -> None:
    """A title, perhaps, or when it was exported: the header itself is further down."""
    known = {name for table in schemas.TABLES for name in schemas.column_types(table)}
    known |= set(source.file.columns.values())
    for lines, record in enumerate(below, 1):
        told = {field.strip() for field in record.fields or []} & known
        if len(told) > 1 and not known & {field.strip() for field in fields}:
            raise LabError(
                f"{source.label}: expected a header in the first row, found it in row {lines + 1}, "
                f"below other lines. Delete the {'line' if lines == 1 else 'lines'} above it."
            )


def _repeats_told(rows: Iterable[Record], fields: Sequence[str]) -> Iterator[Record]:
    for record in rows:
        given, width = record.fields or [], len(fields)
        again = [*given[:width]] == [*fields] and not any(given[width:])
        yield record._replace(fields=None, problem=REPEATED) if again else record
