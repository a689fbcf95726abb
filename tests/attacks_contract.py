"""Attacks by dataset.yml: what stands in it, how it is written, where its paths lead, parameters."""

import itertools
import json
import os
from pathlib import Path
from typing import get_args

import yaml
from hypothesis import strategies as st

from loyaltylab import contract, engine, execution, inspection, sources
from loyaltylab.contract import ColumnRule, Dataset, DuckDB, Engine, File, Spark, TableName
from loyaltylab.criteria import Criterion
from loyaltylab.errors import LabError
from loyaltylab.validation import declared
from loyaltylab.world import World
from tests.attacks import ACCOUNTED, DEVICES, REFUSED, Attack, BrokenError, judged

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ROWS = "order_id,record_id,ordered_at,amount\na,b,2024-01-05,10\n"

# ---- Values that are never what was expected.

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([
        "", " ", "\0", "a\0b", "\x1b[2J", "\n", "\u2028", "\u202eabc", "\ufeff", "😀" * 50,
        "x" * 3000,
        "../../outside.csv", "/etc/passwd", "${HOME}", "{0}", "%s%n", "%", "{", "}", "a:b", "- a",
        "*a",
        "2024-02-30", "9999-12-31", "10000-01-01", "0001-01-01", "NaN", "1e400", "0x10", "yes",
        "null",
        "(" * 50, "(a{999}){999}", "(a*)*b", "[", "\\", "a|b", "(?=a)", "\\1", "é",
        "é".encode().decode("latin-1"),
        "punycode", "idna", "unicode_escape", "utf-7", "undefined", "rot13", "base64", "hex",
        "utf-16", "cp1252",
    ]),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.booleans(),
    st.sampled_from([10**30, 10**400, -(10**400), 2**63, 2**31, -1, 0, 1e308, -1e308, 5e-324]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = sorted(
    {key for model in (Dataset, File, DuckDB, Spark, Engine, ColumnRule, Criterion,
    World) for key in model.model_fields}
    | {"and", "or", "not", "is", *get_args(TableName), "record_id", "amount", "ordered_at", "score"}
)  # fmt: skip
FULL = {
    "title": "A",
    "description": "About it.",
    "currency": "EUR",
    "language": "de",
    "observed_until": "2024-06-30",
    "engine": {"duckdb": {"threads": 1}, "most_rows": 1000},
    "tables": {
        "orders": [{"path": "raw/a.csv", "source": "shop", "decimal": ",",
        "columns": {"amount": "total"}}],
        "customers": {"path": "raw/b.txt", "format": "fixed", "names": ["source", "record_id"],
        "widths": [3, 4]},
        "surveys": "raw/shop.db#answers",
        "campaigns": {"path": "raw/sent_*.csv", "source": "shop", "columns": {"arm": "group"}},
    },
    "keep": {"orders": "10 years", "surveys": "400 days"},
    "protected": ["country"],
    "rules": {"orders": {"amount": {"min": 0, "max": 10, "note": True},
    "ordered_at": {"at_least": "ordered_at"},
                         "channel": {"allowed": ["web"], "pattern": "[a-z]+"},
                         "order_id": {"unique": True}}},
    "thresholds": {"put_aside": 0.1, "score": 0.5},
    "segments": {"big": {"and": [{"spend": {"at_least": 5}}, {"not": {"country": {"is": "DE"}}}]}},
    "minimum_cell": 5,
    "parameters": {"03_retention": {"months": 6}, "04_lifetime_value": {"holdout_weeks": 9,
    "seed": 2}},
}  # fmt: skip


def places(given, inside=()):
    """Where a value stands in it, by keys and places in lists."""
    pairs = (
        given.items()
        if isinstance(given, dict)
        else enumerate(given)
        if isinstance(given, list)
        else ()
    )
    for key, value in pairs:
        yield (*inside, key)
        yield from places(value, (*inside, key))


@st.composite
def contracts(draw):
    """A dataset.yml with some values put in others' place, keys added, taken away or moved."""
    made = json.loads(json.dumps(FULL))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        *inside, key = draw(st.sampled_from([*places(made), ("simulation",)]))
        there = made
        for step in inside:
            there = there[step]
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "move"])):
            case "replace":
                there[key] = draw(VALUES)
            case "remove" if key in there or isinstance(there, list):
                del there[key]
            case "add" if isinstance(there, dict):
                there[draw(st.sampled_from(KEYS) | TEXTS)] = draw(VALUES)
            case _:
                there[key] = (
                    json.loads(json.dumps(FULL))
                    if draw(st.booleans())
                    else {draw(st.sampled_from(KEYS)): {}}
                )
    return made


def of_contract(given, folder):
    try:
        text = yaml.safe_dump(given, allow_unicode=draw_free(given), sort_keys=False)
    except (yaml.YAMLError, ValueError):  # a number of more digits than Python writes
        text = json.dumps(None)
    (folder / "dataset.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    return _looked_over(folder)


def draw_free(given):
    """Half of them with letters as they are, half with escapes; by what is in it, not by chance."""
    return len(repr(given)) % 2 == 0


def _looked_over(folder):
    """All that is said of a dataset.yml before files are opened."""
    dataset = contract.load(folder / "dataset.yml")
    problems = execution.parameter_problems(dataset, NOTEBOOKS)
    for table in dataset.tables:
        try:
            declared.for_table(dataset, table)
        except LabError as error:
            problems.append(str(error))
    if problems:
        raise LabError("\n".join(problems))
    return ACCOUNTED


# ---- How it is written.

BOMBS = (
    "title: *z", "description: *z", "tables: *z", "tables: {orders: *z}",
    "tables: {orders: {path: *z}}",
    "tables: {orders: {path: a.csv, columns: *z}}", "tables: {orders: {path: a.csv, names: *z}}",
    "parameters: *z", "parameters: {03_retention: *z}", "parameters: {03_retention: {period: *z}}",
    "segments: {a: *z}", "segments: {a: {and: *z}}", "segments: {a: {rfm: {one_of: *z}}}",
    "rules: *z",
    "rules: {orders: {amount: {allowed: *z}}}", "engine: *z",
    "engine: {spark: {master: yarn, settings: *z}}",
    "simulation: *z", "observed_until: *z", "currency: *z", "? *z\n: 1", "<<: *z",
)  # fmt: skip
HEAD = "title: A\ncurrency: EUR\ntables: {orders: {path: raw/a.csv, source: s}}\n"
SCALARS = st.sampled_from([
    "9" * 5000, "0x" + "f" * 5000, "0b" + "1" * 20000, "0o" + "7" * 9000, "1:" * 3000 + "1",
    "1_" * 3000 + "1",
    ".inf", "-.inf", ".nan", "1e999", "1.0e+400", "!!int abc", "!!int ''", "!!float abc",
    "!!bool abc", "!!null x",
    "!!timestamp 2024-13-45", "!!timestamp 2024-02-30", "2024-02-30", "!!binary '=='",
    "!!binary 'é'", "!!set {a, b}",
    "!!omap [a: 1]", "!!pairs [a]", "!!str [a]", "!!seq {a: b}", "!!map [a]",
    "!!python/object/apply:os.system [id]",
    "!!python/name:os.system", "!x y", "!<tag:yaml.org,2002:str> a", "|\n  a\n  b", ">\n  a",
    "*undefined", "&a *a",
    "&a [*a]", "&a {a: *a}", "&a {*a : 1}", "[" * 50, "{" * 50, "'a", '"a', '"\\x00"', '"\\ud800"',
    '"\\U0010FFFF"',
    '"\\udfff"', "@a", "`a`", "%a", "%YAML 9.9", "a: b: c", "- - - -", "? ? ?", "\t", "~", "", "=",
    "<<", "[=, <<]",
    "{<<: [1, 2]}", "{<<: a}", "{? [a]: b}", "{? {a: b}: c}", "{1: a, 1.0: b, true: c}",
    "{.nan: a}", "{null: a}",
])  # fmt: skip
AT = st.sampled_from([
    "title", "description", "currency", "language", "observed_until", "minimum_cell", "simulated",
    "thresholds",
    "engine", "simulation", "segments", "parameters", "rules", "tables", "unknown", "<<", "=", "1",
    "null", "[a]",
])  # fmt: skip


@st.composite
def texts(draw):
    """dataset.yml as bytes."""
    kind = draw(
        st.sampled_from(["scalar", "bomb", "deep", "again", "bytes", "cut", "encoded", "key"])
    )
    text = HEAD
    if kind == "scalar":
        key, value = draw(AT), draw(SCALARS)
        text = (
            "".join(line for line in HEAD.splitlines(True) if not line.startswith(key))
            + f"{key}: {value}\n"
        )
    elif kind == "bomb":
        names, width = "abcdefghijklmnopqrstuvwxyz", draw(st.integers(2, 10))
        form = draw(st.sampled_from(["[{}]", "{{{}}}", "{{<<: [{}]}}"]))
        lines = ["x-a: &a [b, c]" if "<<" not in form else "x-a: &a {b: 1, c: 2}"]
        for this, that in itertools.pairwise(names[: draw(st.integers(3, 26))]):
            inner = [f"*{this}"] * width
            if form == "{{{}}}":
                inner = [f"k{i}: *{this}" for i in range(width)]
            lines.append(f"x-{that}: &{that} " + form.format(", ".join(inner)))
        last = lines[-1].partition("&")[2][0]
        place = draw(st.sampled_from(BOMBS)).replace("*z", f"*{last}")
        rest = [
            line for line in HEAD.splitlines() if line.partition(":")[0] != place.partition(":")[0]
        ]
        text = "\n".join([*lines, *rest, place, ""])
    elif kind == "deep":
        depth = draw(st.sampled_from([20, 200, 900, 5000, 60_000]))
        opening, closing = draw(
            st.sampled_from(
                [
                    ("[", "]"),
                    ("{a: ", "}"),
                    ("- ", ""),
                    ("? ", ""),
                    ("{and: [", "]}"),
                    ("{not: ", "}"),
                ]
            )
        )
        key = draw(
            st.sampled_from(
                [
                    "title",
                    "tables",
                    "segments",
                    "engine",
                    "parameters",
                    "segments: {a",
                    "rules: {orders: {amount",
                ]
            )
        )
        text = HEAD.replace("title: A\n", "") + f"{key}: {opening * depth}{closing * depth}\n"
    elif kind == "again":
        lines = HEAD.splitlines(True)
        text = "".join(
            draw(
                st.lists(
                    st.sampled_from([*lines, "---\n", "...\n", "# x\n", "%TAG ! tag:x\n"]),
                    max_size=12,
                )
            )
        )
    elif kind == "key":
        key = draw(TEXTS | SCALARS)
        text = HEAD + f"{key}: 1\ntables: {{orders: {{path: raw/a.csv, {key}: 1}}, {key}: a}}\n"
    if kind == "bytes":
        return draw(st.binary(max_size=60))
    encoded = text.encode("utf-8", "surrogatepass")
    if kind == "encoded":
        name = draw(
            st.sampled_from(
                ["utf-16", "utf-32", "utf-8-sig", "cp1252", "utf-16-le", "utf-7", "cp500"]
            )
        )
        encoded = (HEAD + "description: Straße\n").encode(name)
    if kind == "cut":
        place = draw(st.integers(0, len(encoded)))
        encoded = (
            encoded[:place]
            + draw(st.binary(max_size=4))
            + encoded[place + draw(st.integers(0, 9)) :]
        )
    return encoded


def of_text(given, folder):
    (folder / "dataset.yml").write_bytes(given)
    return _looked_over(folder)


# ---- Where its paths lead.

LINKS = st.sampled_from([
    "../../../outside.csv", "../../other/raw/orders.csv", "/etc/passwd", "/dev/null",
    "/proc/self/environ", *DEVICES,
    "/proc/self/fd/0", "..", ".", "a.csv", "b.csv", "../raw/b.csv", "nowhere", "../..", "/",
    "x" * 300,
])  # fmt: skip
PATHS = st.one_of(
    st.sampled_from([
        "raw/a.csv", "raw/*.csv", "raw/?.csv", "raw/[ab].csv", "**/*.csv", "raw/**", "*",
        "raw/link.csv", "raw/link/orders.csv",
        "raw/link/outside.csv", "raw/link/*/*/*", "raw/*/*.csv", "../other/raw/orders.csv",
        "raw/../../other/raw/orders.csv",
        "/etc/passwd", "//etc/passwd", "~/.ssh/id_rsa", "raw", "raw/", ".", "", " ", "raw/a.csv/",
        "raw/a.csv/..", "raw/\0.csv",
        "raw\\..\\..\\x.csv", "C:\\x.csv", "file:///etc/passwd", "http://localhost/a.csv",
        "s3://a/b.csv", "raw/pipe.csv",
        "raw/dir.csv", "package:", "package:os", "package:os/a.csv", "package:../x",
        "package:data/other/raw/orders.csv",
        "package:private/person.key", "package:notebooks/a.csv",
        "package:loyaltylab/../../outside.csv", "package:lifetimes/datasets/a.csv",
        "package:a.b/c", "package:/etc/passwd", "raw/a.db#t", "raw/link.db#orders", "../x.db#t",
        "raw/a.db#t\0", "raw/ü\u0301.csv",
        "raw/" + "a/" * 300 + "b.csv", "raw/" + "x" * 300 + ".csv", "raw/[", "raw/[!", "raw/[[]",
        "raw/***", "raw/-", "-", "|id|.csv",
    ]),
    st.text(max_size=12).map(lambda text: f"raw/{text}"),
    TEXTS,
)  # fmt: skip


@st.composite
def folders(draw):
    """What lies in raw/, and the path that dataset.yml has of it."""
    link = draw(st.none() | LINKS)
    named = draw(st.sampled_from(["link.csv", "a.csv", "link", "link.db", "c.csv"]))
    format = draw(
        st.sampled_from([None, None, "csv", "text", "jsonl", "parquet", "excel", "database"])
    )
    return {
        "path": draw(PATHS),
        "link": link,
        "named": named,
        "format": format,
        "yml": draw(st.integers(0, 30)),
    }


def of_folder(given, folder):
    raw = folder / "raw"
    (raw / "a.csv").write_text(ROWS)
    (raw / "dir.csv").mkdir()
    os.mkfifo(raw / "pipe.csv")
    if given["link"] is not None:
        place = raw / given["named"]
        place.unlink(missing_ok=True)
        place.symlink_to(given["link"])
    entry = {"path": given["path"], "source": "s"} | (
        {"format": given["format"]} if given["format"] else {}
    )
    spec = {"title": "A", "currency": "EUR", "tables": {"orders": entry}}
    (folder / "dataset.yml").write_text(json.dumps(spec))
    if given["yml"] == 0:  # dataset.yml itself may be no file
        (folder / "dataset.yml").unlink()
        (folder / "dataset.yml").symlink_to(given["link"] or "/dev/zero")
    if given["yml"] == 1:
        (folder / "dataset.yml").unlink()
        os.mkfifo(folder / "dataset.yml")
    here = Path.cwd()
    os.chdir(folder.parent.parent)  # where people start the lab
    try:
        problems = inspection.problems(folder, notebooks=folder.parent.parent / "notebooks")
        if problems:
            raise LabError("\n".join(problems))
        dataset = contract.load(folder / "dataset.yml")
        con = engine.connect(Engine(), spill=folder)
        for file in dataset.tables["orders"]:
            for source in sources.find(folder, file):
                judged(str(sources.read(con, source).to_pyarrow().to_pylist()))
        con.disconnect()
    finally:
        os.chdir(here)
    return ACCOUNTED


# ---- Parameters of notebooks.

TAKEN = {path.stem: execution.parameters(path) for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))}


@st.composite
def parameters(draw):
    """A notebook, and values of its parameters; mostly of names that it has."""
    stem = draw(st.sampled_from([*TAKEN, *TAKEN, "06_unknown", "../x", ""]))
    names = [*TAKEN.get(stem, {}), "dataset", "nothing"]
    near = st.sampled_from([0, 1, -1, 0.5, 10**6, 10**18, "keep", "month", "", True, 1.0, 1e300])
    return {stem: draw(st.dictionaries(st.sampled_from(names) | TEXTS, near | VALUES, max_size=3))}


def of_parameters(given, folder):
    """Of a value that is taken: that it is of its kind and within its bounds."""
    spec = {"title": "A", "currency": "EUR", "tables": {"orders": "raw/a.csv"}, "parameters": given}
    try:
        text = yaml.safe_dump(spec)
    except (yaml.YAMLError, ValueError):
        return REFUSED
    (folder / "dataset.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    dataset = contract.load(folder / "dataset.yml")
    if problems := execution.parameter_problems(dataset, NOTEBOOKS):
        raise LabError("\n".join(problems))
    for stem, values in dataset.parameters.items():
        for name, value in values.items():
            taken = TAKEN[stem][name]
            right = type(value) is type(taken.default) or type(taken.default) is float
            inside = not taken.choices or value in taken.choices
            if not (right and inside and len(repr(value)) < 400):
                raise BrokenError(f"{stem}.{name} takes {value!r}")
    return ACCOUNTED


ATTACKS = [
    Attack("dataset.yml: values and keys", contracts(), of_contract),
    Attack("dataset.yml: as it is written", texts(), of_text),
    Attack("paths, links and devices", folders(), of_folder),
    Attack("parameters of notebooks", parameters(), of_parameters),
]
