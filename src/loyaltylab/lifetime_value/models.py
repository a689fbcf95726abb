"""Models of how often customers buy, and until when: what each expects of a customer's history.

Grain in: a group of equal histories (`history.histories`), in days; the models' unit of time is a week.
All of them say the same things of a customer: whether still one, and with what probability how many
order days come. So they are interchangeable, and each is tried against the others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betainc, betaln, digamma, expit, exprel, gammaln, logsumexp, polygamma

from loyaltylab.lifetime_value.clock import Clock
from loyaltylab.lifetime_value.history import DAYS, HISTORY
from loyaltylab.lifetime_value.likelihoods import when_left

_RARE = 1e-12  # of a mean, below which the probability of an order more no longer counts in it
_MANY = 256  # order days up to which a mean is summed one by one
_AT_ONCE = 1 << 15  # groups whose distributions stand in memory together
_SCARCE = 1e-8  # and of the probability of any order, in a distribution
# Trapezoids on sinh: exponentially small error, even where a density has no bound at its ends.
_STEPS = np.arange(-64, 65) / 16
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
# (rows, n) to the probability of n order days or more
Chances = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Fit:
    """A model at its maximum of likelihood.

    low, high : Wald interval at LEVEL on the scale of logarithms, as no parameter is below zero.
    log_likelihood : of the data in weeks and in units of money.
    customers : how many it was fitted to.
    covariance : of the logs of the parameters that were fitted.
    edge : whether there is no best fit within bounds, the likelihood rising ever less as a spread goes
    to nothing or without end: then forecasts are those of that limit, parameters mean nothing by
    themselves, and low, high and covariance are missing.
    """

    parameters: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    log_likelihood: float
    customers: int
    covariance: np.ndarray | None = field(default=None, compare=False, repr=False)
    edge: bool = False


@dataclass(frozen=True)
class OrderModel(Fit):
    """What every model of orders tells of groups of equal histories, a value or a row a group.

    clock : of the seasons, where orders follow some: then histories end on its day `until`, weeks ahead
    are those after it, and rates, parameters and log_likelihood are in the clock's time.
    """

    clock: Clock | None = None

    @abstractmethod
    def alive(self, groups: pd.DataFrame) -> np.ndarray:
        """Probability that a customer has not left for good."""

    @abstractmethod
    def expected_orders(self, groups: pd.DataFrame, weeks: Any) -> np.ndarray:
        """Order days expected in the next `weeks`, one number or one a group."""

    @abstractmethod
    def _chances(self, groups: pd.DataFrame, weeks: float) -> Chances:
        """Probabilities of so many order days in the next `weeks`, one number after the other."""

    def at_least(self, groups: pd.DataFrame, weeks: float, most: int) -> np.ndarray:
        """Probability of n order days or more in the next `weeks`: a column for each n, 1 to most."""
        chances, found = self._chances(groups, weeks), np.zeros((len(groups), most))
        rows = np.arange(len(groups))
        for n in range(1, most + 1):
            found[rows, n - 1] = chances(rows, n)
            rows = rows[found[rows, n - 1] > _SCARCE * found[rows, 0]]
            if not len(rows):
                break
        return found

    def will_order(self, groups: pd.DataFrame, weeks: float) -> np.ndarray:
        """Probability of at least one order day in the next `weeks`."""
        return self.at_least(groups, weeks, 1)[:, 0]

    def new_customer_orders(self, weeks: Any) -> np.ndarray:
        """Repeat order days expected of a customer in the `weeks` after the first order."""
        weeks = np.atleast_1d(np.asarray(weeks, float))
        first = pd.DataFrame(np.zeros((len(weeks), len(HISTORY))), columns=list(HISTORY))
        return self.expected_orders(first, weeks)

    def simulate(
        self, ages: np.ndarray, random: np.random.Generator, *, weeks: float = 0
    ) -> pd.DataFrame:
        """New customers of these ages in days. Grain: one customer; frequency, recency, age, log_gaps
        (of the clock's days; all in fractions of days), later_orders (order days in the `weeks` after).
        """
        ages = np.asarray(ages, float)
        if self.clock is None:
            return self._simulate(ages, random, weeks)
        lived = self.clock.back(ages)
        found = self._simulate(lived, random, float(self._ahead(weeks)))
        return found.assign(age=ages, recency=ages - self.clock.ago(lived - found["recency"]))

    @abstractmethod
    def _simulate(
        self, ages: np.ndarray, random: np.random.Generator, weeks: float
    ) -> pd.DataFrame:
        """`simulate`, all in the clock's time."""

    def _in_weeks(self, groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return in_weeks(groups, self.clock)

    def _ahead(self, weeks: Any) -> np.ndarray:
        weeks = np.asarray(weeks, float)
        return weeks if self.clock is None else self.clock.ahead(DAYS * weeks) / DAYS


class _Stages(OrderModel):
    """Customers whose every k-th event of a Poisson process is an order, and who may leave with one.

    Rates vary between customers by a gamma distribution (r, α), chances to leave by a beta distribution
    (a, b). Fader, Hardie & Lee (2005); Batislam et al. (2007); Reutterer, Platzer & Schröder (2021).
    """

    from_first = True  # whether one may leave with the first order of all, too

    @property
    def stages(self) -> int:
        return int(self.parameters.get("k", 1))

    def _shape(self, groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a customer still there: the rate's gamma shape, without what came since the last order, and
        its scale; and, in logs, how probable it is that j = 0, 1, … k − 1 events did, a row a group."""
        x, recency, age = self._in_weeks(groups)
        shape, scale = self.parameters["r"] + self.stages * x, self.parameters["alpha"] + age
        j = np.arange(self.stages)
        with np.errstate(divide="ignore", invalid="ignore"):
            passed = np.where(j > 0, j * np.log((age - recency) / scale)[:, None], 0)
        return (
            shape,
            scale,
            gammaln(shape[:, None] + j) - gammaln(shape)[:, None] - gammaln(j + 1) + passed,
        )

    def alive(self, groups: pd.DataFrame) -> np.ndarray:
        x, recency, _ = self._in_weeks(groups)
        shape, scale, passed = self._shape(groups)
        last = np.log(self.parameters["alpha"] + recency)
        chances = self.parameters["b"] + x - (not self.from_first)
        with np.errstate(divide="ignore", invalid="ignore"):
            gone = np.log(self.parameters["a"] / chances) + shape * (np.log(scale) - last)
        gone = np.where(x > 0, gone, gone if self.from_first else -np.inf)
        return expit(logsumexp(passed, axis=1) - gone)

    def expected_orders(self, groups: pd.DataFrame, weeks: Any) -> np.ndarray:
        if self.stages > 1:
            return self._summed(groups, weeks)
        alive, weeks = self.alive(groups), np.broadcast_to(self._ahead(weeks), len(groups))
        shape, scale, _ = self._shape(groups)
        first, kind = _alike(shape, scale, weeks)
        shape, scale, weeks = shape[first], scale[first], weeks[first]
        x, of_x = np.unique(self._in_weeks(groups)[0][first], return_inverse=True)
        leaves, log_density = self._chance_to_leave(x)
        # Of a customer with this chance p to leave and rate λ: (1 − exp(−λ p t)) / p order days. Their
        # mean over λ is (1 − (1 + z)^−shape) / p with z = p t / scale; chances may be 0 in floats.
        rate = (shape * weeks / scale)[:, None]
        z = leaves[of_x] * (weeks / scale)[:, None]
        logs = np.where(z > 0, np.log1p(z) / np.where(z > 0, z, 1), 1)
        orders = rate * logs * exprel(-shape[:, None] * np.log1p(z))
        return alive * (np.exp(log_density)[of_x] * orders).sum(axis=1)[kind]

    def _chance_to_leave(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the beta distribution of a customer's chance to leave and their weights in logs, a
        row for each frequency: the customer has not left with x orders, nor with the first of all."""
        a, stayed = self.parameters["a"], self.parameters["b"] + x + self.from_first
        spread = np.sqrt(polygamma(1, a) + polygamma(1, stayed))[:, None]
        at = (digamma(a) - digamma(stayed))[:, None] + spread * np.sinh(_STEPS)
        log_p = -np.logaddexp(0, -at)
        log_density = a * log_p - stayed[:, None] * np.logaddexp(0, at) - betaln(a, stayed)[:, None]
        log_density = log_density + np.log(spread * np.cosh(_STEPS))
        return np.exp(log_p), log_density - logsumexp(log_density, axis=1, keepdims=True)

    def _summed(self, groups: pd.DataFrame, weeks: Any) -> np.ndarray:
        chances, rows = self._chances(groups, weeks), np.arange(len(groups))
        total, n, before = np.zeros(len(groups)), 1, np.zeros(len(groups))
        while len(rows) and n < _MANY:
            found = chances(rows, n)
            total[rows] += found
            before[rows] = found
            rows, n = rows[found > _RARE * total[rows]], n + 1
        # Who may order without end, in a fit at its edge: the rest is smooth, and an integral. The sum
        # from n on is that from n − 1/2, and a 24th of the slope there (Euler & Maclaurin).
        if len(rows):
            total[rows] += (chances(rows, n) - before[rows]) / 24
        start = n - 0.5
        while len(rows):
            wide = 0.05 * start
            at = start + wide * (1 + _NODES)
            found = wide * np.array([chances(rows, m) for m in at]).T @ _WEIGHTS
            total[rows] += found
            rows, start = rows[found > _RARE * total[rows]], start + 2 * wide
        return total

    def _chances(self, groups: pd.DataFrame, weeks: Any) -> Chances:
        alive, x, weeks = self.alive(groups), self._in_weeks(groups)[0], self._ahead(weeks)
        shape, scale, passed = self._shape(groups)
        a, stayed = self.parameters["a"], self.parameters["b"] + x + self.from_first
        # The events of the time ahead are negative binomial; n k of them, less those since the last
        # order, make n order days, before which the customer has not left n − 1 times.
        if self.stages == 1:
            enough = _counts(shape, weeks / scale)
        else:
            among = np.exp(passed - logsumexp(passed, axis=1, keepdims=True))
            j, ahead = np.arange(self.stages), np.broadcast_to(weeks / (scale + weeks), len(groups))

            def enough(rows: np.ndarray, n: float) -> np.ndarray:
                within = betainc(n * self.stages - j, shape[rows, None] + j, ahead[rows, None])
                return np.asarray((among[rows] * within).sum(axis=1))

        def chance(rows: np.ndarray, n: float) -> np.ndarray:
            stays = betaln(a, stayed[rows] + n - 1) - betaln(a, stayed[rows])
            return np.asarray(alive[rows] * np.exp(stays) * enough(rows, n))

        return chance

    def _simulate(
        self, ages: np.ndarray, random: np.random.Generator, weeks: float
    ) -> pd.DataFrame:
        n, known = len(ages), self.parameters
        rate = random.gamma(known["r"], 1 / known["alpha"], n)
        leaves = random.beta(known["a"], known["b"], n)
        orders = random.geometric(np.maximum(leaves, 1e-15), n)  # with the last of which one leaves
        most = orders - 1 if self.from_first else orders
        return renewals(
            lambda: random.gamma(self.stages, 1 / np.maximum(rate, 1e-300)), most, ages, weeks
        )


class BgNbd(_Stages):
    """BG/NBD: customers order at random, each at a rate of their own, and after each repeat order stop
    for good with a probability of their own. So one who never came back cannot have stopped: the model
    counts such customers as active. Parameters r, alpha, a, b."""

    from_first = False


class MbgNbd(_Stages):
    """MBG/NBD: as BG/NBD, but one may stop with the first order, too. Parameters r, alpha, a, b."""


class MbgCnbd(_Stages):
    """MBG/CNBD-k: as MBG/NBD, with regular buyers: gaps vary the less the higher k, which parameters
    have first. alpha is of the rate of stages, k to an order."""


class Nbd(OrderModel):
    """NBD: customers order at random, each at a rate of their own, and none ever leaves. Parameters r,
    alpha."""

    def alive(self, groups: pd.DataFrame) -> np.ndarray:
        return np.ones(len(groups))

    def expected_orders(self, groups: pd.DataFrame, weeks: Any) -> np.ndarray:
        frequency, _, age = self._in_weeks(groups)
        rate = (self.parameters["r"] + frequency) / (self.parameters["alpha"] + age)
        return np.asarray(rate * self._ahead(weeks))

    def _chances(self, groups: pd.DataFrame, weeks: float) -> Chances:
        frequency, _, age = self._in_weeks(groups)
        shape, scale = self.parameters["r"] + frequency, self.parameters["alpha"] + age
        return _counts(shape, self._ahead(weeks) / scale)

    def _simulate(
        self, ages: np.ndarray, random: np.random.Generator, weeks: float
    ) -> pd.DataFrame:
        rate = random.gamma(self.parameters["r"], 1 / self.parameters["alpha"], len(ages))
        mean = 1 / np.maximum(rate, 1e-300)
        return renewals(lambda: random.exponential(mean), np.full(len(ages), np.inf), ages, weeks)


class ParetoNbd(OrderModel):
    """Pareto/NBD: customers order at random, each at a rate of their own, until they leave, which they
    may at any time. Parameters r, alpha (of the rate of orders), s, beta (of that of leaving).

    Schmittlein, Morrison & Colombo (1987), Management Science 33, 1–24.
    """

    def alive(self, groups: pd.DataFrame) -> np.ndarray:
        columns = [values[:, None] for values in self._in_weeks(groups)]
        parts, still, _, _ = when_left(*self._four, *columns)
        return expit(still - logsumexp(parts, axis=1))

    @property
    def _four(self) -> tuple[float, float, float, float]:
        r, alpha, s, beta = (self.parameters[name] for name in ("r", "alpha", "s", "beta"))
        return r, alpha, s, beta

    def expected_orders(self, groups: pd.DataFrame, weeks: Any) -> np.ndarray:
        r, alpha, s, beta = self._four
        frequency, _, age = self._in_weeks(groups)
        # (1 − ((β + T) / (β + T + t))^(s − 1)) / (s − 1), which has a limit where s is 1.
        longer = np.log1p(self._ahead(weeks) / (beta + age))
        there = (beta + age) * longer * exprel((1 - s) * longer)
        return np.asarray(self.alive(groups) * (r + frequency) / (alpha + age) * there)

    def _chances(self, groups: pd.DataFrame, weeks: float) -> Chances:
        r, alpha, s, beta = self._four
        frequency, _, age = self._in_weeks(groups)
        shape, scale, alive = r + frequency, alpha + age, self.alive(groups)
        weeks = float(self._ahead(weeks))
        log_stays = -s * np.log1p(weeks / (beta + age))
        leaves = -np.expm1(log_stays)
        # Times of leaving before the end, evenly by their distribution, and the end itself.
        nodes = (1 + _NODES) / 2
        left = (beta + age)[:, None] * np.expm1(-np.log1p(-leaves[:, None] * nodes) / s)
        left = np.column_stack([np.minimum(left, weeks), np.full(len(groups), weeks)])
        weight = np.column_stack([leaves[:, None] * _WEIGHTS / 2, np.exp(log_stays)])
        enough = _counts(shape[:, None], left / scale[:, None])
        return lambda rows, n: alive[rows] * (weight[rows] * enough(rows, n)).sum(axis=1)

    def _simulate(
        self, ages: np.ndarray, random: np.random.Generator, weeks: float
    ) -> pd.DataFrame:
        r, alpha, s, beta = self._four
        n = len(ages)
        mean = 1 / np.maximum(random.gamma(r, 1 / alpha, n), 1e-300)
        life = random.exponential(1 / np.maximum(random.gamma(s, 1 / beta, n), 1e-300))
        endless = np.full(n, np.inf)
        return renewals(lambda: random.exponential(mean), endless, ages, weeks, life=life)


@dataclass(frozen=True)
class Combined:
    """Several models of buying, taken at the mean of what they say: it tends to miss by less than most
    of them. Clemen (1989), International Journal of Forecasting 5, 559–583.

    Between those that let customers leave too readily and NBD, which lets none, the truth often lies.
    """

    models: tuple[OrderModel, ...]

    def _mean(self, told: Callable[[OrderModel], np.ndarray]) -> np.ndarray:
        return np.asarray(np.mean([told(model) for model in self.models], axis=0))

    def alive(self, groups: pd.DataFrame) -> np.ndarray:
        """Of the models that let customers leave; without any, all are there."""
        leaving = tuple(model for model in self.models if not isinstance(model, Nbd))
        return Combined(leaving or self.models)._mean(lambda model: model.alive(groups))

    def expected_orders(self, groups: pd.DataFrame, weeks: Any) -> np.ndarray:
        return self._mean(lambda model: model.expected_orders(groups, weeks))

    def at_least(self, groups: pd.DataFrame, weeks: float, most: int) -> np.ndarray:
        return self._mean(lambda model: model.at_least(groups, weeks, most))

    def will_order(self, groups: pd.DataFrame, weeks: float) -> np.ndarray:
        return self._mean(lambda model: model.will_order(groups, weeks))

    def new_customer_orders(self, weeks: Any) -> np.ndarray:
        return self._mean(lambda model: model.new_customer_orders(weeks))


def distinct_histories(groups: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """A row of each history, and which of them each group has."""
    of = groups.groupby(list(HISTORY), sort=False).ngroup().to_numpy()
    return groups.iloc[np.unique(of, return_index=True)[1]][list(HISTORY)], of


def in_parts(told: Callable[[pd.DataFrame], np.ndarray], groups: pd.DataFrame) -> np.ndarray:
    """What is told of each group, of some at a time: distributions take room."""
    starts = range(0, max(len(groups), 1), _AT_ONCE)
    return np.concatenate([told(groups.iloc[start : start + _AT_ONCE]) for start in starts])


def _alike(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A row of each kind, and of which kind each row is. When the last order was sets more customers
    apart than anything else, and most of a forecast does not depend on it."""
    table = pd.DataFrame(dict(enumerate(columns)))
    kind = table.groupby(list(table), sort=False, dropna=False).ngroup().to_numpy()
    return np.unique(kind, return_index=True)[1], kind


def in_weeks(
    groups: pd.DataFrame, clock: Clock | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """frequency, recency and age of each group, by the clock if there is one."""
    frequency, recency, age = (groups[name].to_numpy(float) for name in HISTORY)
    if clock is not None:
        silent = clock.back(age - recency)
        age = clock.back(age)
        recency = age - silent
    return frequency, recency / DAYS, age / DAYS


def _counts(shape: np.ndarray, ahead: np.ndarray) -> Chances:
    """Probabilities of n or more of a negative binomial distribution: events at a gamma rate with this
    shape, in a time of so many scales `ahead`.

    One number after the other from 1 on, of ever fewer rows: each less by what the number before had.
    That costs a fraction of incomplete beta functions, and what it loses is 1e-16 of one.
    """
    rest = np.log1p(ahead)
    log_exactly = -shape * rest
    tail = -np.expm1(log_exactly)
    with np.errstate(divide="ignore"):
        log_share = np.log(ahead) - rest
    shape = np.broadcast_to(shape, log_exactly.shape)

    def chances(rows: np.ndarray, n: float) -> np.ndarray:
        if n > 1:
            log_exactly[rows] += log_share[rows] + np.log((shape[rows] + n - 2) / (n - 1))
            tail[rows] = np.maximum(tail[rows] - np.exp(log_exactly[rows]), 0)
        return tail[rows]

    return chances


def renewals(
    gap: Callable[[], np.ndarray],
    most: np.ndarray,
    ages: np.ndarray,
    weeks: float,
    *,
    life: np.ndarray | None = None,
) -> pd.DataFrame:
    """Customers with independent gaps in weeks, drawn one for each of them, who leave after `most`
    repeat orders, or `life` weeks. Columns as in `OrderModel.simulate`."""
    end = np.asarray(ages, float) / DAYS
    stop = np.minimum(end + weeks, np.inf if life is None else life)
    now, last, logs = (np.zeros(len(end)) for _ in range(3))
    frequency, later, n = np.zeros(len(end)), np.zeros(len(end)), 0
    going = np.ones(len(end), bool)
    while going.any():
        wait = gap()
        now, n = now + wait, n + 1
        going &= (now <= stop) & (n <= most)
        seen = going & (now <= end)
        frequency, later = frequency + seen, later + (going & ~seen)
        last = np.where(seen, now, last)
        logs += np.log(np.where(seen, wait * DAYS, 1))
    return pd.DataFrame(
        {
            "frequency": frequency,
            "recency": last * DAYS,
            "age": np.asarray(ages, float),
            "log_gaps": logs,
            "later_orders": later,
        }
    )
