"""The report of CDNOW, as `make test` has just built it: numbers.json is what others rely on."""

import importlib.resources
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifetimes import BetaGeoFitter
from scipy.special import betaln, gammaln

NUMBERS = Path(__file__).parents[1] / "reports" / "cdnow" / "numbers.json"
FIELDS = ["name", "value", "low", "high", "level", "unit", "n", "as_of", "notebook", "definition"]
FIELDS += ["cell"]

pytestmark = pytest.mark.skipif(
    not NUMBERS.exists(), reason="reports/cdnow is not built: run make report DATASET=cdnow first"
)


@pytest.fixture(scope="module")
def records():
    return json.loads(NUMBERS.read_text())


@pytest.fixture(scope="module")
def values(records):
    return {record["name"]: record["value"] for record in records}


def test_every_record_is_whole_and_named_once(records):
    assert len({record["name"] for record in records}) == len(records) > 30
    for record in records:
        assert list(record) == FIELDS
        assert record["as_of"] == "1998-06-30"
        assert record["definition"] and record["unit"] and record["notebook"]
        bounds = (record["low"], record["high"], record["level"])
        assert all(b is None for b in bounds) or all(b is not None for b in bounds)
        if record["low"] is not None:
            assert record["low"] <= record["value"] <= record["high"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("validation.rows_read.orders", 69_659),  # lines of the file
        ("validation.rows_accepted.orders", 69_659),
        ("validation.rows_quarantined.orders", 0),
        ("validation.exact_duplicates", 255),
        ("validation.zero_amounts", 80),
        ("validation.repeated_customer_days", 2_068),
        ("retention.customers", 23_570),
    ],
)
def test_counts(values, name, value):
    assert values[name] == value


@pytest.mark.parametrize(
    ("parameter", "value"),
    # The whole master file to 1998-06-30, in weeks; measured with lifetimes' own fitter.
    [("r", 0.26713), ("alpha", 5.98649), ("a", 0.48352), ("b", 2.11161)],
)
def test_bg_nbd_of_the_whole_period(values, parameter, value):
    assert values[f"lifetime_value.bg_nbd.{parameter}"] == pytest.approx(value, abs=1e-3)


@pytest.fixture(scope="module")
def days():
    """One row a customer and day with an order, in plain pandas."""
    path = importlib.resources.files("lifetimes") / "datasets" / "CDNOW_master.txt"
    orders = pd.read_csv(path, sep=r"\s+", skiprows=1, names=["who", "day", "cds", "spent"])
    return orders.assign(day=pd.to_datetime(orders["day"], format="%Y%m%d"))[
        ["who", "day"]
    ].drop_duplicates()


def history(days, until):
    """Repeat days, recency and age of each customer, in weeks."""
    seen = days[days["day"] <= until].groupby("who")["day"].agg(["min", "max", "count"])
    recency = (seen["max"] - seen["min"]).dt.days / 7
    return seen["count"] - 1, recency, (until - seen["min"]).dt.days / 7


def test_holdout_is_the_literal_one(values, days):
    """The fit to 1997-09-30, customer by customer, with lifetimes alone."""
    cutoff = pd.Timestamp("1997-09-30")
    x, recency, age = history(days, cutoff)
    actual = days[days["day"] > cutoff].groupby("who").size().reindex(x.index, fill_value=0)
    model = BetaGeoFitter().fit(x, recency, age)
    predicted = model.conditional_expected_number_of_purchases_up_to_time(39, x, recency, age)
    miss = predicted - actual
    score = {
        name: values[f"lifetime_value.bg_nbd.holdout_{name}"] for name in ("mae", "rmse", "bias")
    }
    assert score["mae"] == pytest.approx(np.abs(miss).mean(), abs=1e-4)
    assert score["rmse"] == pytest.approx((miss**2).mean() ** 0.5, abs=1e-4)
    assert score["bias"] == pytest.approx(predicted.sum() / actual.sum() - 1, abs=1e-4)


def test_log_likelihood_is_the_literal_one(values, days):
    """Fader, Hardie & Lee (2005), eq. 6, at the recorded parameters, a term a customer."""
    x, recency, age = history(days, pd.Timestamp("1998-06-30"))
    r, alpha, a, b = (values[f"lifetime_value.bg_nbd.{p}"] for p in ("r", "alpha", "a", "b"))
    front = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    stays = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + age)
    left = betaln(a + 1, b + x.clip(lower=1) - 1) - betaln(a, b) - (r + x) * np.log(alpha + recency)
    total = (front + np.logaddexp(stays, left.where(x > 0, -np.inf))).sum()
    assert values["lifetime_value.bg_nbd.log_likelihood"] == pytest.approx(total, abs=1e-2)


def test_repeat_rate_is_the_literal_one(values, days):
    bought = days.groupby("who").size()
    assert values["retention.repeat_rate"] == pytest.approx((bought > 1).mean(), rel=1e-9)


def test_baselines_are_there(values):
    assert values["lifetime_value.zero.holdout_bias"] == -1
    assert values["lifetime_value.past_spend.holdout_spend_gini"] > 0
