"""What each system knows of its customers: by hand on nine records."""

import ibis
import pandas as pd
import pytest

from loyaltylab.linkage import summary, traits

RECORDS = pd.DataFrame(
    [
        ("crm", "1", "ann@a.example", "1", None),
        ("crm", "2", None, None, "x"),
        ("shop", "1", " Ann@A.example ", None, "x"),
        ("shop", "2", "bo@a.example", "2", None),
        ("shop", "3", "cy@a.example", None, None),
        ("shop", "4", "ANN@A.EXAMPLE", None, None),
        ("shop", "5", "  ", None, None),
        ("survey", "1", "bo@a.example", None, None),
        ("survey", "2", None, None, None),
    ],
    columns=["source", "record_id", "email", "phone", "birth_date"],
)


def engine_table(records):
    columns = (*RECORDS.columns, "street")
    return ibis.memtable(records.assign(street=None), schema=dict.fromkeys(columns, "string"))


@pytest.fixture
def records():
    return engine_table(RECORDS)


def test_traits_of_each_system(records):
    found = traits(records).set_index("source")
    assert found["records"].to_dict() == {"crm": 2, "shop": 5, "survey": 2}
    assert found.loc["crm"].tolist() == [2, 0.5, 0.5, 0.5, 0, 0.5]
    assert found.loc["shop", "email_shared"] == 3 / 5  # ann twice and bo
    assert found.loc["survey", "phone"] == 0


def test_an_empty_address_is_none(records):
    assert traits(records).set_index("source").loc["shop", "email"] == 4 / 5


def test_records_without_any_address():
    nobody = engine_table(RECORDS.assign(email=None))
    assert traits(nobody)["email_shared"].eq(0).all()


def test_figure_of_persons_and_its_words_say_the_same():
    sizes = pd.DataFrame({"records": [1, 2, 5], "persons": [40, 30, 3]})
    axes = summary.plot_sizes(sizes)
    assert [bar.get_height() for bar in axes.patches] == [40, 30, 3]
    assert summary.describe_sizes(sizes).endswith("1 record: 40, 2 records: 30, 5 or more: 3.")
