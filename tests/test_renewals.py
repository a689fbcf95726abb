"""Renewals: the papers' figures, hand cases, and a slow literal translation of the triangle."""

import calendar
import datetime as dt
import math

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import retention
from loyaltylab.errors import LabError
from loyaltylab.retention import posterior, renewals

# Survivors of 1,000 in years 1 to 13: Fader & Hardie (2007), "How to project customer retention",
# Journal of Interactive Marketing 21(1), 76–90, table 1.
REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241, 223, 207, 194, 183, 173]
HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491, 468, 445, 427, 409, 394]


def triangle(cohorts, seen=99):
    """cells of name → survivors at ages 0, 1, …; missing beyond `seen`."""
    rows = [
        (name, age, counts[0], count if age <= seen else None)
        for name, counts in cohorts.items()
        for age, count in enumerate(counts)
    ]
    cells = pd.DataFrame(rows, columns=["cohort", "age", "customers", "survivors"])
    return cells.astype({"survivors": float})


PUBLISHED = triangle({"Regular": REGULAR, "High End": HIGH_END})


@pytest.fixture(scope="module")
def errors():
    """Of all models, by (renewals fitted, cohort, model)."""
    tables = {n: retention.holdout_errors(retention.holdout(PUBLISHED, ages=n)) for n in (4, 7)}
    return pd.concat(tables, names=["n"]).reset_index("n").set_index(["n", "cohort", "model"])


# sBG: Fader & Hardie (2007). BdW: Fader, Hardie, Liu, Davin & Steenburgh (2018), Journal of Interactive
# Marketing 43, 1–16. The hold-out is each later age up to 12, in points, of the curve itself.
@pytest.mark.parametrize(
    ("model", "n", "cohort", "alpha", "beta", "c", "log_likelihood", "error"),
    [
        ("sBG", 7, "Regular", ".7041", "1.1820", "1", "-1680.265", ".288"),
        ("sBG", 7, "High End", ".668", "3.806", "1", "-1611.158", "1.191"),
        ("sBG", 4, "Regular", ".7637", "1.2958", "1", "-1401.559", "1.122"),
        ("sBG", 4, "High End", "1.281", "7.790", "1", "-1225.135", "5.792"),
        ("BdW", 4, "Regular", ".523", ".894", "1.196", "-1401.383", ".287"),
        ("BdW", 4, "High End", ".259", "1.723", "1.584", "-1222.749", ".768"),
    ],
)
def test_the_papers_figures(errors, model, n, cohort, alpha, beta, c, log_likelihood, error):
    cells = triangle({"Regular": REGULAR, "High End": HIGH_END}, seen=n)
    row = retention.fit(cells, model=model).set_index("cohort").loc[cohort]
    assert row["settled"]
    found = [row["alpha"], row["beta"], row["c"], row["log_likelihood"]]
    found.append(errors.loc[(n, cohort, model), "curve_error"])
    assert errors.loc[(n, cohort, model), "horizons"] == 12 - n
    for value, printed in zip(found, [alpha, beta, c, log_likelihood, error], strict=True):
        digits = len(printed.partition(".")[2])
        assert round(float(value), digits) == float(printed)


def test_a_projection_from_the_last_survivors_is_no_worse_and_beats_the_naive_ones(errors):
    of = errors["error"]
    assert of[4, "High End", "BdW"] <= 0.77
    for n in (4, 7):
        for cohort in ("Regular", "High End"):
            naive = min(of[n, cohort, "constant retention"], of[n, cohort, "no more losses"])
            assert of[n, cohort, "hierarchical BdW"] < naive
            assert of[n, cohort, "BdW"] < naive
    # By hand: at age 5, 593 of 653 stayed before, so 593 · 593 / 653 = 538.5 of 551.
    table = retention.holdout(PUBLISHED, ages=4).set_index(["cohort", "model", "age"])
    naive = table.loc[("High End", "constant retention", 5)]
    assert naive["projected"] == pytest.approx(0.593 * 593 / 653)
    two_on = table.loc[("High End", "constant retention", 6), "projected"]
    assert two_on == pytest.approx(0.593 * (593 / 653) ** 2)
    assert naive["error"] == pytest.approx(55.1 - 59.3 * 593 / 653)
    assert table.loc[("High End", "no more losses", 12), "error"] == pytest.approx(59.3 - 39.4)


def test_cohorts_that_learn_from_each_other_project_high_end_within_70_hundredths(errors):
    assert errors.loc[(4, "High End", "hierarchical BdW"), "curve_error"] <= 0.70


def test_survival_is_the_product_of_its_renewals():
    """sBG by its recursion (Fader & Hardie 2007, eq. 7): (β + t − 1)/(α + β + t − 1) stay at t."""
    ages = np.arange(1, 30)
    kept = (3.8 + ages - 1) / (0.7 + 3.8 + ages - 1)
    share = np.exp(renewals.log_survival(0.7, 3.8, 1, ages))
    np.testing.assert_allclose(share, np.cumprod(kept), rtol=1e-12)
    # BdW by its definition: the mean of (1 − θ)^(t^c) over a beta distribution, by simulation's limit.
    theta = np.linspace(0, 1, 400_001)[1:-1]
    weight = theta ** (2.0 - 1) * (1 - theta) ** (3.0 - 1)
    for age in (1, 2, 5):
        mean = (weight * (1 - theta) ** (age**1.4)).sum() / weight.sum()
        found = renewals.log_survival(2.0, 3.0, 1.4, np.array([age]))[0]
        assert math.exp(found) == pytest.approx(mean, rel=1e-6)


def test_log_likelihood_by_hand():
    """Of 10, 4 leave at the first renewal and 1 at the second; α = β = c = 1: S = 1, 1/2, 1/3."""
    data = renewals.observed(triangle({"a": [10, 6, 5]}))
    scale = np.array([[0.0, -math.log(2), 0.0]])
    by_hand = 4 * math.log(1 / 2) + math.log(1 / 2 - 1 / 3) + 5 * math.log(1 / 3)
    assert renewals.log_likelihood(data, scale)[0] == pytest.approx(by_hand)
    # The cohort that was seen for one renewal alone.
    data = renewals.observed(triangle({"a": [10, 6, 5], "b": [10, 6]}))
    both = renewals.log_likelihood(data, np.repeat(scale, 2, axis=0))
    assert both[1] == pytest.approx(10 * math.log(1 / 2))


def persons_of(rows):
    frame = pd.DataFrame(rows, columns=["person_id", "started", "ended"])
    columns = {name: pd.to_datetime(frame[name]) for name in ("started", "ended")}
    return ibis.memtable(
        frame.assign(**columns),
        schema=ibis.schema({"person_id": "string", "started": "timestamp", "ended": "timestamp"}),
    )


# Ann never ends. Bo's contract of 31 January ends with February: he is no customer on the 29th, his
# first anniversary. Cy stays through it. Di started on the day after `until`. Ed left on his first day.
BY_HAND = [
    ("ann", "2024-01-05", None),
    ("bo", "2024-01-31", "2024-02-29"),
    ("cy", "2024-01-31", "2024-03-01"),
    ("di", "2024-04-01", None),
    ("ed", "2024-01-09", "2024-01-09"),
]


def counts(cells):
    return {
        (row.cohort.date(), row.age): (row.customers, row.survivors) for row in cells.itertuples()
    }


def test_survivors_by_hand(either):
    table = either.create_view("contracts", persons_of(BY_HAND), overwrite=True)
    cells = retention.survivors(table, period="month", until=dt.date(2024, 3, 31))
    january = dt.date(2024, 1, 1)
    assert counts(cells) == {(january, 0): (4, 4), (january, 1): (4, 2), (january, 2): (4, 1)}


def test_an_age_that_not_all_can_have_reached_is_missing():
    cells = retention.survivors(persons_of(BY_HAND), period="month", until=dt.date(2024, 3, 30))
    assert cells["age"].max() == 1
    early = retention.survivors(persons_of(BY_HAND), period="quarter", until=dt.date(2024, 3, 30))
    assert early["survivors"].isna().all() and early["customers"].tolist() == [4]
    with pytest.raises(LabError, match="nobody"):
        retention.survivors(persons_of(BY_HAND), period="year", until=dt.date(2023, 1, 1))


def literal_survivors(rows, period, until):
    """Day by day: still a customer on the k-th anniversary."""

    def anniversary(day, k):
        if period == "week":
            return day + dt.timedelta(days=7 * k)
        months = day.year * 12 + day.month - 1 + k * {"month": 1, "quarter": 3, "year": 12}[period]
        year, month = months // 12, months % 12 + 1
        return dt.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))

    unit = {"week": "W", "month": "M", "quarter": "Q", "year": "Y"}[period]
    table = {}
    members = {}
    for start, end in rows:
        if start <= until:
            members.setdefault(pd.Period(start, unit), []).append((start, end))
    for cohort, people in members.items():
        days = pd.date_range(cohort.start_time, cohort.end_time.normalize())
        age = 0
        while all(anniversary(day.date(), age) <= until for day in days):
            stay = sum(
                age == 0 or end is None or end > anniversary(start, age) for start, end in people
            )
            table[cohort.start_time.date(), age] = (len(people), stay)
            age += 1
        if age == 0:
            table[cohort.start_time.date(), 0] = (len(people), None)
    return table


month_ends = st.sampled_from([dt.date(2023, 12, 31), dt.date(2024, 1, 31), dt.date(2024, 2, 29)])
starts = st.dates(dt.date(2022, 11, 20), dt.date(2024, 6, 30)) | month_ends
lengths = st.none() | st.integers(-3, 3) | st.integers(27, 62) | st.integers(4, 500)


@given(
    st.lists(st.tuples(starts, lengths), min_size=1, max_size=25),
    st.sampled_from(["week", "month", "quarter", "year"]),
    st.dates(dt.date(2024, 6, 30), dt.date(2024, 10, 31)),
)
@settings(max_examples=40, deadline=None)
def test_survivors_equal_their_literal_translation(people, period, until):
    rows = [
        (start, None if length is None else start + dt.timedelta(days=length))
        for start, length in people
    ]
    table = persons_of([(str(n), *row) for n, row in enumerate(rows)])
    cells = retention.survivors(table, period=period, until=until)
    found = {
        key: (size, None if math.isnan(stay) else stay)
        for key, (size, stay) in counts(cells).items()
    }
    assert found == literal_survivors(rows, period, until)


def test_triangles_that_cannot_be_are_refused():
    for wrong, said in (
        ([10, 11], "no more at any age"),
        ([10, None, 5], "found none at age 1"),
    ):
        with pytest.raises(LabError, match=said):
            retention.fit(triangle({"a": wrong}), model="sBG")
    short = triangle({"a": [10, 8]}).assign(customers=12)
    with pytest.raises(LabError, match="its 12 customers at age 0"):
        retention.fit(short, model="sBG")


def test_order_and_names_of_cohorts_change_nothing():
    cells = triangle({"a": REGULAR[:5], "b": HIGH_END[:5]})
    mixed = cells.sample(frac=1, random_state=1)
    for model in ("BdW", "hierarchical BdW"):
        one = retention.project(cells, model=model, ages=6)
        two = retention.project(mixed, model=model, ages=6)
        pd.testing.assert_frame_equal(one, two)


def test_too_few_renewals_alone_are_said_and_the_hierarchy_lends_its_strength():
    young = triangle({"a": REGULAR[:8], "b": REGULAR[:8], "young": REGULAR[:2]})
    alone = retention.fit(young, model="BdW").set_index("cohort").loc["young"]
    assert math.isnan(alone["alpha"]) and not alone["settled"] and alone["renewals"] == 1
    apart = retention.project(young, model="BdW", ages=12).set_index(["cohort", "age"])
    assert apart.loc["young", "share"].isna().all()
    assert apart.loc["young", "observed"].notna().sum() == 2
    assert "1 of 3 cohorts have no clear fit" in retention.projection_finding(
        apart.reset_index(), period="year"
    )
    together = retention.project(young, model="hierarchical BdW", ages=12)
    together = together.set_index(["cohort", "age"])
    # The truth, known from the same counts ten years on: beside it a cohort without sisters.
    lone = retention.project(
        triangle({"young": REGULAR[:2]}), model="hierarchical BdW", ages=12
    ).set_index(["cohort", "age"])
    truth = pd.Series(REGULAR[2:]) / 1000

    def off(table):
        return (table.loc["young", "share"].dropna().to_numpy() - truth).abs().mean()

    assert off(together) < 0.02 and off(together) < off(lone) / 2
    width = together["high"] - together["low"]
    assert width["young", 12] > width["a", 12]
    single = lone["high"] - lone["low"]
    assert single["young", 12] > width["young", 12]


@pytest.mark.parametrize("model", ["sBG", "BdW", "hierarchical BdW"])
def test_cohorts_at_the_edge(model):
    """A customer alone, nobody who leaves, everybody who does, and no renewal yet."""
    cells = triangle(
        {"one": [1, 1, 1, 1, 0], "all stay": [50] * 5, "all go": [50, 0, 0, 0, 0], "new": [7]}
    )
    table = retention.project(cells, model=model, ages=7).set_index(["cohort", "age"])
    assert table.loc["all go", "share"].dropna().eq(0).all()
    assert table.loc["one", "share"].dropna().eq(0).all()
    shares = table[["share", "low", "high"]].dropna()
    assert (shares >= 0).all().all() and (shares <= 1).all().all()
    if model != "hierarchical BdW":
        assert not table.loc["all stay", "settled"].any()
        assert table.loc["new", "share"].isna().all()
    else:
        assert table.loc["new", "share"].notna().sum() == 7
        assert table.loc["all stay", "share"].dropna().between(0.85, 1).all()


def test_projections_fall_and_bands_widen_and_hold_them():
    cells = triangle({"a": REGULAR[:5], "b": HIGH_END[:5]})
    for model in ("sBG", "BdW", "hierarchical BdW"):
        table = retention.project(cells, model=model, ages=12)
        for _, cohort in table.groupby("cohort"):
            later = cohort.dropna(subset="share")
            assert later["share"].is_monotonic_decreasing
            assert ((later["low"] <= later["share"]) & (later["share"] <= later["high"])).all()
            width = later["high"] - later["low"]
            assert width.iloc[-1] > width.iloc[0]
            assert cohort["observed"].dropna().iloc[-1] >= later["share"].iloc[0]
    small = triangle({"a": [10, 6, 5, 4, 3], "b": [10, 9, 7, 7, 6]})
    wide = retention.project(small, model="BdW", ages=12).dropna(subset="share")
    narrow = retention.project(cells, model="BdW", ages=12).dropna(subset="share")
    assert (wide["high"] - wide["low"]).mean() > 2 * (narrow["high"] - narrow["low"]).mean()


def test_draws_are_those_of_the_posterior():
    """sBG of a small cohort against the posterior on a fine grid."""
    data = renewals.observed(triangle({"a": [40, 25, 20, 16]}))
    found, settled = posterior.draws(data, "sBG", 3)
    churn, polarisation = np.meshgrid(np.linspace(-4, 3, 281), np.linspace(-8, 6, 281))
    grid = np.stack([churn.ravel(), polarisation.ravel()], axis=1)
    logs = renewals.log_likelihood(data, grid[:, None])[:, 0] - ((grid / 1.5) ** 2).sum(axis=1) / 2
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    mean = weight @ grid
    spread = np.sqrt(weight @ (grid - mean) ** 2)
    np.testing.assert_allclose(found[:, 0].mean(axis=0), mean, atol=0.08)
    np.testing.assert_allclose(found[:, 0].std(axis=0), spread, rtol=0.06)
    assert settled


def test_a_doubt_about_the_common_mean_does_not_doubt_what_was_observed():
    """Of 1,000 customers 326 and 593 were seen at age 4: none can be less sure than that count."""
    data = renewals.observed(triangle({"a": REGULAR[:5], "b": HIGH_END[:5]}))
    values, _ = posterior.draws(data, "hierarchical BdW", 0)
    curves = np.exp(renewals.log_survival(*renewals.parameters(values), np.array([4])))[..., 0]
    counted = np.sqrt([0.326 * 0.674 / 1000, 0.593 * 0.407 / 1000])
    # A quarter for what is approximate: the mean's doubt moves a cohort along a straight line.
    assert (curves.std(axis=0) < 1.25 * counted).all()


def test_slopes_are_those_of_the_log_likelihood():
    data = renewals.observed(triangle({"a": REGULAR[:6], "b": HIGH_END[:4]}))
    scale = np.array([[-0.4, -0.2, 0.3], [-1.5, 0.4, 0.1]])
    slope, _ = posterior._slopes(data, scale)
    for column in range(3):
        step = np.zeros(3)
        step[column] = 1e-5
        up, down = (renewals.log_likelihood(data, scale + sign * step) for sign in (1, -1))
        np.testing.assert_allclose(slope[:, column], (up - down) / 2e-5, rtol=1e-4, atol=1e-3)


def test_figures_show_what_their_words_say():
    cells = triangle({"a": REGULAR[:5], "b": HIGH_END[:5]})
    table = retention.project(cells, model="BdW", ages=8)
    axes = retention.plot_projection(table, period="year")
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    of = table[table["cohort"] == "a"]
    np.testing.assert_allclose(drawn[0].get_ydata(), of["observed"].dropna())
    np.testing.assert_allclose(drawn[1].get_ydata(), of["share"].dropna())
    words = retention.describe_projection(table, period="year")
    last = table[table["age"] == 8].set_index("cohort")["share"]
    assert f"at year 8, {last['a']:.1%} to {last['b']:.1%}" in words
    finding = retention.projection_finding(table, period="year")
    assert finding.startswith(f"## {last['b']:.0%} of the newest cohort is expected to stay for 8")
    assert "no clear fit" not in finding
    nothing = retention.project(triangle({"a": [9, 8]}), model="BdW", ages=3)
    assert retention.projection_finding(nothing, period="year").startswith("## Too early")
    assert "without points" in retention.describe_projection(nothing, period="year")
    empty = retention.plot_projection(nothing, period="year")
    assert [text.get_text() for text in empty.texts] == ["nothing to show yet"]
