"""Answers as landmarks: what was known of a customer on the day of an answer, and what came after it.

Grain out: one answer. Nothing after the landmark is among what is known, so that no later order can
move what is adjusted for: Anderson, Cain & Gelber (1983), Journal of Clinical Oncology 1, 710–719.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.errors import UnanswerableError
from loyaltylab.lifetime_value import DAYS, ParetoNbd, fit_pareto_nbd

_HISTORIES = 100_000  # of which parameters are known to a hundredth: more would only take longer


def landmarks(
    surveys: ir.Table,
    purchases: ir.Table,
    *,
    until: dt.date,
    window: int,
    persons: ir.Table | None = None,
) -> pd.DataFrame:
    """Answers of persons who had ordered by then, with what they did before and after.

    surveys : invitations with person_id; purchases : as `timelines` gives them; persons : person_id and
    acquired_through. The landmark is the end of the day of the answer: orders of that day came before
    it. Returns, sorted by day and response_id:

    response_id, person : a code, equal for equal persons and of no further meaning
    instrument, touchpoint, score, day (of the answer); with `persons`, channel (missing: not known)
    frequency : order days so far after the first; recency : days from the first to the last of them
    age : days since the first; silence : days since the last; basket : mean amount of an order day
    wait : days to the next order day (missing: none up to `until`); observed : days up to `until`
    ordered : whether an order followed within `window` days (missing where these are not over)
    before : whether one followed within `window` days of the day that many days before the landmark
    (missing for who was no customer yet), and that day's frequency_then, age_then and silence_then
    """
    given = surveys.filter(surveys["score"].notnull(), surveys["answered_at"].notnull())
    asked = given.select(
        "person_id", "response_id", "instrument", "touchpoint", "score",
        landmark=given["answered_at"].date(),
    )  # fmt: skip
    asked = asked.filter(asked["landmark"] <= until)
    # What was spent so far is as of each purchase; decimals, so that no order of adding shows.
    so_far = ibis.window(group_by="person_id", order_by="day", preceding=None, following=0)
    bought = purchases.select(
        "person_id",
        "day",
        "first",
        "rank",
        "next_day",
        spent=purchases["amount"].sum().over(so_far),
    )
    rows = _as_of(asked, bought, "landmark")
    told = rows.select(
        "person_id", "response_id", "instrument", "touchpoint", "score",
        day_of_answer=rows["landmark"],
        frequency=rows["rank"] - 1,
        recency=rows["day"].delta(rows["first"], unit="day"),
        age=rows["landmark"].delta(rows["first"], unit="day"),
        silence=rows["landmark"].delta(rows["day"], unit="day"),
        basket=rows["spent"].cast("float64") / rows["rank"],
        wait=rows["next_day"].delta(rows["landmark"], unit="day"),
    )  # fmt: skip
    then = asked.select(
        "person_id",
        "response_id",
        then=(asked["landmark"] - ibis.interval(days=window)).cast("date"),
    )
    rows = _as_of(then, bought, "then")
    earlier = rows.select(
        "person_id",
        "response_id",
        frequency_then=rows["rank"] - 1,
        age_then=rows["then"].delta(rows["first"], unit="day"),
        silence_then=rows["then"].delta(rows["day"], unit="day"),
        wait_then=rows["next_day"].delta(rows["then"], unit="day"),
    )
    both = told.left_join(earlier, ["person_id", "response_id"])
    both = both.drop("person_id_right", "response_id_right")
    if persons is not None:
        both = both.left_join(persons.select("person_id", channel="acquired_through"), "person_id")
        both = both.drop("person_id_right")
    frame = both.order_by("day_of_answer", "response_id").to_pandas()
    frame = frame.rename(columns={"day_of_answer": "day"})
    frame.insert(0, "person", pd.factorize(frame.pop("person_id"))[0])
    frame["day"] = pd.to_datetime(frame["day"])
    frame["observed"] = (pd.Timestamp(until) - frame["day"]).dt.days
    return outcomes(frame, window=window)


def outcomes(frame: pd.DataFrame, *, window: int) -> pd.DataFrame:
    """`frame` with ordered and before of this window, from wait, observed and wait_then."""
    over = frame["observed"] >= window
    wait, then = frame["wait"], frame["wait_then"]
    return frame.assign(
        ordered=np.where(over, (wait <= window).astype(float), np.nan),
        before=np.where(frame["age_then"].notna(), (then <= window).astype(float), np.nan),
    ).drop(columns="wait_then")


def survivors(frame: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """`frame` with left (`left_by`) and hardy (`hardy_by`), by the Pareto/NBD of all customers
    (`lifetime_value.histories`, in their order), or of each so manyth of _HISTORIES and more; both 0,
    so that nobody is taken to have left or to be hardier, where they do not suffice for it."""
    try:
        model = fit_pareto_nbd(histories.iloc[:: 1 + len(histories) // _HISTORIES], edge=True)
    except UnanswerableError:
        return frame.assign(left=0.0, hardy=0.0)
    return frame.assign(left=left_by(frame, model), hardy=hardy_by(frame, model))


def left_by(frame: pd.DataFrame, model: ParetoNbd) -> np.ndarray:
    """Probability that the customer had left for good by the landmark, by what they had ordered."""
    return np.asarray(1 - model.alive(frame[["frequency", "recency", "age"]]), float)


def hardy_by(frame: pd.DataFrame, model: ParetoNbd) -> np.ndarray:
    """By what share the expected rate of leaving of a customer who is still there is below that of a
    newcomer: of s / β at first, s / (β + age) is left, as the others have gone."""
    age = frame["age"].to_numpy(float) / DAYS
    return np.asarray(age / (model.parameters["beta"] + age), float)


def _as_of(rows: ir.Table, bought: ir.Table, day: str) -> ir.Table:
    """Each of the rows with its person's last purchase up to a day; those with one."""
    joined = rows.join(bought, ["person_id", rows[day] >= bought["day"]])
    return joined.filter(joined["next_day"].isnull() | (joined["next_day"] > joined[day]))
