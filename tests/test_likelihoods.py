"""Likelihoods of the models of buying: published figures, closed forms, slopes, units of time."""

import itertools
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime, minimize
from scipy.special import gammaln, hyp2f1

from loyaltylab.lifetime_value import likelihoods

WEEK = 7


@pytest.fixture(scope="module")
def cdnow():
    """Groups of the CDNOW sample's histories by 30 September 1997, in weeks."""
    path = files("lifetimes") / "datasets" / "CDNOW_sample.txt"
    rows = pd.read_csv(path, sep=r"\s+", header=None)
    days = pd.DataFrame({"person": rows[1], "day": pd.to_datetime(rows[2].astype(str))})
    end = pd.Timestamp("1997-09-30")
    people = days[days["day"] <= end].drop_duplicates().groupby("person")["day"]
    first, last = people.min(), people.max()
    histories = pd.DataFrame(
        {
            "frequency": people.size() - 1.0,
            "recency": (last - first).dt.days / WEEK,
            "age": (end - first).dt.days / WEEK,
        }
    )
    groups = histories.groupby([*histories]).size().reset_index(name="customers")
    return [groups[name].to_numpy(float) for name in groups]


def fitted(loss, parameters):
    found = minimize(
        loss,
        np.zeros(parameters),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-14, "gtol": 1e-9},
    )
    return np.exp(found.x), found.fun


@pytest.mark.parametrize(
    ("model", "parameters", "log_likelihood"),
    [
        # Fader, Hardie & Lee (2005); Batislam et al. (2007); Schmittlein et al. (1987) as in the
        # vignette of the R package BTYD; NBD measured with another program on the same histories.
        (likelihoods.bg_nbd, [0.2426, 4.4137, 0.7930, 2.4262], -9582.429),
        (likelihoods.mbg_nbd, [0.525, 6.183, 0.891, 1.614], -9582.136),
        (likelihoods.pareto_nbd, [0.553, 10.580, 0.606, 11.656], -9594.976),
        (likelihoods.nbd, [0.3848, 12.072], -9763.658),
    ],
)
def test_fits_of_cdnow_are_the_published_ones(cdnow, model, parameters, log_likelihood):
    found, value = fitted(model(*cdnow), len(parameters))
    assert -value * cdnow[-1].sum() == pytest.approx(log_likelihood, abs=0.0006)
    # The published ones are where an optimiser stopped: the likelihood there is the same to 1e-3.
    assert found == pytest.approx(parameters, rel=0.002)
    theirs = -model(*cdnow)(np.log(parameters))[0] * cdnow[-1].sum()
    assert theirs == pytest.approx(log_likelihood, abs=0.001)


MODELS = {"nbd": 2, "bg_nbd": 4, "mbg_nbd": 4, "pareto_nbd": 4}
logs = st.lists(st.floats(-3, 4), min_size=4, max_size=4)


@st.composite
def histories(draw):
    """Of customers with any number of orders, the last maybe today; frequency 0 has recency 0."""
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        x = draw(st.sampled_from([0, 0, 1, 2, 7, 60, 400]))
        age = draw(st.floats(0.5, 300))
        recency = age * draw(st.sampled_from([0.01, 0.5, 0.99, 1])) if x else 0.0
        rows.append((x, recency, age, draw(st.integers(1, 9))))
    return [np.array(column, float) for column in zip(*rows, strict=True)]


@given(histories(), logs, st.sampled_from(list(MODELS)))
@settings(max_examples=150, deadline=None)
def test_slopes_are_those_of_the_values(groups, logs, model):
    loss, at = getattr(likelihoods, model)(*groups), np.array(logs[: MODELS[model]])
    value, slope = loss(at)
    assert np.isfinite(value) and np.isfinite(slope).all()
    numeric = approx_fprime(at, lambda where: loss(where)[0], 1e-6)
    np.testing.assert_allclose(slope, numeric, rtol=1e-3, atol=1e-3 * (1 + abs(value)))


@given(histories(), logs, st.sampled_from(list(MODELS)))
@settings(max_examples=50, deadline=None)
def test_the_unit_of_time_changes_a_likelihood_by_its_own_scale(groups, logs, model):
    """In days instead of weeks each of x repeat orders has a density of a seventh."""
    frequency, recency, age, customers = groups
    at, in_days = np.array(logs[: MODELS[model]]), [frequency, 7 * recency, 7 * age, customers]
    scales = [1, 3] if model == "pareto_nbd" else [1]  # alpha and beta are times
    moved = at.copy()
    moved[scales] += np.log(7)
    expected = (customers @ frequency) / customers.sum() * np.log(7)
    build = getattr(likelihoods, model)
    assert build(*in_days)(moved)[0] - build(*groups)(at)[0] == pytest.approx(expected, rel=1e-8)


@given(histories(), logs)
@settings(max_examples=60, deadline=None)
def test_pareto_nbd_equals_its_integral(groups, logs):
    """Customer by customer, with the integral over the time of leaving cut into many pieces."""
    r, alpha, s, beta = np.exp(logs)
    literal = 0.0
    for x, recency, age, customers in zip(*groups, strict=True):
        start = -(r + x) * np.log(alpha + recency) - (s + 1) * np.log(beta + recency)

        def left_at(y, x=x, start=start):
            return s * np.exp(-(r + x) * np.log(alpha + y) - (s + 1) * np.log(beta + y) - start)

        # Pieces as short at the start as the integrand is steep there.
        step = 1 / ((r + x) / (alpha + recency) + (s + 1) / (beta + recency))
        edges = np.minimum(recency + step * (1.5 ** np.arange(60) - 1), age)
        gone = sum(quad(left_at, a, b)[0] for a, b in itertools.pairwise(edges) if b > a)
        still = np.exp(-(r + x) * np.log(alpha + age) - s * np.log(beta + age) - start)
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
        literal -= customers * (common + start + np.log(gone + still))
    value, _ = likelihoods.pareto_nbd(*groups)(np.array(logs))
    assert value == pytest.approx(literal / groups[-1].sum(), rel=1e-8, abs=1e-8)


def test_pareto_nbd_of_many_groups_is_the_mean_of_its_parts():
    """5,000 groups go through the cache in blocks; each third of them in less than one."""
    random = np.random.default_rng(4)
    frequency, age = random.integers(0, 9, 5000) * 1.0, random.uniform(10, 100, 5000)
    recency = np.where(frequency > 0, age * random.random(5000), 0)
    groups = np.array([frequency, recency, age, random.integers(1, 5, 5000)])
    at = np.log([0.8, 10.0, 0.6, 12.0])
    value, slope = likelihoods.pareto_nbd(*groups)(at)
    shares, thirds = [], []
    for part in np.array_split(groups, 3, axis=1):
        thirds.append(likelihoods.pareto_nbd(*part)(at))
        shares.append(part[-1].sum() / groups[-1].sum())
    assert value == pytest.approx(sum(w * v for w, (v, _) in zip(shares, thirds, strict=True)))
    whole = sum(w * by for w, (_, by) in zip(shares, thirds, strict=True))
    np.testing.assert_allclose(slope, whole, rtol=1e-9)


def test_pareto_nbd_equals_its_closed_form(cdnow):
    """Fader & Hardie (2005), A note on deriving the Pareto/NBD model, eq. 20, where α < β."""
    r, alpha, s, beta = 0.553, 10.580, 0.606, 11.656
    x, recency, age, customers = cdnow

    def part(t):
        ratio = hyp2f1(r + s + x, r + x, r + s + x + 1, (beta - alpha) / (beta + t))
        return ratio / (beta + t) ** (r + s + x)

    still = 1 / ((alpha + age) ** (r + x) * (beta + age) ** s)
    gone = s / (r + s + x) * (part(recency) - part(age))
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    value, _ = likelihoods.pareto_nbd(*cdnow)(np.log([r, alpha, s, beta]))
    assert -value * customers.sum() == pytest.approx(
        customers @ (common + np.log(still + gone)), rel=1e-9
    )
