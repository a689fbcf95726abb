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


def _beta_geometric(
    frequency: np.ndarray,
    recency: np.ndarray,
    age: np.ndarray,
    customers: np.ndarray,
    *,
    from_first: bool,
) -> Loss:
    """from_first : whether a customer may leave right after the first order, one chance more."""
    (x, of_x), (left, of_left), (seen, of_seen) = (
        np.unique(values, return_inverse=True) for values in (frequency, recency, age)
    )
    share = customers / customers.sum()
    by_x = np.bincount(of_x, share)
    stays = x + 1 if from_first else x  # chances to leave that were not taken
    may_have_left = (stays > 0)[of_x]

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, a, b = np.exp(logs)
        # What depends on one number alone is computed once for each of its values.
        ahead, to_last = np.log(alpha + seen)[of_seen], np.log(alpha + left)[of_left]
        chances = b + np.maximum(stays - 1, 0)
        stopped = np.log(a) - np.log(chances)[of_x]
        still = -(r + frequency) * ahead
        gone = np.where(may_have_left, stopped - (r + frequency) * to_last, -np.inf)
        both = np.logaddexp(still, gone)
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        common += gammaln(a + b) - gammaln(b) + gammaln(b + stays) - gammaln(a + b + stays)
        value = by_x @ common + share @ both
        alive = share * np.exp(still - both)
        left_for_good = share - alive
        rates = alive / (alpha + seen)[of_seen] + left_for_good / (alpha + left)[of_left]
        at_once = np.bincount(of_x, left_for_good)
        slope = np.array(
            [
                by_x @ (psi(r + x) - psi(r) + np.log(alpha))
                - alive @ ahead
                - left_for_good @ to_last,
                r / alpha - (r + frequency) @ rates,
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
    column, last, today = frequency[:, None], recency[:, None], age[:, None]

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, s, beta = np.exp(logs)
        near, far = min(alpha, beta), max(alpha, beta)
        steep_near, steep_far = (r + column, s + 1) if alpha <= beta else (s + 1, r + column)
        begin, end = np.log(near + last), np.log(near + today)
        # Beyond these nothing is left of the one factor or of the other.
        with np.errstate(over="ignore", divide="ignore"):
            excess = np.where(steep_near > 1, steep_near - 1, 0)
            end = np.minimum(end, begin + _NOTHING / excess)
            until = (far + last) * np.exp(_NOTHING / steep_far) - far
            end = np.minimum(end, np.log(near + np.maximum(until, last)))
        half = (end - begin) / 2
        shifted = np.exp(begin + half * (1 + _NODES))
        to_alpha, to_beta = (shifted + (scale - near) for scale in (alpha, beta))
        log_alpha, log_beta = np.log(to_alpha), np.log(to_beta)
        parts = -(r + column) * log_alpha - (s + 1) * log_beta + np.log(shifted)
        with np.errstate(divide="ignore"):  # nobody left between the last order and today
            parts += np.log(half * _WEIGHTS * s)
        ahead, to_end = np.log(alpha + age), np.log(beta + age)
        still = -(r + frequency) * ahead - s * to_end
        largest = np.maximum(parts.max(axis=1), still)
        gone = np.exp(parts - largest[:, None])
        alive = np.exp(still - largest)
        both = gone.sum(axis=1) + alive
        value = by_x @ (gammaln(r + x) - gammaln(r)) + r * np.log(alpha) + s * np.log(beta)
        value += share @ (np.log(both) + largest)
        weight = share / both
        alive, gone = weight * alive, weight[:, None] * gone
        rates = (gone / to_alpha).sum(axis=1) + alive / (alpha + age)
        slope = np.array(
            [
                by_x @ (psi(r + x) - psi(r))
                + np.log(alpha)
                - alive @ ahead
                - (gone * log_alpha).sum(),
                r / alpha - (r + frequency) @ rates,
                gone.sum() / s + np.log(beta) - alive @ to_end - (gone * log_beta).sum(),
                s / beta - s * (alive / (beta + age)).sum() - (s + 1) * (gone / to_beta).sum(),
            ]
        )
        return -value, -slope * np.exp(logs)

    return loss
