"""What part in first orders each channel is credited with, by four rules. Grain in: one touch.

None of them says what would happen without a channel: whoever was about to buy anyway may have come by
it, and whom it won may have come back by another. They are four ways to share out what was counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.journey.rates import weighed
from loyaltylab.journey.visits import DEALS

RULES = ("first", "last", "linear", "markov")
Floats = npt.NDArray[np.float64]


def markov(
    starts: npt.ArrayLike, moves: npt.ArrayLike, won: npt.ArrayLike, lost: npt.ArrayLike
) -> Floats:
    """Each channel's share of the removal effects of a first-order Markov chain; sums to 1.

    starts : ways that begin with each channel, (…, C); moves : from row to column, (…, C, C); won and
    lost : ways that end with each, with an order or without, (…, C). Counts, or weighed ones. A channel
    without any has a share of 0; all are missing where no order can be lost.

    Anderl, E., Becker, I., von Wangenheim, F. & Schumann, J. H. (2016), International Journal of
    Research in Marketing 33, 457–474: from a channel visitors go on as often as they were seen to; the
    chance of an order P is that of being absorbed by it, and the removal effect of channel i is
    1 − P(without i) / P, where who would come to i is lost. Steps from a channel to itself change
    nothing: they are where the way stays.
    """
    starts, moves, won, lost = (np.asarray(x, float) for x in (starts, moves, won, lost))
    out = moves.sum(-1) + won + lost
    with np.errstate(divide="ignore", invalid="ignore"):
        onward = np.where(out[..., None] > 0, moves / out[..., None], 0.0)
        ends = np.where(out > 0, won / out, 0.0)
        begins = starts / starts.sum(-1, keepdims=True)
        whole = _chance(begins, onward, ends)
        effects = []
        for channel in range(starts.shape[-1]):
            stays = np.ones(starts.shape[-1])
            stays[channel] = 0
            left = _chance(begins * stays, onward * stays, ends)
            effects.append(1 - left / whole)
        removed = np.stack(effects, axis=-1)
        removed = np.where(out > 0, np.maximum(removed, 0), 0.0)
        return np.asarray(removed / removed.sum(-1, keepdims=True))


def _chance(begins: Floats, onward: Floats, ends: Floats) -> Floats:
    """The chance to be absorbed by an order: begins · (I − onward)⁻¹ · ends."""
    inverse = np.eye(onward.shape[-1]) - onward
    reached = np.linalg.solve(inverse, ends[..., None])[..., 0]
    return np.asarray((begins * reached).sum(-1))


def credits(
    touches: pd.DataFrame,
    lengths: pd.DataFrame,
    names: Sequence[str],
    *,
    analysed: float,
    minimum: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Shares of first orders by channel. Grain: one channel with a touch.

    touches, lengths : of `paths`; names : of the channels. channel, touches, and for each of RULES the
    share, with _low and _high: of `draws` samples of deals with replacement (Efron 1979), each of which
    carries its ways as counts, the middle LEVEL of shares. Missing where no way led to an order. A
    channel of fewer than `minimum` deals is left out, and what it is credited with stays its own.
    """
    told, sized = weighed(touches, "touches", analysed), weighed(lengths, "touches", analysed)
    size = len(names)
    parts = _parts(told, sized, size)
    weights = np.random.default_rng(seed).multinomial(DEALS, np.full(DEALS, 1 / DEALS), size=draws)
    found = _shares(np.ones((1, DEALS)), parts)
    drawn = _shares(weights.astype(float), parts)
    tail = (1 - LEVEL) / 2
    table = pd.DataFrame({"channel": list(names)})
    table["touches"] = told.groupby("channel")["touches"].sum().reindex(range(size), fill_value=0)
    for rule in RULES:
        middle = found[rule][0]
        whole = drawn[rule][~np.isnan(drawn[rule]).any(axis=1)]
        table[rule] = middle
        ends = np.quantile(whole, [tail, 1 - tail], axis=0) if len(whole) else [np.nan, np.nan]
        table[f"{rule}_low"] = np.minimum(ends[0], middle)
        table[f"{rule}_high"] = np.maximum(ends[1], middle)
    deals = touches.groupby("channel")["deal"].nunique().reindex(range(size), fill_value=0)
    return table[(deals >= minimum).to_numpy()].reset_index(drop=True)


def _parts(told: pd.DataFrame, sized: pd.DataFrame, size: int) -> dict[str, Floats]:
    """The sums that the rules are made of, of each deal: (DEALS, …)."""

    def summed(rows: pd.DataFrame, values: Any, *codes: str) -> Floats:
        sums = np.zeros((DEALS, *[size] * len(codes)))
        places = tuple(rows[c].to_numpy(int) for c in ("deal", *codes))
        np.add.at(sums, places, np.asarray(values, float))
        return sums

    begins, ends, won = told["previous"].isna(), told["last"].astype(bool), told["won"].astype(bool)
    moves = told[~begins]
    return {
        "starts": summed(told[begins], told["touches"][begins], "channel"),
        "moves": summed(moves, moves["touches"], "previous", "channel"),
        "won": summed(told[ends & won], told["touches"][ends & won], "channel"),
        "lost": summed(told[ends & ~won], told["touches"][ends & ~won], "channel"),
        "first": summed(told[begins & won], told["touches"][begins & won], "channel"),
        "linear": summed(sized, sized["touches"] / sized["length"], "channel"),
    }


def _shares(weights: Floats, parts: dict[str, Floats]) -> dict[str, Floats]:
    """Each rule's shares, (draws, channels); weights : (draws, DEALS)."""
    sums = {name: np.tensordot(weights, part, axes=1) for name, part in parts.items()}
    told = {"first": sums["first"], "last": sums["won"], "linear": sums["linear"]}
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {rule: part / part.sum(-1, keepdims=True) for rule, part in told.items()}
    chain = [sums[name] for name in ("starts", "moves", "won", "lost")]
    return found | {"markov": markov(*chain)}
