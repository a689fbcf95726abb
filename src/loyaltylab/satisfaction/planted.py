"""What satisfaction truly does, in a simulated company: for "Against the truth" and studies alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import gamma

from loyaltylab.satisfaction.effect import adjustment, ends, fit, linear
from loyaltylab.simulation.calendar import YEAR, Season
from loyaltylab.world import World

_PARTS = 120  # of the window, for the integral over the day of the next order


def world_of(effects: Mapping[str, float]) -> World:
    """The parameters of truth/effects, which are all numbers there."""
    whole = {name for name, field in World.model_fields.items() if field.annotation is int}
    return World.model_validate({n: int(v) if n in whole else v for n, v in effects.items()})


def of_answers(frame: pd.DataFrame, told: pd.DataFrame, world: World) -> pd.DataFrame:
    """`landmarks` as `chances` wants them, in the same rows.

    told : of truth/surveys and truth/people, by response_id: satisfaction, purchase_rate, dropout_rate,
    regular, acquired_at, left_at. Orders are known by the day: they are taken as of its middle.
    """
    begin = pd.Timestamp(world.first_day)
    found = frame[["response_id", "day", "silence"]].merge(
        told, how="left", on="response_id", validate="one_to_one"
    )
    day = (found["day"] - begin).dt.days
    left = (found["left_at"] - begin) / pd.Timedelta(days=1)
    return found.assign(
        sent=day + 1.0,
        last=day - found["silence"] + 0.5,
        first=(found["acquired_at"] - begin) / pd.Timedelta(days=1),
        gone=left <= day + 1,
    ).set_index(frame.index)


def chances(asked: pd.DataFrame, world: World, *, window: float) -> pd.DataFrame:
    """Each one's true chance of an order in the `window` days after being asked: own, with the
    satisfaction they have, and even, with one of 0, the mean of all customers when they begin.

    asked : one invitation a row; purchase_rate, dropout_rate (a year), regular, satisfaction, first,
    last (orders so far) and sent (all in days from the start of the world), gone (left for good by then:
    the chance is 0). Waits are gamma distributed in the time of the season, and a constant hazard takes
    customers meanwhile: `simulation.behaviour` without cases after the answer.
    """
    season, sent = Season(world), asked["sent"].to_numpy(float)
    rate = asked["purchase_rate"].to_numpy(float) / YEAR
    shape = np.where(asked["regular"], world.regularity, 1.0)
    last = asked["last"].to_numpy(float)
    tenure = (last - asked["first"].to_numpy(float)) / YEAR
    leaves = (
        asked["dropout_rate"].to_numpy(float) / YEAR * np.exp(-world.tenure_confounding * tenure)
    )
    part = np.linspace(0, 1, _PARTS + 1)
    ends = season.passed(sent[:, None] + window * part) - season.passed(last)[:, None]
    later = gamma.sf(ends, shape[:, None], scale=1 / (shape * rate)[:, None])
    comes = -np.diff(later, axis=1) / np.maximum(later[:, :1], 1e-300)
    middle = window * (part[1:] + part[:-1]) / 2
    told = {}
    for name, satisfaction in (("own", asked["satisfaction"].to_numpy(float)), ("even", 0.0)):
        hazard = leaves * world.hazard_ratio ** np.asarray(satisfaction)
        told[name] = (comes * np.exp(-hazard[:, None] * middle)).sum(axis=1)
    return pd.DataFrame(told, index=asked.index).where(~asked["gone"], 0.0)


def true_effect(frame: pd.DataFrame, chances: pd.DataFrame, contrast: tuple[Any, Any]) -> float:
    """What `effect` would find in these answers, if chances were seen instead of orders and satisfaction
    alone told them apart: what it finds in own chances, less what it finds in even ones.

    frame : as of `effect`; chances : of the same rows; both of who has not left are compared, and to who
    has, satisfaction makes no difference any more.
    """
    there = (chances["own"] > 0).to_numpy()
    rows, scores = frame[there], frame["score"].to_numpy(float)[there]
    low, high = (linear(np.broadcast_to(end, scores.shape)) for end in ends(scores, contrast))
    found = []
    for name in ("own", "even"):
        fitted = fit(
            linear(scores), adjustment(rows), chances[name].to_numpy()[there],
            persons=rows["person"].to_numpy(), there=np.ones(len(rows)),
        )  # fmt: skip
        found.append(fitted.mean(high)[0] - fitted.mean(low)[0])
    return (found[0] - found[1]) * float(there.mean())
