"""The look of every figure: one theme, one palette, readable marks.

Colours are Okabe and Ito's (2008), told apart by people with any common colour blindness; blue is
what was observed, orange what a model says, grey what is only for comparison.
"""

from __future__ import annotations

import warnings
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, DateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, ScalarFormatter

from loyaltylab.figure_data import has_names
from loyaltylab.language import active, localised, phrase, shown

OBSERVED = "#0072B2"
MODEL = "#C65100"  # Okabe and Ito's vermilion, darkened to a contrast of 4.5 on white
NEUTRAL = "#666666"
INK = "#1A1A1A"
# From near white to a blue on which INK still has a contrast of 5.5: figures in cells stay readable.
SEQUENCE = LinearSegmentedColormap.from_list("sequence", ["#F3F8FC", "#4C9BD6"])

FONT = "DejaVu Sans"  # comes with matplotlib: the same layout on every machine

# What a text of the data holds between two dollar signs is no formula, whoever draws it: matplotlib
# would refuse it, or seaborn, which draws before a figure is shown.
plt.rcParams["text.parse_math"] = False
# A page leaves letters to the reader's fonts: what is not in the font of the layout is not missing.
warnings.filterwarnings("ignore", message="Glyph .* missing from font")
# For names, see `shorten`.
warnings.filterwarnings("ignore", message="constrained_layout not applied")

_STYLE: Any = {
    "font.family": FONT,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "text.color": "#222222",
    "xtick.bottom": False,
    "ytick.left": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


def new_axes(ax: Axes | None = None, *, width: float = 6.4, height: float = 3.4) -> Axes:
    """The axes given, or new ones in the house theme; sizes in inches."""
    if ax is not None:
        return ax
    with plt.rc_context(_STYLE):
        return plt.subplots(figsize=(width, height), layout="constrained")[1]


def panels(rows: int, columns: int = 1, *, width: float = 6.8, height: float = 1.7) -> list[Axes]:
    """Axes in rows and columns, row by row, with one axis of x below them; width of all of them and
    height of a row in inches."""
    with plt.rc_context(_STYLE):
        axes = plt.subplots(
            rows,
            columns,
            figsize=(width, height * rows),
            layout="constrained",
            sharex=True,
            squeeze=False,
        )[1]
    return list(axes.flat)


percent = FuncFormatter(lambda share, _: localised(f"{round(100 * share, 1):g}%"))
thousands = FuncFormatter(lambda count, _: shown(count, ",.0f"))


def date_axis(ax: Axes) -> None:
    """Dates along the bottom, as "Jan 1997", few enough to read."""
    ax.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=8))
    ax.xaxis.set_major_formatter(_Months("%b %Y"))


class _Months(DateFormatter):
    """Months along an axis, as the language in use names them."""

    def __call__(self, x: float, pos: int | None = 0) -> str:
        return shown(num2date(x), self.fmt)


class _Figures(ScalarFormatter):
    """matplotlib's own figures along an axis, as the language in use writes them."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        figures = super().__call__(x, pos)
        return figures if active() == "en" else localised(figures.replace("\N{MINUS SIGN}", "-"))


def localise(figure: Figure) -> None:
    """Axes that nobody chose a format for have figures as the language in use writes them."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(_Figures())


LONGEST = 48  # letters of a name in a figure


def shorten(figure: Figure) -> None:
    """Cut names along axes and in legends that would leave no room for what is drawn."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if has_names(axis):
                names = [label.get_text() for label in axis.get_majorticklabels()]
                if (short := [_short(name) for name in names]) != names:
                    axis.set_ticks(axis.get_majorticklocs(), short)
        legend = axes.get_legend()
        for label in legend.get_texts() if legend else ():
            label.set_text(_short(label.get_text()))


def _short(name: str) -> str:
    lines = name.split("\n")
    return "\n".join(n if len(n) <= LONGEST else f"{n[: LONGEST - 1]}…" for n in lines)


def nothing_yet(ax: Axes) -> Axes:
    """Axes that say that there is nothing to draw, rather than an empty frame."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, phrase("nothing to show yet"), ha="center", va="center", color=NEUTRAL)
    return ax
