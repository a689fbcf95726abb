"""How far a notebook's run is, for who looks on. Grain: one run of one notebook.

In a terminal one line says it, written anew each second. Where make runs several notebooks at once
(-j), or the terminal cannot go back in a line, each says it in whole lines, which do not garble. Where
nobody looks on (a pipe, CI, make --output-sync) it says nothing.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

LINE_EVERY, LINES_EVERY = 1.0, 10.0  # seconds
KNOWN_FROM = 3  # cells, before their mean says anything of those to come
PACE_FROM = 2.0  # seconds of last time, before they say whether this time is slower


class Progress:
    """Says how far a run is while its block lasts; `begin` and `end` tell of each cell.

    name : of the notebook, without ending. cells : ids of all its cells, in order.
    last : id → seconds that the cell took last time; empty if there was none.
    """

    def __init__(
        self,
        name: str,
        cells: Sequence[str],
        last: Mapping[str, float],
        stream: TextIO,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds: dict[str, float] = {}  # of each cell that is done
        self._name, self._cells, self._last = name, list(cells), last
        self._stream, self._clock = stream, clock
        self._began = self._cell_began = clock()
        self._current: str | None = None
        self._over = threading.Event()
        self._writer: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if self._stream.isatty():
            self._writer = threading.Thread(target=self._write, args=[_one_line()], daemon=True)
            self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._writer:
            self._writer.join()

    def begin(self, cell: str) -> None:
        """A cell begins. One that is not of `cells`, such as papermill's own, does not count."""
        if cell in self._cells:
            self._current, self._cell_began = cell, self._clock()

    def end(self, cell: str) -> None:
        if cell == self._current:
            self.seconds[cell] = self._clock() - self._cell_began

    @property
    def place(self) -> str:
        """As "cell 12 of 45", counted as JupyterLab does; "start" before the first."""
        if self._current is None:
            return "start"
        return f"cell {self._cells.index(self._current) + 1} of {len(self._cells)}"

    def line(self) -> str:
        """What is said now, as "03_retention: cell 12 of 45, 8 s, about 20 s left"."""
        now = self._clock()
        words = [self.place]
        if self._current is not None:
            words.append(duration(now - self._began))
        if (rest := self._left(now)) is not None:
            words.append(about(rest))
        return f"{self._name}: {', '.join(words)}"

    def _left(self, now: float) -> float | None:
        """Seconds that the rest takes, if each cell takes what it took last time at the pace of those
        that are done, or else as many as those on average. None while nothing says it."""
        known = [cell for cell in self.seconds if cell in self._last]
        expected = sum(self._last[cell] for cell in known)
        pace = sum(self.seconds[cell] for cell in known) / expected if expected > PACE_FROM else 1
        begun = 0 if self._current is None else self._cells.index(self._current)
        rest = [cell for cell in self._cells[begun:] if cell not in self.seconds]
        if self._last:
            left = {cell: self._last.get(cell, 0) * pace for cell in rest}
        elif len(self.seconds) >= KNOWN_FROM:
            # Over the cells of prose as well, which take no time: some are still to come.
            left = dict.fromkeys(rest, sum(self.seconds.values()) / begun)
        else:
            return None
        if self._current in left:
            left[self._current] = max(0.0, left[self._current] - (now - self._cell_began))
        return sum(left.values())

    def _write(self, one_line: bool) -> None:
        while not self._over.is_set():
            if one_line:
                # Cut to the window: what has run over into a second line cannot be taken back.
                width = shutil.get_terminal_size().columns - 1
                self._say(f"\r\033[K{self.line()[:width]}")
            else:
                self._say(f"{self.line()}\n")
            self._over.wait(LINE_EVERY if one_line else LINES_EVERY)
        if one_line:
            self._say("\r\033[K")

    def _say(self, text: str) -> None:
        """At once and whole."""
        self._stream.write(text)
        self._stream.flush()


def _one_line() -> bool:
    """Whether this run has the terminal for itself, and the terminal can take a line back."""
    # How make -j tells what it runs; it names it --jobserver-fds before 4.2.
    together = "--jobserver" in os.environ.get("MAKEFLAGS", "")
    return not together and os.environ.get("TERM", "dumb") != "dumb"


def duration(seconds: float) -> str:
    """As "8 s", "2 min 5 s" or "1 h 5 min"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def about(seconds: float) -> str:
    """What is left, no finer than such a guess can be."""
    if seconds < 10:
        return "a few seconds left"
    if seconds <= 50:
        return f"about {math.ceil(seconds / 10) * 10} s left"
    minutes = math.ceil(seconds / 60 - 0.25)
    if minutes < 10:
        return f"about {minutes} min left"
    if minutes <= 60:
        return f"about {math.ceil(minutes / 5) * 5} min left"
    return "more than an hour left"


def seconds_of(path: Path) -> dict[str, float]:
    """What the cells took last time, by id; empty if that is not known."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(cell): float(seconds) for cell, seconds in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
