"""A sheet of A4 to draw on, measured as a phone shows it: 390 wide, from the top left corner down."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from loyaltylab import plots

WIDTH = 390.0  # pixels of a phone
HEIGHT = WIDTH * 297 / 210
SMALLEST = 9.0  # of letters, in the same pixels: below that a phone's reader has to zoom
LINE = 1.22  # from one line to the next, in sizes of the letters
_INCHES = 210 / 25.4
_POINTS = _INCHES * 72 / WIDTH
RISE = 0.93  # from the top of a line to its letters' foot, in their size: accents on capitals fit
_ROOM = 1.02  # what is drawn in pixels is up to so much wider than it is on paper


@dataclass(frozen=True)
class Box:
    """A place on the sheet; `top` is how far it is from the upper edge."""

    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def below(self, by: float) -> Box:
        """What is left of it below its first `by`."""
        return Box(self.left, self.top + by, self.width, max(0.0, self.height - by))


@dataclass(frozen=True)
class Lines:
    """A text broken into lines that fit, and the size of its letters."""

    lines: tuple[str, ...]
    size: float
    bold: bool = False

    @property
    def height(self) -> float:
        return len(self.lines) * self.size * LINE


class Sheet:
    """A figure of matplotlib's with white paper."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(_INCHES, _INCHES * HEIGHT / WIDTH), facecolor="white")

    def put(
        self,
        lines: Lines,
        left: float,
        top: float,
        *,
        colour: str = plots.INK,
        align: str = "left",
    ) -> float:
        """Draw a text, and return where it ends below. left : its right edge or middle, if `align` says
        so."""
        for i, line in enumerate(lines.lines):
            foot = top + (i * LINE + RISE) * lines.size
            self.figure.text(
                left / WIDTH,
                1 - foot / HEIGHT,
                line,
                size=lines.size * _POINTS,
                weight="bold" if lines.bold else "normal",
                color=colour,
                ha=align,
                va="baseline",
            )
        return top + lines.height

    def rule(self, left: float, right: float, at: float, *, colour: str, width: float) -> None:
        """A line from left to right."""
        self.bar(Box(left, at - width / 2, right - left, width), colour=colour)

    def bar(self, box: Box, *, colour: str) -> None:
        """A filled box."""
        left, foot, wide, high = _place(box)
        self.figure.add_artist(Rectangle((left, foot), wide, high, color=colour, linewidth=0))

    def axes(self, box: Box) -> Axes:
        """Axes without frame, ticks or labels at a place."""
        ax = self.figure.add_axes(_place(box), facecolor="none")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        return ax


def _place(box: Box) -> tuple[float, float, float, float]:
    """In parts of the sheet, from the bottom left corner up."""
    return box.left / WIDTH, 1 - box.bottom / HEIGHT, box.width / WIDTH, box.height / HEIGHT


def points(pixels: float) -> float:
    """A width of lines as matplotlib takes it."""
    return pixels * _POINTS


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Of a line of text, as wide as it may come out."""
    words = text.split(" ")
    space = _advance("\N{NO-BREAK SPACE}", bold)
    return (sum(_advance(word, bold) for word in words) + space * (len(words) - 1)) * size * _ROOM


@functools.cache
def _advance(word: str, bold: bool) -> float:
    """How far a word of letters of size one goes: from a sign before it to one after."""
    font = FontProperties(family=plots.FONT, size=100, weight="bold" if bold else "normal")
    ends = [
        text_to_path.get_text_width_height_descent(t, font, False)[0] for t in (f"|{word}|", "||")
    ]
    return float(ends[0] - ends[1]) / 100


def one(text: str, size: float, room: float, *, bold: bool = False) -> Lines:
    """A text in one line, never cut: its letters are as small as the room asks."""
    needed = width(text, size, bold=bold)
    return Lines((text,), size * min(1.0, room / needed) if needed else size, bold)


def fitted(
    text: str,
    sizes: Sequence[float],
    room: float,
    *,
    most: int,
    bold: bool = False,
    even: bool = False,
) -> Lines:
    """A text in at most so many lines: in the first of `sizes` in which it fits, or else in the last and
    cut, with a sign of that.

    even : whether its lines are to be about as long as each other, so that none is of one word.
    """
    for size in sizes:
        lines = wrapped(text, size, room, bold=bold)
        if len(lines) <= most:
            return Lines(tuple(_evened(lines, size, room, bold) if even else lines), size, bold)
    kept, size = lines[:most], sizes[-1]
    while kept[-1] and width(f"{kept[-1]}…", size, bold=bold) > room:
        kept[-1] = kept[-1][:-1].rstrip()
    kept[-1] += "…"
    return Lines(tuple(kept), size, bold)


def _evened(lines: list[str], size: float, room: float, bold: bool) -> list[str]:
    """As many lines in as little room as they need."""
    text, enough, short = " ".join(lines), room, 0.0
    while len(lines) > 1 and enough - short > size / 4:
        tried = (enough + short) / 2
        broken = wrapped(text, size, tried, bold=bold)
        if len(broken) > len(lines) or " ".join(broken) != text:
            short = tried
        else:
            enough, lines = tried, broken
    return lines


def wrapped(text: str, size: float, room: float, *, bold: bool = False) -> list[str]:
    """Its lines, broken at spaces, or anywhere in a word that has no room in a line."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width(longer, size, bold=bold) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        while width(word, size, bold=bold) > room and len(word) > 1:
            end = next(
                n for n in range(len(word) - 1, 0, -1)
                if n == 1 or width(word[:n], size, bold=bold) <= room
            )  # fmt: skip
            lines.append(word[:end])
            word = word[end:]
        line = word
    return [*lines, line] if line else lines
