"""What must hold of a report's folder, each as a function that returns what does not hold.

Applied to the reports that make builds, and to copies in which one thing was spoiled.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup, Tag

from loyaltylab.figure_data import MIME

DAY = re.compile(r"\b(?:(\d{1,2}) )?([A-Z][a-z]{2})[a-z]* (\d{4})\b|\b(\d{4})-(\d\d)-(\d\d)\b")
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?%?")
Number = tuple[float, float, bool]  # value, how far rounding may have moved it, whether in percent
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def dead_links(folder: Path) -> list[str]:
    """Links inside a report that lead to no file or to no place on its page."""
    pages = {path.name: soup(path) for path in folder.glob("*.html")}
    dead = []
    for page, content in pages.items():
        for link in content.select("a[href]"):
            name, _, anchor = str(link["href"]).partition("#")
            if ":" in name:
                continue
            target = name or page
            reached = (folder / target).exists()
            if anchor and reached:
                reached = target in pages and pages[target].find(id=anchor) is not None
            if not reached:
                dead.append(f"{page}: {link['href']}")
    return dead


def missing_figures(executed: Path, page: Path) -> list[str]:
    """Figures that the notebook's cells ask for, and the page has not: in no output of the cell, or not
    on the page, or there without words or without its table."""
    missing, shown = [], []
    cells = [c for c in nbformat.read(executed, as_version=4).cells if c.cell_type == "code"]
    said = "".join(str(out.get("data", {}).get("text/plain")) for c in cells for out in c.outputs)
    for cell in cells:
        drawings = [out.data for out in cell.outputs if "image/svg+xml" in out.get("data", {})]
        # Of a page that has its tables, the figures of which the cell says so.
        told = cell.source.startswith("if not lacking:") and "This page needs the table" not in said
        asks = re.compile(r"^(?:    )?show\(" if told else r"^show\(", re.MULTILINE)
        always = asks.findall(cell.source)
        if len(drawings) < len(always):
            missing.append(f"{executed.name}: {cell.source[-60:]}")
        shown += drawings
    drawn = {str(svg["aria-label"]): svg for svg in soup(page).select("figure > svg[aria-label]")}
    for data in shown:
        words = data["text/plain"]
        svg = drawn.get(words)
        if not words.strip() or svg is None:
            missing.append(f"{page.name}: {words[:60]}")
        elif "nothing to show yet" not in svg.text and not _table_below(svg):
            missing.append(f"{page.name}, no table: {words[:60]}")
    return missing


def _table_below(svg: Tag) -> bool:
    figure = svg.find_parent("figure")
    below = figure.find_next_sibling() if figure else None
    return below is not None and below.select_one("summary") is not None and len(below("tr")) > 1


def figures(executed: Path) -> list[tuple[str, dict]]:
    """The alt text and the table of each figure of a notebook that has data."""
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [out.get("data", {}) for cell in cells for out in cell.get("outputs", [])]
    return [(data["text/plain"], data[MIME]) for data in outputs if MIME in data]


def contradictions(alt: str, table: dict) -> list[str]:
    """The figures and dates of an alt text that its table does not bear out.

    A number is borne out if it is found in the caption, a heading, a cell or a note, at its own
    rounding; the sign may be put in words. So is what can be counted: rows, columns, and the sum of
    a column's numbers, of all rows or of those that are alike in another column.
    """
    texts = [table["caption"], *table["columns"], *table["notes"]]
    texts += [cell for row in table["rows"] for cell in row]
    dates = {date for text in texts for date in _dates(text)}
    found = [number for text in texts for number in _numbers(text)]
    derived = list(_derived(table))
    lacking = [
        _said(day) for day in _dates(alt) if not any(day == other[: len(day)] for other in dates)
    ]
    for text in NUMBER.findall(DAY.sub("", alt)):
        number = _number(text)
        told = any(_bears_out(other, number, signed=text[0] in "+-") for other in found)
        if not told and not any(
            not number[2] and abs(abs(value) - abs(number[0])) <= number[1] + off
            for value, off in derived
        ):
            lacking.append(text)
    return lacking


def _dates(text: str) -> list[tuple[int, ...]]:
    """Year, month and, if told, day."""
    dates = []
    for day, month, year, *iso in DAY.findall(text):
        if iso[0]:
            dates.append(tuple(int(part) for part in iso))
        elif month in MONTHS:
            dates.append((int(year), MONTHS.index(month) + 1, *([int(day)] if day else [])))
    return dates


def _said(date: tuple[int, ...]) -> str:
    return "-".join(f"{part:02d}" for part in date)


def _numbers(text: str) -> list[Number]:
    return [_number(part) for part in NUMBER.findall(text)]


def _number(text: str) -> Number:
    plain = text.rstrip("%").rstrip(",").replace(",", "")
    digits = len(plain.partition(".")[2])
    return float(plain), 0.5 * 10.0**-digits, text.endswith("%")


def _bears_out(other: Number, number: Number, *, signed: bool) -> bool:
    """Where both have as many digits they are the same, else the table's are rounded to fewer."""
    value = other[0] if signed else abs(other[0])
    room = 0.0 if other[1] == number[1] else number[1] + min(other[1], number[1])
    return other[2] == number[2] and abs(value - number[0]) <= room + 1e-9


def _derived(table: dict) -> Iterable[tuple[float, float]]:
    """Counts and sums, and how far they may be off by the rounding of what was added up."""
    rows = table["rows"]
    yield from ((len(rows), 0.0), (len(table["columns"]) - 1, 0.0))
    columns = list(zip(*rows, strict=True))
    groups: list[list[int]] = [list(range(len(rows)))]
    for column in columns:
        if len(set(column)) < len(column) / 2:
            groups += [[n for n, c in enumerate(column) if c == cell] for cell in set(column)]
    for group in groups:
        yield (len(group), 0.0)
        for column in columns:
            numbers = [_numbers(column[n]) for n in group]
            if all(len(one) == 1 and not one[0][2] for one in numbers):
                flat = [one[0] for one in numbers]
                yield (sum(one[0] for one in flat), sum(off for _, off, _ in flat if off < 0.5))


def unsaid(numbers: Path, stem: str, page: Path) -> list[str]:
    """Names of a notebook's records whose value its page does not say, at any rounding of two digits or
    more."""
    said = _numbers(soup(page).main.get_text(" "))
    names = []
    for record in json.loads(numbers.read_text(encoding="utf-8")):
        value = record["value"]
        if record["notebook"] != stem or not isinstance(value, int | float):
            continue
        if not any(_says(number, value, record["unit"]) for number in said):
            names.append(record["name"])
    return names


def _says(number: Number, value: float, unit: str) -> bool:
    shown, room, percent = number
    wanted = abs(100 * value if percent else value)
    if percent != (unit == "share"):
        return False
    return abs(abs(shown) - wanted) <= room and (
        room < 0.05 * wanted or (room == 0.5 and wanted < 20)
    )


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
