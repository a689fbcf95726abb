"""Planted defects held against what validation made of them: by hand on a folder of a few rows."""

import pandas as pd
import pytest

from loyaltylab.dataset import Lab
from loyaltylab.validation import cleaning, defects

YML = """
title: Small
currency: EUR
simulated: true
tables: {orders: raw/orders.csv}
"""
ORDERS, CRM = "raw/orders.csv", "raw/crm.csv"
PLANTED = [
    (ORDERS, 1, "Amount", "negative_amount", "5"),
    (ORDERS, 2, "Date", "impossible_date", "2024-01-05"),
    (ORDERS, 3, "Date", "impossible_date", "2024-01-06"),
    (ORDERS, 4, "", "repeated_row", None),
    (CRM, 2, "Name", "markup", "Ada"),
    (CRM, 5, "Surname", "misread_letters", "Müller"),
    (CRM, 6, "Surname", "misread_letters", "Jäger"),
    (CRM, 7, "Name", "control_character", "Bo"),
]
ASIDE = {
    "orders": [
        (ORDERS, 2, ["ordered_at is not a date"]),
        (ORDERS, 3, ["amount is missing"]),  # put aside, and not for what is wrong with it
        (ORDERS, 4, ["repeats an earlier row", "amount is missing"]),
        (ORDERS, 9, ["amount is missing"]),
    ],
    "customers": [(CRM, 3, ["given_name holds HTML"])],
}
AUDIT = [
    (CRM, 5, "family_name", [cleaning.MISREAD], "MÃ¼ller", "Müller"),
    (
        CRM,
        6,
        "family_name",
        [cleaning.MISREAD],
        "JÃ¤gér",
        "Jager",
    ),  # mended, and not to what it was
    (CRM, 7, "given_name", [cleaning.CONTROLS, cleaning.SPACES], "\xa0Bo", "Bo"),
    (CRM, 8, "given_name", [cleaning.CONTROLS], "Al\x07", "Al"),  # nobody put that there
    (CRM, 9, "phone", ["phone written in another way than E.164"], "0151", "+49151"),
]


@pytest.fixture
def lab(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    folder = tmp_path / "data" / "small"
    for part in ("truth", "quarantine", "audit"):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.yml").write_text(YML)
    names = ["file", "row", "column", "kind", "was"]
    pd.DataFrame(PLANTED, columns=names).to_parquet(folder / "truth/defects.parquet")
    for name, rows in ASIDE.items():
        table = pd.DataFrame(rows, columns=["file", "row", "reasons"])
        table.to_parquet(folder / f"quarantine/{name}.parquet")
    names = ["file", "row", "column", "kinds", "original", "cleaned"]
    pd.DataFrame(AUDIT, columns=names).to_parquet(folder / "audit/customers.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOYALTYLAB_DERIVED", raising=False)
    return Lab("small")


def test_defects_found_and_what_was_done_without_one(lab):
    found = defects.defects_found(lab)
    known = found.dropna(subset="kind").set_index("kind")
    # kind: defects, put aside, mended, for the right reason.
    assert {kind: tuple(row) for kind, row in known.iterrows()} == {
        "impossible_date": (2, 2, 0, 1),
        "misread_letters": (2, 0, 1, 1),
        "control_character": (1, 0, 1, 1),
        "markup": (1, 0, 0, 0),
        "negative_amount": (1, 0, 0, 0),
        "repeated_row": (1, 1, 0, 1),
    }
    assert known.index[:2].tolist() == ["impossible_date", "misread_letters"]
    wrongly = found[found["kind"].isna()].iloc[0]
    assert wrongly["put_aside"] == 2 and wrongly["mended"] == 1  # rows 9 and 3, and row 8
    assert pd.isna(wrongly["defects"]) and pd.isna(wrongly["right"])


def test_recall_and_precision(lab):
    recall, precision = defects.recall_precision(defects.defects_found(lab))
    assert recall == pytest.approx(4 / 8)
    # Put aside or mended with a defect: 2 + 1 + 1 + 1; without: 2 + 1.
    assert precision == pytest.approx(5 / 8)
