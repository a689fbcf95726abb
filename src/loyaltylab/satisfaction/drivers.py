"""What moves satisfaction: scores by what service did shortly before. Grain in: one answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.special import expit
from scipy.stats import norm
from statsmodels.miscmodels.ordinal_model import OrderedModel

from loyaltylab import plots
from loyaltylab.engine import whole_seconds
from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, Z, holm
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import chance, sentence, spanned
from loyaltylab.satisfaction.scores import NAMES, SCALES

DAYS = 30  # before an answer: a case opened in them may still be felt
_PER_PARAMETER = 10  # answers
_KNOWN = 0.8  # of answers must know a wait for it to be among the drivers
_STEP = 1e-5
_UNSAID = "not said"  # topic of a case that has none
_TYPES = {"reopened": "boolean", "topic": "string"}


def cases(surveys: ir.Table, tickets: ir.Table) -> pd.DataFrame:
    """Answers after a support case, with the last one opened in the DAYS days before. Grain: an answer.

    surveys, tickets : with person_id. Returns, sorted by response_id, response_id, instrument, score,
    reply (hours from opening to the first reply), solution (hours from then on), reopened (0 or 1) and
    topic; missing where tickets do not say, or what they say came after the answer.
    """
    given = surveys.filter(surveys["score"].notnull(), surveys["answered_at"].notnull())
    given = given.select("person_id", "response_id", "instrument", "score", "answered_at")
    known = {
        name: tickets[name] if name in tickets.columns else ibis.null(_TYPES.get(name, "timestamp"))
        for name in ("first_reply_at", "resolved_at", "reopened", "topic")
    }
    opened = tickets.select("person_id", "ticket_id", "opened_at", **known)
    both = given.join(
        opened,
        [
            "person_id",
            given["answered_at"] >= opened["opened_at"],
            given["answered_at"] < opened["opened_at"] + ibis.interval(days=DAYS),
        ],
    )
    order = ibis.window(group_by="response_id", order_by=[ibis.desc("opened_at"), "ticket_id"])
    last = both.mutate(place=ibis.row_number().over(order))
    last = last.filter(last["place"] == 0)
    con, times = last.get_backend(), ("opened_at", "first_reply_at", "resolved_at")
    seconds = {name: whole_seconds(con, last[name]) for name in times}
    waits = {
        "reply": ("opened_at", "first_reply_at"), "solution": ("first_reply_at", "resolved_at")
    }  # fmt: skip
    told = {
        name: (last[end] <= last["answered_at"]).ifelse(
            (seconds[end] - seconds[begin]).cast("float64") / 3600, ibis.null("float64")
        )
        for name, (begin, end) in waits.items()
    }
    table = last.select(
        "response_id", "instrument", "score", "topic",
        reopened=last["reopened"].cast("int64").cast("float64"), **told,
    )  # fmt: skip
    frame: pd.DataFrame = table.order_by("response_id").to_pandas()
    return frame


@dataclass(frozen=True)
class Drivers:
    """An ordered logit of one instrument: parameters (of the columns of x, then thresholds as
    statsmodels has them) and covariance. rows : the answers it was fitted to; good : how many values of
    the score are not good; names : of the columns."""

    instrument: str
    rows: pd.DataFrame
    x: np.ndarray
    names: list[str]
    parameters: np.ndarray
    covariance: np.ndarray
    good: int

    def share(self, x: np.ndarray, parameters: np.ndarray) -> float:
        """Mean chance of a good answer."""
        steps = parameters[x.shape[1] :]
        ends = np.cumsum(np.concatenate([steps[:1], np.exp(steps[1:])]))
        return float(expit(x @ parameters[: x.shape[1]] - ends[self.good - 1]).mean())

    def told(self, of: Callable[[np.ndarray], float]) -> tuple[float, float]:
        """What a function of the parameters is, and its standard error by the delta method."""
        eye = np.eye(len(self.parameters)) * _STEP
        ends = [(of(self.parameters + e), of(self.parameters - e)) for e in eye]
        slope = np.array([up - down for up, down in ends]) / (2 * _STEP)
        return of(self.parameters), float(np.sqrt(slope @ self.covariance @ slope))

    def difference(self, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
        """Mean chance of a good answer with these columns less that with the others, and its error."""

        def of(parameters: np.ndarray) -> float:
            return self.share(one, parameters) - self.share(other, parameters)

        return self.told(of)


def fit_drivers(frame: pd.DataFrame, instrument: str) -> Drivers:
    """Ordered logit (McCullagh 1980, JRSS B 42, 109–142) of scores on the logarithms of waits, whether
    the case was reopened, and its topic. frame : `cases`.

    A wait that fewer than four of five answers know is left out, as are answers that lack another.
    Raises UnanswerableError if there are fewer than ten answers a parameter, or all are good or none.
    """
    own = frame[frame["instrument"] == instrument]
    waits = [n for n in ("reply", "solution") if len(own) and own[n].notna().mean() >= _KNOWN]
    rows = own.dropna(subset=waits)
    columns, names = [], []
    for name in waits:
        columns.append(np.log2(rows[name].to_numpy(float).clip(min=1 / 60)))
        names.append(name)
    if rows["reopened"].notna().all() and rows["reopened"].nunique() > 1:
        columns.append(rows["reopened"].to_numpy(float))
        names.append("reopened")
    topics = rows["topic"].fillna(_UNSAID).value_counts()
    often = sorted(str(topic) for topic, n in topics.items() if n >= _PER_PARAMETER)
    usual = max(often, key=lambda topic: topics[topic], default="")  # what others are beside
    for topic in (topic for topic in often if topic != usual):
        columns.append((rows["topic"].fillna(_UNSAID) == topic).to_numpy(float))
        names.append(f"topic: {topic}")
    values = np.unique(rows["score"])
    good = int((values < SCALES[instrument][2]).sum())
    need = _PER_PARAMETER * (len(columns) + len(values) - 1)
    if len(rows) < need or not columns or good in (0, len(values)):
        raise UnanswerableError(
            phrase(
                "surveys: expected at least {need:,} answers to {name} after a support case, good ones "
                "and others, found {found:,}. Collect more answers.",
                need=max(need, 1),
                name=NAMES[instrument],
                found=len(rows),
            )
        )
    x = np.column_stack(columns)
    kept = x.std(axis=0) > 0
    x, names = x[:, kept], [n for n, k in zip(names, kept, strict=True) if k]
    model = OrderedModel(np.searchsorted(values, rows["score"]), x, distr="logit")
    found = model.fit(method="bfgs", disp=False, maxiter=500, gtol=1e-6)
    covariance = np.linalg.pinv(-model.hessian(np.asarray(found.params)))
    return Drivers(instrument, rows, x, names, np.asarray(found.params), covariance, good)


def fit_each(frame: pd.DataFrame) -> list[Drivers]:
    """`fit_drivers` of each instrument whose answers suffice for it."""
    found = []
    for name in NAMES:
        with contextlib.suppress(UnanswerableError):
            found.append(fit_drivers(frame, name))
    return found


def effects_of(model: Drivers) -> pd.DataFrame:
    """What each driver does to the share of good answers, all else as it was. Grain: one driver.

    driver, more (difference of shares), low, high (at LEVEL), p (Holm over the drivers): of a wait twice
    as long; of a case reopened or not; of a topic beside the most frequent one.
    """
    rows = []
    for place, name in enumerate(model.names):
        high, low = model.x.copy(), model.x.copy()
        if name in ("reply", "solution"):
            high[:, place] += 1
        else:
            topics = [i for i, other in enumerate(model.names) if other.startswith("topic")]
            group = topics if name.startswith("topic") else [place]
            for column in group:
                high[:, column], low[:, column] = 0.0, 0.0
            high[:, place] = 1.0
        more, error = model.difference(high, low)
        p = float(2 * norm.sf(abs(more) / error))
        rows.append([name, more, more - Z * error, more + Z * error, p])
    table = pd.DataFrame(rows, columns=["driver", "more", "low", "high", "p"])
    return table.assign(p=holm(table["p"]))


def partial_dependence(model: Drivers, name: str = "reply", *, points: int = 12) -> pd.DataFrame:
    """The share of good answers had everybody waited for so long, all else as it was (Friedman 2001,
    Annals of Statistics 29, 1189–1232). Grain: a wait between the 5th and 95th of a hundred.

    Returns hours, share, low, high (at LEVEL).
    """
    place = model.names.index(name)
    low, high = np.quantile(model.x[:, place], [0.05, 0.95])
    rows = []
    for wait in np.linspace(low, high, points):
        x = model.x.copy()
        x[:, place] = wait
        share, error = model.told(partial(model.share, x))
        rows.append([2.0**wait, share, max(share - Z * error, 0), min(share + Z * error, 1)])
    return pd.DataFrame(rows, columns=["hours", "share", "low", "high"])


_WORDS = {
    "reply": "a first reply that takes twice as long",
    "solution": "a solution that takes twice as long",
    "reopened": "a case that had to be reopened",
}
_FALLS = {
    "reply": "{name} falls with a first reply that takes twice as long",
    "solution": "{name} falls with a solution that takes twice as long",
    "reopened": "{name} falls with a case that had to be reopened",
}
_RISES = {
    "reply": "{name} rises with a first reply that takes twice as long",
    "solution": "{name} rises with a solution that takes twice as long",
    "reopened": "{name} rises with a case that had to be reopened",
}


def drivers_finding(model: Drivers, table: pd.DataFrame) -> str:
    """What moves the score, from `effects_of`: a heading and its sentences."""
    name, sure = NAMES[model.instrument], table[table["p"] < 1 - LEVEL]
    if sure.empty:
        heading = "Nothing that service did is shown to move {name}"
    elif sure.iloc[0]["driver"] in _WORDS:
        way = _FALLS if sure.iloc[0]["more"] < 0 else _RISES
        heading = way[sure.iloc[0]["driver"]]
    else:
        heading = "{name} depends on what a case is about"
    told = sure if len(sure) else table.nsmallest(1, "p")
    said = "; ".join(
        sentence(
            "{driver} goes with {more:+.1f} points ({low:+.1f} to {high:+.1f}; {p})",
            driver=_in_words(row["driver"]),
            p=chance(row["p"]),
            **{k: 100 * row[k] for k in ("more", "low", "high")},
        )
        for row in told.to_dict("records")
    )
    text = phrase(
        "Of {n:,} answers within {days} days of a support case, in the share of good ones: {said}. "
        "Compared are answers that are alike in all the other respects."
        if len(sure)
        else "Of {n:,} answers within {days} days of a support case, in the share of good ones: what "
        "comes nearest is that {said}. Compared are answers that are alike in all the other respects.",
        n=len(model.rows),
        days=DAYS,
        said=said,
    )
    return f"## {phrase(heading, name=name)}\n\n{text}"


def drivers_table(table: pd.DataFrame) -> pd.DataFrame:
    """`effects_of` for readers, in points of good answers. Grain: a driver."""
    ends = 100 * table[["more", "low", "high"]]
    return pd.DataFrame(
        {
            "driver": table["driver"].map(_in_words),
            "points": [spanned(*row) for row in ends.to_numpy()],
            "by chance alone": table["p"].map(chance),
        }
    )


def _in_words(driver: str) -> str:
    if driver in _WORDS:
        return phrase(_WORDS[driver])
    topic = driver.removeprefix("topic: ")
    if topic == _UNSAID:
        return phrase("a case about not said")
    return phrase("a case about {topic}", topic=topic)


def plot_dependence(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """`partial_dependence` with its interval."""
    ax = plots.new_axes(ax)
    ax.plot(table["hours"], table["share"], color=plots.MODEL)
    ax.fill_between(
        table["hours"], table["low"], table["high"], color=plots.MODEL, alpha=0.2, linewidth=0
    )
    ax.set_xscale("log")
    ends = table["hours"].min(), table["hours"].max()
    ticks = [t for t in (0.5, 1, 2, 4, 8, 16, 24, 48, 96) if ends[0] <= t <= ends[1]]
    ax.set_xticks(ticks, [shown(t, "g") for t in ticks])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set(xlabel=phrase("hours to the first reply"), ylabel=phrase("good answers"))
    return ax


def describe_dependence(table: pd.DataFrame) -> str:
    """The curve in words."""
    told = [
        phrase(
            "{hours:.1f} hours {share:.0%} ({low:.0%} to {high:.0%})",
            hours=row.hours,
            share=row.share,
            low=row.low,
            high=row.high,
        )
        for row in table.iloc[[0, len(table) // 2, -1]].itertuples()
    ]
    return phrase(
        "Curve of the share of good answers by hours to the first reply: {told}.",
        told=", ".join(told),
    )
