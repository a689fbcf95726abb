"""What is plausible of a model's parameters, given a triangle of survivors: draws of them.

The hierarchy: each cohort's parameters on the open scale of `renewals` are normal around a common mean,
each with a standard deviation of its own. Standard deviations have half-normal priors of scale BETWEEN,
the choice of Röver et al. (2021), Research Synthesis Methods 12, 448–474, for differences in log-odds
between few groups. They are averaged over, not set to their best value: with few cohorts it would often
be zero, and bands too narrow. Modes and the marginal likelihood are by Laplace's approximation (Kass &
Steffey 1989, JASA 84, 717–726); each cohort's draws are then corrected by importance weights.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize
from scipy.stats import chi2, norm, qmc

from loyaltylab.retention.renewals import (
    WIDTH,
    Array,
    Observed,
    log_likelihood,
    log_survival,
    parameters,
)

Projected = Literal["sBG", "BdW", "hierarchical BdW"]
BETWEEN = 0.5  # cohorts of one company seldom differ by more than twice this, in log-odds or log c
# Before any data: mean churn and polarisation about even over 0 to 1, c between 1/7 and 7.
_WEAK = np.array([1.5, 1.5, 1.0])
_DRAWS, _SPREADS, _TAIL = 4000, 128, 5  # draws; standard deviations averaged over; t's freedom
_LEAST, _MOST = np.log(0.02), np.log(3.0)  # standard deviations outside are as good as these


def draws(data: Observed, model: Projected, seed: int) -> tuple[Array, bool]:
    """Parameters of each cohort given the data, draws × cohort × 2 or 3; and whether they settled."""
    random = np.random.default_rng(seed)
    width, cohorts = WIDTH["sBG" if model == "sBG" else "BdW"], len(data.labels)
    weak, start = _WEAK[:width], np.zeros((cohorts, width))
    if model != "hierarchical BdW":
        scale, _, curvature, _ = _climb(data, weak, start, np.zeros(width), free=False)
        values, weights = _weighted(
            data, scale, curvature, np.zeros(width), weak, _noise(random, 8192, width)
        )
        return _resampled(values, weights, _DRAWS, random), True
    found, weights = _spreads(data, random)
    noise = _noise(random, 512, width)
    parts = []
    for one, times in zip(found, random.multinomial(_DRAWS, weights), strict=True):
        if times:
            spread, scale, mean, curvature, doubt = one
            values, weight = _weighted(data, scale, curvature, mean, spread, noise)
            centre = np.einsum("kj,kjp->jp", weight, values)
            off = values - centre
            covariance = np.einsum("kj,kjp,kjq->jpq", weight, off, off)
            # Where the common mean moves, a cohort moves by the part of its prior in its estimate, all
            # its parameters together: along what the data cannot tell apart, not across it.
            moved = random.multivariate_normal(np.zeros(width), doubt, times)
            pull = np.einsum("jpq,kq->kjp", covariance, moved / spread**2)
            parts.append(_resampled(values, weight, times, random) + pull)
    return np.concatenate(parts), bool(1 / (weights**2).sum() >= 4)


def _spreads(data: Observed, random: np.random.Generator) -> tuple[list[Any], Array]:
    """Standard deviations between cohorts, drawn around their most plausible values, and weights.

    Each with what `_climb` finds for it.
    """
    width = len(_WEAK)
    found: list[Any] = [(None, np.zeros((len(data.labels), width)), np.zeros(width))]

    def log_density(logs: Array) -> float:
        spread = np.exp(np.clip(logs, _LEAST, _MOST))
        scale, mean, curvature, doubt = _climb(data, spread, *found[-1][1:3], free=True)
        found.append((spread, scale, mean, curvature, doubt))
        fitted = log_likelihood(data, scale).sum() - (((scale - mean) / spread) ** 2).sum() / 2
        fitted -= ((mean / _WEAK) ** 2).sum() / 2 + len(scale) * np.log(spread).sum()
        volume = np.linalg.slogdet(curvature)[1].sum() + np.linalg.slogdet(doubt)[1]
        # Half-normal, and the Jacobian of a density over logarithms.
        return float(fitted + volume / 2 - ((spread / BETWEEN) ** 2).sum() / 2 + logs.sum())

    best = minimize(
        lambda logs: -log_density(logs),
        np.log([0.4, 0.3, 0.2]),
        method="Nelder-Mead",
        bounds=[(_LEAST, _MOST)] * width,
        options={"xatol": 0.1, "fatol": 0.05, "maxiter": 100},
    )
    noise = _noise(random, _SPREADS, width)
    logs = best.x + noise * (0.3 + 0.9 / np.sqrt(len(data.labels)))
    density = np.array([log_density(one) for one in logs]) - _log_t(noise)
    weights = np.exp(density - density.max())
    return found[-len(logs) :], weights / weights.sum()


def _climb(
    data: Observed, spread: Array, scale: Array, mean: Array, *, free: bool
) -> tuple[Array, Array, Array, Array]:
    """The most plausible parameters of all cohorts for spreads given, by Fisher scoring.

    free : the common mean is estimated too. Returns scale, mean, each cohort's covariance given the
    mean, and the mean's covariance.
    """
    tight = np.diag(spread**-2.0)
    weak = np.diag(_WEAK[: len(spread)] ** -2.0)

    def height(scale: Array, mean: Array) -> float:
        off = (((scale - mean) / spread) ** 2).sum() + (mean @ weak @ mean if free else 0)
        return float(log_likelihood(data, scale).sum() - off / 2)

    now = height(scale, mean)
    for _ in range(100):
        slope, information = _slopes(data, scale)
        curvature = np.linalg.inv(information + tight)
        doubt = np.linalg.inv((tight - tight @ curvature @ tight).sum(axis=0) + weak)
        rest = slope - (scale - mean) @ tight
        toward = np.zeros_like(mean)
        if free:
            pulls = scale - mean + np.einsum("jpq,jq->jp", curvature, rest)
            toward = doubt @ (tight @ pulls.sum(axis=0) - weak @ mean)
        step = np.einsum("jpq,jq->jp", curvature, rest + tight @ toward)
        size = min(1.0, 2 / max(np.abs(step).max(), np.abs(toward).max(), 1e-9))
        while (new := height(scale + size * step, mean + size * toward)) < now and size > 1e-6:
            size /= 2
        if not new >= now:
            break
        scale, mean, now = scale + size * step, mean + size * toward, new
        if size * max(np.abs(step).max(), np.abs(toward).max()) < 1e-3:
            break
    return scale, mean, curvature, doubt


def _slopes(data: Observed, scale: Array) -> tuple[Array, Array]:
    """Gradient of each cohort's log-likelihood, and the expected information."""
    ages, small = np.arange(data.lost.shape[1] + 1), 1e-5

    units = small * np.eye(scale.shape[1])
    around = np.concatenate([units, -units, 0 * units[:1]])[:, None]
    shares = np.exp(log_survival(*parameters(scale + around), ages))
    up, down, share = np.split(shares, [len(units), 2 * len(units)])
    change, share = np.moveaxis(up - down, 0, -1) / (2 * small), share[0]
    seen = ages[1:] <= data.last[:, None]
    leaving = np.maximum(np.where(seen, -np.diff(share, axis=1), 1), 1e-12)
    moving = np.where(seen[..., None], -np.diff(change, axis=1), 0)
    rows, last = np.arange(len(scale)), np.maximum(data.last, 0)
    staying, held = np.maximum(share[rows, last], 1e-12), change[rows, last]
    slope = ((data.lost / leaving)[..., None] * moving).sum(axis=1)
    slope += (data.left / staying)[:, None] * held
    information = np.einsum("jtp,jtq->jpq", moving / leaving[..., None], moving)
    information += held[:, :, None] * held[:, None] / staying[:, None, None]
    return slope, data.customers[:, None, None] * information


def _noise(random: np.random.Generator, draws: int, width: int) -> Array:
    """Student t of several dimensions, whose tails are wider than those of what it stands for.

    By Sobol's sequence, which fills the space evenly: draws is a power of two.
    """
    even = qmc.Sobol(width + 1, rng=random).random(draws)
    scaled = np.sqrt(chi2.ppf(even[:, -1:], _TAIL) / _TAIL)
    return norm.ppf(even[:, :-1]) / scaled


def _log_t(noise: Array) -> Array:
    return -(_TAIL + noise.shape[-1]) / 2 * np.log1p((noise**2).sum(axis=-1) / _TAIL)


def _weighted(
    data: Observed, scale: Array, curvature: Array, mean: Array, spread: Array, noise: Array
) -> tuple[Array, Array]:
    """Draws around each cohort's mode, and importance weights that make them those of the model."""
    values = scale + np.einsum("jpq,kq->kjp", np.linalg.cholesky(curvature), noise)
    logs = log_likelihood(data, values) - (((values - mean) / spread) ** 2).sum(axis=-1) / 2
    logs = np.where(np.isfinite(logs), logs, -np.inf) - _log_t(noise)[:, None]
    weights = np.exp(logs - logs.max(axis=0))
    return values, weights / weights.sum(axis=0)


def _resampled(values: Array, weights: Array, draws: int, random: np.random.Generator) -> Array:
    """As many draws as asked for, each as likely as its weight, cohort by cohort."""
    chosen: list[Any] = [
        values[random.choice(len(values), draws, p=weights[:, row]), row]
        for row in range(values.shape[1])
    ]
    return np.stack(chosen, axis=1)
