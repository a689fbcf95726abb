"""DuckDB and Spark give the same of the same tables, whatever is in them.

Numbers of things and texts must be the same, numbers with a fraction to a billionth of themselves; a
day is a day, whether an engine calls it a date or a timestamp, and missing is missing.
"""

import ast
import datetime as dt
import math
from decimal import Decimal
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import schemas
from tests import conformance, nasty
from tests.conformance import CASES, DUCKDB_ONLY, ELSEWHERE, MADE, MONEY, SMALLER

PACKAGE = Path(__file__).parents[1] / "src" / "loyaltylab"


# ---- What a function says, in plain values.


def plain(con, told):
    """Rows of a table of the engine in an order of their own; all else as it stands."""
    if isinstance(told, ibis.Table):
        rows = [plain(con, row) for row in con.to_pyarrow(told).to_pylist()]
        return {"columns": list(told.columns), "rows": sorted(rows, key=_place)}
    if isinstance(told, pd.DataFrame):
        index = [] if isinstance(told.index, pd.RangeIndex) else [plain(con, told.index.tolist())]
        columns = {str(name): plain(con, told[name].tolist()) for name in told}
        return {"index": index, "columns": columns}
    if isinstance(told, pd.Series):
        return plain(con, {str(name): value for name, value in told.items()})
    if isinstance(told, dict):
        return {str(name): plain(con, value) for name, value in told.items()}
    if isinstance(told, list | tuple):
        return [plain(con, value) for value in told]
    if isinstance(told, np.generic):
        return plain(con, told.item())
    if isinstance(told, np.ndarray):
        return plain(con, told.tolist())
    if told is None or told is pd.NA or told is pd.NaT:
        return None
    if isinstance(told, float):
        return None if math.isnan(told) else told
    if isinstance(told, pd.Timestamp | pd.Period):
        told = told.to_pydatetime() if isinstance(told, pd.Timestamp) else str(told)
    if isinstance(told, dt.datetime):
        return f"{told.isoformat()}".removesuffix("T00:00:00")
    if isinstance(told, dt.date):
        return told.isoformat()
    if hasattr(told, "__dataclass_fields__"):
        return plain(con, vars(told))
    return told


def _place(row):
    """What has no fraction first, so that rounding moves no row."""
    exact = [None if isinstance(value, float) else value for value in row.values()]
    rest = [f"{value:.6e}" for value in row.values() if isinstance(value, float)]
    return repr([str(value) for value in exact]), rest


def differences(one, other, where=""):
    """What differs, in lines."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            yield f"{where}: {list(one)} against {list(other)}"
        for name in one.keys() & other.keys():
            yield from differences(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield f"{where}: {len(one)} against {len(other)}: {one!r:.300} against {other!r:.300}"
        else:
            for place, (a, b) in enumerate(zip(one, other, strict=True)):
                yield from differences(a, b, f"{where}[{place}]")
    elif not _alike(one, other):
        yield f"{where}: {one!r:.200} against {other!r:.200}"


def _alike(one, other):
    numbers = [isinstance(value, int | float | Decimal) for value in (one, other)]
    if not all(numbers):
        return one == other
    if not any(isinstance(value, float) for value in (one, other)):
        return one == other
    return math.isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1e-9)


# ---- The worlds.


@pytest.fixture(scope="module")
def worlds(engines, tmp_path_factory):
    """Name → the same tables on both engines."""
    found = {}
    for name, amounts in (("nasty", nasty.AMOUNTS), ("extreme", nasty.EXTREMES)):
        folder = nasty.write(tmp_path_factory.mktemp(name), amounts=amounts)
        found[name] = [nasty.opened(con, folder) for con in engines]
        (folder / "made").mkdir()
        made = {n: make for n, make in MADE.items() if name == "nasty" or n not in SMALLER}
        nasty.add(found[name], made, folder / "made")
    return found | {"none": [nasty.without_rows(world) for world in found["nasty"]]}


def said(case, world):
    """What a case says, or how it refuses."""
    try:
        return plain(world.con, CASES[case](world))
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}


def disagreeing(worlds, case, of):
    duckdb, spark = (said(case, world) for world in worlds[of])
    return duckdb, [f"{of}{line}" for line in differences(duckdb, spark)]


@pytest.mark.parametrize("case", CASES)
def test_both_say_the_same(worlds, case):
    told, found = disagreeing(worlds, case, "nasty")
    is_dict = isinstance(told, dict)
    assert not (is_dict and "refused" in told), told
    if case in MONEY:
        found += disagreeing(worlds, case, "extreme")[1]
    # Of no row there is no row; what is a number of rows may still be another one, or missing.
    if not (is_dict and list(told) == ["columns", "rows"]):
        found += disagreeing(worlds, case, "none")[1]
    assert not found, "\n".join(found[:12])


def test_the_tables_are_nasty(worlds):
    """Else nothing would be shown by what agrees."""
    (w, _) = worlds["nasty"]
    orders = w.tables["orders"]
    counted = orders.group_by("source", "record_id", "ordered_at").agg(n=orders.count())
    assert int(w.con.execute(counted.filter(counted["n"] > 1).count())) > 20
    for name, rows in w.tables.items():
        lacking = w.con.execute(rows.agg(**{c: rows[c].isnull().sum() for c in rows.columns}))
        needed = {*schemas.required_columns(name), "source", "record_id"}
        if name not in ("erasures", "order_lines"):
            assert (lacking[[c for c in rows.columns if c not in needed]] > 0).all(axis=None), name


# ---- That nothing is left out.


def functions():
    """Public functions and methods whose signature has something of Ibis."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        inside = ".".join(part for part in parts if part != "__init__")
        body = ast.parse(path.read_text("utf-8")).body
        for node in body:
            own = node.body if isinstance(node, ast.ClassDef) else [node]
            of = f"{inside}.{node.name}" if isinstance(node, ast.ClassDef) else inside
            for function in own:
                if not isinstance(function, ast.FunctionDef) or "._" in f".{of}.{function.name}":
                    continue
                said = [a.annotation for a in ast.walk(function.args) if isinstance(a, ast.arg)]
                texts = [ast.unparse(a) for a in (*said, function.returns) if a is not None]
                if any("ir." in text for text in texts):
                    yield f"{of}.{function.name}"


def test_every_function_of_tables_is_asked_on_both_engines_or_it_is_said_why_not():
    asked = {case.partition(" ")[0] for case in CASES}
    known = [*asked, *ELSEWHERE, *DUCKDB_ONLY]
    assert len(set(known)) == len(known)
    assert set(functions()) == set(known)
    assert {case.partition(" ")[0] for case in MONEY} <= asked


def named(code):
    """Names that a function uses, and those within it."""
    inner = (c for c in code.co_consts if hasattr(c, "co_names"))
    return {*code.co_names}.union(*map(named, inner))


def test_a_case_asks_the_function_that_it_is_called_by():
    """By itself, or by a helper of the cases."""
    helpers = {
        name: named(value.__code__)
        for name, value in vars(conformance).items()
        if getattr(value, "__module__", None) == conformance.__name__
    }
    for case, ask in CASES.items():
        asked = named(ask.__code__)
        asked = asked.union(*(helpers.get(name, ()) for name in asked))
        assert case.partition(" ")[0].rpartition(".")[2] in asked, case


def test_what_is_asked_elsewhere_is_there():
    for place in ELSEWHERE.values():
        file, _, name = place.partition(".")
        body = ast.parse((Path(__file__).with_name(f"{file}.py")).read_text("utf-8")).body
        assert any(isinstance(node, ast.FunctionDef) and node.name == name for node in body), place
