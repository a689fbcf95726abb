"""Segments by the rules of dataset.yml. Grain in: one person of `described` and `scored`.

A rule may be true of a person, false, or unknown, where what it asks for is missing. `not` of what is
unknown is unknown; `and` is false if one part is false, `or` true if one is true, whatever is unknown
(Kleene 1938, as databases have it). In a segment are those of whom its rule is true.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from loyaltylab.cells import hidden, small
from loyaltylab.consent import reachable
from loyaltylab.criteria import Condition, Criterion
from loyaltylab.files import written_whole
from loyaltylab.language import phrase, shown
from loyaltylab.segments.rfm import SEGMENTS

Rules = Mapping[str, Criterion]

# Key of a rule → what a reader calls it.
_NAMES = {
    "purchases": "purchases {condition}",
    "spend": "spend {condition}",
    "average_basket": "average basket {condition}",
    "mean_gap_days": "mean gap days {condition}",
    "days_since_first": "days since first {condition}",
    "days_since_last": "days since last {condition}",
    "rfm": "rfm {condition}",
    "country": "country {condition}",
    "acquired_through": "acquired through {condition}",
    "loyalty_member": "loyalty member {condition}",
    "consent_marketing": "consent marketing {condition}",
}
_JOINED = {"and_": "{one} and {other}", "or_": "{one} or {other}"}
_CONDITIONS = {
    "at_least": "at least {value}",
    "more_than": "more than {value}",
    "at_most": "at most {value}",
    "less_than": "less than {value}",
    "is": "is {value}",
    "one_of": "one of {value}",
}

# Key of a rule → column of people, where they differ.
_COLUMNS = {"days_since_last": "recency", "rfm": "segment"}
_OPERATORS: Mapping[str, Callable[[Any, Any], ir.BooleanValue]] = {
    "at_least": operator.ge,
    "more_than": operator.gt,
    "at_most": operator.le,
    "less_than": operator.lt,
    "is": operator.eq,
    "one_of": lambda value, values: value.isin(values),
    "missing": lambda value, missing: value.isnull() if missing else value.notnull(),
}


def holds(people: ir.Table, rule: Criterion) -> ir.BooleanValue:
    """Whether the rule is true of each person: one expression; missing where that is unknown."""
    (name,) = rule.model_fields_set
    given = getattr(rule, name)
    if name == "not_":
        return ~holds(people, given)
    if name in ("and_", "or_"):
        join = operator.and_ if name == "and_" else operator.or_
        return functools.reduce(join, (holds(people, part) for part in given))
    return _is_met(people[_COLUMNS.get(name, name)], given)


def _is_met(value: ir.Value, condition: Condition) -> ir.BooleanValue:
    if value.type().is_decimal():
        value = value.cast("float64")
    given = condition.operators().items()
    return functools.reduce(
        operator.and_, (_OPERATORS[name](value, wanted) for name, wanted in given)
    )


def with_rules(people: ir.Table, rules: Rules) -> ir.Table:
    """people with one column a rule, by its name: true, false or missing (unknown)."""
    return people.mutate(**{name: holds(people, rule) for name, rule in rules.items()})


def rule_table(marked: ir.Table, rules: Rules) -> pd.DataFrame:
    """Rule segments side by side, from `with_rules`. Grain: one rule.

    segment, customers, of_customers (share), revenue (their spend in all), unknown (customers whom
    the rule does not decide, since something of them is missing; they are not in the segment).
    Rules may overlap and leave customers out, so the rows add up to nothing.
    """
    counts: dict[str, ir.Value] = {"all": marked.count()}
    for number, name in enumerate(rules):
        inside = marked[name].fill_null(False)
        counts |= {
            f"in_{number}": inside.sum(),
            f"revenue_{number}": inside.ifelse(marked["spend"], 0).sum().cast("float64"),
            f"unknown_{number}": marked[name].isnull().sum(),
        }
    found = marked.agg(**counts).to_pandas().iloc[0].fillna(0)
    everybody = found["all"]
    rows = [
        (
            name,
            int(found[f"in_{number}"]),
            found[f"in_{number}"] / everybody if everybody else float("nan"),
            float(found[f"revenue_{number}"]),
            int(found[f"unknown_{number}"]),
        )
        for number, name in enumerate(rules)
    ]
    names = ["segment", "customers", "of_customers", "revenue", "unknown"]
    return pd.DataFrame(rows, columns=names)


def shown_rules(ruled: pd.DataFrame, lists: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`rule_table` with listed, of `save_lists`; without what tells of fewer than `minimum` customers,
    be it by the difference of two numbers: those in a segment who are not on its list."""
    table = ruled.assign(listed=lists["listed"].to_numpy())
    apart = pd.DataFrame(
        {"listed": table["listed"], "others": table["customers"] - table["listed"]}
    )
    gone = hidden(apart, minimum=minimum, sums=[["listed", "others"]])["listed"]
    few = small(table[["customers", "unknown"]], minimum=minimum)
    return table.assign(
        listed=table["listed"].astype("Int64").mask(gone | few["customers"]),
        unknown=table["unknown"].astype("Int64").mask(few["unknown"]),
        customers=table["customers"].astype("Int64").mask(few["customers"]),
        of_customers=table["of_customers"].mask(few["customers"]),
        revenue=table["revenue"].mask(few["customers"]),
    )


def shown_overlap(shared: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`overlap` of two segments, without what tells of fewer than `minimum` customers who are in both,
    or in the first alone."""
    own = shared[shared["segment"] == shared["other"]].set_index("segment")["customers"]
    both = shared[shared["segment"] != shared["other"]].reset_index(drop=True)
    apart = pd.DataFrame(
        {"both": both["customers"], "alone": both["segment"].map(own) - both["customers"]}
    )
    gone = hidden(apart, minimum=minimum, sums=[["both", "alone"]])["both"]
    # The same number stands beside the other of the two as well.
    pairs = both[["segment", "other"]].apply(lambda pair: tuple(sorted(pair)), axis=1)
    gone = gone.groupby(pairs).transform("any") if len(both) else gone
    return both.assign(
        customers=both["customers"].astype("Int64").mask(gone),
        of_segment=both["of_segment"].mask(gone),
    )


def overlap(marked: ir.Table, rules: Rules) -> pd.DataFrame:
    """How many customers two rule segments share, from `with_rules`. Grain: one pair of them.

    segment, other, customers (in both; of one and itself, in it), of_segment (share of the first's
    customers; missing if it has none).
    """
    names = list(rules)
    pairs = list(itertools.combinations_with_replacement(range(len(names)), 2))
    inside = [marked[name].fill_null(False) for name in names]
    both = {f"n_{i}_{j}": (inside[i] & inside[j]).sum() for i, j in pairs}
    found = marked.agg(**both).to_pandas().iloc[0].fillna(0) if names else {}
    rows = []
    for i, j in itertools.product(range(len(names)), repeat=2):
        shared, own = int(found[f"n_{min(i, j)}_{max(i, j)}"]), int(found[f"n_{i}_{i}"])
        rows.append((names[i], names[j], shared, shared / own if own else float("nan")))
    return pd.DataFrame(rows, columns=["segment", "other", "customers", "of_segment"])


def save_lists(con: Any, marked: ir.Table, rules: Rules, folder: Path) -> pd.DataFrame:
    """Write <folder>/<segment>.csv with the person_id of those in each segment who may be contacted.

    marked : `with_rules`. A person_id is a hash that only the dataset's private key can make. On a
    list is who consents to marketing; who refused is left out, and so is who never said. Lists of
    earlier runs are removed first: somebody on them may have withdrawn since.
    Returns segment, customers, listed, refused, never_said (customers).
    """
    for old in folder.glob("*.csv"):
        old.unlink()
    rows = []
    for name in rules:
        members = marked.filter(marked[name].fill_null(False))
        rows.append({"segment": name} | reachable(members))
        listed = (
            members.filter(members["consent_marketing"]).select("person_id").order_by("person_id")
        )
        with written_whole(folder / f"{name}.csv") as part:
            con.to_csv(listed, part)
    return pd.DataFrame(rows, columns=["segment", "customers", "listed", "refused", "never_said"])


def in_words(rule: Criterion) -> str:
    """The rule as a phrase: "spend at least 500 and not (country is GB)"."""
    (name,) = rule.model_fields_set
    given = getattr(rule, name)
    if name == "not_":
        return phrase("not ({rule})", rule=in_words(given))
    if name in _JOINED:
        parts = [f"({in_words(p)})" if p.and_ or p.or_ else in_words(p) for p in given]
        return _joined(name, parts)
    conditions = (_condition(name, *said) for said in given.operators().items())
    return _joined("and_", (phrase(_NAMES[name], condition=said) for said in conditions))


def _joined(by: str, parts: Iterable[str]) -> str:
    return functools.reduce(lambda one, other: phrase(_JOINED[by], one=one, other=other), parts)


def _condition(key: str, name: str, wanted: Any) -> str:
    if name == "missing":
        return phrase("not known") if wanted else phrase("known")
    if isinstance(wanted, bool):
        wanted = phrase("yes") if wanted else phrase("no")
    if isinstance(wanted, str | list):
        texts = [wanted] if isinstance(wanted, str) else wanted
        if key == "rfm":
            texts = [phrase(text) if text in SEGMENTS else text for text in texts]
        wanted = ", ".join(texts)
    value = shown(wanted, ",.12g") if isinstance(wanted, float) else wanted
    return phrase(_CONDITIONS[name], value=value)
