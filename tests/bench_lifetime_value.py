"""Lifetime value beside the packages that it means to replace, in one run.

CDNOW: all models of the page, beside the fits of lifetimes and pymc-marketing to the same data. A
million customers of distinct histories: summary, fit and scoring. `make bench` runs this: a column of
the table says how many times as long each takes as the fastest of its group.
"""

import datetime as dt
import importlib.resources
import resource

import ibis
import numpy as np
import pandas as pd
import pytest
from lifetimes import BetaGeoFitter, GammaGammaFitter, ModifiedBetaGeoFitter, ParetoNBDFitter

from loyaltylab import lifetime_value as lv
from loyaltylab.lifetime_value.pareto_ggg import fit_pareto_ggg
from loyaltylab.purchases import purchase_days
from loyaltylab.timelines import timelines

UNTIL = dt.date(1998, 6, 30)
OURS = {**lv.MODELS, "gamma_gamma": lv.fit_gamma_gamma}
THEIRS = {
    "bg_nbd": BetaGeoFitter,
    "mbg_nbd": ModifiedBetaGeoFitter,
    "pareto_nbd": ParetoNBDFitter,
    "gamma_gamma": GammaGammaFitter,
}


@pytest.fixture(scope="module")
def bought():
    path = importlib.resources.files("lifetimes") / "datasets" / "CDNOW_master.txt"
    lines = ibis.duckdb.connect().read_csv(
        str(path), header=False, skip=1, columns={"line": "VARCHAR"}, delim="\t"
    )
    fields = lines.line.strip().re_split(r"\s+")
    orders = lines.select(
        person_id=fields[0],
        ordered_at=fields[1].as_timestamp("%Y%m%d"),
        amount=fields[3].cast("decimal(18, 4)"),
    )
    return timelines(purchase_days(orders)).cache()


@pytest.fixture(scope="module")
def people(bought):
    return lv.summarise(bought, until=UNTIL).cache()


def data_of(people, name):
    return lv.spend_histories(people) if name == "gamma_gamma" else lv.histories(people)


def test_cdnow_all_models(benchmark, people):
    """The goal: 3 seconds for all of them, with what they expect of everybody."""
    benchmark.group = "CDNOW, 23,570 customers: fit and forecast of every model"
    groups = lv.histories(people)

    def run():
        fits = lv.fit_all(groups)[0]
        return lv.fit_gamma_gamma(lv.spend_histories(people)), fits["combined"].expected_orders(
            groups, 52
        )

    assert benchmark.pedantic(run, rounds=3, warmup_rounds=1)[0].customers > 9000


@pytest.mark.parametrize(
    ("name", "by"),
    [(name, by) for name in THEIRS for by in ("loyaltylab", "lifetimes")]
    + [(name, "pymc-marketing") for name in ("bg_nbd", "mbg_nbd", "pareto_nbd")],
)
def test_cdnow_fit(benchmark, people, name, by):
    benchmark.group = f"CDNOW, 23,570 customers: {name}"
    data = data_of(people, name)
    if by == "loyaltylab":
        fit = benchmark.pedantic(OURS[name], args=(data,), rounds=3, warmup_rounds=1)
        assert fit.log_likelihood < 0
        return
    if by == "pymc-marketing":
        # Its quickest fit: the mode of the posterior. Samples of it, its default, take minutes.
        from pymc_marketing import clv

        kinds = {
            "bg_nbd": clv.BetaGeoModel,
            "mbg_nbd": clv.ModifiedBetaGeoModel,
            "pareto_nbd": clv.ParetoNBDModel,
        }
        each = data.loc[data.index.repeat(data["customers"])].reset_index(drop=True)
        each = each.assign(customer_id=each.index, recency=each["recency"] / 7, T=each["age"] / 7)
        columns = ["customer_id", "frequency", "recency", "T"]
        benchmark.pedantic(
            lambda: kinds[name](data=each[columns]).fit(method="map", progressbar=False), rounds=1
        )
        return
    # lifetimes does not group; weights are the nearest that it has, and the faster way.
    weights = data["customers"].to_numpy()
    if name == "gamma_gamma":
        columns = data["frequency"], data["repeat_spend"] / data["frequency"]
    else:
        columns = data["frequency"], data["recency"] / 7, data["age"] / 7
    fitter = THEIRS[name](penalizer_coef=0.0)
    benchmark.pedantic(lambda: fitter.fit(*columns, weights=weights), rounds=1)


@pytest.mark.parametrize("name", ["nbd", "mbg_cnbd_k"])
def test_cdnow_fit_that_lifetimes_has_not(benchmark, people, name):
    benchmark.group = f"CDNOW, 23,570 customers: {name}"
    benchmark.pedantic(OURS[name], args=(lv.histories(people),), rounds=3, warmup_rounds=1)


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """Order days of a million customers over fifteen years, so that hardly two histories are alike."""
    random = np.random.default_rng(1)
    n, days = 1_000_000, 15 * 365
    first = random.integers(0, days - 400, n)
    rate, life = random.gamma(1.2, 1 / 250, n), random.exponential(900, n)
    orders = random.poisson(rate * np.minimum(life, days - first))
    who = np.repeat(np.arange(n), orders)
    later = first[who] + 1 + (random.random(len(who)) * np.minimum(life, days - 1 - first)[who])
    whose = np.concatenate([np.arange(n), who])
    mean = 6000 / random.gamma(4, 1 / 3, n)  # cents an order, of each customer's own
    frame = pd.DataFrame(
        {
            "person_id": whose,
            "day": np.concatenate([first, later.astype(int)]),
            "cents": np.maximum(mean[whose] * random.gamma(6, 1 / 6, len(whose)), 1).astype(int),
        }
    )
    path = tmp_path_factory.mktemp("million") / "orders.parquet"
    frame.to_parquet(path, index=False)
    con = ibis.duckdb.connect(str(path.with_suffix(".db")), threads=2)
    con.raw_sql(
        f"""CREATE TABLE purchases AS
        WITH days AS (
            SELECT person_id, DATE '2010-01-01' + day::INTEGER AS day, count(*)::BIGINT AS orders,
                   (sum(cents) / 100)::DECIMAL(18, 4) AS amount
            FROM read_parquet('{path}') GROUP BY ALL)
        SELECT *, min(day) OVER w AS first, row_number() OVER w AS rank, lag(day) OVER w AS previous
        FROM days WINDOW w AS (PARTITION BY person_id ORDER BY day)"""
    )
    return con.table("purchases"), dt.date(2010, 1, 1) + dt.timedelta(days=days)


def test_a_million_customers(benchmark, million):
    """The goal: 30 seconds and 2 GB for summary, fit and what is expected of each."""
    benchmark.group = "A million customers, distinct histories: summary, fit, scoring"
    bought, until = million

    def run():
        people = lv.summarise(bought, until=until).cache()
        groups = lv.histories(people)
        model = lv.fit_mbg_nbd(groups)
        spend = lv.fit_gamma_gamma(lv.spend_histories(people))
        return groups, lv.forecast(people, model, spend, weeks=52)

    groups, expected = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\n{len(groups):,} histories; peak {benchmark.extra_info['peak_gb']:.2f} GB")
    assert expected["customers"].sum() == 1_000_000


def test_pareto_ggg(benchmark, people):
    """The goal: 60 seconds; BTYDplus in R takes 393."""
    benchmark.group = "Pareto/GGG, 1,500 customers"
    own = people.order_by("person_id").limit(1500).to_pandas()
    benchmark.pedantic(fit_pareto_ggg, args=(own,), kwargs={"seed": 1}, rounds=1)
