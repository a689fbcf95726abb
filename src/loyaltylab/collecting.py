"""What may leave an engine: aggregates, which are few rows, whatever the size of the dataset."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from loyaltylab.errors import LabError

_OURS = Path(__file__).parent
_HERE = (__file__, str(_OURS / "spark_backend.py"), contextlib.__file__)


class Bounded:
    """An Ibis backend that gives pandas and Arrow no more than `most_rows` rows of an expression.

    Beyond that it raises LabError, after one row more: what is too much is never held. A stream of
    batches (`to_pyarrow_batches`) and a file (`to_parquet`, `to_csv`) hold a part at a time and have
    no such bound; `whole` lifts it for what only works on all rows at once.
    """

    most_rows: int | None = None

    def execute(self, expr: ir.Expr, /, *, limit: Any = None, **options: Any) -> Any:
        return self._bounded(super().execute, expr, limit, options)  # type: ignore[misc]

    def to_pyarrow(self, expr: ir.Expr, /, *, limit: Any = None, **options: Any) -> Any:
        return self._bounded(super().to_pyarrow, expr, limit, options)  # type: ignore[misc]

    def _bounded(
        self, take: Callable[..., Any], expr: ir.Expr, limit: Any, options: dict[str, Any]
    ) -> Any:
        most = self.most_rows
        if most is None or isinstance(expr, ir.Scalar):
            return take(expr, limit=limit, **options)
        # Ibis says "default" where its user said nothing.
        asked = limit if isinstance(limit, int) else most + 1
        found = take(expr, limit=min(asked, most + 1), **options)
        if len(found) > most:
            raise LabError(
                f"{_asking()}: expected at most {most:,} rows to leave the engine, found more, of "
                f"{', '.join(expr.as_table().columns)}. Aggregate them in the engine first, or set "
                "engine: {most_rows: …} in dataset.yml if memory holds them."
            )
        return found


def _asking() -> str:
    """Where rows were asked for: the last place that is not of Ibis or of this module."""
    frames = traceback.extract_stack()
    place = next(
        f for f in reversed(frames) if "/ibis/" not in f.filename and f.filename not in _HERE
    )
    path = Path(place.filename)
    if path.is_relative_to(_OURS):
        path = path.relative_to(_OURS)
    elif "ipykernel" in place.filename:
        return f"a cell of the notebook, line {place.lineno}"
    return f"{path if not path.is_absolute() else path.name}, line {place.lineno}"


@contextlib.contextmanager
def whole(con: Any) -> Iterator[None]:
    """Take all rows of an expression, however many. For rows of persons or records in a few narrow
    columns that have to be walked in this process: each use says why."""
    # A table of this process's memory belongs to an engine of Ibis's own, which has no bound.
    before, con.most_rows = getattr(con, "most_rows", None), None
    try:
        yield
    finally:
        con.most_rows = before
