"""What `make study` wrote stands: how often intervals hold the truth, over simulated worlds."""

from pathlib import Path

import pandas as pd
import pytest

from tests import study_renewals, study_retention

STUDIES = Path(__file__).parent / "studies"


@pytest.mark.parametrize("study", ["renewals", "retention"])
def test_intervals_hold_the_truth_as_often_as_they_say(study):
    table = pd.read_csv(STUDIES / f"{study}.csv")
    assert table["worlds"].ge(500).all()
    assert table["share"].between(0.93, 0.97).all(), table[~table["share"].between(0.93, 0.97)]


def test_all_intervals_of_the_page_are_in_the_study():
    table = pd.read_csv(STUDIES / "retention.csv")
    assert set(table["metric"]) == set(study_retention.one(0))
    assert (table["share"] * table["worlds"]).round(6).eq(table["covered"]).all()


def test_all_models_of_renewals_are_in_the_study():
    table = pd.read_csv(STUDIES / "renewals.csv")
    found = set(table[["model", "horizon"]].itertuples(index=False, name=None))
    models, horizons = study_renewals.projections.MODELS, study_renewals.HORIZONS
    assert found == {(model, horizon) for model in models for horizon in horizons}
    # A cohort is tried once a world, where it was observed to the horizon's beginning.
    trials = table["covered"] / table["share"]
    assert (trials <= len(study_renewals.LAST) * table["worlds"] + 1).all()
