"""Personal values of raw files, and where else they stand.

A value is searched as its words: small letters and figures in their order, whatever stands between them,
so that "ann.berg@x.example" is found in "Ann Berg @ x . example" as well. Not searched are

- words that the lab itself says (in its code, its notebooks' sources, its catalogues): a name such as
  May or a town such as Bath cannot be told from them. Tests search for such values in a company whose
  names are no words at all (`canaries`);
- numbers of fewer than DIGITS figures that stand alone, as counts do; a postcode is searched with its
  town;
- what COMMON customers or more wrote in the same words.
"""

import base64
import datetime as dt
import functools
import html
import json
import re
import shutil
import subprocess
import unicodedata
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from bs4 import BeautifulSoup
from matplotlib import rcParams
from openpyxl import load_workbook
from PIL import Image

from loyaltylab import engine, sources, validation
from loyaltylab.contract import Engine
from loyaltylab.dataset import load
from loyaltylab.figure_data import MIME
from loyaltylab.validation import cleaning
from loyaltylab.validation.nature import NATURE, tells_who

ROOT = Path(__file__).parents[1]
COMMON = 5
DIGITS = 7
RUN = 4  # words in a row of a text
_ADDRESS = ("postcode", "city")
_WORD = re.compile(r"[^\W_]+")
# A number of one or two figures before the point and five or more behind, such as a share: eight of its
# figures may be those of a day.
_SHARE = re.compile(r"(?<![\w.+])\d{1,2}\.\d{5,}(?![\w.])")
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "nb": "januar februar mars april mai juni juli august september oktober november desember",
}


def words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


@dataclass
class Values:
    """What is searched: kind → sequences of words. skipped : kind → values that no search can tell."""

    wanted: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    skipped: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def count(self) -> int:
        return sum(len(values) for values in self.wanted.values())

    @functools.cached_property
    def kinds(self) -> dict[tuple[str, ...], str]:
        return {value: kind for kind, values in self.wanted.items() for value in values}

    @functools.cached_property
    def by_first(self) -> dict[str, list[int]]:
        """The first word of values → how many words these have."""
        lengths = defaultdict(set)
        for value in self.kinds:
            lengths[value[0]].add(len(value))
        return {word: sorted(found) for word, found in lengths.items()}


def personal(table: str) -> dict[str, str]:
    """Columns of a canonical table whose values must not be told → their kind."""
    kinds = {}
    for name, nature in NATURE[table].items():
        if nature.personal != "no" and tells_who(table, name):
            kind = "number" if name.endswith("_id") else name
            kinds[name] = "text" if nature.free_text else kind
    return kinds


def values(folder: Path) -> Values:
    """The personal values of a dataset's raw files, of every row, be it accepted later or not."""
    return of_rows(raw_rows(folder), common=vocabulary(folder))


def raw_rows(folder: Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Grain: one row of a raw file; the table, and canonical column → its text, of personal ones and of
    source."""
    spec = load(folder)
    con = engine.connect(Engine(), spill=folder)
    cleaning.define(con)
    for table, files in spec.tables.items():
        kinds = personal(table)
        for file in files if kinds else []:
            for source in sources.find(folder, file):
                raw = sources.read(con, source)
                fields = raw["fields"]
                there = validation.mapping(table, fields.type().names, source)
                told = {n: c for n, c in there.items() if n in kinds or n == "source"}
                columns = {name: fields[column].cast("string") for name, column in told.items()}
                for row in con.to_pyarrow(raw.select(**columns)).to_pylist() if columns else []:
                    yield table, {"source": file.source} | row
    con.disconnect()


def of_rows(rows: Iterable[tuple[str, dict[str, str | None]]], *, common: set[str]) -> Values:
    found, texts = Values(), defaultdict(set)
    for number, (table, row) in enumerate(rows):
        kinds = personal(table)
        said = {n: v.strip() for n, v in row.items() if n in kinds and v and v.strip()}
        who = said.get("record_id", str(number))
        for name, value in said.items():
            if kinds[name] == "text":
                told = words(value)
                for start in range(max(len(told) - RUN, 0) + 1):
                    texts[tuple(told[start : start + RUN])].add(who)
            else:
                _add(found, kinds[name], value, common)
        both = [said.get(name, "") for name in ("given_name", "family_name")]
        place = [said.get(name, "") for name in _ADDRESS]
        for kind, parts in (("full name", both), ("full name", both[::-1]), ("place", place)):
            if all(parts):
                _add(found, kind, " ".join(parts), common)
    for told, who in texts.items():
        if len(who) < COMMON and not common.issuperset(told):
            found.wanted["text"].add(told)
        else:
            found.skipped["text"] += 1
    return found


def _add(found: Values, kind: str, value: str, common: set[str]) -> None:
    for form in _forms(kind, value):
        told = tuple(words(form))
        plain = len(told) < 2 and (
            common.issuperset(told)
            or (told[0].isdigit() and len(told[0]) < DIGITS)
            or len(told[0]) < 3
        )
        if not told or plain or (kind in ("given_name", "family_name") and common.issuperset(told)):
            found.skipped[kind] += 1
        else:
            found.wanted[kind].add(told)


def _forms(kind: str, value: str) -> Iterator[str]:
    """How a value may be written."""
    yield value
    if kind == "phone":
        digits = re.sub(r"\D", "", value)
        national = re.sub(r"^(00)?(49|47|44)(?=\d{8})|^0", "", digits)
        for one in {digits, national}:
            if len(one) >= DIGITS:
                yield one
        for code in ("49", "47", "44"):
            yield f"+{code}{national}"
            yield f"+{code} {national[:3]} {national[3:]}"
    elif kind == "birth_date":
        for pattern in ("%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S"):
            try:
                day = dt.datetime.strptime(value, pattern).date()
            except ValueError:
                continue
            yield f"{day:%Y-%m-%d}"
            yield f"{day:%d.%m.%Y}"
            yield f"{day:%d/%m/%Y}"
            yield f"{day:%m/%d/%Y}"
            yield f"{day:%Y%m%d}"
            for language in _MONTHS.values():
                month = language.split()[day.month - 1]
                for name in {month, month[:3]}:
                    yield f"{day.day} {name} {day.year}"
                    yield f"{name} {day.day} {day.year}"


@functools.cache
def _lab_words() -> frozenset[str]:
    """The words of the lab itself: none of them comes from data."""
    said: set[str] = set()
    for kind in ("py", "po", "css", "j2"):
        # What customers write and are called in the demo is the data's, and stands in the simulation.
        for path in (ROOT / "src").rglob(f"*.{kind}"):
            if "simulation" not in path.parts:
                said |= set(words(path.read_text(encoding="utf-8")))
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            said |= set(words("".join(cell["source"])))
    for months in (*_MONTHS.values(), " ".join(rcParams["font.sans-serif"])):  # figures name fonts
        said |= set(words(months)) | {month[:3] for month in words(months)}
    return frozenset(said)


def vocabulary(folder: Path) -> set[str]:
    """The lab's words, and those of the dataset's own title, segments and names of columns."""
    return _lab_words() | set(words((folder / "dataset.yml").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Search:
    """What a search found: (file, kind, value), each once; and how much was searched."""

    found: list[tuple[str, str, str]]
    files: int
    bytes: int


def search(paths: Iterable[Path], wanted: Values) -> Search:
    found, files, size = [], 0, 0
    for path in sorted(set(paths)):
        files, size = files + 1, size + path.stat().st_size
        hits = {hit for text in [path.name, *texts(path)] for hit in hits_of(text, wanted)}
        found += [(path.as_posix(), kind, " ".join(value)) for value, kind in sorted(hits)]
    return Search(found, files, size)


def hits_of(text: str, wanted: Values) -> Iterator[tuple[tuple[str, ...], str]]:
    told, kinds, by_first = words(text), wanted.kinds, wanted.by_first
    for place, word in enumerate(told):
        for length in by_first.get(word, ()):
            value = tuple(told[place : place + length])
            if value in kinds:
                yield value, kinds[value]


def files_below(*folders: Path) -> list[Path]:
    return [
        p for folder in folders for p in folder.rglob("*") if p.is_file() and not p.is_symlink()
    ]


def texts(path: Path) -> Iterator[str]:
    """What can be read of a file: as it stands, and with its marks taken for what they mean."""
    readers = {".parquet": _parquet, ".pdf": _pdf, ".xlsx": _workbook, ".png": _picture}
    if path.suffix in readers:
        yield readers[path.suffix](path)
        return
    data = path.read_bytes()
    text = data.decode("utf-8", errors="replace")
    if path.suffix in (".ipynb", ".json"):
        text = "\n".join(_strings(json.loads(text)))
    plain = _SHARE.sub(" ", html.unescape(text))
    if "%" in plain:
        plain = urllib.parse.unquote(plain)
    yield plain
    if "<" in plain:
        yield re.sub(r"<[^>]*>", "", plain)  # a word may be parted by marks
    for blob in re.findall(r"base64,([A-Za-z0-9+/=]{16,})", plain):
        yield base64.b64decode(blob + "==").decode("latin-1")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        # Lines of a cell are one text.
        if value and all(isinstance(one, str) for one in value):
            yield "".join(value)
        for inner in value:
            yield from _strings(inner)
    elif value is not None:
        yield str(value)


def _parquet(path: Path) -> str:
    columns = pq.read_table(path).to_pydict()
    return "\n".join(f"{name} {value}" for name, rows in columns.items() for value in rows)


def _pdf(path: Path) -> str:
    """Raises RuntimeError where nothing here can read a PDF, so that none is taken for clean unread."""
    if not shutil.which("pdftotext"):
        raise RuntimeError(f"{path.name} cannot be read: install pdftotext (poppler-utils).")
    run = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True)
    return run.stdout.decode("utf-8")


def _workbook(path: Path) -> str:
    book = load_workbook(path, read_only=True)
    return "\n".join(str(v) for sheet in book for row in sheet.values for v in row if v is not None)


def _picture(path: Path) -> str:
    """What is written beside its dots, of which some are a short name by chance."""
    return "\n".join(f"{name} {value}" for name, value in Image.open(path).info.items())


def of_report(root: Path, dataset: str) -> list[Path]:
    """All that is made of a dataset and may be passed on, or lies where nobody looks: pages, numbers,
    history, executed notebooks, downloads, results, and what runs leave behind."""
    data, stamps = root / "data" / dataset, []
    for name in (".checked", ".passed"):
        stamps += [data / name] if (data / name).exists() else []
    folders = [root / "reports" / dataset, data / "results", data / "downloads", data / ".scratch"]
    return [*files_below(*folders, root / ".build" / "seconds"), *stamps]


def goldens(root: Path = ROOT) -> Sequence[Path]:
    return sorted((root / "notebooks").glob("*.ipynb"))


# What a count of persons is called in a table, beside a figure or in what is kept of a page.
_PERSONS = {
    "customers", "people", "persons", "buyers", "newcomers", "won", "won back", "gone", "bought", "new",
    "lapsed", "bought in the one before too", "back after a break", "on the list", "not decided",
    "flagged", "returned", "visitors", "ordered", "written to", "held out", "very far",
    "customers who stand out", "customers who bought",
}  # fmt: skip


@dataclass(frozen=True)
class Count:
    """One count of persons that is told: where, of what, and how many."""

    place: str
    of: str
    persons: int


def counts(executed: Path) -> Iterator[Count]:
    """Counts of persons in an executed notebook's tables and in the data of its figures."""
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            for caption, heads, rows in _tables(output.get("data", {})):
                for place, head in enumerate(heads):
                    for row in rows if head.casefold() in _PERSONS else []:
                        count = row[place].replace(",", "")
                        if count.isdigit():
                            yield Count(f"{executed.stem}: {caption}, {head}", row[0], int(count))


def kept_counts(path: Path) -> Iterator[Count]:
    """Counts of persons in a file of results/: numbers whose unit is customers, and tables that are
    kept for other pages, by the names of their columns."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    if path.name.endswith(".tables.json"):
        for name, rows in kept.items():
            for row in rows:
                for column, value in row.items():
                    if column in _PERSONS and value is not None:
                        yield Count(f"{name}: {column}", str(next(iter(row.values()))), int(value))
    elif isinstance(kept, list):
        for record in kept:
            if record["unit"] in _PERSONS and record["value"] is not None:
                yield Count(path.stem, record["name"], int(record["value"]))


def _tables(data: dict[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    if MIME in data:
        yield data[MIME]["caption"], data[MIME]["columns"], data[MIME]["rows"]
    if "text/html" in data:
        for table in BeautifulSoup("".join(data["text/html"]), "html.parser")("table"):
            cells = [[cell.text for cell in row(["th", "td"])] for row in table("tr")]
            caption = table.caption.text if table.caption else ""
            yield caption, cells[0] if cells else [], cells[1:]
