"""Pareto/GGG: order days of customers who may be regular, and who leave without saying so.

Platzer & Reutterer (2016), "Ticking Away the Moments: Timing Regularity Helps to Better Predict
Customer Activity", Marketing Science 35, 779–799. A customer's gaps between order days have a gamma
distribution with shape k and mean 1 / λ (k = 1 is ordering at random, a large k a clockwork); the
time as a customer is exponential with rate μ. Over customers k, λ and μ have gamma distributions of
their own, with shape and rate (t, gamma), (r, alpha) and (s, beta). The unit of time is the week.

Grain in: a customer, or a group of equal ones with a column `customers`: frequency (repeat order
days), recency (days from the first to the last), age (days from the first to the last day observed),
log_gaps (sum of the natural logs of the gaps in days; 0 for frequency 0).

The likelihood has no closed form: the posterior is drawn by Markov chains. Weak priors: the log of
each shape is normal around 0 with deviation 2; that of each mean (of k, and of λ and μ per mean age of
the customers) around 0 with deviation 3. So customers who are all alike send no shape to infinity.
A customer's k lies between 0.01 and 10,000: gaps deviate by ten times to a hundredth of their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import gammainc, gammaincc, gammainccinv, gammaln

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL
from loyaltylab.language import phrase
from loyaltylab.lifetime_value.history import DAYS

NAMES = ("t", "gamma", "r", "alpha", "s", "beta")
CONVERGED = 1.1  # R-hat below which chains count as one; Gelman & Rubin (1992)
Array = np.ndarray
Rng = np.random.Generator
Density = Callable[[np.ndarray], np.ndarray]
_K, _RATE, _LEAVING = range(3)
_LOW, _HIGH = np.log([[0.01, 1e-130], [1e4, 1e130]])  # limits of a customer's k and λ
_WAYS = np.array([[1, 1], [0, 1]] * 3)  # a population moves its shape at the same mean, its mean
_CHAINS = 2
_WARM_UP, _THIN = 200, 3  # sweeps before the first draw of customers, and from one to the next


@dataclass(frozen=True)
class ParetoGgg:
    """Pareto/GGG fitted: medians of the posterior, and central credible intervals at LEVEL.

    log_likelihood : missing, having no closed form. rhat : the largest split R-hat of the logs of the
    parameters. draws : of the posterior, columns as NAMES. The same seed gives the same predictions.
    """

    parameters: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    log_likelihood: float
    customers: int
    rhat: float
    draws: Array = field(repr=False, compare=False)

    @property
    def converged(self) -> bool:
        """Whether the chains tell one story; if not, the model refuses to predict."""
        return self.rhat < CONVERGED

    def posterior(self, people: pd.DataFrame, *, seed: int, draws: int = 400) -> tuple[Array, ...]:
        """What a customer of each row of `people` may be like, given the history: λ, μ (a week), k and
        whether active at the end of the observation, each rows × draws. Parameters vary from draw to
        draw, so what the fit does not know is in it. Raises UnanswerableError if not `converged`.
        """
        if not self.converged:
            raise UnanswerableError(
                phrase(
                    "The Pareto/GGG's chains were to agree (R-hat below {most}); R-hat is {rhat:.2f}. "
                    "Fit it with more sweeps, or to more customers.",
                    most=CONVERGED,
                    rhat=self.rhat,
                )
            )
        rounds = -(-draws // _CHAINS)
        rows = np.linspace(0, len(self.draws) - 1, rounds * _CHAINS).round().astype(int)
        populations = np.log(self.draws[rows]).reshape(_CHAINS, rounds, 3, 2).transpose(1, 2, 3, 0)
        chains = _Chains(np.random.default_rng(seed), _histories(people, 1), populations[0])
        kept = np.empty((3, len(people), _CHAINS, rounds))
        for sweep in range(-_WARM_UP, rounds * _THIN):
            number = max(sweep // _THIN, 0)
            chains.population = populations[number]
            chains.sweep(adapt=sweep < 0, learn=False)
            kept[..., number] = chains.logs.swapaxes(1, 2)
        k, rate, leaving = np.exp(kept.reshape(3, len(people), -1)[..., :draws])
        chance = _still(k, rate, leaving, chains.quiet[:, None])
        return rate, leaving, k, chains.rng.random(chance.shape) < chance

    def alive(self, people: pd.DataFrame, *, seed: int, draws: int = 400) -> Array:
        """Probability that a customer of each row was active at the end of the observation."""
        rate, leaving, k, _ = self.posterior(people, seed=seed, draws=draws)
        return _still(k, rate, leaving, _histories(people, 1)[3][:, None]).mean(axis=1)

    def future(self, people: pd.DataFrame, weeks: float, *, seed: int, draws: int = 400) -> Array:
        """Order days in the next `weeks` weeks: integers, rows of `people` × draws, each of them one
        future of a customer; their mean is the number expected."""
        rate, leaving, k, alive = self.posterior(people, seed=seed, draws=draws)
        quiet = np.broadcast_to(_histories(people, 1)[3][:, None], alive.shape)[alive]
        rng, k, pace = np.random.default_rng([seed, 1]), k[alive], (k * rate)[alive]
        stop = np.minimum(weeks, rng.standard_exponential(k.size) / leaving[alive])
        due = np.exp(_log_tail(k, pace * quiet)) * (1 - rng.random(k.size))
        at = np.maximum(gammainccinv(k, due) / pace - quiet, 0)
        orders, cells = np.zeros(alive.shape, int), np.flatnonzero(alive)
        going = np.flatnonzero(at < stop)
        while going.size:
            orders.flat[cells[going]] += 1
            at[going] += rng.standard_gamma(k[going]) / pace[going]
            going = going[at[going] < stop[going]]
        return orders


def fit_pareto_ggg(
    people: pd.DataFrame, *, seed: int, sweeps: int = 1200, burn_in: int = 400
) -> ParetoGgg:
    """Fit Pareto/GGG by two chains from distant starts, of `sweeps` each after `burn_in`; of up to
    three times as many until the chains agree: see `converged`.

    Raises UnanswerableError with fewer repeat customers than parameters.
    """
    if "customers" in people:
        people = people.iloc[np.repeat(np.arange(len(people)), people.customers)]
    repeat = int((people.frequency > 0).sum())
    if repeat < len(NAMES):
        raise UnanswerableError(
            phrase(
                "The Pareto/GGG has {parameters} parameters and needs at least as many customers with "
                "a repeat order; there are {repeat}. Give a longer period, or shorten the hold-out.",
                parameters=len(NAMES),
                repeat=repeat,
            )
        )
    unit = float(people.age.mean()) / DAYS
    rng, history = np.random.default_rng(seed), _histories(people, unit)
    start = rng.permuted(np.tile([-1.0, 1.0], (6, 1)), axis=1).reshape(3, 2, _CHAINS)
    start[_RATE, 1] -= np.log(history[0].mean())
    chains = _Chains(rng, history, start)
    kept: list[Array] = []
    for sweep in range(1 - burn_in, 3 * sweeps + 1):
        chains.sweep(adapt=sweep < 1, learn=True)
        kept += [chains.population.transpose(2, 0, 1).copy()] if sweep > 0 else []
        if kept and sweep % sweeps == 0 and _split_rhat(kept) < CONVERGED:
            break
    logs = np.stack(kept, axis=1)
    logs[..., 1:, 1] += np.log(unit)  # alpha and beta are times
    draws = np.exp(logs).reshape(-1, len(NAMES))
    low, median, high = (
        dict(zip(NAMES, np.quantile(draws, share, axis=0).tolist(), strict=True))
        for share in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2)
    )
    return ParetoGgg(median, low, high, float("nan"), len(people), _split_rhat(kept), draws)


class _Chains:
    """Chains × customers, all moved at once. logs : (k, λ, μ) × chains × customers. population :
    (k, λ, μ) × logs of (shape, rate) × chains."""

    def __init__(self, rng: Rng, history: tuple[Array, ...], population: Array) -> None:
        self.rng, self.population, self.widths = rng, population.copy(), dict[str, Array]()
        self.frequency, self.last, self.age, self.quiet, self.log_gaps = history
        self.logs = (population[:, 0] - population[:, 1])[..., None] + 0 * self.age  # of the means
        self.logs[_K] = np.clip(self.logs[_K], _LOW[_K], _HIGH[_K])
        shape, fall = np.exp(population[_RATE])[..., None]
        self.logs[_RATE] = np.log((shape + self.frequency) / (fall + self.last))

    def sweep(self, *, adapt: bool, learn: bool) -> None:
        """Each customer's time of leaving, μ given that time, and λ and k given μ alone; `learn`: the
        populations, too. `adapt`: and the widths of the steps."""
        self.adapt = adapt
        k, rate, leaving = np.exp(self.logs)
        gone = self.rng.random(k.shape) >= _still(k, rate, leaving, self.quiet)
        end, quiet = np.where(gone, self.last, self.age), (self.quiet + 0 * k)[gone]
        end[gone] += _left_after(self.rng, k[gone], rate[gone], leaving[gone], quiet)
        if learn:  # with every μ integrated out
            self._learn(_LEAVING, lambda logs: _log_survival(end, gone, logs))
        shape, fall = np.exp(self.population[_LEAVING])[..., None]
        # Kept above 0, so that `_log_seen` is far above the shares that `_log_tail` rounds up.
        draw = np.maximum(self.rng.standard_gamma(shape + gone), 1e-130)
        self.logs[_LEAVING] = np.log(draw / (fall + end))
        now = self._density(self.logs)  # with every time of leaving integrated out
        for way in np.eye(3)[[_RATE, _K]]:
            self.logs, now = self._step(f"one:{way[0]}", self.logs, way, now, self._density)
        if learn:
            self._learn(_RATE, lambda logs: _log_gamma(self.logs, logs, _RATE))
            self._learn(_K, lambda logs: _log_gamma(self.logs, logs, _K))
            self._learn_with_all_k()

    def _density(self, logs: Array, of_k: Array | None = None) -> Array:
        """Log density of each customer's history, k and λ, given μ; of_k : another population of k."""
        of_k = self.population[_K] if of_k is None else of_k
        log_k, log_rate = inside = np.clip(logs[:2], _LOW[:, None, None], _HIGH[:, None, None])
        k, rate = np.exp(inside)
        value = self.frequency * (k * (log_k + log_rate) - gammaln(k)) + k * self.log_gaps
        value += _log_seen(k, rate, np.exp(logs[_LEAVING]), self.quiet) - k * rate * self.last
        value += _log_gamma(inside, of_k, _K) + _log_gamma(inside, self.population[_RATE], _RATE)
        return np.where((inside == logs[:2]).all(axis=0), value, -np.inf)

    def _learn_with_all_k(self) -> None:
        """Move k's population and every k along, each as many deviations from the mean as before."""
        was = self.population[_K].copy()
        mean = (was[0] - was[1])[:, None]

        def moved(to: Array) -> Array:
            away = (self.logs[_K] - mean) * np.exp((was[0] - to[0]) / 2)[:, None]
            return np.stack([(to[0] - to[1])[:, None] + away, *self.logs[1:]])

        def density(to: Array) -> Array:
            return self._density(moved(to), to) + (was[0] - to[0])[:, None] / 2

        self._learn(_K, density, self.rng.choice(_WAYS, 1))
        self.logs = moved(self.population[_K])

    def _learn(self, which: int, each: Density, ways: Array = _WAYS) -> None:
        """Move one population; thrice, as it costs little. each : log density of each customer."""

        def density(logs: Array) -> Array:
            prior = (logs[0] / 2) ** 2 + ((logs[0] - logs[1]) / 3) ** 2
            return each(logs).sum(axis=1) - prior / 2

        logs = self.population[which]
        now = density(logs)
        for way in ways:
            logs, now = self._step(f"{which}:{way[0]}/{len(ways)}", logs, way, now, density)
        self.population[which] = logs

    def _step(self, name: str, at: Array, way: Array, now: Array, value: Density) -> list[Array]:
        """One Metropolis step each, `way` the direction; widths adapt to where 44 % are taken."""
        width = self.widths.setdefault(name, np.full(now.shape, 0.3))
        to = at + np.multiply.outer(way, width * self.rng.standard_normal(now.shape))
        then = value(to)
        taken = -self.rng.standard_exponential(now.shape) < then - now
        if self.adapt:
            width *= np.exp(0.1 * (taken - 0.44))
        return [np.where(taken, to, at), np.where(taken, then, now)]


def _histories(people: pd.DataFrame, unit: float) -> tuple[Array, ...]:
    """Frequency, recency, age, time since the last order and log_gaps in units of `unit` weeks."""
    columns, scale = ("frequency", "recency", "age", "log_gaps"), DAYS * unit
    x, last, age, log_gaps = (people[name].to_numpy(float) for name in columns)
    return x, last / scale, age / scale, (age - last) / scale, log_gaps - x * np.log(scale)


def _log_gamma(logs: Array, population: Array, which: int) -> Array:
    """Log density of the logs of one of the customers' k and λ, given its population's."""
    shape, fall = np.exp(population)[..., None]
    whole = gammaln(shape) + (_log_tail(shape, fall * np.exp(_LOW[_K])) if which == _K else 0)
    return shape * (logs[which] + population[1][:, None]) - fall * np.exp(logs[which]) - whole


def _log_survival(end: Array, gone: Array, population: Array) -> Array:
    """Log density of having left at `end`, or log chance of not having, over every μ."""
    shape, fall = np.exp(population)[..., None]
    return gone * np.log(shape / (fall + end)) - shape * np.log1p(end / fall)


def _log_tail(shape: Array, at: Array) -> Array:
    """Log of Q, the share of a gamma distribution of rate 1 beyond `at`; gammaincc is slow up to 1."""
    low = at <= 1
    tail = gammaincc(shape, np.where(low, np.inf, at))
    tail[low] = 1 - gammainc(shape[low], at[low])
    return np.log(np.maximum(tail, 1e-290))


def _log_seen(k: Array, rate: Array, leaving: Array, quiet: Array) -> Array:
    """Log of the chance of no order for the time `quiet`: left, or none was due.

    By parts 1 − (b / (b + μ))^k P(k, (b + μ) quiet), b = kλ and P = 1 − Q the share of a gamma
    distribution below; here as a sum of what cannot be negative.
    """
    pace = k * rate
    never = k * np.log1p(leaving / pace)  # −log of the chance to order before leaving
    return np.logaddexp(np.log(-np.expm1(-never)), _log_tail(k, (pace + leaving) * quiet) - never)


def _still(k: Array, rate: Array, leaving: Array, quiet: Array) -> Array:
    """Probability to be active after the time `quiet` without an order."""
    due = _log_tail(k, k * rate * quiet) - leaving * quiet
    return np.exp(np.minimum(due - _log_seen(k, rate, leaving, quiet), 0))


def _left_after(rng: Rng, k: Array, rate: Array, leaving: Array, quiet: Array) -> Array:
    """Time from the last order to leaving of customers who left within the time `quiet`.

    Its density is that of leaving, μ exp(−μ v), times the chance Q(k, kλ v) that no order was due. One
    is drawn from, the other rejects: the second where it narrows more, as a part of a gap met by chance.
    """
    after, left = np.empty(len(k)), np.arange(len(k))
    within = -np.expm1(-leaving * quiet)
    while left.size:
        shape, pace, away, share = k[left], (k * rate)[left], leaving[left], within[left]
        by_gap, part = rate[left] * share > away, rng.random(left.size)
        gap = part * rng.standard_gamma(shape + 1) / pace
        time = np.where(by_gap, gap, -np.log1p(-part * share) / away)
        chance = np.exp(-away * time)
        chance[~by_gap] = np.exp(_log_tail(shape[~by_gap], (pace * time)[~by_gap]))
        taken = (rng.random(left.size) < chance) & (time <= quiet[left])
        after[left[taken]] = time[taken]
        left = left[~taken]
    return after


def _split_rhat(kept: list[Array]) -> float:
    """The largest R-hat of the logs of the parameters, each chain cut in two."""
    half = len(kept) // 2
    parts = np.stack(kept[: 2 * half], axis=1).reshape(2 * _CHAINS, half, len(NAMES))
    ratio = parts.mean(axis=1).var(axis=0, ddof=1) / parts.var(axis=1, ddof=1).mean(axis=0)
    return float(np.sqrt(1 - 1 / half + ratio.max()))
