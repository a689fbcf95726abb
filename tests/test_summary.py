"""The summary tells what was recorded, and nothing that was not."""

import datetime as dt
import re

import pytest

from loyaltylab import summary
from loyaltylab.numbers import Numbers


@pytest.fixture
def numbers():
    """What notebooks of a small shop could have recorded."""
    retention = Numbers("03_retention", as_of=dt.date(2024, 6, 30))
    retention.record("retention.customers", 1200, unit="customers", definition="…")
    interval = {"low": 0.2, "high": 0.3, "level": 0.95}
    retention.record("retention.repeat_rate", 0.25, unit="share", definition="…", **interval)
    retention.record("retention.returned_30_days", None, unit="share", definition="…")
    retention.record("retention.median_gap_days", 33.6, unit="days", definition="…")
    value = Numbers("04_lifetime_value", as_of=dt.date(2024, 6, 30))
    value.record("lifetime_value.holdout_bias", -0.143, unit="share", definition="…")
    value.record("lifetime_value.mean", 35.106, unit="EUR", definition="…")
    asked = Numbers("05_satisfaction", as_of=dt.date(2024, 6, 30))
    interval = {"low": -2.2, "high": 64.1, "level": 0.95}
    asked.record("satisfaction.effect_nps", 0.64, unit="points", definition="…", low=-0.4, high=1.7,
                 level=0.95)  # fmt: skip
    asked.record("satisfaction.nps", 31.4, unit="points", definition="…", **interval)
    linkage = Numbers("02_linkage", as_of=dt.date(2024, 6, 30))
    for name, told in (("records", 2000), ("persons", 1200), ("left_out", 31)):
        linkage.record(f"linkage.{name}", told, unit=name, definition="…")
    linkage.record("linkage.mean_confidence", 0.974, unit="share", definition="…")
    validation = Numbers("01_validation", as_of=dt.date(2024, 6, 30))
    for part, rows in (("read", 10), ("accepted", 8), ("quarantined", 2)):
        validation.record(f"validation.rows_{part}.orders", rows, unit="rows", n=10, definition="…")
    every = (retention, value, asked, linkage, validation)
    return {name: number for one in every for name, number in one.records.items()}


def test_a_finding_is_told_only_if_all_its_numbers_are_known(numbers):
    told = summary.findings(numbers, currency="EUR")
    assert len(told) == 1  # returned_30_days is unknown, expected_value was never recorded
    assert told[0].startswith(
        "**25% of 1,200 customers have come back** for a second purchase so far (20.0% to 30.0%)"
    )
    assert told[0].endswith("[Retention](03_retention.html)")


def test_every_finding_names_numbers_that_some_notebook_records():
    from tests.test_project import NOTEBOOKS, ROOT

    sources = [
        p.read_text() for p in (ROOT / "src" / "loyaltylab").rglob("*.py") if p.stem != "summary"
    ]
    text = "\n".join([*sources, *(p.read_text() for p in NOTEBOOKS)])
    names = {name for needed, _ in summary.FINDINGS for name in needed} | set(summary.KEY_FIGURES)
    for name in names:
        # Either whole, or put together from a stem and an ending ("retention.month_" + "12").
        ending = name.rpartition(".")[2]
        parts = [name, f'"{ending}"', re.sub(r"\d+$", "{", name), "holdout_{measure}"]
        assert any(part in text for part in parts), name


def test_trust_counts_rows_and_tells_the_direction_of_the_miss(numbers):
    data, persons, forecast = summary.trust(numbers)
    assert "8 of 10 rows keep every rule; the others were put aside" in data
    assert "2,000 records are taken for 1,200 people, with links that are 97% sure" in persons
    assert "; 31 of them do not consent and are in no finding." in persons
    assert "14% too low" in forecast
    assert "(04_lifetime_value.html)" in forecast
    assert summary.trust({}) == []


def test_key_figures_are_written_in_their_units(numbers):
    table = summary.key_figures(numbers).set_index("figure")
    assert table.loc["customers", "value"] == "1,200 customers"
    assert table.loc["came back for a second purchase", "value"] == "25.0%"
    assert table.loc["came back for a second purchase", "95% interval"] == "20.0% to 30.0%"
    assert table.loc["median days between purchases of those who returned", "value"] == "34 days"
    assert table.loc["revenue expected of a customer", "value"] == "35.11 EUR"
    assert table.loc["returned within 30 days of the first purchase", "value"] == "unknown"
    assert table.loc["NPS of those who answered", "value"] == "+31"
    assert table.loc["NPS of those who answered", "95% interval"] == "-2 to +64"
    assert list(summary.key_figures(numbers).index[:1]) == ["03_retention.html"]
    effect = table.loc["chance of ordering again, a step of NPS, at equal behaviour"]
    assert effect[["value", "95% interval"]].tolist() == ["+0.6", "-0.4 to +1.7"]
