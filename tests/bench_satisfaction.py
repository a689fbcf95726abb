"""The page on satisfaction for a million invitations and 25 million orders, part by part.

`make bench` runs this. The goal for all tables of the page together: 60 seconds, 4 GB.
"""

import datetime as dt
import resource

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import lifetime_value as lv
from loyaltylab import satisfaction

PERSONS, INVITATIONS, DAYS = 1_000_000, 1_000_000, 3 * 365
UNTIL = dt.date(2023, 1, 1) + dt.timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Purchases and invitations of a million persons, a fifth of these answered."""
    random = np.random.default_rng(1)
    first = random.integers(0, DAYS - 30, PERSONS)
    rate, life = random.gamma(1.1, 1 / 18, PERSONS), random.exponential(900, PERSONS)
    later = random.poisson(rate * np.minimum(life, DAYS - 1 - first))
    who = np.repeat(np.arange(PERSONS), later)
    day = first[who] + 1 + (random.random(len(who)) * np.minimum(life, DAYS - 1 - first)[who])
    orders = pd.DataFrame(
        {
            "person_id": np.concatenate([np.arange(PERSONS), who]).astype(str),
            "day": np.concatenate([first, np.minimum(day, DAYS - 1).astype(int)]),
            "cents": random.integers(500, 20_000, PERSONS + len(who)),
        }
    )
    asked = random.integers(0, PERSONS, INVITATIONS)
    sent = np.minimum(first[asked] + random.integers(3, 400, INVITATIONS), DAYS - 1)
    instrument = random.choice(["nps", "csat", "ces"], INVITATIONS, p=[0.5, 0.35, 0.15])
    most = pd.Series(instrument).map({"nps": 10, "csat": 5, "ces": 7}).to_numpy()
    score = np.clip(np.round(most * random.beta(6, 1.5, INVITATIONS)), 1, None)
    score[random.random(INVITATIONS) > 0.2] = np.nan
    begin = np.datetime64("2023-01-01T12:00", "s")
    surveys = pd.DataFrame(
        {
            "response_id": np.arange(INVITATIONS).astype(str),
            "person_id": asked.astype(str),
            "instrument": instrument,
            "touchpoint": "delivery",
            "score": score,
            "sent_at": begin + sent.astype("timedelta64[D]"),
        }
    )
    surveys["answered_at"] = surveys["sent_at"].where(surveys["score"].notna())
    folder = tmp_path_factory.mktemp("satisfaction")
    orders.to_parquet(folder / "orders.parquet", index=False)
    surveys.to_parquet(folder / "surveys.parquet", index=False)
    del orders, surveys
    con = ibis.duckdb.connect(str(folder / "shop.db"), threads=2)
    con.raw_sql(
        f"""CREATE TABLE purchases AS
        WITH days AS (
            SELECT person_id, DATE '2023-01-01' + day::INTEGER AS day, count(*)::BIGINT AS orders,
                   (sum(cents) / 100)::DECIMAL(18, 4) AS amount,
                   (sum(cents) / 300)::DECIMAL(18, 4) AS margin
            FROM read_parquet('{folder}/orders.parquet') GROUP BY ALL)
        SELECT *, min(day) OVER w AS first, row_number() OVER w AS rank, lag(day) OVER w AS previous,
               lead(day) OVER w AS next_day
        FROM days WINDOW w AS (PARTITION BY person_id ORDER BY day)"""
    )
    surveys = con.read_parquet(str(folder / "surveys.parquet"), table_name="surveys")
    return con.table("purchases"), surveys


def test_scores_and_who_answers(benchmark, shop):
    benchmark.group = "A million invitations: scores and who answers"
    bought, surveys = shop

    def run():
        rows = satisfaction.frame(satisfaction.invitations(surveys, bought))
        models = [satisfaction.fit(rows, name) for name in satisfaction.NAMES]
        return (
            satisfaction.overall(rows), satisfaction.trend(rows),
            satisfaction.by_period(rows, "quarter"), satisfaction.weighted(models),
            [satisfaction.sensitivity(model) for model in models],
        )  # fmt: skip

    assert benchmark.pedantic(run, rounds=1)[0]["answers"].sum() > 150_000


def test_the_effect(benchmark, shop):
    benchmark.group = "A million invitations: what satisfaction does"
    bought, surveys = shop

    def run():
        histories = lv.histories(lv.summarise(bought, until=UNTIL))
        frame = satisfaction.landmarks(surveys, bought, until=UNTIL, window=180)
        frame = satisfaction.survivors(frame, histories)
        shift = satisfaction.fit_shift(frame)
        groups = satisfaction.bad_to_good(frame, shift)
        return (
            satisfaction.ladders(frame, shift), satisfaction.checks(frame, shift, groups),
            satisfaction.contest_of(frame),
        )  # fmt: skip

    found = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\npeak {benchmark.extra_info['peak_gb']:.2f} GB")
    assert set(found[0]) == {"nps", "csat", "ces"}
