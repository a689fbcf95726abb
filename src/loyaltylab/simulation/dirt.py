"""What goes wrong between a company's systems and its exports; each defect is written down.

A table is a dict of columns of equal length; defects are put into it in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.simulation.arrays import Flags, Ints, Texts, random, texts
from loyaltylab.world import World

Table = dict[str, Any]

# A byte that is no UTF-8 stands as a letter of the private area until the file is written.
PRIVATE = 0xF700
_CURRENCIES = {"NOK": 11.6, "GBP": 0.85}  # for one EUR
_MARKUP = ("<b>{}</b>", "{}<br/>", '<script>alert("{}")</script>', "&lt;{}&gt;")
_FORMULAS = ("={}", "+{}", '=HYPERLINK("http://shop.example","{}")', "@SUM({})")
_CONTROLS = ("\x07{}", "{}\x1f", "{}\x0b", "\xa0{}")


class Dirt:
    """Puts defects into tables, and keeps what `defects` tells of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = random(world.seed, "dirt")
        self._noted: list[pd.DataFrame] = []

    def defects(self) -> pd.DataFrame:
        """Grain: one defect. Columns file, row (1 is the first after the header), column, kind, was
        (the right value; missing where a row is a repetition)."""
        names = ["file", "row", "column", "kind", "was"]
        noted = [table for table in self._noted if len(table)]
        if not noted:
            return pd.DataFrame({name: pd.Series(dtype=str) for name in names})
        return pd.concat(noted, ignore_index=True).sort_values(["file", "row"], kind="stable")

    def _change(
        self,
        table: Table,
        file: str,
        column: str,
        kind: str,
        rate: float,
        change: Callable[[Any], Any],
        *,
        among: Flags | None = None,
    ) -> Ints:
        values = table[column]
        hit = self.rng.random(len(values)) < rate
        if among is not None:
            hit &= among
        rows = np.flatnonzero(hit)
        was = values[rows].copy()
        values[rows] = change(was)
        self._note(file, rows, column, kind, was)
        return rows

    def _note(self, file: str, rows: Ints, column: str, kind: str, was: Any) -> None:
        noted = {"file": file, "row": rows + 1, "column": column, "kind": kind}
        self._noted.append(
            pd.DataFrame(noted | {"was": [None if w is None else str(w) for w in was]})
        )

    def names(self, table: Table, file: str, given: str, family: str, *, broken: bool) -> None:
        """HTML, formulas, control characters and misread letters in names; one kind each a name."""
        world = self.world
        clean = np.array([value is not None for value in table[given]], dtype=bool)
        for kind, rate, forms in (
            ("markup", world.markup_in_names, _MARKUP),
            ("formula", world.formulas_in_names, _FORMULAS),
            ("control_character", world.control_characters, _CONTROLS),
        ):
            change = self._formed(forms)
            clean[self._change(table, file, given, kind, rate, change, among=clean)] = False
        letters = [name is not None and not name.isascii() for name in table[family]]
        special = np.array(letters, dtype=bool)
        rate, kind = world.misread_letters, "misread_letters"
        special[self._change(table, file, family, kind, rate, _misread, among=special)] = False
        if broken:
            rate, kind = world.broken_bytes, "broken_bytes"
            self._change(table, file, family, kind, rate, _broken, among=special)

    def _formed(self, forms: tuple[str, ...]) -> Callable[[Texts], Texts]:
        def change(was: Texts) -> Texts:
            which = self.rng.integers(0, len(forms), len(was))
            return texts([forms[i].format(name) for i, name in zip(which, was, strict=True)])

        return change

    def dates(self, table: Table, file: str, column: str, forms: tuple[str, ...]) -> Flags:
        """Days that never were, in the file's own format; missing ones stay so."""
        there = np.array([value is not None for value in table[column]], dtype=bool)
        rate = self.world.impossible_dates
        hit = self._change(
            table, file, column, "impossible_date", rate, self._formed(forms), among=there
        )
        return _flags(len(there), hit)

    def money(
        self, table: Table, file: str, amounts: tuple[str, ...], currency: str, clean: Flags
    ) -> Flags:
        """Negative amounts and foreign currencies among clean rows; returns which are still clean.

        amounts : the columns of money, the order's amount first.
        """
        world, clean = self.world, clean.copy()
        rate, kind = world.negative_amounts, "negative_amount"
        hit = self._change(table, file, amounts[0], kind, rate, np.negative, among=clean)
        clean[hit] = False
        codes = texts(list(_CURRENCIES))

        def change(was: Texts) -> Texts:
            return codes[self.rng.integers(0, len(codes), len(was))]

        rate, kind = world.foreign_currencies, "foreign_currency"
        hit = self._change(table, file, currency, kind, rate, change, among=clean)
        worth = np.array([_CURRENCIES[code] for code in table[currency][hit]])
        for column in amounts:
            table[column][hit] = (table[column][hit] * worth).round(2)
        clean[hit] = False
        return clean

    def repeated(self, table: Table, file: str, clean: Flags) -> Table:
        """The table with some of its clean rows again at its end, as when an export runs twice."""
        hit = np.flatnonzero((self.rng.random(len(clean)) < self.world.repeated_rows) & clean)
        self._note(file, len(clean) + np.arange(len(hit)), "", "repeated_row", [None] * len(hit))
        return {name: np.concatenate([values, values[hit]]) for name, values in table.items()}


def _flags(size: int, rows: Ints) -> Flags:
    flags = np.zeros(size, bool)
    flags[rows] = True
    return flags


def _misread(was: Texts) -> Texts:
    """UTF-8 read as Windows' Western letters: Müller becomes MÃ¼ller."""
    return texts([name.encode().decode("cp1252", errors="ignore") for name in was])


def _broken(was: Texts) -> Texts:
    """A letter's Latin-1 byte in a UTF-8 file."""
    return texts(
        [
            "".join(c if c.isascii() else chr(PRIVATE + (ord(c) & 0xFF)) for c in name)
            for name in was
        ]
    )
