"""Models of buying on data that are not kind to them: 1,000 companies, most of them odd. `make study`.

Of each company all models are fitted in weeks, and again with time in another unit. Counted is how many
fits have a best, lie at an edge, or are refused; and whatever must never be: a crash, a forecast that is
missing, negative or no probability, or one that another unit of time changes by more than 1e-6.
"""

import multiprocessing
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from loyaltylab import lifetime_value as lv
from loyaltylab.errors import UnanswerableError

WORLDS, SEED, UNIT = 1000, 7, 365.25
RESULTS = Path(__file__).parent / "studies" / "lifetime_value.csv"
KINDS = (
    "usual", "frequent", "last on the last day", "one-time buyers", "ten customers", "won today",
    "all alike", "regular", "in hours", "in years",
)  # fmt: skip


def company(kind, random):
    """Grain: a customer; frequency, recency, age (days, or another unit), log_gaps."""
    customers = 10 if kind == "ten customers" else int(random.integers(50, 600))
    r, alpha, a, b = random.uniform([0.2, 2, 0.3, 0.8], [2.0, 20, 2.0, 5.0])
    k = float(random.integers(2, 6)) if kind == "regular" else 1.0
    model = lv.MbgCnbd({"k": k, "r": r, "alpha": alpha / k, "a": a, "b": b}, {}, {}, 0.0, 1)
    ages = random.integers(0, 3 if kind == "won today" else 800, customers)
    people = model.simulate(ages, random)[["frequency", "recency", "age", "log_gaps"]]
    if kind == "frequent":
        some = random.random(customers) < 0.1
        many = random.integers(300, 2000, customers)
        people.loc[some, "frequency"] = many[some]
        people.loc[some, "recency"] = (0.99 * people["age"])[some]
        gap = np.maximum(people["recency"], 0.01) / np.maximum(people["frequency"], 1)
        people.loc[some, "log_gaps"] = (people["frequency"] * np.log(gap))[some]
    if kind == "last on the last day":
        people["recency"] = people["age"].where(people["frequency"] > 0, 0)
    if kind == "one-time buyers":
        people[["frequency", "recency", "log_gaps"]] = 0.0
        people.loc[: int(random.integers(0, 4)), ["frequency", "recency"]] = [1, 1]
    if kind == "all alike":
        people[["frequency", "recency", "age", "log_gaps"]] = [2, 40, 100, 6.0]
    scale = {"in hours": 24, "in years": 1 / UNIT}.get(kind, 1)
    people["log_gaps"] += people["frequency"] * np.log(scale)
    return people.assign(recency=people["recency"] * scale, age=people["age"] * scale), 26 * scale


def judged(name, people, weeks):
    """How a fit went, and the orders it expects."""
    groups = people.assign(customers=1)
    try:
        fit = lv.MODELS[name](groups, edge=True)
    except UnanswerableError:
        return "refused", None
    expected, alive = fit.expected_orders(groups, weeks), fit.alive(groups)
    chances = fit.at_least(groups, weeks, 5)
    whole = np.isfinite(expected).all() and (expected >= 0).all()
    for shares in (alive, chances):
        whole &= bool(
            np.isfinite(shares).all() and (shares >= 0).all() and (shares <= 1 + 1e-9).all()
        )
    if not whole:
        return "wrong", expected
    return ("edge" if fit.edge else "best"), expected


def one(seed):
    random = np.random.default_rng(seed)
    kind = KINDS[int(random.integers(len(KINDS)))]
    people, weeks = company(kind, random)
    other = people.assign(recency=people["recency"] * UNIT, age=people["age"] * UNIT)
    other["log_gaps"] += people["frequency"] * np.log(UNIT)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in lv.MODELS:
            try:
                how, expected = judged(name, people, weeks)
                again, scaled = judged(name, other, weeks * UNIT)
                moved = how != again
                if expected is not None and scaled is not None and how != "wrong":
                    moved |= not np.allclose(expected, scaled, rtol=1e-6, atol=1e-9)
            except Exception as error:  # which is what is counted here
                how, moved = (
                    f"crash: {type(error).__name__}: {error} (seed {seed.spawn_key})",
                    False,
                )
            found.append((name, kind, how, moved))
    return found


def run(worlds=WORLDS):
    """The table of what happened. Grain: a model × a kind of company."""
    seeds = np.random.SeedSequence(SEED).spawn(worlds)
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        rows = []
        for done, found in enumerate(processes.imap_unordered(one, seeds, chunksize=5), 1):
            rows += found
            if not done % 50:
                print(f"{done} of {worlds}", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows, columns=["model", "kind", "how", "moved"])
    for how in table.loc[table["how"].str.startswith("crash"), "how"].unique():
        print(how, file=sys.stderr)
    table["how"] = table["how"].str.partition(":")[0]
    counts = pd.crosstab([table["model"], table["kind"]], table["how"])
    counts = counts.reindex(columns=["best", "edge", "refused", "wrong", "crash"], fill_value=0)
    moved = table.groupby(["model", "kind"])["moved"].sum().rename("changed by the unit")
    return counts.join(moved).reset_index()


if __name__ == "__main__":
    found = run(*map(int, sys.argv[1:]))
    found.to_csv(RESULTS, index=False, lineterminator="\n")
    print(found.to_string(index=False))
