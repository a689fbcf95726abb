"""The customer-experience matrix as a figure, beside its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.growth.matrix import CONNECTED, MUCH, name
from loyaltylab.language import phrase, shown

_ROOM = 2.0  # points between two labels
# Where a label may stand, in points from its mark: near first, to the right and to the left.
_PLACES = [(dx, sign * dy) for dy in range(0, 82, 9) for sign in (1, -1) for dx in (7, -7, 28, -28)]


def plot_matrix(found: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Touchpoints by how connected and how used they are, in four quarters that say what to do."""
    if found.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, width=7.2, height=5.2)
    top = max(int(found["used"].max()), 2 * MUCH - 1) + 1.5
    ax.set(
        xlim=(-0.03, 1.05),
        ylim=(-1.3, top),
        xlabel=phrase("how connected: linked × complete × fresh"),
        ylabel=phrase("how used: pages that read it"),
    )
    ax.xaxis.set_major_formatter(plots.percent)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=False)
    ax.axvline(CONNECTED, color=plots.NEUTRAL, linewidth=1)
    ax.axhline(MUCH - 0.5, color=plots.NEUTRAL, linewidth=1)
    ax.plot(found["connected"], found["used"], "o", color=plots.OBSERVED)
    corners = [
        (0.01, top, "connect first", "left", "top"),
        (0.99, top, "keep", "right", "top"),
        (0.01, -1.25, "connect, or expect little", "left", "bottom"),
        (0.99, -1.25, "ask something", "right", "bottom"),
    ]
    words = [
        ax.annotate(
            phrase(text),
            (x, y),
            ha=across,
            va=along,
            color=plots.NEUTRAL,
            weight="bold",
            fontsize=10,
        )
        for x, y, text, across, along in corners
    ]
    _label(ax, found, words)
    rows = found.to_dict("records")
    told = pd.DataFrame(
        {
            "touchpoint": [name(row["table"], row["touchpoint"]) for row in rows],
            "connected": found["connected"],
            "pages that read it": found["used"],
        }
    )
    return tabulate(
        ax,
        told,
        "touchpoints by how connected and how used they are",
        formats={"connected": "{:.0%}"},
    )


def _label(ax: Axes, found: pd.DataFrame, taken: list[Annotation]) -> None:
    """The names of touchpoints where they cover no others and no mark, with a line to the mark where
    they do not stand beside it."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # so that sizes are known
    scale = figure.dpi / 72
    lines = (((CONNECTED, -1), (CONNECTED, 99)), ((-1, MUCH - 0.5), (2, MUCH - 0.5)))
    edges = [Bbox(ax.transData.transform(ends)).padded(scale) for ends in lines]
    told = _together(found)
    marks = [ax.transData.transform((at, used)) for at, used, _ in told]
    every = ax.transData.transform(found[["connected", "used"]].to_numpy(float))
    boxes = [Bbox([mark, mark]).padded(4 * scale) for mark in every]
    middle = ax.transData.transform((CONNECTED, MUCH - 0.5))
    names = [text.get_window_extent() for text in taken]
    for (at, used, words), mark in zip(told, marks, strict=True):
        text = ax.annotate(
            words,
            (at, used),
            xytext=(0, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": plots.NEUTRAL, "linewidth": 0.6, "shrinkB": 3},
        )
        text.set_in_layout(False)
        size = np.array(Text.get_window_extent(text).size)

        def placed(place: tuple[int, int], size: Any = size, mark: Any = mark) -> Bbox:
            """Where the letters stand if the label is put there, with room around them."""
            x, y = mark + scale * np.array(place)
            left = x if place[0] > 0 else x - size[0]
            box = Bbox.from_bounds(left, y - size[1] / 2, *size)
            return box.padded(_ROOM * scale)

        def lost(place: tuple[int, int], mark: Any = mark) -> int:
            """How much a label covers there, or its line crosses."""
            box = placed(place)
            out = box.x0 < ax.bbox.x0 or box.x1 > ax.bbox.x1
            out |= box.y0 < ax.bbox.y0 or box.y1 > ax.bbox.y1
            near = np.array([np.clip(mark[0], box.x0, box.x1), (box.y0 + box.y1) / 2])
            line = mark + np.linspace(0, 1, 20)[:, None] * (near - mark)
            crossed = any(other.contains(*point) for other in names for point in line)
            astray = bool(((near > middle) != (mark > middle)).any())  # in another quarter
            covered = 3 * sum(box.overlaps(other) for other in boxes)
            covered += 20 * sum(box.overlaps(other) for other in names)
            covered += 2 * sum(box.overlaps(other) for other in edges)
            return 40 * out + covered + 6 * crossed + 4 * astray

        best = min(_PLACES, key=lost)  # of several the nearest
        text.set(position=best, ha="left" if best[0] > 0 else "right")
        names.append(placed(best))
        if text.arrow_patch is not None:
            text.arrow_patch.set_visible(best[1] != 0 or abs(best[0]) > _NEAR)


_NEAR = 7  # points from its mark, where a label needs no line to it


def _together(found: pd.DataFrame) -> list[tuple[float, int, str]]:
    """Where labels point to, and what they say: marks that stand as good as in one place have one."""
    rows = found.sort_values(["used", "connected"], ascending=False)
    step = rows["connected"].diff().abs().gt(_SAME) | rows["used"].diff().ne(0)
    labels = []
    for _, part in rows.groupby(step.cumsum(), sort=False):
        lines = [
            name(str(table), ", ".join(sorted(own["touchpoint"])))
            for table, own in part.groupby("table")
        ]
        place = part.iloc[len(part) // 2]
        labels.append((float(place["connected"]), int(place["used"]), "\n".join(lines)))
    return labels


_SAME = 0.03  # of the axis: marks nearer than that to each other share a label


def describe_matrix(found: pd.DataFrame) -> str:
    """What plot_matrix shows, in words."""
    if found.empty:
        return phrase("Matrix without points: there is no touchpoint yet.")
    said = [
        phrase(
            "{name} {connected} by {used}",
            name=name(row["table"], row["touchpoint"]),
            connected=shown(row["connected"], ".0%"),
            used=row["used"],
        )
        for row in found.to_dict("records")
    ]
    return phrase(
        "Points of touchpoints by how connected they are and by how many pages read them, in four "
        "quarters: {said}.",
        said="; ".join(said),
    )
