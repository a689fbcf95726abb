"""Forecasts side by side: models of buying and what anyone could say without them, on weeks not seen.

Grain: one person known by a cutoff. What is said of them rests on the time up to the cutoff alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import collecting
from loyaltylab.errors import UnanswerableError
from loyaltylab.lifetime_value.clock import Clock
from loyaltylab.lifetime_value.fitting import (
    fit_bg_nbd,
    fit_mbg_cnbd,
    fit_mbg_nbd,
    fit_nbd,
    fit_pareto_nbd,
)
from loyaltylab.lifetime_value.history import DAYS, HISTORY, summarise, with_holdout
from loyaltylab.lifetime_value.models import Combined, OrderModel
from loyaltylab.lifetime_value.pareto_ggg import ParetoGgg, fit_pareto_ggg

MODELS: dict[str, Callable[..., OrderModel]] = {
    "nbd": fit_nbd,
    "bg_nbd": fit_bg_nbd,
    "mbg_nbd": fit_mbg_nbd,
    "pareto_nbd": fit_pareto_nbd,
    "mbg_cnbd_k": fit_mbg_cnbd,
}
_MONEY = ["spend", "repeat_spend", "later_spend"]


@dataclass(frozen=True)
class Forecast:
    """What is said of each person: orders (expected order days), chances (of n order days or more, a
    column for each n from 1; missing where a forecast is a number alone)."""

    orders: np.ndarray
    chances: np.ndarray | None = None


@dataclass(frozen=True)
class Challenger:
    """A forecast of orders, and spend: the money that it expects of each."""

    forecast: Forecast
    spend: np.ndarray


def origins(begin: date, cutoff: date, *, weeks: int, most: int = 3) -> dict[date, int]:
    """Earlier days from which weeks up to `cutoff` are forecast, to choose between forecasts without a
    look at what came after it. The latest first; each with the weeks that follow it.

    begin : day of the first purchase. Each looks `weeks` ahead, or a third of the time there is; the
    weeks of one and of the next overlap by half. None where that leaves less than a week.
    """
    ahead = min(weeks, (cutoff - begin).days // (3 * DAYS))
    back = (round(DAYS * ahead * (1 + k / 2)) for k in range(most if ahead else 0))
    return {cutoff - timedelta(days=days): ahead for days in back}


def judged_people(
    purchases: ir.Table, *, cutoff: date, weeks: int, clock: Clock | None = None
) -> pd.DataFrame:
    """Who bought by `cutoff`, and what they did in the `weeks` weeks after it. Grain: one person.

    Columns of `summarise` (of the clock, if there is one) and `with_holdout`, money as floats. In the
    order of what they did, so that nothing depends on who is who.
    """
    known = summarise(purchases, until=cutoff, clock=clock)
    people = with_holdout(known, purchases, cutoff=cutoff, weeks=weeks)
    rows = people.mutate(**{name: people[name].cast("float64") for name in _MONEY})
    with collecting.whole(purchases.get_backend()):  # each person is a forecast to be judged
        found = rows.to_pandas()
    keys = [*HISTORY, "log_gaps", "spend", "later_orders", "later_spend"]
    return found.sort_values([*keys, "person_id"], ignore_index=True)


def groups_of(people: pd.DataFrame) -> pd.DataFrame:
    """`histories` of these people."""
    keys = list(HISTORY)
    counted = people.assign(customers=1).groupby(keys)[["customers", "log_gaps"]].sum()
    return counted.reset_index()


def fit_all(
    groups: pd.DataFrame,
    models: Mapping[str, Callable[..., OrderModel]] = MODELS,
    *,
    clock: Clock | None = None,
) -> tuple[dict[str, OrderModel | Combined], dict[str, str]]:
    """Every model fitted to `histories` (of the clock, if there is one), "combined" (all of them), and
    why others were refused.

    Raises UnanswerableError where all are.
    """
    fits: dict[str, OrderModel] = {}
    refused: dict[str, str] = {}
    for name, fit in models.items():
        try:
            fits[name] = fit(groups, edge=True, clock=clock)
        except UnanswerableError as error:
            refused[name] = str(error)
    if not fits:
        raise UnanswerableError(next(iter(refused.values())))
    return fits | {"combined": Combined(tuple(fits.values()))}, refused


def told(
    people: pd.DataFrame, fits: Mapping[str, OrderModel | Combined], *, weeks: int
) -> dict[str, Forecast]:
    """What each of the fitted models (`fit_all`) says of each; equal histories are asked for once."""
    alike = people.groupby(list(HISTORY), sort=True).ngroup().to_numpy()
    groups = people.iloc[np.unique(alike, return_index=True)[1]]
    most = 2 * int(max(people["later_orders"].max(), people["frequency"].max())) + 10
    came = int(people["later_orders"].max())
    found: dict[str, Forecast] = {}
    for name, model in fits.items():
        if isinstance(model, Combined):  # of those before it, which need not be asked again
            orders = np.mean([one.orders for one in found.values()], axis=0)
            known = [one.chances for one in found.values() if one.chances is not None]
            found[name] = Forecast(orders, _mean(known))
        else:
            orders, chances = (
                model.expected_orders(groups, weeks),
                model.at_least(groups, weeks, most),
            )
            # Beyond what came and what has any chance, columns of zeros would only take room.
            wide = max(int(chances.any(axis=0).sum()), came, 1)
            found[name] = Forecast(orders[alike], chances[alike, :wide])
    return found


def _mean(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Of tables of chances that may end at different numbers."""
    total = np.zeros((len(parts[0]), max(part.shape[1] for part in parts)))
    for part in parts:
        total[:, : part.shape[1]] += part
    total /= len(parts)
    return total


def baselines(
    people: pd.DataFrame, earlier: pd.DataFrame | None, *, weeks: int
) -> dict[str, Forecast]:
    """What costs nothing: zero (nobody orders again), past_average (everybody goes on as before, which
    who bought once never did), and segment_mean (those as frequent and as long silent now do as such
    people did from an earlier origin; `earlier` as `judged_people`, over as many weeks)."""
    nothing = np.zeros(len(people))
    age = people["age"].to_numpy(float) / DAYS
    rate = people["frequency"].to_numpy(float) / np.maximum(age, 1 / DAYS)
    found = {"zero": Forecast(nothing, nothing[:, None]), "past_average": Forecast(rate * weeks)}
    if earlier is not None and len(earlier):
        means = earlier.groupby(_segment(earlier))["later_orders"].mean()
        everybody = float(earlier["later_orders"].mean())
        found["segment_mean"] = Forecast(
            _segment(people).map(means).fillna(everybody).to_numpy(float)
        )
    return found


def _segment(people: pd.DataFrame) -> pd.Series:
    """Repeat orders up to 7 or more, and silence in doublings of four weeks."""
    silence = (people["age"] - people["recency"]) / (4 * DAYS)
    return people["frequency"].clip(upper=7) * 100 + np.ceil(np.log2(silence + 1)).astype(int)


def challenger(
    purchases: ir.Table, people: pd.DataFrame, *, cutoff: date, weeks: int, seed: int
) -> Challenger | None:
    """What gradient boosting says of each, which knows no theory of buying. It learns from the time up
    to the cutoff alone; nothing where that is too short."""
    from loyaltylab.lifetime_value.boosting import features, fit_boosting  # slow to import

    try:
        model = fit_boosting(purchases, until=cutoff, weeks=weeks, seed=seed)
    except UnanswerableError:
        return None
    predicted = model.predict(features(purchases, until=cutoff)).set_index("person_id")
    predicted = predicted.loc[people["person_id"]].reset_index()
    most = 2 * int(max(people["later_orders"].max(), people["frequency"].max())) + 10
    forecast = Forecast(predicted["orders"].to_numpy(float), model.at_least(predicted, most))
    return Challenger(forecast, predicted["spend"].to_numpy(float))


def regular(
    people: pd.DataFrame, *, weeks: int, seed: int, at_most: int
) -> tuple[Forecast, ParetoGgg]:
    """What Pareto/GGG says of each, learned from `at_most` of them: its fit is by simulation, and slow.

    Raises UnanswerableError where too few came back, or the chains do not agree.
    """
    columns = [*HISTORY, "log_gaps"]
    known, alike = np.unique(people[columns].to_numpy(float), axis=0, return_inverse=True)
    every = people[columns].iloc[np.linspace(0, len(people) - 1, at_most).astype(int)]
    model = fit_pareto_ggg(every if len(people) > at_most else people[columns], seed=seed)
    drawn = model.future(pd.DataFrame(known, columns=columns), weeks, seed=seed)
    most = 2 * int(max(people["later_orders"].max(), people["frequency"].max())) + 10
    chances = np.stack([(drawn >= n).mean(axis=1) for n in range(1, most + 1)], axis=1)
    alike = alike.ravel()
    return Forecast(drawn.mean(axis=1)[alike], chances[alike]), model
