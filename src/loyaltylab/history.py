"""What earlier reports said, and what they were made of. Grain: one report, the last of its day.

history/<day>/numbers.json is as the report's own, made.json is `Made` with the version of this form.
A folder of another name, or with a point before it, is somebody's own or was never finished.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from loyaltylab.errors import LabError
from loyaltylab.files import folder_written_whole, write_json
from loyaltylab.language import phrase
from loyaltylab.numbers import Number
from loyaltylab.provenance import Made

VERSION = 1  # of what a day's folder holds; one of another is not read
NUMBERS, MADE = "numbers.json", "made.json"
TEXTS = ("unit", "as_of", "notebook", "definition")  # of a record


@dataclass(frozen=True)
class Report:
    """The numbers of a report by name, in its order. `name` is its day as 2026-10-01, or a path;
    `made` is missing where nobody wrote down what a file of numbers was made of."""

    name: str
    numbers: dict[str, Number]
    made: Made | None

    @property
    def day(self) -> dt.date:
        return dt.date.fromisoformat(self.name)


def keep(
    folder: Path, records: Sequence[Mapping[str, Any]], made: Made, *, today: dt.date | None = None
) -> Path:
    """Keep the numbers of a report under the day of today, in place of an earlier one of that day.

    folder : of the history. Returns the day's. Raises LabError if it cannot be written.
    """
    day = today or dt.date.today()
    if folder.exists() and not folder.is_dir():
        raise LabError(
            f"{folder}: expected a folder for the numbers of earlier reports, found a file. "
            "Move it away."
        )
    with folder_written_whole(folder / day.isoformat()) as part:
        write_json(part / NUMBERS, list(records))
        write_json(part / MADE, {"version": VERSION} | asdict(made))
    if later := [other for other in days(folder) if other > day]:
        print(
            f"{folder}: expected days until today, {day}, found {later[-1]}, which is left alone. "
            "If the clock was wrong then, rename that folder.",
            file=sys.stderr,
        )
    return folder / day.isoformat()


def days(folder: Path) -> list[dt.date]:
    """The days of which there is something, whole or not, in their order."""
    found = []
    try:
        paths = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise LabError(
            f"{folder.name} of earlier reports cannot be read ({error.strerror}): expected a folder. "
            "Correct its permissions."
        ) from None
    for path in paths:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", path.name):
            try:
                found.append(dt.date.fromisoformat(path.name))
            except ValueError:  # a 31st of February
                continue
    return sorted(found)


def load(folder: Path, day: dt.date) -> Report:
    """The report of a day. Raises LabError, with one sentence, if it is not whole or of another form."""
    path = folder / day.isoformat()
    return Report(path.name, read_numbers(path / NUMBERS), read_made(path / MADE))


def before(folder: Path, day: dt.date) -> tuple[Report | None, list[str]]:
    """The last whole report of an earlier day, if there is one, and why later ones are not it."""
    ignored: list[str] = []
    for earlier in reversed([other for other in days(folder) if other < day]):
        try:
            return load(folder, earlier), ignored
        except LabError as error:
            ignored.append(str(error))
    return None, ignored


def until(folder: Path, day: dt.date, *, at_most: int) -> list[Report]:
    """The last whole reports until a day, itself included, in the order of their days."""
    found: list[Report] = []
    for earlier in reversed([other for other in days(folder) if other <= day]):
        if len(found) == at_most:
            break
        try:
            found.append(load(folder, earlier))
        except LabError:  # `before` says why
            continue
    return found[::-1]


def of_numbers(folder: Path, numbers: Mapping[str, Number]) -> Report | None:
    """The newest report that holds just these numbers; none if they have not been kept."""
    for day in reversed(days(folder)):
        try:
            report = load(folder, day)
        except LabError:
            continue
        if report.numbers == numbers:
            return report
    return None


def find(folder: Path, name: str) -> Report:
    """The report of a day of the history, or of a file or folder with its numbers.

    Raises LabError, with the days that there are, if there is no such report.
    """
    there = {day.isoformat(): day for day in days(folder)}
    if name in there:
        return load(folder, there[name])
    path = Path(name) / NUMBERS if Path(name).is_dir() else Path(name)
    if not path.is_file():
        raise LabError(
            f'no report "{name}": expected the path of a {NUMBERS}, or a day of {folder}; '
            f"there {'is' if len(there) == 1 else 'are'} {', '.join(there) or 'none'}."
        )
    made = path.with_name(MADE)
    return Report(name, read_numbers(path), read_made(made) if made.exists() else None)


def read_numbers(path: Path) -> dict[str, Number]:
    """The numbers of a numbers.json by name. A field that a record lacks is missing, one that only
    another version of the lab knows is left out. Raises LabError if that is not what it holds."""
    lacking = {field.name: "" if field.name in TEXTS else None for field in fields(Number)}
    found = {}
    for record in _json(path, list):
        if not isinstance(record, dict) or not _is_number(record):
            raise _unreadable(path, phrase("records of numbers"), phrase("something else in it"))
        known: dict[str, Any] = {n: record.get(n, lack) for n, lack in lacking.items()}
        found[record["name"]] = Number(**known)
    return found


def _is_number(record: Mapping[str, Any]) -> bool:
    figures = [record.get(name) for name in ("low", "high", "level")]
    return (
        isinstance(record.get("name"), str)
        and "value" in record
        and isinstance(record["value"], int | float | str | None)
        and all(isinstance(figure, int | float | None) for figure in figures)
        and not (isinstance(record["value"], str) and any(f is not None for f in figures))
        and all(isinstance(record.get(name, ""), str) for name in TEXTS)
    )


def read_made(path: Path) -> Made:
    """Raises LabError if it is not there, not whole, or of another version of this form."""
    record = _json(path, dict)
    if (version := record.get("version")) != VERSION:
        found = phrase("none") if version is None else f"{version}"
        expected = phrase("version {version} of its form", version=VERSION)
        raise _unreadable(path, expected, found)
    kinds = {"observed_until": str, "data": dict, "code": str, "parameters": dict}
    if not all(isinstance(record.get(name), kind) for name, kind in kinds.items()):
        raise _unreadable(path, ", ".join(kinds), phrase("something else in it"))
    return Made(**{name: record[name] for name in kinds})


def _json(path: Path, kind: type) -> Any:
    try:
        if path.exists() and not path.is_file():  # it may have no end, or wait for ever
            raise _unreadable(path, phrase("a file"), phrase("something else"))
        text = path.read_text("utf-8")
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
        json.dumps(
            value, ensure_ascii=False
        ).encode()  # a half letter, as "\ud800" is, cannot be said
    except OSError as error:
        raise _unreadable(
            path, phrase("it to be there"), error.strerror or phrase("none")
        ) from None
    except (ValueError, RecursionError):
        raise _unreadable(path, "JSON", phrase("half a file or something else")) from None
    if not isinstance(value, kind):
        expected = phrase("a JSON list") if kind is list else phrase("a JSON object")
        raise _unreadable(path, expected, phrase("another kind"))
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number beyond all that are finite")
    return value


def _whole(digits: str) -> int:
    value = int(digits)
    if abs(value) >= 2**63:
        raise ValueError("a number of more than 18 digits")
    return value


def _unreadable(path: Path, expected: str, found: str) -> LabError:
    """Named by day and file alone: the sentence stands on a page, which holds no machine's paths."""
    return LabError(
        phrase(
            "The report kept as {kept} is left out of comparisons: expected {expected}, found: {found}.",
            kept=f"{path.parent.name}/{path.name}",
            expected=expected,
            found=found,
        )
    )
