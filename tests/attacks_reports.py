"""Attacks by what earlier reports left: numbers.json and made.json, broken, foreign or cut."""

import datetime as dt
import json
import math
import os
from dataclasses import asdict

from hypothesis import strategies as st

from loyaltylab import history, since
from loyaltylab.changes import causes_told, compare
from loyaltylab.numbers import Number
from loyaltylab.provenance import Made
from loyaltylab.summary import KEY_FIGURES, table
from tests.attacks import ACCOUNTED, Attack, BrokenError, judged

NOW = dt.date(2026, 11, 1)
NAMES = st.sampled_from(
    [*list(KEY_FIGURES)[:4], "retention.repeat_rate", "a", "", "x.y", "\ud800", "\x1b[2J", "a\nb"]
)
FIGURES = st.one_of(
    st.none(), st.floats(), st.integers(), st.booleans(), st.text(max_size=4),
    st.lists(st.integers(), max_size=1),
    st.sampled_from([0.2, 0.1, 0.3, 1e308, -1e308, 5e-324, 10**30, 10**400, -(10**400), math.inf,
    "NaN", "1"]),
)  # fmt: skip
TEXTS = (
    st.sampled_from(
        ["share", "EUR", "days", "", "{", "{0}", "%", "number", "\ud800", "\u202e", "x" * 3000]
    )
    | FIGURES
)


@st.composite
def numbers(draw):
    record = asdict(
        Number(
            "retention.repeat_rate",
            0.2,
            0.1,
            0.3,
            0.95,
            "share",
            10,
            "2026-09-30",
            "03_retention",
            "a share",
        )
    )
    record["name"] = draw(NAMES)
    if draw(st.integers(0, 2)):
        return record | draw(
            st.sampled_from(
                [{}, {"value": 0.15}, {"low": None, "high": None}, {"unit": "EUR", "value": 1e308}]
            )
        )
    for key in draw(st.lists(st.sampled_from([*record]), max_size=4)):
        record[key] = draw(
            FIGURES if key in ("value", "low", "high", "level", "n", "cell") else TEXTS
        )
    for key in draw(st.lists(st.sampled_from([*record]), max_size=2)):
        record.pop(key, None)
    if draw(st.integers(0, 9)) == 0:
        record |= draw(st.dictionaries(st.text(max_size=4), FIGURES, max_size=2))
    return record


@st.composite
def made(draw):
    record = {"version": 1} | asdict(
        Made("2026-09-30", {"orders": "a"}, "c", {"03_retention.period": "month"})
    )
    if draw(st.integers(0, 3)):
        return record
    for key in draw(st.lists(st.sampled_from([*record]), max_size=2)):
        anything = FIGURES | st.dictionaries(st.text(max_size=3), FIGURES, max_size=3)
        record[key] = draw(
            anything | st.sampled_from([2, "1", 1.0, True, "2026-02-30", {"orders": None}])
        )
    return record


RAW = st.sampled_from([
    "", " ", "[]", "{}", "null", "1", '"a"', "[" * 5000, '{"a":' * 5000, "[1e999]", "[NaN]",
    "[-Infinity]", "[" + "9" * 5000 + "]",
    "\ufeff[]", "[{}]", '[{"name": "a", "value": 1, "value": 2}]', "[]]", "\0", '["\\ud800"]',
    '[{"name": "a", "value": 1e999}]',
    '[{"name": "a", "value": -1e999, "low": 0, "high": 1, "level": 0.9}]',
])  # fmt: skip


@st.composite
def histories(draw):
    """Two days' folders: of each file its bytes, or what stands in its place."""
    days = {}
    for day in ("2026-09-01", "2026-10-01", str(NOW)):
        of_numbers = json.dumps(draw(st.lists(numbers(), max_size=3)))
        files = {"numbers.json": of_numbers, "made.json": json.dumps(draw(made()))}
        for name in files:
            match draw(st.integers(0, 19)):
                case 0:
                    files[name] = draw(RAW)
                case 1:
                    files[name] = files[name][: draw(st.integers(0, len(files[name])))]
                case 2:
                    files[name] = draw(st.binary(max_size=20))
                case 3:
                    files[name] = draw(
                        st.sampled_from([None, "folder", "pipe", "/dev/zero", "link"])
                    )
        days[day] = files
    return days


def _put(path, content):
    if content is None:
        return
    if content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    elif content in ("/dev/zero", "link"):
        path.symlink_to(content)
    else:
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        )


def of_history(given, folder):
    """What the summary and `make compare` say of them."""
    for day, files in given.items():
        (folder / "history" / day).mkdir(parents=True)
        for name, content in files.items():
            _put(folder / "history" / day / name, content)
    kept = folder / "history"
    then, ignored = history.before(kept, NOW)
    for words in ignored:
        judged(words)
    history.until(kept, NOW, at_most=5)
    now = history.load(kept, NOW)
    told = since.Since(then, now, ignored)
    for words in since.told(told):
        judged(words)
    judged(since.key_figures(told).to_string())
    for number in now.numbers.values():
        if isinstance(number.value, float) and not math.isfinite(number.value):
            raise BrokenError(f"{number.value} taken for a number")
    judged(since.report(kept, "", ""))
    judged(table.as_csv([asdict(number) for number in now.numbers.values()]))
    if then is not None:
        compare(then.numbers, now.numbers)
        for words in causes_told(then, now, since="then", changed=True):
            judged(words)
    return ACCOUNTED


ATTACKS = [Attack("earlier reports", histories(), of_history)]
