"""Attacks on a page: the notebook of validation, run on datasets of odd values."""

import csv
import io
import json
import math
import os
import shutil

from hypothesis import strategies as st

from loyaltylab import contract, execution, inspection
from loyaltylab.errors import LabError
from tests.attacks import ACCOUNTED, Attack, BrokenError
from tests.attacks_contract import NOTEBOOKS
from tests.attacks_data import MORE, OTHERS, tables

STEM = "01_validation"


@st.composite
def companies(draw):
    """Orders, and often another table, as CSV in UTF-8: odd values in files that can be read."""
    files = {}
    for name in ["orders", *draw(st.lists(st.sampled_from(OTHERS), max_size=2, unique=True))]:
        columns, rows = draw(tables(name))
        out = io.StringIO()
        csv.writer(out).writerows([columns, *rows])
        if name == "orders":  # one that is right, so that there is a page
            right = {
                "source": "shop",
                "record_id": "a",
                "ordered_at": "2024-01-05",
                "amount": "10",
                "currency": "EUR",
            }
            csv.writer(out).writerow([right.get(column, "") for column in columns])
        files[name] = out.getvalue()
    choice = st.sampled_from(["keep", "put aside"])
    chosen = {
        "zero_amounts": choice,
        "negative_amounts": choice,
        "exact_duplicates": choice,
        "cancelled_within": st.sampled_from([0, 30, 10**5]),
    }
    return {"files": files, "more": draw(MORE), "chosen": draw(st.fixed_dictionaries({},
    optional=chosen))}  # fmt: skip


def of_company(given, folder):
    root = folder.parent.parent
    shutil.copy(NOTEBOOKS / f"{STEM}.ipynb", root / "notebooks")
    entries = {}
    for name, text in given["files"].items():
        (folder / "raw" / f"{name}.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
        entries[name] = {"path": f"raw/{name}.csv", "source": "s"}
    spec = {
        "title": "A",
        "currency": "EUR",
        "tables": entries,
        "parameters": {STEM: given["chosen"]},
    }
    (folder / "dataset.yml").write_text(json.dumps(spec | given["more"]))
    problems = inspection.problems(folder, notebooks=root / "notebooks")
    if problems:
        raise LabError("\n".join(problems))
    values = {"dataset": folder.name} | contract.load(folder / "dataset.yml").parameters[STEM]
    os.environ["PYTHONPATH"] = str(NOTEBOOKS.parent / "src")
    try:
        execution.run(
            root / "notebooks" / f"{STEM}.ipynb", folder / "executed.ipynb", values,
            results=folder / "results", without=("truth",), report=lambda _: None,
        )  # fmt: skip
    except LabError as error:
        if "expected it to run, found" in str(error) or "kernel died" in str(error):
            raise BrokenError(str(error)) from None
        raise
    records = json.loads((folder / "results" / f"{STEM}.json").read_text())
    for record in records:
        if isinstance(record["value"], float) and not math.isfinite(record["value"]):
            raise BrokenError(f"{record['name']} is {record['value']}")
    return ACCOUNTED


ATTACKS = [Attack("pages of validation", companies(), of_company)]
