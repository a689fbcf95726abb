"""What the tests of the simulation share: worlds with effects off, and sampling error."""

import math
from pathlib import Path

import numpy as np
from scipy import stats

SHOP, GUEST, CRM, SUPPORT, SURVEY = range(5)  # systems, as records number them
ROOT = Path(__file__).parents[1]
YEAR = 365.25
DATA = ("given_name", "family_name", "email", "phone", "birth_date", "street", "postcode", "city")

RATES = {
    "purchase_shape": 1.1,
    "purchases_per_year": 2.2,
    "dropout_shape": 0.8,
    "dropouts_per_year": 2,
}
# Every effect off: what is left is the Pareto/NBD model, and Gamma-Gamma spend.
OFF = RATES | {
    "order_value": 62,
    "order_shape": 4,
    "customer_shape": 5,
    "ticket_rate": 0,
    "hazard_ratio": 1,
    "channel_effect": 0,
    "holiday_newcomers": 1,
    "holiday_purchase_ratio": 1,
    "holiday_dropout_ratio": 1,
    "holiday_purchases": 1,
    "regular_share": 0,
    "business_share": 0,
    "campaigns": 0,
    "abuse_share": 0,
    "extreme_share": 0,
}
NO_ERRORS = dict.fromkeys(
    ("missing_rate", "typo_rate", "swap_rate", "nickname_rate", "transcription_rate"), 0
)


# Within sampling error: four standard errors, or a p-value above 1e-4.


def within(z, what):
    assert abs(z) < 4, f"z = {z:.1f}: {what}"


def shares(happened, chance):
    """Each happens by its own chance."""
    happened = np.asarray(happened, float)
    chance = np.broadcast_to(np.asarray(chance, float), happened.shape)
    n, error = len(happened), math.sqrt((chance * (1 - chance)).sum())
    assert n >= 200, f"n = {n} shows nothing"
    if error == 0:
        assert (happened == chance).all()
    else:
        what = f"{happened.mean():.4f} of n = {n:,}, expected {chance.mean():.4f}"
        within((happened - chance).sum() / error, what)


def counts(number, chance):
    """So many of those that each happen by a chance."""
    chance = np.asarray(chance)
    what = f"{number:,} of n = {len(chance):,}, expected {chance.sum():,.0f}"
    within((number - chance.sum()) / math.sqrt((chance * (1 - chance)).sum()), what)


def averages(values, expected):
    off = np.asarray(values, float) - expected
    n = len(off)
    assert n >= 200, f"n = {n} shows nothing"
    what = f"off by {off.mean():.4f} in the mean of n = {n:,}"
    within(off.mean() / (off.std() / math.sqrt(n)), what)


def follows(values, law):
    assert len(values) >= 200
    found = stats.kstest(values, law.cdf)
    assert found.pvalue > 1e-4, f"n = {len(values):,}, D = {found.statistic:.4f}"


def falls(counts, chances):
    """Counts of kinds by their chances, by chi-square."""
    chances = np.asarray(chances) / np.sum(chances)
    expected = chances * np.sum(counts)
    assert expected.min() >= 5
    found = stats.chisquare(counts, expected)
    assert found.pvalue > 1e-4, f"n = {np.sum(counts):,}: {counts} instead of {expected.round(1)}"


def coefficients(model, expected):
    fitted = model.fit()
    for name, value in expected.items():
        what = f"{name} is {fitted.params[name]:.3f}, expected {value:.3f}, n = {fitted.nobs:,.0f}"
        within((fitted.params[name] - value) / fitted.bse[name], what)


def observed(world, lived):
    """Years from each customer's first order to the end."""
    return (world.days - lived.customers["acquired"].to_numpy()) / YEAR


def counted(lived):
    """Orders of each customer."""
    return np.bincount(lived.orders["customer"], minlength=len(lived.customers))
