"""The look of every figure: one theme, one palette, readable marks.

Colours are Okabe and Ito's (2008), told apart by people with any common colour blindness; blue is
what was observed, orange what a model says, grey what is only for comparison.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter

OBSERVED = "#0072B2"
MODEL = "#C65100"  # Okabe and Ito's vermilion, darkened to a contrast of 4.5 on white
NEUTRAL = "#767676"
INK = "#1A1A1A"
# From near white to a blue on which INK still has a contrast of 5.5: figures in cells stay readable.
SEQUENCE = LinearSegmentedColormap.from_list("sequence", ["#F3F8FC", "#4C9BD6"])

_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same layout on every machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E5E5E5",
    "text.color": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


def new_axes(ax: Axes | None = None, *, width: float = 7.2, height: float = 3.6) -> Axes:
    """The axes given, or new ones in the house theme; sizes in inches."""
    if ax is not None:
        return ax
    with sns.axes_style("whitegrid", rc=_STYLE), plt.rc_context(_STYLE):
        return plt.subplots(figsize=(width, height), layout="constrained")[1]


percent = FuncFormatter(lambda share, _: f"{share:.0%}")
thousands = FuncFormatter(lambda count, _: f"{count:,.0f}")
