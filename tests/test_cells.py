"""Small cells, and what has to go with them so that totals do not tell them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from loyaltylab import cells


def one(*counts):
    return pd.DataFrame({"n": counts})


def gone(counts, **known):
    return cells.hidden(counts, minimum=5, **known).to_numpy().tolist()


def test_without_totals_the_small_ones_alone_go():
    assert gone(one(0, 4, 5, 9, 1)) == [[False], [True], [False], [False], [True]]


def test_one_small_part_takes_the_smallest_other_with_it():
    assert gone(one(20, 4, 9), down=True) == [[False], [True], [True]]


def test_two_small_parts_of_few_in_all_take_a_third():
    # 1 and 2 are 3 in all: whoever knows the total knows that so few are in these two.
    assert gone(one(1, 2, 9, 20), down=True) == [[True], [True], [True], [False]]
    assert gone(one(3, 2, 9, 20), down=True) == [[True], [True], [False], [False]]


def test_nobody_is_hidden_only_where_nothing_else_is_left():
    assert gone(one(4, 0, 30), down=True) == [[True], [False], [True]]
    assert gone(one(4, 0), down=True) == [[True], [True]]
    assert gone(one(4), down=True) == [[True]]  # and the total with it


def test_a_table_with_both_totals_hides_a_rectangle():
    table = pd.DataFrame({"a": [3, 20, 30], "b": [40, 6, 60], "c": [70, 80, 90]})
    # 3 takes 20 in its column and 40 in its row, and these the 6 at the corner.
    assert gone(table, sums=[["a", "b", "c"]], down=True) == [
        [True, True, False], [True, True, False], [False, False, False]
    ]  # fmt: skip


def test_sums_of_some_columns():
    table = pd.DataFrame({"new": [50], "kept": [2], "back": [60], "lapsed": [40]})
    # Both new + kept + back and kept + lapsed are known.
    hidden = gone(table, sums=[["new", "kept", "back"], ["kept", "lapsed"]])
    assert hidden == [[True, True, False, True]]


tables = st.integers(1, 5).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(0, 30), min_size=columns, max_size=columns), min_size=1, max_size=5
    )
)


@settings(max_examples=150, deadline=None)
@given(tables, st.booleans(), st.booleans(), st.integers(2, 6))
def test_totals_tell_of_no_hidden_cell(rows, across, down, minimum):
    """An attacker who knows the totals and that counts are no less than zero: of each hidden cell, in
    a table whose totals are shown, more than one value stays possible (by linear programming)."""
    counts = pd.DataFrame(rows)
    sums = [list(counts.columns)] if across else []
    mask = cells.hidden(counts, minimum=minimum, sums=sums, down=down).to_numpy()
    values = counts.to_numpy()
    assert mask[(values > 0) & (values < minimum)].all()
    lines = [np.eye(len(counts))[i][:, None] * np.ones(counts.shape[1]) for i in range(len(counts))]
    lines = lines if across else []
    if down:
        lines += [
            np.ones((len(counts), 1)) * np.eye(counts.shape[1])[j] for j in range(counts.shape[1])
        ]
    # A total of so few, or of parts that are all hidden, is not shown either.
    lines = [n for n in lines if (n * values).sum() >= minimum and (n.astype(bool) & ~mask).any()]
    if not mask.any() or not lines:
        return
    equations = np.array([line[mask] for line in lines])
    sums_left = np.array([(line * values)[mask].sum() for line in lines])
    for place in range(mask.sum()):
        if not equations[:, place].any():
            continue
        aim = np.eye(mask.sum())[place]
        least, most = (
            linprog(sign * aim, A_eq=equations, b_eq=sums_left, bounds=(0, None)).fun * sign
            for sign in (1, -1)
        )
        assert most - least > 0.5


def test_nothing_goes_that_need_not():
    large = pd.DataFrame({"a": [5, 50], "b": [0, 7]})
    assert not np.any(gone(large, sums=[["a", "b"]], down=True))


def test_blanked():
    table = pd.DataFrame({"who": list("abc"), "n": [4, 50, 6], "each": [1.0, 2.0, 3.0]})
    shown = cells.blanked(table, "n", ["each"], minimum=5, whole=True)
    assert shown["n"].isna().tolist() == [True, False, True] == shown["each"].isna().tolist()
    assert shown["n"].iloc[1] == 50 and isinstance(shown["n"].iloc[1], int | np.integer)
    assert cells.blanked(table, "n", ["each"], minimum=1, whole=True) is table


def test_a_hidden_number_in_a_sentence():
    said = cells.said(pd.Series({"n": 3, "m": 40}), pd.Series({"n": True}))
    assert "{n:,.0f} of {m:,.0f}".format(**said) == "some of 40"


def test_a_share_of_some_is_not_told_either():
    said = [f"{cells.some_of(count, 20, minimum=5) / 20:.0%}" for count in (0, 3, 5, 15, 17, 20)]
    assert said == ["0%", "some", "25%", "75%", "some", "100%"]


def test_some_of_all():
    said = [f"{cells.some_of(count, 20, minimum=5):,}" for count in (0, 3, 5, 15, 17, 20)]
    assert said == ["0", "some", "5", "15", "some", "20"]


@pytest.mark.parametrize("minimum", [1, 5])
def test_missing_counts_stay_missing(minimum):
    table = pd.DataFrame({"a": [np.nan, 3.0], "b": [9.0, 9.0]})
    assert not cells.hidden(table, minimum=minimum).iloc[0, 0]
