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

from loyaltylab import engine
from tests import nasty
from tests.conformance import CASES

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
    return found | {
        "one": [nasty.with_one(world) for world in found["nasty"]],
        "none": [nasty.without_rows(world) for world in found["nasty"]],
    }


def said(case, world):
    """What a case says, or how it refuses."""
    try:
        return plain(world.con, CASES[case](world))
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}


@pytest.mark.parametrize("of", ["nasty", "extreme", "one", "none"])
@pytest.mark.parametrize("case", CASES)
def test_both_say_the_same(worlds, case, of):
    duckdb, spark = (said(case, world) for world in worlds[of])
    if of == "nasty":
        assert "refused" not in duckdb
    found = list(differences(duckdb, spark))
    assert not found, "\n".join(found[:12])
