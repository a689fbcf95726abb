"""Log-likelihoods of the models of buying, each with its slope.

Grain in: one group of equal histories: frequency (repeat order days), recency (from the first to the
last), age (from the first on), in one unit of time, and how many customers have it. Out: a function of
the logs of the parameters that gives a customer's mean negative log-likelihood and its slope. All is on
the scale of logarithms, as likelihoods of frequent customers leave the range of floats.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import gammaln, psi

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
_BLOCK = 2048  # groups at a time: what is computed of them stays in the processor's cache
_NOTHING = 40.0  # logs below its start at which an integrand no longer counts


def nbd(frequency: np.ndarray, recency: np.ndarray, age: np.ndarray, customers: np.ndarray) -> Loss:
    """NBD: nobody ever leaves. Parameters r, alpha. Ehrenberg (1959), Applied Statistics 8, 26–41."""
    x, of_x = np.unique(frequency, return_inverse=True)
    share = customers / customers.sum()
    by_x = np.bincount(of_x, share)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha = np.exp(logs)
        ahead = np.log(alpha + age)
        value = by_x @ (gammaln(r + x) - gammaln(r) + r * np.log(alpha))
        value -= share @ ((r + frequency) * ahead)
        slope = np.array(
            [
                by_x @ (psi(r + x) - psi(r) + np.log(alpha)) - share @ ahead,
                r / alpha - share @ ((r + frequency) / (alpha + age)),
            ]
        )
        return -value, -slope * np.exp(logs)

    return loss


def bg_nbd(
    frequency: np.ndarray, recency: np.ndarray, age: np.ndarray, customers: np.ndarray
) -> Loss:
    """BG/NBD: customers may leave after each repeat order. Parameters r, alpha, a, b.

    Fader, Hardie & Lee (2005), Marketing Science 24, 275–284, eq. 6.
    """
    return _beta_geometric(frequency, recency, age, customers, from_first=False)


def mbg_nbd(
    frequency: np.ndarray, recency: np.ndarray, age: np.ndarray, customers: np.ndarray
) -> Loss:
    """MBG/NBD: customers may leave after the first order, too. Parameters r, alpha, a, b.

    Batislam, Denizel & Filiztekin (2007), Int. J. of Research in Marketing 24, 201–209.
    """
    return _beta_geometric(frequency, recency, age, customers, from_first=True)


def mbg_cnbd(
    frequency: np.ndarray,
    recency: np.ndarray,
    age: np.ndarray,
    customers: np.ndarray,
    *,
    stages: int,
) -> Loss:
    """MBG/CNBD-k: customers buy at every k-th of the events of a Poisson process, hence regularly.

    Parameters r, alpha (of the rate of these events), a, b. Reutterer, Platzer & Schröder (2021), Int.
    J. of Research in Marketing 38, 194–215. Less (k − 1) log_gaps − x log (k − 1)! for each customer,
    log_gaps being the sum of the logs of the gaps, which depends on k alone.
    """
    return _beta_geometric(frequency, recency, age, customers, from_first=True, stages=stages)


def _beta_geometric(
    frequency: np.ndarray,
    recency: np.ndarray,
    age: np.ndarray,
    customers: np.ndarray,
    *,
    from_first: bool,
    stages: int = 1,
) -> Loss:
    """from_first : whether a customer may leave right after the first order, one chance more."""
    (x, of_x), (left, of_left), (seen, of_seen) = (
        np.unique(values, return_inverse=True) for values in (frequency, recency, age)
    )
    share = customers / customers.sum()
    by_x = np.bincount(of_x, share)
    stays = x + 1 if from_first else x  # chances to leave that were not taken
    may_have_left = (stays > 0)[of_x]
    events, all_events = stages * x, stages * frequency
    silent = age - recency

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, a, b = np.exp(logs)
        # What depends on one number alone is computed once for each of its values.
        ahead, to_last = np.log(alpha + seen)[of_seen], np.log(alpha + left)[of_left]
        chances = b + np.maximum(stays - 1, 0)
        stopped = np.log(a) - np.log(chances)[of_x]
        still = -(r + all_events) * ahead
        # Of the events after the last order fewer than `stages` have come: the sum over how many.
        so_far = along_r = along_alpha = 0.0
        if stages > 1:
            total, moved_r, moved_alpha = 1.0, 0.0, 0.0
            term, steps, share_of = 1.0, 0.0, silent / (alpha + age)
            for j in range(1, stages):
                term = term * (r + all_events + j - 1) / j * share_of
                steps = steps + 1 / (r + all_events + j - 1)
                total, moved_r = total + term, moved_r + term * steps
                moved_alpha = moved_alpha - term * j / (alpha + age)
            so_far, along_r, along_alpha = np.log(total), moved_r / total, moved_alpha / total
        still = still + so_far
        gone = np.where(may_have_left, stopped - (r + all_events) * to_last, -np.inf)
        both = np.logaddexp(still, gone)
        common = gammaln(r + events) - gammaln(r) + r * np.log(alpha)
        common += gammaln(a + b) - gammaln(b) + gammaln(b + stays) - gammaln(a + b + stays)
        value = by_x @ common + share @ both
        alive = share * np.exp(still - both)
        left_for_good = share - alive
        rates = alive / (alpha + seen)[of_seen] + left_for_good / (alpha + left)[of_left]
        at_once = np.bincount(of_x, left_for_good)
        slope = np.array(
            [
                by_x @ (psi(r + events) - psi(r) + np.log(alpha))
                - alive @ (ahead - along_r)
                - left_for_good @ to_last,
                r / alpha - (r + all_events) @ rates + (alive * along_alpha).sum(),
                by_x @ (psi(a + b) - psi(a + b + stays)) + at_once.sum() / a,
                by_x @ (psi(a + b) - psi(b) + psi(b + stays) - psi(a + b + stays))
                - (at_once / chances).sum(),
            ]
        )
        return -value, -slope * np.exp(logs)

    return loss


def pareto_nbd(
    frequency: np.ndarray, recency: np.ndarray, age: np.ndarray, customers: np.ndarray
) -> Loss:
    """Pareto/NBD: customers leave at any time, at a rate of their own. Parameters r, alpha, s, beta.

    Schmittlein, Morrison & Colombo (1987), Management Science 33, 1–24. The time y at which somebody
    left is integrated over, from the last order to today,

        s ∫ (α + y)^−(r + x) (β + y)^−(s + 1) dy,

    by Gauss's rule on the logarithm of y plus the smaller of α and β: there the integrand is smooth
    whatever the parameters, which the closed form in hypergeometric functions is not in floats.
    """
    x, of_x = np.unique(frequency, return_inverse=True)
    share = customers / customers.sum()
    by_x = np.bincount(of_x, share)
    columns = (frequency, recency, age, share)
    blocks = [[c[at : at + _BLOCK] for c in columns] for at in range(0, len(share), _BLOCK)]

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, s, beta = np.exp(logs)
        value = by_x @ (gammaln(r + x) - gammaln(r)) + r * np.log(alpha) + s * np.log(beta)
        slope = np.array(
            [by_x @ (psi(r + x) - psi(r)) + np.log(alpha), r / alpha, np.log(beta), s / beta]
        )
        for of_block in blocks:
            more, steeper = _left_or_not(r, alpha, s, beta, *of_block)
            value, slope = value + more, slope + steeper
        return -value, -slope * np.exp(logs)

    return loss


def _left_or_not(
    r: float,
    alpha: float,
    s: float,
    beta: float,
    frequency: np.ndarray,
    recency: np.ndarray,
    age: np.ndarray,
    share: np.ndarray,
) -> tuple[float, np.ndarray]:
    """What these groups add to the likelihood of `pareto_nbd` by when they may have left, and its
    slopes by r, alpha, s and beta."""
    columns = frequency[:, None], recency[:, None], age[:, None]
    parts, still, to_alpha, to_beta = when_left(r, alpha, s, beta, *columns)
    log_alpha, log_beta = np.log(to_alpha), np.log(to_beta)
    ahead, to_end = np.log(alpha + age), np.log(beta + age)
    largest = np.maximum(parts.max(axis=1), still)
    gone = np.exp(parts - largest[:, None])
    alive = np.exp(still - largest)
    both = gone.sum(axis=1) + alive
    weight = share / both
    alive, gone = weight * alive, weight[:, None] * gone
    rates = (gone / to_alpha).sum(axis=1) + alive / (alpha + age)
    slope = [
        -(alive @ ahead) - (gone * log_alpha).sum(),
        -((r + frequency) @ rates),
        gone.sum() / s - alive @ to_end - (gone * log_beta).sum(),
        -s * (alive / (beta + age)).sum() - (s + 1) * (gone / to_beta).sum(),
    ]
    return float(share @ (np.log(both) + largest)), np.array(slope)


def when_left(
    r: float,
    alpha: float,
    s: float,
    beta: float,
    frequency: np.ndarray,
    recency: np.ndarray,
    age: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pareto/NBD: how probable it is, in logs, that a customer left around each of some times since the
    last order, and that one has not; and these times, plus α and plus β.

    frequency, recency, age : columns, a row a group. What depends on r, s and frequency alone is left
    out.
    """
    near, far = min(alpha, beta), max(alpha, beta)
    steep_near, steep_far = (r + frequency, s + 1) if alpha <= beta else (s + 1, r + frequency)
    begin, end = np.log(near + recency), np.log(near + age)
    # Beyond these nothing is left of the one factor or of the other.
    with np.errstate(over="ignore", divide="ignore"):
        excess = np.where(steep_near > 1, steep_near - 1, 0)
        end = np.minimum(end, begin + _NOTHING / excess)
        until = (far + recency) * np.exp(_NOTHING / steep_far) - far
        end = np.minimum(end, np.log(near + np.maximum(until, recency)))
    half = (end - begin) / 2
    shifted = np.exp(begin + half * (1 + _NODES))
    to_alpha, to_beta = (shifted + (scale - near) for scale in (alpha, beta))
    parts = -(r + frequency) * np.log(to_alpha) - (s + 1) * np.log(to_beta) + np.log(shifted)
    with np.errstate(divide="ignore"):  # nobody left between the last order and today
        parts += np.log(half * _WEIGHTS * s)
    still = -(r + frequency) * np.log(alpha + age) - s * np.log(beta + age)
    return parts, still[:, 0], to_alpha, to_beta
