"""The models: fitted to grouped histories, asked what is to be expected of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from autograd import grad, hessian  # type: ignore[import-untyped]
from lifetimes import BetaGeoFitter, GammaGammaFitter
from lifetimes.utils import ConvergenceError
from scipy.optimize import minimize

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import Z
from loyaltylab.lifetime_value import likelihoods
from loyaltylab.lifetime_value.history import DAYS, HISTORY

_FAR = 15.0  # logs of parameters that no data pin down stop here, as nothing beyond differs
_STEP = 1e-3  # logs: between points of which a slope is taken
_VAGUE = 20.0  # logs: an interval that reaches so far to each side says nothing of its parameter


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
            raise UnanswerableError(
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

    Raises UnanswerableError with fewer repeat customers than parameters, or without a clear optimum.
    """
    _enough(int(groups.customers[groups.frequency > 0].sum()), 4, "order")
    loss = likelihoods.bg_nbd(*_in_weeks(groups), groups.customers.to_numpy(float))
    start = minimize(loss, np.zeros(4), jac=True, method="L-BFGS-B", bounds=[(-_FAR, _FAR)] * 4).x

    def slope(logs: np.ndarray) -> np.ndarray:
        return loss(logs)[1]

    def curvature(logs: np.ndarray) -> np.ndarray:
        # Four points a direction, whose error goes with the fourth power of the step.
        weights = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
        rows = np.array(
            [
                sum(weight * slope(logs + k * step) for k, weight in weights.items())
                for step in _STEP * np.eye(4)
            ]
        )
        return (rows + rows.T) / (2 * _STEP)

    names, customers = ("r", "alpha", "a", "b"), int(groups.customers.sum())
    return BgNbd(
        *_optimum(names, start, lambda logs: loss(logs)[0], slope, curvature, customers, "order")
    )


def fit_gamma_gamma(groups: pd.DataFrame) -> GammaGamma:
    """Fit Gamma-Gamma to `spend_histories`.

    Raises UnanswerableError with fewer customers than parameters, without a clear optimum, or if the
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
    names = ("p", "q", "v")

    def loss(logs: np.ndarray) -> Any:
        return GammaGammaFitter._negative_log_likelihood(logs, *data, 0.0)  # not penalised

    logs, customers = np.log(start[list(names)].to_numpy()), int(weights.sum())
    fit = GammaGamma(*_optimum(names, logs, loss, grad(loss), hessian(loss), customers, "spend"))
    if fit.parameters["q"] <= 1:
        raise UnanswerableError(
            "The spend model expected a finite mean spend (q above 1); it found q "
            f"{fit.parameters['q']:.2f}: a few customers spend without bound. Look for errors."
        )
    return fit


def _in_weeks(groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frequency, recency, age = (groups[c].to_numpy(float) for c in HISTORY)
    return frequency, recency / DAYS, age / DAYS


def _enough(customers: int, parameters: int, model: str) -> None:
    if customers < parameters:
        raise UnanswerableError(
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
    names: Sequence[str],
    logs: np.ndarray,
    loss: Callable[[np.ndarray], float],
    slope: Callable[[np.ndarray], np.ndarray],
    curvature: Callable[[np.ndarray], np.ndarray],
    customers: int,
    model: str,
) -> tuple[dict[str, float], dict[str, float], dict[str, float], float, int]:
    """Newton's method on a customer's mean negative log-likelihood, from an optimiser's solution.

    It doubles the correct digits each step, so a last step of 1e-7 leaves nothing open, and no
    figure depends on where an optimiser chose to stop. Returns the fields of Fit.
    """
    for _ in range(20):
        bend = curvature(logs)
        if not np.isfinite(bend).all() or np.linalg.eigvalsh(bend)[0] <= 0:
            break
        step = np.linalg.solve(bend, slope(logs))
        logs = logs - step
        if np.abs(step).max() < 1e-7:
            error = Z * np.sqrt(np.diag(np.linalg.inv(bend)) / customers)
            if error.max() > _VAGUE:
                break
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
    raise UnanswerableError(
        f"The {model} model found no best fit: these customers' histories do not pin down its "
        "parameters (too few repeat orders, or nobody seems to stop). Give a longer period."
    )
