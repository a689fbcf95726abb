"""Facts on lists of customers: those of a group that is large enough."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import anonymity, retention
from loyaltylab.retention.risk import FACTS

numbers = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(numbers, st.integers(2, 7))
def test_everybody_shares_their_facts_with_k_or_more(rows, k):
    table = pd.DataFrame(rows, columns=["a", "b"]).assign(who=range(len(rows)))
    shown = anonymity.grouped(table, ["a", "b"], k=k)
    assert shown["who"].tolist() == table["who"].tolist()
    if len(rows) >= k:
        assert anonymity.least(shown, ["a", "b"]) >= k
        for name in "ab":  # nothing is told that is not so of somebody
            assert set(shown[name]) <= set(table[name])
    else:
        assert shown[["a", "b"]].isna().all(axis=None)


def test_what_is_alike_stays_as_it_is():
    table = pd.DataFrame({"a": [1] * 5 + [9] * 5, "b": [2] * 5 + [7] * 5})
    assert anonymity.grouped(table, ["a", "b"], k=5).equals(table)


def test_groups_are_not_larger_than_need_be():
    table = pd.DataFrame({"a": np.arange(64)})
    shown = anonymity.grouped(table, ["a"], k=4)
    assert shown["a"].nunique() == 16 and anonymity.least(shown, ["a"]) == 4
    assert (shown["a"] - table["a"]).abs().max() <= 3


def test_the_list_of_those_at_risk(tmp_path):
    rng = np.random.default_rng(1)
    until = dt.date(2024, 6, 30)
    silence = rng.integers(1, 300, 40)
    people = {
        "person_id": [f"p{n}" for n in range(40)],
        "last_day": [until - dt.timedelta(days=int(days)) for days in silence],
        "silence": silence,
        "usual_gap": rng.uniform(5, 90, 40),
        "probability": rng.uniform(0, 0.1, 40),
        "purchases": rng.integers(2, 30, 40),
        "value": rng.uniform(10, 900, 40),
        "unusual_silence": [True] * 40,
        "uses_less": [False] * 40,
    }
    listed = ibis.memtable(pd.DataFrame(people)).order_by(ibis.desc("value"))
    path = tmp_path / "at_risk.csv"
    assert retention.write_at_risk(listed, path, top=30, minimum=5) == 30
    told = pd.read_csv(path, parse_dates=["last_day"])
    everything = [*FACTS, "last_day", "probability"]
    assert anonymity.least(told, everything) >= 5
    assert told["value"].is_monotonic_decreasing
    assert ((told["last_day"] + pd.to_timedelta(told["silence"], unit="D")).dt.date == until).all()
    retention.write_at_risk(listed, path, top=30)
    assert anonymity.least(pd.read_csv(path), everything) == 1
    assert retention.write_at_risk(listed, path, top=4, minimum=5) == 4
    assert pd.read_csv(path)[everything].isna().all(axis=None)


@pytest.mark.parametrize("rows", [4, 5, 9, 10, 43])
def test_rows_in_line_have_the_least_of_their_group(con, rows):
    table = pd.DataFrame(
        {"who": [f"p{n:02}" for n in range(rows)], "a": [n // 2 for n in range(rows)]}
    )
    mixed = table.assign(b=table["a"] * 1.5).sample(frac=1, random_state=1)
    there = con.create_table("line", mixed, overwrite=True)
    shown = anonymity.in_line(there, ["a", "b"], "who", k=5).to_pandas().sort_values("who")
    if rows < 5:
        assert shown[["a", "b"]].isna().all(axis=None)
        return
    # The largest first: 9 rows are one group, 10 two of five; what is left over goes with the last.
    groups = [min(place // 5, rows // 5 - 1) for place in range(rows)]
    order = mixed.sort_values(["a", "who"], ascending=[False, True]).assign(group=groups)
    least = order.groupby("group")["a"].transform("min").sort_index()
    assert shown["a"].tolist() == least.tolist()
    assert (shown["b"] == shown["a"] * 1.5).all()
    assert anonymity.least(shown, ["a", "b"]) >= 5


def test_k_of_nobody():
    assert anonymity.least(pd.DataFrame({"a": []}), ["a"]) == 0
