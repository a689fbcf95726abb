"""Drift against the previous run: what is kept, what is remembered, what is compared."""

import copy
import json
import math
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyaltylab.errors import LabError
from loyaltylab.validation import drift
from loyaltylab.validation.categories import AT_MOST
from loyaltylab.validation.snapshot import remember, size_class, size_of, snapshot
from tests.shop import table

ORDERS = [
    {"ordered_at": "2024-01-30 10:00", "amount": Decimal(100), "channel": "web"},
    {"ordered_at": "2024-01-31 23:59", "amount": Decimal(1000), "channel": "web"},
    {"ordered_at": "2024-02-01 00:00", "amount": Decimal(-100), "channel": "web"},
    {"ordered_at": "2024-02-02", "amount": Decimal(0), "channel": "web"},
    {"ordered_at": "2024-03-31", "amount": Decimal(100), "channel": "web"},
    {"ordered_at": "2024-03-31", "amount": Decimal(100), "channel": "Mrs Smith"},
    {"ordered_at": "2024-03-31", "amount": Decimal(100), "channel": None},
]


# ---- What is kept.


def test_a_snapshot_by_hand():
    kept = snapshot({"orders": table(ORDERS, "orders")})["orders"]
    assert (kept["rows"], kept["first"], kept["last"]) == (7, "2024-01-30", "2024-03-31")
    assert kept["months"] == {"2024-01": 2, "2024-02": 2, "2024-03": 3}
    assert kept["missing"]["channel"] == 1 and kept["missing"]["amount"] == 0
    assert kept["missing"]["currency"] == 7
    # One row is of a category of its own: nothing says whose.
    assert kept["categories"] == {"channel": {"web": 5, "other": 1}}
    assert kept["numbers"] == {"amount": {"-140": 1, "0": 1, "140": 4, "160": 1}}


def test_a_snapshot_is_plain_json():
    tables = {"orders": table(ORDERS, "orders"), "order_lines": table([], "order_lines")}
    kept = snapshot(tables)
    assert json.loads(json.dumps(kept)) == kept
    lines = kept["order_lines"]
    assert lines["rows"] == 0 and "months" not in lines and lines["categories"] == {}
    assert snapshot({"orders": table([], "orders")})["orders"]["first"] is None


def test_nothing_personal_is_kept():
    people = [
        {"record_id": f"r{i}", "family_name": "Smith", "email": "s@example.org", "country": "DE"}
        for i in range(9)
    ]
    said = json.dumps(snapshot({"customers": table(people, "customers")}))
    assert '"DE": 9' in said and "Smith" not in said and "example" not in said and "r1" not in said


def test_a_category_called_other_is_added_to():
    rows = [{"channel": c} for c in ["other"] * 6 + ["a"] * 2 + ["b"]]
    assert snapshot({"orders": table(rows, "orders")})["orders"]["categories"] == {
        "channel": {"other": 9}
    }


def test_free_text_is_not_kept():
    rows = [{"channel": f"c{i // 5}"} for i in range(5 * AT_MOST + 5)]
    assert snapshot({"orders": table(rows, "orders")})["orders"]["categories"] == {}
    assert snapshot({"orders": table(rows[5:], "orders")})["orders"]["categories"] != {}


def classes(numbers):
    rows = ibis.memtable(pd.DataFrame({"x": [float(x) for x in numbers]}))
    return rows.select(c=size_class(rows["x"])).to_pandas()["c"].tolist()


def test_classes_of_size_are_in_order_and_near():
    sizes = [0.0001, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99.5, 1e6, 1e15]
    numbers = [-x for x in reversed(sizes)] + [0] + sizes
    found = classes(numbers)
    assert found == sorted(set(found))  # in order, each of its own
    for number, kept in zip(numbers, found, strict=True):
        assert size_of(kept) == pytest.approx(number, rel=0.06)
    assert classes([1e-9, 1e-5]) == [1, 1] and classes([1e30, 1e20]) == [500, 500]


# ---- What is remembered.


def test_a_run_is_compared_with_the_last_that_differs(tmp_path):
    path = tmp_path / "kept" / "history.json"
    first, second, third = ({"orders": {"rows": n}} for n in (1, 2, 3))
    assert remember(path, first) is None
    assert remember(path, first) is None
    assert remember(path, second) == first
    written = path.read_bytes()
    assert remember(path, second) == first  # again, and for ever
    assert path.read_bytes() == written
    assert remember(path, third) == second
    assert remember(path, first) == third


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        '"text"',
        "{}",
        '{"version": 0, "current": {"visits": {}}, "previous": null}',
        '{"version": 1, "current": [], "previous": null}',
        '{"version": 1, "current": {}}',
        '{"version": 1, "current": {}, "previous": 7}',
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_history_is_none_and_is_written_anew(tmp_path, damaged):
    path = tmp_path / "history.json"
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    assert remember(path, {"orders": {}}) is None
    assert remember(path, {}) == {"orders": {}}


def test_a_history_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="cannot be written"):
        remember(tmp_path / "file" / "history.json", {})


# ---- What is compared.


def kept(*, months=None, missing=0, channel=None, amount=None):
    months = months or {"2024-01": 1000, "2024-02": 1000, "2024-03": 1000}
    return {
        "rows": sum(months.values()),
        "first": f"{min(months)}-01",
        "last": f"{max(months)}-28",
        "months": months,
        "missing": {"phone": missing},
        "categories": {"channel": channel or {"web": 2000, "app": 1000}},
        "numbers": {"amount": amount or {str(k): 300 for k in range(130, 140)}},
    }


def compared(before, now):
    found = drift.compare({"orders": before}, {"orders": now})
    assert all(drift.in_words(change).startswith("orders: ") for _, change in found.iterrows())
    return found.drop(columns="table").to_dict("records")


def test_nothing_changed():
    found = drift.compare({"orders": kept()}, {"orders": kept()})
    assert found.empty and found.columns.tolist() == list(drift.COLUMNS)
    assert drift.compare({}, {}).empty


def test_tables_come_and_go():
    found = drift.compare({"orders": kept()}, {"visits": kept(months={"2024-01": 2000})})
    assert found["what"].tolist() == ["table is gone", "table is new"]
    assert found["matters"].all()
    assert [drift.in_words(row) for _, row in found.iterrows()] == [
        "orders: the table is gone; it had 3,000 rows.",
        "visits: the table is new, with 2,000 rows.",
    ]


def test_a_share_missing():
    (change,) = compared(kept(missing=60), kept(missing=300))
    assert change["what"] == "share missing of phone"
    assert (change["before"], change["now"], change["matters"]) == (0.02, 0.1, True)
    assert change["measure"] == pytest.approx(0.08)
    (change,) = compared(kept(missing=60), kept(missing=200))  # less than five points
    assert not change["matters"]
    assert compared(kept(missing=60), kept(missing=70)) == []


def test_a_mix_by_hand():
    (change,) = compared(kept(), kept(channel={"web": 1200, "app": 1800}))
    assert (change["what"], change["detail"]) == ("mix of channel", "app")
    p, q = (1000.5 / 3001, 1800.5 / 3001)
    index = (q - p) * math.log(q / p) + (p - q) * math.log((1 - q) / (1 - p))
    assert change["measure"] == pytest.approx(index)
    assert (change["before"], change["now"]) == (pytest.approx(1 / 3), pytest.approx(0.6))
    assert change["matters"]
    found = drift.compare({"o": kept()}, {"o": kept(channel={"web": 1200, "app": 1800})})
    assert drift.in_words(found.iloc[0]) == (
        "o: mix of channel, a large change (population stability index 0.29): "
        "app went from 33.3% to 60.0%."
    )
    (change,) = compared(kept(), kept(channel={"web": 1850, "app": 1150}))  # no chance, and small
    assert change["measure"] < drift.MODERATE and not change["matters"]


def test_a_category_without_rows_before():
    (change,) = compared(kept(), kept(channel={"web": 1000, "app": 1000, "shop": 1000}))
    assert change["detail"] in ("web", "shop") and 1 < change["measure"] < 5
    assert np.isfinite(change["measure"])


def test_many_rare_categories_hide_no_change_of_a_common_one():
    rare = {f"c{i}": 2 for i in range(100)}
    now = kept(months={"2024-01": 100}, channel={"web": 32, "app": 68})
    before = kept(channel={"web": 1500, "app": 1300, **rare})
    change = next(c for c in compared(before, now) if c["what"] == "mix of channel")
    assert change["detail"] == "app" and change["matters"]


def test_a_distribution_over_the_tenths_of_the_previous_run():
    shifted = {str(k + 3): 300 for k in range(130, 140)}
    (change,) = compared(kept(), kept(amount=shifted))
    assert change["what"] == "distribution of amount" and change["matters"]
    # Tenths are the ten classes; three lost their rows, and all above is the highest tenth.
    before, now = np.full(10, 300), np.array([0, 0, 0] + [300] * 6 + [1200])
    assert change["measure"] == pytest.approx(drift.stability(before, now)[0])
    assert change["before"] == pytest.approx(size_of(134))
    assert change["now"] == pytest.approx(size_of(137))
    assert compared(kept(), kept(amount={str(k): 3 for k in range(130, 140)})) == []


def test_months_that_both_cover():
    before = kept(months={"2024-01": 100, "2024-02": 200, "2024-03": 300, "2024-04": 50})
    now = kept(months={"2024-01": 100, "2024-02": 150, "2024-03": 299, "2024-04": 90, "2024-05": 9})
    (change,) = [c for c in compared(before, now) if c["what"].startswith("rows")]
    assert change["detail"] == "2024-02 (200 → 150), 2024-03 (300 → 299)"
    assert (change["before"], change["now"], change["measure"]) == (500, 449, 0.25)
    assert change["matters"]
    # A month seen in part by one of the two is no change; seen to the same day it is.
    assert drift.rewritten(before, now | {"last": before["last"]})["month"].tolist() == [
        "2024-05",
        "2024-04",
        "2024-02",
        "2024-03",
    ]
    fewer = before | {"months": before["months"] | {"2024-01": 90}}
    assert "2024-01" in drift.rewritten(fewer, now)["month"].tolist()
    assert drift.rewritten(fewer | {"first": "2024-01-05"}, now)["month"].tolist() == [
        "2024-02",
        "2024-03",
    ]
    late = kept(months={"2024-01": 1000, "2024-02": 1005, "2024-03": 1000, "2024-04": 1})
    (change,) = compared(kept(), late)
    assert change["measure"] == pytest.approx(5 / 1005) and not change["matters"]


def test_time_that_is_no_longer_covered():
    now = kept(months={"2024-02": 1000}, channel={"web": 667, "app": 333})
    found = compared(kept(), now)
    assert [(c["what"], c["detail"], c["measure"]) for c in found] == [
        ("first day", "2024-01-01 → 2024-02-01", 31),
        ("last day", "2024-03-28 → 2024-02-28", 29),
    ]
    assert all(c["matters"] for c in found)


def test_a_table_that_lost_its_rows():
    empty = kept() | {"rows": 0, "first": None, "last": None, "months": {}}
    (change,) = compared(kept(), empty)
    assert (change["what"], change["before"], change["now"]) == ("rows", 3000, 0)
    assert compared(empty, kept()) == []
    lines = {k: v for k, v in kept().items() if k not in ("first", "last", "months")}
    (change,) = compared(lines, lines | {"rows": 2900})
    assert (change["what"], change["measure"]) == ("rows", pytest.approx(1 / 30))


def test_a_new_fault_does_not_drown_in_a_long_history():
    """A hundred new rows, all without a phone and of a new channel."""
    grown = kept(months=kept()["months"] | {"2024-04": 100}, missing=100)
    grown["categories"] = {"channel": {"web": 2000, "app": 1000, "shop": 100}}
    grown["numbers"] = {"amount": {str(k): 310 for k in range(130, 140)}}
    found = {c["what"]: c for c in compared(kept(), grown)}
    assert found["share missing of phone"]["now"] == 1
    assert found["mix of channel"]["detail"] == "shop" and found["mix of channel"]["now"] == 1
    assert len(found) == 2
    # Old rows may have lost theirs as well: no more are missing than there are.
    assert drift.added(kept(), grown | {"missing": {"phone": 150}})["missing"] == {"phone": 100}
    # Where a month lost rows, the whole is compared with the whole.
    other = copy.deepcopy(grown)
    other["months"]["2024-02"] -= 1
    assert drift.added(kept(), other) is other


def test_what_matters_comes_first():
    now = kept(missing=100, channel={"web": 1200, "app": 1800})
    found = compared(kept(missing=60), now)
    assert [c["what"] for c in found] == ["mix of channel", "share missing of phone"]
    assert [c["matters"] for c in found] == [True, False]


@given(
    st.lists(st.integers(0, 10_000), min_size=2, max_size=12).filter(any),
    st.integers(0, 11),
)
def test_the_index_of_any_two_samples(counts, turn):
    other = counts[turn % len(counts) :] + counts[: turn % len(counts)]
    index, chance = drift.stability(counts, other)
    assert index >= 0 and 0 <= chance <= 1
    assert (index, chance) == pytest.approx(drift.stability(other, counts))
    assert drift.stability(counts, counts)[0] == 0


@pytest.mark.parametrize(("before", "now"), [(60, 60), (300, 40), (5000, 5000), (20_000, 500)])
def test_samples_of_one_distribution_seldom_differ(before, now):
    """Of 150 comparisons of three columns at most 5 list anything: FALSE_ALARM is one in a hundred."""
    rng = np.random.default_rng(10)
    zipf = 1 / np.arange(1, 41)

    def sample(n):
        amounts = np.floor(20 * np.log10(rng.lognormal(4, 0.8, n)) + 0.5).astype(int) + 100
        return kept(
            months={"2024-01": n},
            missing=rng.binomial(n, 0.1),
            channel=dict(enumerate(rng.multinomial(n, zipf / zipf.sum()).tolist())),
            amount={
                str(k): int(c) for k, c in zip(*np.unique(amounts, return_counts=True), strict=True)
            },
        )

    alarms = sum(
        len(
            drift.compare({"o": sample(before)}, {"o": sample(now) | {"last": "2024-01-20"}}).query(
                "what != 'last day'"
            )
        )
        for _ in range(150)
    )
    assert alarms <= 5


def test_a_snapshot_of_tables_is_compared_with_itself_and_with_a_fault():
    rng = np.random.default_rng(11)
    rows = [
        {
            "ordered_at": pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(i) // 10),
            "amount": Decimal(f"{a:.2f}"),
            "channel": str(c),
        }
        for i, a, c in zip(
            range(900), rng.lognormal(4, 0.5, 900), rng.choice(["web", "app"], 900), strict=True
        )
    ]
    good = snapshot({"orders": table(rows, "orders")})
    faulty = snapshot(
        {"orders": table([r | {"amount": r["amount"] * 100} for r in rows], "orders")}
    )
    assert drift.compare(good, good).empty
    found = drift.compare(good, faulty)
    assert found["what"].tolist() == ["distribution of amount"] and found["matters"].all()
    assert found["now"].iloc[0] / found["before"].iloc[0] == pytest.approx(100)
