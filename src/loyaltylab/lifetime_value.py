"""Customer lifetime value: who will order again, how often, for how much.

Grain in: one order. One person's orders of one day are one purchase, so what is counted throughout
is order days. Data are in days; the models' unit of time is the week.

A person's history is (frequency, recency, age): order days after the first, days from the first to
the last order day, days from the first order day to the last day observed. It is all that the
BG/NBD model needs, so equal histories are grouped in the engine and fitted with weights. Value is
revenue within a horizon, not discounted and before costs.

Sources:
- BG/NBD: Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way", Marketing Science 24.
- Gamma-Gamma: Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value".
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import cycle
from typing import Any, NoReturn

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from autograd import grad, hessian  # type: ignore[import-untyped]
from lifetimes import BetaGeoFitter, GammaGammaFitter
from lifetimes.utils import ConvergenceError
from matplotlib.axes import Axes
from scipy.stats import norm

from loyaltylab import plots
from loyaltylab.errors import LabError

DAYS = 7  # in a week, the models' unit of time
LEVEL = 0.95  # of every interval here
FREQUENT = 7  # repeat orders from which customers are shown together
HISTORY = ("frequency", "recency", "age")


def summarise(orders: ir.Table, *, until: date) -> ir.Table:
    """What each person did up to and including `until`; stays in the engine.

    orders : person_id, ordered_at, amount, none of them missing.
    Returns one row a person who ordered by then: person_id, first_day, frequency (order days after
    the first), recency (days from first to last order day), age (days from first order day to
    `until`), spend and repeat_spend (total amount, and that of the days after the first; decimals).
    Raises LabError if nobody ordered by then.
    """
    seen = _order_days(orders).filter(ibis._.day <= until)
    people = seen.group_by("person_id").aggregate(
        first_day=seen.day.min(),
        last_day=seen.day.max(),
        frequency=seen.count() - 1,
        spend=seen.spend.sum(),
        first_spend=seen.spend.argmin(seen.day),
    )
    if people.count().execute() == 0:
        raise LabError(
            f"orders: expected some on or before {until}, found none. "
            "Shorten the hold-out or give earlier orders."
        )
    return people.select(
        "person_id",
        "first_day",
        "frequency",
        recency=people.last_day.delta(people.first_day, unit="day"),
        age=ibis.literal(until).delta(people.first_day, unit="day"),
        spend=people.spend,
        repeat_spend=people.spend - people.first_spend,
    )


def with_holdout(people: ir.Table, orders: ir.Table, *, cutoff: date, weeks: int) -> ir.Table:
    """`people` observed until `cutoff`, with what they did in the `weeks` weeks after it.

    Adds later_orders (order days in (cutoff, cutoff + weeks]) and later_spend (their amount), 0 for
    a person without any. Persons who first order after the cutoff are not in it.
    """
    days = _order_days(orders)
    end = cutoff + timedelta(weeks=weeks)
    later = (
        days.filter(days.day > cutoff, days.day <= end)
        .group_by("person_id")
        .aggregate(later_orders=ibis._.count(), later_spend=ibis._.spend.sum())
    )
    joined = people.left_join(later, "person_id").drop("person_id_right")
    return joined.mutate(
        later_orders=joined.later_orders.fill_null(0), later_spend=joined.later_spend.fill_null(0)
    )


def tally(people: ir.Table, *columns: str, total: str | None = None) -> pd.DataFrame:
    """Equal rows counted: `columns`, customers, and the sum of the column `total` where given.

    This is all that leaves the engine: sufficient statistics, ordered by `columns`, money as float.
    """
    sums = {} if total is None else {total: people[total].sum()}
    table = people.group_by(columns).aggregate(customers=people.count(), **sums)
    money = [c for c in table.columns if table[c].type().is_decimal()]
    floats = ibis.selectors.across(money, ibis._.cast("float64"))
    counted: pd.DataFrame = table.order_by(columns).mutate(floats).execute()
    return counted


def histories(people: ir.Table) -> pd.DataFrame:
    """The BG/NBD's sufficient statistics: frequency, recency and age (days), customers."""
    return tally(people, *HISTORY)


def spend_histories(people: ir.Table) -> pd.DataFrame:
    """The Gamma-Gamma's sufficient statistics: frequency, repeat_spend (money), customers.

    Only customers with a repeat order and positive repeat spend: the model knows no other money.
    """
    return tally(
        people.filter(people.frequency > 0, people.repeat_spend > 0), "frequency", "repeat_spend"
    )


@dataclass(frozen=True)
class Fit:
    """A model at its maximum of likelihood.

    low, high : Wald interval at LEVEL on the scale of logarithms, as no parameter is below zero.
    log_likelihood : of the data in weeks and in units of money.
    customers : how many it was fitted to.
    """

    parameters: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    log_likelihood: float
    customers: int


class BgNbd(Fit):
    """BG/NBD: a customer orders at random at a rate of his own (rates vary by a gamma distribution
    with shape r and rate alpha, in weeks) and after each repeat order stops for good with a
    probability of his own (which vary by a beta distribution a, b). So one who never came back
    cannot have stopped: the model counts him as active.
    """

    def expected_orders(self, groups: pd.DataFrame, weeks: float) -> np.ndarray:
        """Order days expected of one customer of each group in the next `weeks`; eq. 10."""
        history = _in_weeks(groups)
        orders = self._fitter.conditional_expected_number_of_purchases_up_to_time(weeks, *history)
        if not np.isfinite(orders).all():
            raise LabError(
                "The order model cannot be evaluated for a customer with "
                f"{groups.frequency.max()} repeat orders. Are all person ids single persons?"
            )
        return np.asarray(orders)

    def alive(self, groups: pd.DataFrame) -> np.ndarray:
        """Probability that a customer of each group has not stopped; 1 for frequency 0."""
        return np.asarray(self._fitter.conditional_probability_alive(*_in_weeks(groups)))

    def will_order(self, groups: pd.DataFrame, weeks: float) -> np.ndarray:
        """Probability of at least one order day in the next `weeks`.

        The rate of a customer still active has gamma shape r + x and rate alpha + T (the prior
        updated by x orders in T weeks): no order has probability ((α + T)/(α + T + t))^(r + x).
        """
        frequency, _, age = _in_weeks(groups)
        clock = self.parameters["alpha"] + age
        nothing = (clock / (clock + weeks)) ** (self.parameters["r"] + frequency)
        return self.alive(groups) * (1 - nothing)

    def new_customer_orders(self, weeks: np.ndarray) -> np.ndarray:
        """Repeat order days expected of a customer in the `weeks` after the first order; eq. 9."""
        return np.asarray(self._fitter.expected_number_of_purchases_up_to_time(weeks))

    @property
    def _fitter(self) -> Any:
        fitter = BetaGeoFitter()
        fitter.params_ = pd.Series(self.parameters)
        return fitter


class GammaGamma(Fit):
    """Gamma-Gamma: what a customer spends an order day varies by a gamma distribution with shape p,
    whose rate varies between customers by a gamma distribution with shape q and rate v (money);
    spend is taken as independent of how often one orders.
    """

    def expected_spend(self, groups: pd.DataFrame) -> np.ndarray:
        """Money an order day expected of one customer of each group; eq. 5.

        The customer's own mean, drawn towards everybody's: for frequency 0 it is everybody's.
        Negative repeat spend counts as zero.
        """
        fitter = GammaGammaFitter()
        fitter.params_ = pd.Series(self.parameters)
        mean = groups.repeat_spend.clip(lower=0) / groups.frequency.clip(lower=1)
        return np.asarray(fitter.conditional_expected_average_profit(groups.frequency, mean))


def fit_bg_nbd(groups: pd.DataFrame) -> BgNbd:
    """Fit BG/NBD to `histories`.

    Raises LabError with fewer repeat customers than parameters, or if there is no clear optimum.
    """
    _enough(int(groups.customers[groups.frequency > 0].sum()), 4, "order")
    frequency, recency, age = _in_weeks(groups)
    weights = groups.customers.to_numpy()
    data = (frequency, recency, age, weights)
    start = _start(BetaGeoFitter(), "order", *data)
    return BgNbd(*_optimum(BetaGeoFitter, ("r", "alpha", "a", "b"), start, data, "order"))


def fit_gamma_gamma(groups: pd.DataFrame) -> GammaGamma:
    """Fit Gamma-Gamma to `spend_histories`.

    Raises LabError with fewer customers than parameters, if there is no clear optimum, or if the
    fitted spend has no finite mean (q ≤ 1).
    """
    _enough(int(groups.customers.sum()), 3, "spend")
    frequency = groups.frequency.to_numpy(float)
    mean = groups.repeat_spend.to_numpy() / frequency
    weights = groups.customers.to_numpy()
    # The fitter starts from fixed values: money is brought to their scale, v back from it.
    unit = float(np.average(mean, weights=weights))
    start = _start(GammaGammaFitter(), "spend", frequency, mean / unit, weights)
    start["v"] *= unit
    data = (frequency, mean, weights)
    fit = GammaGamma(*_optimum(GammaGammaFitter, ("p", "q", "v"), start, data, "spend"))
    if fit.parameters["q"] <= 1:
        raise LabError(
            "The spend model expected a finite mean spend (q above 1); it found q "
            f"{fit.parameters['q']:.2f}: a few customers spend without bound. Look for errors."
        )
    return fit


def gini(score: Any, total: Any, customers: Any) -> float:
    """How far up the customers with a high `total` stand when ranked by `score`, in (-1, 1).

    Twice the area between the Lorenz curve (best score first) and the diagonal. Customers of equal
    score share their total evenly, which is the mean over every order they could stand in.
    score, total (of the group), customers : one value a group.
    """
    groups = pd.DataFrame({"score": score, "total": total, "customers": customers})
    ranked = groups.groupby("score").sum().sort_index(ascending=False)
    across = np.concatenate([[0], ranked.customers.cumsum() / ranked.customers.sum()])
    up = np.concatenate([[0], ranked.total.cumsum() / ranked.total.sum()])
    return float(2 * np.trapezoid(up, across) - 1)


def errors(predicted: np.ndarray, groups: pd.DataFrame) -> dict[str, float]:
    """What a forecast missed by, a customer of each group counting as often as there are.

    predicted : orders of one customer of each group. groups : later_orders, customers.
    Returns mae and rmse (orders a customer), mae_gain (how much lower the mae is than that of
    saying zero for everyone), bias ((predicted - actual) / actual of the totals), each with _low
    and _high at LEVEL, and gini (that of the prediction over that of perfect foresight).
    The intervals say how far another sample of customers could differ over the same weeks, not
    how far another time could.
    Raises LabError if nobody ordered in the hold-out.
    """
    actual, customers = groups.later_orders.to_numpy(float), groups.customers.to_numpy(float)
    if not actual @ customers:
        raise LabError(
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
    bg_nbd orders × Gamma-Gamma spend). Missing: what a ranking has not.
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
    days = _order_days(orders)
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


def forecast(people: ir.Table, orders: BgNbd, spend: GammaGamma, *, weeks: int) -> pd.DataFrame:
    """What the next `weeks` weeks bring, a row for equal customers.

    Returns frequency, recency, age, repeat_spend, customers, and of one such customer: alive
    (probability of not having stopped), will_order (probability of ordering), orders (order days
    expected), value (money expected: orders × spend an order day; revenue, not discounted).
    """
    groups = tally(people, *HISTORY, "repeat_spend")
    expected = orders.expected_orders(groups, weeks)
    return groups.assign(
        alive=orders.alive(groups),
        will_order=orders.will_order(groups, weeks),
        orders=expected,
        value=expected * spend.expected_spend(groups),
    )


def value_by_frequency(expected: pd.DataFrame) -> pd.DataFrame:
    """`forecast` by repeat orders so far, customers with FREQUENT or more together.

    Returns frequency, customers, share_of_customers, and of one such customer alive, will_order,
    orders, value; share_of_value.
    """
    columns = ["alive", "will_order", "orders", "value"]
    total = expected[columns].mul(expected.customers, axis=0).assign(customers=expected.customers)
    table = total.groupby(expected.frequency.clip(upper=FREQUENT)).sum()
    return (
        table[columns]
        .div(table.customers, axis=0)
        .assign(
            customers=table.customers,
            share_of_customers=table.customers / table.customers.sum(),
            share_of_value=table.value / table.value.sum(),
        )
        .reset_index()
    )


def concentration(expected: pd.DataFrame) -> pd.DataFrame:
    """Who the forecast value comes from: customers ranked by expected value, in tenths.

    Returns decile (1 is the most valuable tenth), share and share_up_to (of the total value).
    """
    ranked = expected.sort_values("value", ascending=False, kind="stable")
    across = np.concatenate([[0], ranked.customers.cumsum() / ranked.customers.sum()])
    total = ranked.value * ranked.customers
    up = np.concatenate([[0], total.cumsum() / total.sum()])
    share_up_to = np.interp(np.arange(1, 11) / 10, across, up)
    return pd.DataFrame(
        {
            "decile": np.arange(1, 11),
            "share": np.diff(share_up_to, prepend=0),
            "share_up_to": share_up_to,
        }
    )


def silence(model: BgNbd, *, age: int, frequencies: Sequence[int] = (1, 3, 7)) -> pd.DataFrame:
    """How silence speaks: probability that a customer is still active, by weeks without an order,
    up to a year of them.

    age : days since the first order of the customers shown, the same for all of them.
    Returns frequency (repeat orders), weeks (since the last order), alive.
    """
    weeks = np.arange(min(age // DAYS, 53))
    table = pd.DataFrame(
        [(x, w, age - DAYS * w, age) for x in frequencies for w in weeks],
        columns=["frequency", "weeks", "recency", "age"],
    )
    return table.assign(alive=model.alive(table))[["frequency", "weeks", "alive"]]


def repeat_names(frequencies: Iterable[int]) -> list[str]:
    """Numbers of repeat orders as labels, "7 or more" for those shown together."""
    return [f"{x:.0f} or more" if x == FREQUENT else f"{x:.0f}" for x in frequencies]


def plot_tracking(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Repeat orders a week, observed and expected (`tracking`)."""
    ax = plots.new_axes(ax)
    held_out = table[table.held_out]
    ax.axvspan(held_out.week_end.iloc[0], held_out.week_end.iloc[-1], color="#F2F2F2", zorder=0)
    ax.plot(table.week_end, table.actual, color=plots.OBSERVED, label="observed")
    ax.plot(table.week_end, table.expected, color=plots.MODEL, linestyle="--", label="expected")
    ax.annotate(
        "weeks the model had not seen",
        (held_out.week_end.iloc[0], 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -4),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=plots.NEUTRAL,
    )
    ax.set(xlabel="week ending", ylabel="repeat orders a week")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.legend(loc="lower right")
    return ax


def describe_tracking(table: pd.DataFrame) -> str:
    """The tracking plot in words."""
    parts = []
    for held_out, name in ((False, "weeks fitted"), (True, "weeks held out")):
        weeks = table[table.held_out == held_out]
        parts.append(
            f"in the {len(weeks)} {name}, to {weeks.week_end.iloc[-1]:%Y-%m-%d}, "
            f"{weeks.actual.sum():,} observed and {weeks.expected.sum():,.0f} expected"
        )
    peak = table.iloc[int(table.actual.argmax())]
    last = table.iloc[-1]
    return (
        f"Lines of repeat orders a week: {'; '.join(parts)}. Observed orders peak at "
        f"{peak.actual:,} in the week ending {peak.week_end:%Y-%m-%d}; in the last week "
        f"{last.actual:,} are observed and {last.expected:,.0f} expected."
    )


def plot_holdout(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Hold-out orders by orders before it, observed and predicted (`holdout_by_frequency`)."""
    ax = plots.new_axes(ax)
    ax.plot(table.frequency, table.actual, "o-", color=plots.OBSERVED, label="observed")
    ax.plot(table.frequency, table.predicted, "D--", color=plots.MODEL, label="predicted")
    ax.axhline(0, color=plots.NEUTRAL, linewidth=2.5, label="predicting zero for everyone")
    ax.set_xticks(table.frequency, repeat_names(table.frequency))
    ax.set(xlabel="repeat orders before the hold-out", ylabel="orders a customer in the hold-out")
    ax.legend(loc="upper left")
    return ax


def describe_holdout(table: pd.DataFrame) -> str:
    """The hold-out plot in words."""
    rows = zip(repeat_names(table.frequency), table.actual, table.predicted, strict=True)
    points = "; ".join(f"{name}: {actual:.2f} and {said:.2f}" for name, actual, said in rows)
    return (
        "Mean hold-out orders a customer, observed and predicted, by repeat orders before the "
        f"hold-out. {points}. Predicting zero is the line along the bottom."
    )


def plot_silence(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Probability of being active by weeks without an order, a line a frequency (`silence`)."""
    ax = plots.new_axes(ax)
    styles = ["-", "--", ":", "-."]
    for (frequency, line), style in zip(table.groupby("frequency"), cycle(styles), strict=False):
        label = f"{frequency} repeat order{'s' * (frequency != 1)}"
        ax.plot(line.weeks, line.alive, linestyle=style, color=plots.MODEL, label=label)
    ax.set(xlabel="weeks since the last order", ylabel="probability of being active")
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.legend(loc="lower left")
    return ax


def describe_silence(table: pd.DataFrame) -> str:
    """The silence plot in words: when each line falls below one half."""
    parts = []
    for frequency, line in table.groupby("frequency"):
        below = line.weeks[line.alive < 0.5]
        when = f"after {below.iloc[0]} weeks" if len(below) else "never within the weeks shown"
        parts.append(
            f"with {frequency} repeat order{'s' * (frequency != 1)} from {line.alive.iloc[0]:.0%} "
            f"to {line.alive.iloc[-1]:.0%}, below 50% {when}"
        )
    return (
        f"Probability of being active over {table.weeks.max()} weeks without an order: "
        f"{'; '.join(parts)}."
    )


def plot_concentration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of the expected value by tenth of the customers (`concentration`)."""
    ax = plots.new_axes(ax)
    bars = ax.bar(table.decile, table.share, color=plots.MODEL)
    ax.bar_label(bars, [f"{share:.0%}" for share in table.share], padding=2, fontsize=9)
    ax.set_xticks(table.decile)
    ax.grid(visible=False, axis="x")
    ax.set(xlabel="tenths of the customers, most valuable first", ylabel="share of expected value")
    ax.yaxis.set_major_formatter(plots.percent)
    return ax


def describe_concentration(table: pd.DataFrame) -> str:
    """The concentration plot in words."""
    shares = ", ".join(f"{share:.1%}" for share in table.share)
    return (
        "Bars of the share of expected value that each tenth of the customers brings, the most "
        f"valuable first: {shares}."
    )


def _mean(values: np.ndarray, customers: np.ndarray) -> tuple[float, float]:
    """Mean over customers, and half the width of its interval at LEVEL (normal approximation)."""
    mean = np.average(values, weights=customers)
    variance = np.average((values - mean) ** 2, weights=customers)
    half = norm.ppf((1 + LEVEL) / 2) * (variance / customers.sum()) ** 0.5
    return float(mean), float(half)


def _order_days(orders: ir.Table) -> ir.Table:
    """Grain: one person on one day with an order; spend is the day's amount."""
    days = orders.mutate(day=orders.ordered_at.date())
    return days.group_by("person_id", "day").aggregate(spend=days.amount.sum())


def _in_weeks(groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frequency, recency, age = (groups[c].to_numpy(float) for c in HISTORY)
    return frequency, recency / DAYS, age / DAYS


def _enough(customers: int, parameters: int, model: str) -> None:
    if customers < parameters:
        raise LabError(
            f"The {model} model has {parameters} parameters and needs at least as many customers "
            f"with a repeat order (and, for spend, with a positive amount); there are {customers}. "
            "Give a longer period, or shorten the hold-out."
        )


def _start(fitter: Any, model: str, *data: np.ndarray) -> pd.Series:
    """lifetimes' own solution, to a loose tolerance: asked for more it may give up for rounding."""
    *columns, weights = data
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            parameters: pd.Series = fitter.fit(*columns, weights=weights, tol=1e-5).params_
            return parameters
    except ConvergenceError:
        _refuse(model)


def _optimum(
    fitter: Any, names: Sequence[str], start: pd.Series, data: tuple[np.ndarray, ...], model: str
) -> tuple[dict[str, float], dict[str, float], dict[str, float], float, int]:
    """Newton's method on the fitter's own likelihood, in weeks and money, from its own solution.

    It doubles the correct digits each step, so a last step of 1e-7 leaves nothing open, and no
    figure depends on where an optimiser chose to stop. Returns the fields of Fit.
    """

    def loss(logs: np.ndarray) -> Any:
        return fitter._negative_log_likelihood(logs, *data, 0.0)  # a customer's mean, not penalised

    slope: Callable[..., np.ndarray] = grad(loss)
    curvature: Callable[..., np.ndarray] = hessian(loss)
    logs, customers = np.log(start[list(names)].to_numpy()), int(data[-1].sum())
    for _ in range(20):
        bend = curvature(logs)
        if not np.isfinite(bend).all() or np.linalg.eigvalsh(bend)[0] <= 0:
            break
        step = np.linalg.solve(bend, slope(logs))
        logs = logs - step
        if np.abs(step).max() < 1e-7:
            error = norm.ppf((1 + LEVEL) / 2) * np.sqrt(np.diag(np.linalg.inv(bend)) / customers)
            return (
                _named(names, np.exp(logs)),
                _named(names, np.exp(logs - error)),
                _named(names, np.exp(logs + error)),
                float(-loss(logs) * customers),
                customers,
            )
    _refuse(model)


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _refuse(model: str) -> NoReturn:
    raise LabError(
        f"The {model} model found no best fit: these customers' histories do not pin down its "
        "parameters (too few repeat orders, or nobody seems to stop). Give a longer period."
    )
