"""A demo company in which every personal value is unmistakable: python -m tests.canaries data/canary

Names, addresses, numbers of records and what people wrote hold MARK, which no word of a language has; so
one that is told anywhere is found, be it in a figure or a file's name. What is no text, as birth
dates and phone numbers, is drawn from what no page tells: days before 2010, and numbers of eight
digits and more.
"""

import itertools
import string
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from loyaltylab import simulation
from loyaltylab.dataset import load
from loyaltylab.files import write_text
from loyaltylab.simulation import exports, records, wordings

ROOT = Path(__file__).parents[1]
MARK = "qzxv"
CUSTOMERS = 2000
FIRST_ORDER = 700_000_001
_MARKED = ("given_name", "family_name", "street", "postcode", "city")
# What customers write around a name of theirs, and many do: it must not let the name through.
_SAID = ("{text} My name is {name}", "{text} {name}", "{name} {text}")


def fill(folder: Path, *, customers: int = CUSTOMERS, **settings: Any) -> None:
    """Write dataset.yml and raw/ and truth/ of `folder`; settings : further keys of dataset.yml."""
    demo = yaml.safe_load((ROOT / "data" / "demo" / "dataset.yml").read_text(encoding="utf-8"))
    demo |= {"title": "Canaries", "simulation": {"customers": customers}} | settings
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "dataset.yml", yaml.safe_dump(demo, allow_unicode=True, sort_keys=False))
    world = load(folder).simulation
    assert world is not None
    with ExitStack() as patched:
        for place, name, other in _marking():
            patched.enter_context(patch.object(place, name, other))
        simulation.fill(folder, world)
    # Visits and devices are numbered from one in the demo: such numbers stand on every page.
    _mark(folder / "raw" / "web" / "visits.parquet", "visit_id", "device_id")
    _mark(folder / "truth" / "devices.parquet", "device_id")


def _marking() -> Iterator[tuple[Any, str, Any]]:
    """What is another in this company: where, its name, and what it is."""
    contact, ids = exports._contact, records._ids
    words = ("".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=4))

    def marked_contact(company: Any, system: int) -> Any:
        rows, fields = contact(company, system)
        marks = {name: _each(fields[name], "{mark}{value}") for name in _MARKED}
        marks = {
            name: _capital(values) if "name" in name else values for name, values in marks.items()
        }
        return rows, fields | marks | {"email": _each(fields["email"], "{mark}.{value}")}

    def marked_ids(table: Any) -> Any:
        return _each(np.asarray(ids(table), object), "{mark}{value}")

    def marked_texts(write: Any) -> Any:
        def wrote(*given: Any) -> Any:
            texts = write(*given)
            said = itertools.cycle(_SAID)
            marked = [
                next(said).format(text=text, name=MARK.capitalize() + next(words)) for text in texts
            ]
            return np.array(marked, object)

        return wrote

    yield exports, "_contact", marked_contact
    yield records, "_ids", marked_ids
    yield exports, "_FIRST_ORDER", FIRST_ORDER
    for name in ("ticket_texts", "comments", "reviews"):
        yield wordings, name, marked_texts(getattr(wordings, name))


def _each(values: Any, form: str) -> Any:
    marked = [v if v is None else form.format(mark=MARK, value=v) for v in values.tolist()]
    return np.array(marked, object)


def _capital(values: Any) -> Any:
    return np.array([v if v is None else v[:1].upper() + v[1:] for v in values.tolist()], object)


def _mark(path: Path, *columns: str) -> None:
    table = pq.read_table(path)
    for name in columns:
        column = table[name].to_pylist()
        values = pa.array([None if v is None else f"{MARK}{v}" for v in column], pa.string())
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, path, compression="zstd")


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
