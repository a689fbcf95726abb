"""How wrong a forecast was on weeks that it had not seen, beside forecasts that cost nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import Z
from loyaltylab.lifetime_value.history import DAYS, HISTORY, tally
from loyaltylab.lifetime_value.models import BgNbd, GammaGamma
from loyaltylab.purchases import purchase_days

FREQUENT = 7  # repeat orders from which customers are shown together


def gini(score: Any, total: Any, customers: Any) -> float:
    """How far up the customers with a high `total` stand when ranked by `score`, in (-1, 1).

    Twice the area between the Lorenz curve (best score first) and the diagonal. Customers of equal
    score share their total evenly, which is the mean over every order they could stand in.
    score, total (of the group), customers : one value a group.
    """
    across, up = _lorenz(score, total, customers)
    return float(2 * np.trapezoid(up, across) - 1)


def top_tenth(score: Any, total: Any, customers: Any) -> float:
    """Share of the `total` of all that the tenth of customers with the best `score` brought.

    Arguments and ties as in `gini`.
    """
    return float(np.interp(0.1, *_lorenz(score, total, customers)))


def _lorenz(score: Any, total: Any, customers: Any) -> tuple[np.ndarray, np.ndarray]:
    """Shares of customers, best score first, and of the total that they brought; from 0 to 1."""
    groups = pd.DataFrame({"score": score, "total": total, "customers": customers})
    ranked = groups.groupby("score").sum().sort_index(ascending=False)
    across = np.concatenate([[0], ranked.customers.cumsum() / ranked.customers.sum()])
    return across, np.concatenate([[0], ranked.total.cumsum() / ranked.total.sum()])


def errors(predicted: np.ndarray, groups: pd.DataFrame) -> dict[str, float]:
    """What a forecast missed by, a customer of each group counting as often as there are.

    predicted : orders of one customer of each group. groups : later_orders, customers.
    Returns mae and rmse (orders a customer), mae_gain (how much lower the mae is than that of
    saying zero for everyone), bias ((predicted - actual) / actual of the totals), each with _low
    and _high at LEVEL, and gini (that of the prediction over that of perfect foresight).
    The intervals say how far another sample of customers could differ over the same weeks, not
    how far another time could.
    Raises UnanswerableError if nobody ordered in the hold-out.
    """
    actual, customers = groups.later_orders.to_numpy(float), groups.customers.to_numpy(float)
    if not actual @ customers:
        raise UnanswerableError(
            "The hold-out needs orders to judge a forecast by, and there are none. "
            "Choose another hold-out, or give later orders."
        )
    miss, ratio = predicted - actual, (predicted @ customers) / (actual @ customers)
    mae, mae_error = _mean(np.abs(miss), customers)
    mse, mse_error = _mean(miss**2, customers)
    gain, gain_error = _mean(actual - np.abs(miss), customers)
    drift = _mean(predicted - ratio * actual, customers)[1] / np.average(actual, weights=customers)
    perfect = gini(actual, actual * customers, customers)
    return {
        "mae": mae,
        "mae_low": mae - mae_error,
        "mae_high": mae + mae_error,
        "mae_gain": gain,
        "mae_gain_low": gain - gain_error,
        "mae_gain_high": gain + gain_error,
        "rmse": mse**0.5,
        "rmse_low": max(mse - mse_error, 0) ** 0.5,
        "rmse_high": (mse + mse_error) ** 0.5,
        "bias": ratio - 1,
        "bias_low": ratio - 1 - drift,
        "bias_high": ratio - 1 + drift,
        "gini": gini(predicted, actual * customers, customers) / perfect,
    }


def holdout_scores(
    judged: ir.Table, orders: BgNbd, spend: GammaGamma, *, weeks: int
) -> pd.DataFrame:
    """The models and what anyone could do without them, over the same hold-out.

    judged : `with_holdout` of the same `weeks`. Returns one row a forecast: bg_nbd; zero, which
    says that nobody orders again; past_spend, which only ranks customers by what they spent so far.
    Columns: those of `errors`; spend_bias and spend_gini are the same for the money then spent (for
    bg_nbd orders × Gamma-Gamma spend), top_tenth of that money. Missing: what a ranking has not.
    """
    groups = tally(judged, *HISTORY, "later_orders")
    scores = {
        "bg_nbd": errors(orders.expected_orders(groups, weeks), groups),
        "zero": errors(np.zeros(len(groups)), groups),
    }
    table = pd.DataFrame.from_dict(scores, orient="index").reindex(["bg_nbd", "zero", "past_spend"])
    valued = tally(judged, *HISTORY, "repeat_spend", total="later_spend")
    value = orders.expected_orders(valued, weeks) * spend.expected_spend(valued)
    table["spend_bias"] = [(value @ valued.customers) / valued.later_spend.sum() - 1, -1.0, np.nan]
    past = tally(judged, "spend", total="later_spend")
    ideal = tally(judged, "later_spend")
    perfect = gini(ideal.later_spend, ideal.later_spend * ideal.customers, ideal.customers)
    table["spend_gini"] = [
        gini(value, valued.later_spend, valued.customers) / perfect,
        0.0,
        gini(past.spend, past.later_spend, past.customers) / perfect,
    ]
    table["top_tenth"] = [
        top_tenth(value, valued.later_spend, valued.customers),
        0.1,
        top_tenth(past.spend, past.later_spend, past.customers),
    ]
    return table


def holdout_by_frequency(judged: ir.Table, orders: BgNbd, *, weeks: int) -> pd.DataFrame:
    """Hold-out orders of a customer by repeat orders before it, FREQUENT or more together.

    Returns frequency, customers, actual and predicted (mean order days a customer).
    """
    groups = tally(judged, *HISTORY, "later_orders")
    total = pd.DataFrame(
        {
            "frequency": groups.frequency.clip(upper=FREQUENT),
            "customers": groups.customers,
            "actual": groups.later_orders * groups.customers,
            "predicted": orders.expected_orders(groups, weeks) * groups.customers,
        }
    )
    table = total.groupby("frequency").sum()
    return table.assign(
        actual=table.actual / table.customers, predicted=table.predicted / table.customers
    ).reset_index()


def tracking(orders: ir.Table, model: BgNbd, *, cutoff: date, weeks: int) -> pd.DataFrame:
    """Repeat orders week by week, of the customers won until `cutoff`: observed and expected.

    Returns week_end (weeks are counted from the cutoff, the first may begin before the first
    order), actual and expected (repeat order days in the week), actual_total and expected_total (up
    to its end), held_out (the week lies after the cutoff), up to `weeks` weeks after the cutoff.
    """
    days = purchase_days(orders)
    first = days.group_by("person_id").aggregate(first_day=days.day.min())
    ours = days.join(first.filter(first.first_day <= cutoff), "person_id")
    by_day = ours.group_by("day").aggregate(
        won=(ours.day == ours.first_day).sum(), repeats=(ours.day > ours.first_day).sum()
    )
    counts = by_day.order_by("day").execute().set_index("day")
    counts.index = pd.DatetimeIndex(counts.index)
    ends = pd.Timestamp(cutoff) + pd.to_timedelta(
        np.arange(-((pd.Timestamp(cutoff) - counts.index[0]).days // DAYS), weeks + 1), unit="W"
    )
    calendar = pd.date_range(counts.index[0], ends[-1])
    counts = counts.reindex(calendar, fill_value=0)
    # Every customer won on day s expects E[X(d - s)] repeat orders by day d: a convolution.
    curve = model.new_customer_orders(np.arange(len(calendar)) / DAYS)
    expected = np.convolve(counts.won.to_numpy(float), curve)[: len(calendar)]
    totals = pd.DataFrame(
        {"actual_total": counts.repeats.cumsum(), "expected_total": expected}, index=calendar
    ).loc[ends]
    return pd.DataFrame(
        {
            "week_end": ends,
            "actual": totals.actual_total.diff().fillna(totals.actual_total).to_numpy(int),
            "expected": totals.expected_total.diff().fillna(totals.expected_total).to_numpy(),
            "actual_total": totals.actual_total.to_numpy(),
            "expected_total": totals.expected_total.to_numpy(),
            "held_out": ends > pd.Timestamp(cutoff),
        }
    )


def _mean(values: np.ndarray, customers: np.ndarray) -> tuple[float, float]:
    """Mean over customers, and half the width of its interval at LEVEL (normal approximation)."""
    mean = np.average(values, weights=customers)
    variance = np.average((values - mean) ** 2, weights=customers)
    half = Z * (variance / customers.sum()) ** 0.5
    return float(mean), float(half)
