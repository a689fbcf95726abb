"""Fits of the models of buying and of spending, to grouped histories, by maximum likelihood."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from autograd import grad, hessian  # type: ignore[import-untyped]
from lifetimes import GammaGammaFitter
from lifetimes.utils import ConvergenceError
from scipy.optimize import minimize
from scipy.special import gammaln
from threadpoolctl import threadpool_limits

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import Z
from loyaltylab.language import phrase
from loyaltylab.lifetime_value import likelihoods
from loyaltylab.lifetime_value.clock import Clock
from loyaltylab.lifetime_value.history import DAYS
from loyaltylab.lifetime_value.models import (
    BgNbd,
    MbgCnbd,
    MbgNbd,
    Nbd,
    ParetoNbd,
    in_weeks,
)
from loyaltylab.lifetime_value.spend import GammaGamma

_FAR = 15.0  # logs of parameters that no data pin down stop here, as nothing beyond differs
_STEP = 1e-3  # logs: between points of which a slope is taken
_LOOKS = 20  # at the curvature: who has found no best fit by then finds none
_CLOSE = 0.02  # slope of a customer's log-likelihood from which Newton's method needs no approach
_VAGUE = 20.0  # logs: an interval that reaches so far to each side says nothing of its parameter
_COARSE = 10  # parts of the mean age: histories alike to such a part tell where to start
# Logs of parameters from which the best fit is sought: of rate, then of leaving, time in mean ages.
_STARTS = ((0, 0, 0, 0), (-1, -2, 0, 1), (1, 0, -1, 1), (0, 2, 1, 3))
_DIGITS = 10  # of a time in mean ages
_GOLDEN = 0.6180339887  # the number that no simple fraction is near to
_FLAT = 1e-5  # slope of a customer's log-likelihood that is taken for none, where nothing bends it
_FOUR = ("r", "alpha", "a", "b")
MOST_STAGES = 12

Terms = tuple[
    dict[str, float], dict[str, float], dict[str, float], float, int, Any, bool
]  # of a Fit


def fit_nbd(groups: pd.DataFrame, *, edge: bool = False, clock: Clock | None = None) -> Nbd:
    """Fit NBD to `histories`. Raises UnanswerableError as `fit_bg_nbd`."""
    return Nbd(
        *_fit(likelihoods.nbd, groups, ("r", "alpha"), times=["alpha"], edge=edge, clock=clock),
        clock,
    )


def fit_bg_nbd(groups: pd.DataFrame, *, edge: bool = False, clock: Clock | None = None) -> BgNbd:
    """Fit BG/NBD to `histories`.

    edge : whether a fit will do that has no best within bounds (see Fit), as of a comparison of models.
    Raises UnanswerableError with fewer repeat customers than parameters, or without a clear optimum.
    """
    return BgNbd(
        *_fit(likelihoods.bg_nbd, groups, _FOUR, times=["alpha"], edge=edge, clock=clock), clock
    )


def fit_mbg_nbd(groups: pd.DataFrame, *, edge: bool = False, clock: Clock | None = None) -> MbgNbd:
    """Fit MBG/NBD to `histories`. Raises UnanswerableError as `fit_bg_nbd`."""
    return MbgNbd(
        *_fit(likelihoods.mbg_nbd, groups, _FOUR, times=["alpha"], edge=edge, clock=clock), clock
    )


def fit_pareto_nbd(
    groups: pd.DataFrame, *, edge: bool = False, clock: Clock | None = None
) -> ParetoNbd:
    """Fit Pareto/NBD to `histories`. Raises UnanswerableError as `fit_bg_nbd`."""
    names, times = ("r", "alpha", "s", "beta"), ("alpha", "beta")
    return ParetoNbd(
        *_fit(likelihoods.pareto_nbd, groups, names, times=times, edge=edge, clock=clock), clock
    )


def fit_mbg_cnbd(
    groups: pd.DataFrame,
    *,
    stages: int | None = None,
    edge: bool = False,
    clock: Clock | None = None,
) -> MbgCnbd:
    """Fit MBG/CNBD-k to `histories` with log_gaps; k is `stages`, or else where the likelihood is
    highest, going up from 1 (k = 1 is MBG/NBD). Raises UnanswerableError as `fit_bg_nbd`."""
    best, refusal = None, None
    for k in [stages] if stages else range(1, MOST_STAGES + 1):
        try:
            found = _stages_fitted(groups, k, edge=edge, clock=clock)
        except UnanswerableError as error:  # of this k; the next may be fitted
            refusal = error
            continue
        if best is not None and found.log_likelihood <= best.log_likelihood:
            break
        best = found
    if best is None:
        raise refusal or UnanswerableError(
            phrase("stages: expected 1 or more, got {stages}.", stages=stages)
        )
    return best


def _stages_fitted(groups: pd.DataFrame, k: int, *, edge: bool, clock: Clock | None) -> MbgCnbd:
    build = partial(likelihoods.mbg_cnbd, stages=k)
    fit = MbgCnbd(
        *_fit(build, groups, _FOUR, times=["alpha"], powers=k, edge=edge, clock=clock), clock
    )
    orders = float((groups["frequency"] * groups["customers"]).sum())
    # In days a gap has a density of a seventh of that in weeks.
    log_gaps = float(groups["log_gaps"].sum()) - orders * np.log(DAYS)
    left_out = (k - 1) * log_gaps - orders * float(gammaln(k))
    return replace(
        fit,
        parameters={"k": float(k)} | fit.parameters,
        log_likelihood=fit.log_likelihood + left_out,
    )


def fit_gamma_gamma(groups: pd.DataFrame) -> GammaGamma:
    """Fit Gamma-Gamma to `spend_histories`.

    Raises UnanswerableError with fewer customers than parameters, without a clear optimum, or if the
    fitted spend has no finite mean (q ≤ 1).
    """
    enough(int(groups.customers.sum()), 3, "spend")
    frequency = groups.frequency.to_numpy(float)
    mean = groups.repeat_spend.to_numpy() / frequency
    weights = groups.customers.to_numpy()
    # The fitter starts from fixed values: money is brought to their scale, v back from it.
    unit = float(np.average(mean, weights=weights))
    start = lifetimes_start(GammaGammaFitter(), "spend", frequency, mean / unit, weights=weights)
    start["v"] *= unit
    data = (frequency, mean, weights)
    names = ("p", "q", "v")

    def loss(logs: np.ndarray) -> Any:
        return GammaGammaFitter._negative_log_likelihood(logs, *data, 0.0)  # not penalised

    logs, customers = np.log(start[list(names)].to_numpy()), int(weights.sum())
    fit = GammaGamma(*optimum(names, logs, loss, grad(loss), hessian(loss), customers, "spend"))
    if fit.parameters["q"] <= 1:
        raise UnanswerableError(
            phrase(
                "The spend model expected a finite mean spend (q above 1); it found q {q:.2f}: a few "
                "customers spend without bound. Look for errors.",
                q=fit.parameters["q"],
            )
        )
    return fit


def lifetimes_start(fitter: Any, model: str, *data: np.ndarray, weights: np.ndarray) -> pd.Series:
    """lifetimes' own solution, to a loose tolerance: asked for more it may give up for rounding."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            parameters: pd.Series = fitter.fit(*data, weights=weights, tol=1e-5).params_
            return parameters
    except ConvergenceError:
        _refuse(model)


def _fit(
    build: Callable[..., likelihoods.Loss],
    groups: pd.DataFrame,
    names: Sequence[str],
    *,
    times: Sequence[str],
    powers: int = 1,
    edge: bool,
    clock: Clock | None,
) -> Terms:
    """The fields of Fit, found in one thread: matrices of 4 × 4 make several wait for each other."""
    with threadpool_limits(1):
        return _found(build, groups, names, times=times, powers=powers, edge=edge, clock=clock)


def _found(
    build: Callable[..., likelihoods.Loss],
    groups: pd.DataFrame,
    names: Sequence[str],
    *,
    times: Sequence[str],
    powers: int,
    edge: bool,
    clock: Clock | None,
) -> Terms:
    """The fields of Fit. Time is counted in mean ages, so that no unit of it makes a difference.

    times : the parameters that are times; powers : of the unit of time in the likelihood of an order.
    """
    enough(int(groups.customers[groups.frequency > 0].sum()), len(names), "order")
    frequency, recency, age = in_weeks(groups, clock)
    customers = groups.customers.to_numpy(float)
    unit = float(np.average(age, weights=customers))
    if not unit > 0:
        _refuse("order")
    # Rounded, so that a fit at an edge, which stops anywhere, stops in any unit at the same place; not
    # at halves, where whole days lie exactly and the unit would decide to which side.
    shares = {
        name: np.floor(times / unit * 10**_DIGITS + _GOLDEN) / 10**_DIGITS
        for name, times in (("recency", recency), ("age", age))
    }
    data = pd.DataFrame({"frequency": frequency} | shares)
    loss = build(*data.to_numpy().T, customers)
    logs = _near(build, data.assign(customers=customers), len(names))
    bounds = [(-_FAR, _FAR)] * len(names)

    def slope(at: np.ndarray) -> np.ndarray:
        return loss(at)[1]

    def curvature(at: np.ndarray) -> np.ndarray:
        steps = _STEP * np.eye(len(names))
        rows = np.array([slope(at + step) - slope(at - step) for step in steps])
        return (rows + rows.T) / (4 * _STEP)

    def best(at: np.ndarray) -> Terms:
        return optimum(names, at, lambda at: loss(at)[0], slope, curvature, count, "order")

    count, found = int(customers.sum()), None
    if np.abs(slope(logs)).max() < _CLOSE:
        with contextlib.suppress(UnanswerableError):
            found = best(logs)
    try:
        if found is None:
            logs = minimize(loss, logs, jac=True, method="L-BFGS-B", bounds=bounds).x
            found = best(logs)
    except UnanswerableError:
        if not edge:
            raise
        tight = {"ftol": 1e-15, "gtol": _FLAT / 2, "maxiter": 1000}
        logs = minimize(loss, logs, jac=True, method="L-BFGS-B", bounds=bounds, options=tight).x
        left = slope(logs)
        inside = logs - np.clip(logs - left, -_FAR, _FAR)  # what no bound stops
        if not np.abs(inside).max() < _FLAT:
            raise
        unknown = dict.fromkeys(names, float("nan"))
        value = float(-loss(logs)[0] * count)
        found = _named(names, np.exp(logs)), unknown, dict(unknown), value, count, None, True
    parameters, low, high, log_likelihood, *rest = found
    for name in times:
        for values in (parameters, low, high):
            values[name] *= unit
    log_likelihood -= powers * float(frequency @ customers) * np.log(unit)
    return parameters, low, high, log_likelihood, *rest


def _near(
    build: Callable[..., likelihoods.Loss], data: pd.DataFrame, parameters: int
) -> np.ndarray:
    """Logs of parameters near the best of all, found from several starts on coarser histories."""
    coarse = data.assign(
        recency=(data["recency"] * _COARSE).round() / _COARSE,
        age=(data["age"] * _COARSE).round() / _COARSE,
    )
    coarse = coarse.groupby(["frequency", "recency", "age"])[["customers"]].sum().reset_index()
    loss = build(*coarse.to_numpy(float).T)
    starts = [np.array(start[:parameters], float) for start in _STARTS]
    bounds = [(-_FAR, _FAR)] * parameters
    tried = [minimize(loss, at, jac=True, method="L-BFGS-B", bounds=bounds) for at in starts]
    return np.asarray(min(tried, key=lambda found: found.fun).x)


_SAID = {"order": "order model", "spend": "spend model", "period": "period model"}


def enough(customers: int, parameters: int, model: str) -> None:
    """Raise UnanswerableError where so few customers returned that no model can be fitted to them."""
    if customers < parameters:
        raise UnanswerableError(
            phrase(
                "The {model} has {parameters} parameters and needs at least as many customers "
                "with a repeat order (and, for spend, with a positive amount); there are {customers}. "
                "Give a longer period, or shorten the hold-out.",
                model=phrase(_SAID[model]),
                parameters=parameters,
                customers=customers,
            )
        )


def optimum(
    names: Sequence[str],
    logs: np.ndarray,
    loss: Callable[[np.ndarray], float],
    slope: Callable[[np.ndarray], np.ndarray],
    curvature: Callable[[np.ndarray], np.ndarray],
    customers: int,
    model: str,
) -> Terms:
    """Newton's method on a customer's mean negative log-likelihood, from an optimiser's solution.

    Steps shorten so fast that one of 1e-8 leaves nothing open, and no figure depends on where an
    optimiser chose to stop. The curvature is what costs: it is kept while steps shorten by a quarter or
    less with it. Returns the fields of Fit.
    """
    bend, last, moved, looks = curvature(logs), np.inf, 0.0, 1
    while looks <= _LOOKS:  # in between, steps shorten until they end
        if not np.isfinite(bend).all() or np.linalg.eigvalsh(bend)[0] <= 0:
            break
        step = np.linalg.solve(bend, slope(logs))
        logs, size = logs - step, np.abs(step).max()
        moved += size
        if size < 1e-8:
            bend = bend if moved < _STEP else curvature(logs)
            if not np.isfinite(bend).all() or np.linalg.eigvalsh(bend)[0] <= 0:
                break
            covariance = np.linalg.inv(bend) / customers
            error = Z * np.sqrt(np.diag(covariance))
            if error.max() > _VAGUE:
                break
            return (
                _named(names, np.exp(logs)),
                _named(names, np.exp(logs - error)),
                _named(names, np.exp(logs + error)),
                float(-loss(logs) * customers),
                customers,
                covariance,
                False,
            )
        if not size <= last / 4:  # nor if it is missing
            bend, moved, looks = curvature(logs), 0.0, looks + 1
        last = size
    _refuse(model)


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _refuse(model: str) -> NoReturn:
    raise UnanswerableError(
        phrase(
            "The {model} found no best fit: these customers' histories do not pin down its "
            "parameters (too few repeat orders, or nobody seems to stop). Give a longer period.",
            model=phrase(_SAID[model]),
        )
    )
