"""Texts in files that are opened in a spreadsheet. Grain: one cell.

A cell that begins with one of these signs is computed on opening (CWE-1236), after blanks and quotes as
well, and so is what follows a semicolon or a tab where the spreadsheet takes that for the end of a cell.
Before each such sign comes one apostrophe, which makes it a text and which `read` takes away again.
Numbers are no texts and stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

# Spreadsheets for East Asian languages take the wide forms for the narrow ones.
_SIGNS = "=+@\\-＝＋－＠"
_BEGINS = r"""((?:^|[;\t\r\n])[\s"']*)"""
_FORMULA = re.compile(f"{_BEGINS}([{_SIGNS}])")
_QUOTED = re.compile(f"{_BEGINS[:-1]})'([{_SIGNS}])")


def cell(value: Any) -> Any:
    """A value as a cell may have it; of other types than text, itself."""
    return _FORMULA.sub(r"\1'\2", value) if isinstance(value, str) else value


def read(text: str) -> str:
    """The text that `cell` made this of."""
    return _QUOTED.sub(r"\1\2", text)
