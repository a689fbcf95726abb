"""Whether intervals of what satisfaction does hold the truth, in simulated companies. `make study`.

Each setting plants what misleads a plain correlation: who answers depends on satisfaction and tenure,
customers who have left answer lower, and tenure makes both kinder and more loyal.
"""

import multiprocessing
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from loyaltylab import lifetime_value as lv
from loyaltylab import satisfaction
from loyaltylab.errors import UnanswerableError
from loyaltylab.satisfaction import landmark, planted
from loyaltylab.simulation import behaviour, surveys
from loyaltylab.simulation.behaviour import latest
from loyaltylab.world import World

WINDOW, WORLDS, CUSTOMERS = 180, 300, 10_000
RESULTS = Path(__file__).parent / "studies" / "satisfaction.csv"
MISLEADING = {"response_by_satisfaction": 0.5, "response_by_tenure": 0.2, "reverse_causality": 0.5,
              "tenure_confounding": 0.3}  # fmt: skip
STRONGLY = {"response_by_satisfaction": 0.8, "response_by_tenure": 0.3, "reverse_causality": 0.7,
            "tenure_confounding": 0.4}  # fmt: skip
SETTINGS = {
    "nothing misleads": {"response_by_satisfaction": 0.0, "response_by_tenure": 0.0},
    "all of it": MISLEADING,
    "all of it, strongly": STRONGLY,
    "no effect, all of it": MISLEADING | {"hazard_ratio": 1.0},
}


def company(world):
    """Answers as `landmarks` gives them, with left; and all who were asked, as `planted` wants them."""
    lived = behaviour.simulate(world)
    asked, orders, people = surveys.simulate(world, lived), lived.orders, lived.customers
    who, sent = asked["customer"].to_numpy(), asked["sent"].to_numpy()
    of = people.iloc[who].reset_index(drop=True)
    told = pd.DataFrame(
        {
            "instrument": np.array(surveys.INSTRUMENTS)[asked["instrument"]],
            "sent": sent,
            "first": of["acquired"],
            "last": orders["time"].to_numpy()[latest(orders, who, sent)],
            "gone": (of["left_at"] <= sent).to_numpy(),
            "satisfaction": asked["satisfaction"],
            "would_have_scored": asked["told"],
            **{name: of[name] for name in ("purchase_rate", "dropout_rate", "regular")},
        }
    )
    days = orders.assign(day=np.floor(orders["time"])).drop_duplicates(["customer", "day"])
    days = days.assign(
        rank=days.groupby("customer").cumcount(),
        next_day=days.groupby("customer")["day"].shift(-1),
        first=days.groupby("customer")["day"].transform("min"),
    )
    base = days.groupby("customer").agg(frequency=("rank", "max"), first=("first", "min"),
                                        last=("day", "max"))  # fmt: skip
    end = world.days - 1
    groups = pd.DataFrame(
        {"frequency": base["frequency"].astype(float), "recency": base["last"] - base["first"],
         "age": end - base["first"], "log_gaps": 0.0, "customers": 1}
    )  # fmt: skip
    model = lv.fit_pareto_nbd(groups)

    at = np.where(asked["answered"].notna(), asked["answered"], sent)
    day = np.floor(at)
    row = latest(days[["customer"]].assign(time=days["day"]), who, day)
    frame = days.iloc[row][["rank", "first", "day", "next_day"]].reset_index(drop=True)
    frame = pd.DataFrame(
        {
            "person": who,
            "instrument": told["instrument"],
            "score": asked["score"],
            "day": pd.Timestamp(world.first_day) + pd.to_timedelta(day, unit="D"),
            "frequency": frame["rank"].astype(float),
            "recency": frame["day"] - frame["first"],
            "age": day - frame["first"],
            "silence": day - frame["day"],
            "basket": of["order_value"],
            "wait": frame["next_day"] - day,
            "observed": end - day,
            "age_then": np.nan,
            "wait_then": np.nan,
        }
    )
    frame = landmark.outcomes(frame, window=WINDOW)
    return frame.assign(
        left=landmark.left_by(frame, model), hardy=landmark.hardy_by(frame, model)
    ), told


def one(setting, seed, customers=CUSTOMERS):
    """Grain: an instrument × a method; truth, value, low, high."""
    world = World(customers=customers, seed=seed, **SETTINGS[setting])
    frame, told = company(world)
    own = planted.chances(told, world, window=WINDOW)
    answers = frame[frame["score"].notna()]
    shift = satisfaction.fit_shift(answers)
    rows = []
    for name in ("nps", "csat", "ces"):
        known = answers[(answers["instrument"] == name) & answers["ordered"].notna()]
        try:
            truth = planted.true_effect(known, own.loc[known.index], satisfaction.OWN_STEP)
        except UnanswerableError:
            continue
        for method, found in satisfaction.ladder(known, shift).items():
            rows.append((setting, name, method, seed, truth, found.value, found.low, found.high,
                         found.answers))  # fmt: skip
    return rows


def _one(arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return one(*arguments)


def run(worlds=WORLDS, customers=CUSTOMERS):
    """Every estimate of every world."""
    tasks = [
        (s, 1000 * at + n, customers) for at, s in enumerate(SETTINGS, 11) for n in range(worlds)
    ]
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        rows = [r for found in processes.imap(_one, tasks, chunksize=5) for r in found]
    columns = [
        "setting",
        "instrument",
        "method",
        "seed",
        "truth",
        "value",
        "low",
        "high",
        "answers",
    ]
    return pd.DataFrame(rows, columns=columns)


def summary(table):
    """Grain: a setting × an instrument × a method; worlds, truth and bias (points), covered, alarms."""
    table = table.assign(
        bias=table["value"] - table["truth"],
        covered=(table["low"] <= table["truth"]) & (table["truth"] <= table["high"]),
        alarm=(table["low"] > 0) | (table["high"] < 0),
        error=(table["high"] - table["low"]) / 2 / 1.96,
    )
    by = table.groupby(["setting", "instrument", "method"], sort=False)
    return by.agg(
        worlds=("seed", "size"), answers=("answers", "mean"), truth=("truth", "mean"),
        bias=("bias", "mean"), error=("error", "mean"), spread=("bias", "std"),
        covered=("covered", "mean"), alarms=("alarm", "mean"),
    ).reset_index()  # fmt: skip


if __name__ == "__main__":
    found = summary(run(*map(int, sys.argv[1:])))
    found.round(5).to_csv(RESULTS, index=False, lineterminator="\n")
    print(found.round(4).to_string(index=False))
