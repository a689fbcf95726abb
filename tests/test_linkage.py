"""What the addresses tell about records: by hand on nine of them."""

import ibis
import pandas as pd
import pytest

from loyaltylab.linkage import traits as linkage

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


def test_addresses_are_the_same_whatever_their_case_and_spaces(records):
    found = linkage.addresses(records).to_dict("list")
    assert found == {"size": [1, 2, 3], "addresses": [1, 1, 1]}  # cy; bo twice; ann three times


def test_equal_addresses_are_one_person_and_a_record_without_one_is_another(records):
    assert linkage.by_email(records) == {
        "records": 9,
        "with_email": 6,
        "addresses": 3,
        "shared": 5,
        "persons": 3 + 3,
    }


def test_traits_of_each_system(records):
    found = linkage.traits(records).set_index("source")
    assert found["records"].to_dict() == {"crm": 2, "shop": 5, "survey": 2}
    assert found.loc["crm"].tolist() == [2, 0.5, 0.5, 0.5, 0, 0.5]
    assert found.loc["shop", "email_shared"] == 3 / 5  # ann twice and bo
    assert found.loc["survey", "phone"] == 0


def test_an_empty_address_is_none(records):
    assert linkage.traits(records).set_index("source").loc["shop", "email"] == 4 / 5


def test_records_without_any_address():
    nobody = engine_table(RECORDS.assign(email=None))
    told = linkage.by_email(nobody)
    assert (told["persons"], told["shared"], told["addresses"]) == (9, 0, 0)
    assert linkage.traits(nobody)["email_shared"].eq(0).all()


def test_figure_and_its_words_say_the_same():
    sizes = pd.DataFrame({"size": [1, 2, 6, 9], "addresses": [40, 30, 2, 1]})
    axes = linkage.plot_addresses(sizes)
    assert [bar.get_height() for bar in axes.patches] == [40, 30, 3]
    words = linkage.describe_addresses(sizes)
    assert "1 record in 40, 2 records in 30, 5 or more in 3" in words
