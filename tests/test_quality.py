"""Scores, what to mend first, and the gate: by hand."""

import pandas as pd
import pytest

from loyaltylab.contract import Thresholds
from loyaltylab.numbers import Numbers
from loyaltylab.validation import quality
from loyaltylab.validation.findings import Findings

DAY = pd.Timestamp("2024-06-30")


@pytest.fixture
def findings():
    exports = pd.DataFrame(
        [
            # Two files of the CRM; a week of a year is silent.
            ("customers", "customers.crm", 2, "CRM", 100, 90, 10, DAY, 1, 7, 365),
            ("customers", "customers.shop", 1, None, 50, 50, 0, DAY, 0, 0, 365),
            ("order_lines", "order_lines", 1, None, 10, 9, 1, pd.NaT, None, None, None),
        ],
        columns=["table", "export", "files", "owner", "read", "accepted", "quarantined",
                 "last_day", "gaps", "silent_days", "days"],
    ).astype({"gaps": "Int64", "silent_days": "Int64", "days": "Int64"})  # fmt: skip
    columns = pd.DataFrame(
        [
            ("customers.crm", "a", True, 100),
            ("customers.crm", "b", True, 60),
            ("customers.crm", "c", False, 5),  # to be empty says something
            ("customers.crm", "d", False, pd.NA),  # left out
            ("customers.shop", "a", True, 50),
            ("order_lines", "a", True, 10),
        ],
        columns=["export", "column", "expected", "present"],
    ).astype({"present": "Int64"})
    broken = pd.DataFrame(
        [
            ("customers.crm", "validity", 6),
            ("customers.crm", "uniqueness", 4),
            ("customers.crm", "completeness", 9),
            ("order_lines", "consistency", 1),
        ],
        columns=["export", "dimension", "rows"],
    )
    reasons = pd.DataFrame(
        [
            ("customers.crm", "email is no address", "noted", 6, DAY - pd.Timedelta(days=29), 100.0),
            ("customers.crm", "record_id appears again", "put aside", 4,
             DAY - pd.Timedelta(days=31), None),
            ("customers.crm", "record_id is missing", "put aside", 9, pd.NaT, None),
            ("order_lines", "order_id is in no order", "put aside", 1, pd.NaT, 250.0),
        ],
        columns=["export", "reason", "treatment", "rows", "last_day", "revenue"],
    ).assign(first_day=pd.Timestamp("2024-01-01"), example="x")  # fmt: skip
    changes = pd.DataFrame(columns=["export", "column", "kind", "values"])
    return Findings(exports.assign(expired=0), columns, reasons, broken, changes)


def test_score_card_by_hand(findings):
    card = quality.score_card(findings).set_index("export")
    crm = card.loc["customers.crm"]
    assert crm["completeness"] == pytest.approx(160 / 200)
    assert crm["validity"] == pytest.approx(0.94) and crm["uniqueness"] == pytest.approx(0.96)
    assert crm["consistency"] == 1 and crm["timeliness"] == pytest.approx(358 / 365)
    assert crm["score"] == pytest.approx((0.8 + 0.94 + 0.96 + 1 + 358 / 365) / 5)
    lines = card.loc["order_lines"]
    assert pd.isna(lines["timeliness"])  # it has no time of its own
    assert lines["score"] == pytest.approx((1 + 1 + 1 + 0.9) / 4)
    assert card.loc["customers.shop", "score"] == 1
    name, score, dimension = quality.weakest(card.reset_index())
    assert (name, dimension) == ("customers.crm", "completeness")
    assert score == pytest.approx(crm["score"])


def test_an_export_without_rows_has_no_shares(findings):
    empty = findings.exports.assign(read=0, accepted=0, quarantined=0)
    unknown = pd.array([pd.NA] * len(empty), "Int64")
    empty = empty.assign(silent_days=unknown, days=unknown)
    nothing = findings.columns.assign(present=0)
    found = Findings(empty, nothing, findings.reasons, findings.broken.head(0), findings.changes)
    card = quality.score_card(found)
    assert card[[*quality.DIMENSIONS, "score"]].isna().all().all()
    assert quality.failures(found, card, Thresholds(put_aside=0, score=1)) == []


def test_a_full_score_is_said_only_where_nothing_is_lacking(findings):
    card = quality.score_card(findings)
    words = quality.describe_score_card(card.assign(score=[0.99999, 1, 0.5]))
    assert words == (
        "Heat map of 3 exports by five dimensions; scores from the lowest: order_lines 50.0%, "
        "customers.crm 99.9%, customers.shop 100%."
    )
    axes = quality.plot_score_card(card)
    drawn = [text.get_text() for text in axes.texts]
    assert drawn[:6] == ["80.0%", "94.0%", "96.0%", "100%", "98.1%", "93.6%"]


def test_what_to_mend_first(findings):
    table = quality.fix_first(findings)
    # By revenue, and then by rows where none is known.
    assert table["reason"].tolist() == [
        "order_id is in no order",
        "email is no address",
        "record_id is missing",
        "record_id appears again",
    ]
    assert table["share"].tolist() == [0.1, 0.06, 0.09, 0.04]
    assert table["owner"].tolist()[1] == "CRM"
    still = table.set_index("reason")["still"]
    assert still["email is no address"] and not still["record_id appears again"]
    assert pd.isna(still["record_id is missing"])


def test_the_gate(findings, tmp_path):
    card = quality.score_card(findings)
    # 10 of 150 customers, 1 of 10 lines.
    assert quality.failures(findings, card, Thresholds(put_aside=0.1)) == []
    assert quality.failures(findings, card, Thresholds(put_aside=0.05, score=0.95)) == [
        "customers: 6.7% of 150 rows were put aside; at most 5.0% may be (thresholds.put_aside).",
        "order_lines: 10.0% of 10 rows were put aside; at most 5.0% may be (thresholds.put_aside).",
        "customers.crm: the data-quality score is 93.6%; at least 95.0% is asked for "
        "(thresholds.score).",
    ]
    assert quality.failures(findings, card, Thresholds(put_aside=None)) == []
    quality.save_gate(tmp_path, ["a"])
    assert quality.gate(tmp_path) == ["a"]


def test_what_is_recorded(findings):
    numbers = Numbers("01_validation", as_of=DAY.date())
    quality.record(numbers, findings, quality.score_card(findings))
    said = {name: record.value for name, record in numbers.records.items()}
    assert said["validation.rows_read.customers"] == 150
    assert said["validation.rows_accepted.customers"] == 140
    assert said["validation.rows_quarantined.customers"] == 10
    assert said["validation.score.customers.crm"] == pytest.approx(0.936164, abs=1e-6)
    assert len(said) == 2 * 3 + 3
