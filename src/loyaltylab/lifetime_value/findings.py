"""What the page on lifetime value records and says of forecasts side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.lifetime_value.evaluation import WITHIN
from loyaltylab.lifetime_value.models import Combined, Fit
from loyaltylab.lifetime_value.pareto_ggg import ParetoGgg
from loyaltylab.numbers import Numbers, sentence

NAMES = {
    "nbd": "NBD: nobody leaves",
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "mbg_cnbd_k": "MBG/CNBD-k: regular buyers",
    "pareto_ggg": "Pareto/GGG: regular buyers",
    "combined": "all models combined",
    "boosting": "gradient boosting",
    "zero": "zero for everyone",
    "past_average": "everybody goes on as before",
    "segment_mean": "as people alike did before",
    "past_spend": "past spend (ranking only)",
}
_MEASURES = {
    "mae": ("orders", "mean absolute miss of the order days of a customer"),
    "rmse": ("orders", "root of the mean squared miss of the order days of a customer"),
    "bias": ("share", "(predicted - actual) / actual order days of all customers"),
    "crps": ("orders", "mean ranked probability score of a customer's order days"),
}
_RANKS = {
    "gini": "Gini of hold-out orders ranked by the forecast, over perfect foresight",
    "spearman": "rank correlation of forecast and hold-out orders",
    "lift": "hold-out orders of the tenth ranked highest, over a tenth of all",
    "spend_bias": "(predicted - actual) / actual money of all customers in the hold-out",
    "spend_gini": "Gini of hold-out money ranked by the forecast, over perfect foresight",
}
_SAME = 0.001  # of a score: no figure of the page shows less
_UNITS = {"spearman": "number", "lift": "times"}


def record_scores(
    numbers: Numbers, table: pd.DataFrame, *, champion: str, customers: int, over: str
) -> None:
    """Record lifetime_value.<forecast>.holdout_<measure> from `scores` joined with `money_scores`, and
    those of the champion as lifetime_value.holdout_<measure>, too. over : which weeks, in words."""
    rows: dict[str, pd.Series] = {f"{name}.": row for name, row in table.iterrows()}
    for prefix, row in (rows | {"": table.loc[champion]}).items():
        for measure, (unit, definition) in _MEASURES.items():
            if pd.notna(row[measure]):
                numbers.record(
                    f"lifetime_value.{prefix}holdout_{measure}",
                    row[measure],
                    low=row[f"{measure}_low"],
                    high=row[f"{measure}_high"],
                    level=LEVEL,
                    unit=unit,
                    n=customers,
                    definition=f"{definition}, {over}",
                )
        for measure, definition in _RANKS.items():
            if pd.notna(row[measure]):
                numbers.record(
                    f"lifetime_value.{prefix}holdout_{measure}",
                    row[measure],
                    unit=_UNITS.get(measure, "share"),
                    n=customers,
                    definition=definition,
                )


def record_fits(
    numbers: Numbers, fits: Mapping[str, Fit | Combined | ParetoGgg], *, currency: str
) -> None:
    """Record lifetime_value.<model>.<parameter> and .log_likelihood of fits to the whole period."""
    for name, fit in fits.items():
        if isinstance(fit, Combined):
            continue
        drawn = isinstance(fit, ParetoGgg)
        off = isinstance(fit, Fit) and fit.edge
        edge = " (no best fit within bounds: where the search ended)" if off else ""
        how = "of the weeks before the hold-out" if drawn else "fitted to the whole period"
        for parameter, value in fit.parameters.items():
            known = parameter in fit.low and not off
            numbers.record(
                f"lifetime_value.{name}.{parameter}",
                value,
                low=fit.low[parameter] if known else None,
                high=fit.high[parameter] if known else None,
                level=LEVEL if known else None,
                unit={"alpha": "weeks", "beta": "weeks", "v": currency}.get(parameter, "number"),
                n=fit.customers,
                definition=f"parameter {parameter} of {name}, {how}, in weeks{edge}",
            )
        numbers.record(
            f"lifetime_value.{name}.log_likelihood",
            fit.log_likelihood,
            unit="number",
            n=fit.customers,
            definition=f"log-likelihood of {name} fitted to the whole period in weeks{edge}",
        )


def champion_finding(ranked: pd.DataFrame, final: pd.DataFrame, *, origins: int, weeks: int) -> str:
    """Which model is trusted and what that choice cost, from `ranking` and the hold-out's `scores`."""
    name = str(ranked.index[0])
    models = final.loc[[n for n in ranked.index if n in final.index], "crps"]
    best, regret = str(models.idxmin()), float(models[name] / models.min() - 1)
    text = (
        "## The forecast is that of {champion}\n\n"
        "It was chosen before the hold-out was looked at. From each of {origins} earlier days {models} "
        "models forecast the weeks that followed: the lowest score wins, and all models combined where "
        "no single one is better than they are beyond chance. The score (CRPS) counts how far the "
        "probabilities given were from what came. "
    )
    text += "Over the {weeks} weeks of the hold-out, which the choice did not see, "
    if best == name:
        text += "no model scored better."
    elif regret < _SAME:
        text += "{best} scored as well."
    else:
        text += "{best} scored {regret:.1%} better: that is what the rule cost."
    return sentence(
        text,
        champion=NAMES[name],
        origins=origins,
        models=len(ranked),
        weeks=weeks,
        best=NAMES[best],
        regret=regret,
    )


def challenger_finding(difference: pd.Series, scores: pd.DataFrame, *, champion: str) -> str:
    """Gradient boosting against the champion, from its row of `differences` and `scores`."""
    verdict = {
        "worse": "does not beat the model",
        "better": "beats the model",
        "no different": "is no better and no worse than the model",
    }[difference["verdict"]]
    return sentence(
        "**Machine learning {verdict}.** Gradient boosting, which learns from what customers alike did "
        "before and knows no theory of buying, scores {boosting:.3f} against {own:.3f} of {champion}: "
        "{by:+.1%} ({low:+.1%} to {high:+.1%}, 95% confidence; above 0 is worse).",
        verdict=verdict,
        boosting=scores["crps"]["boosting"],
        own=scores["crps"][champion],
        champion=NAMES[champion],
        by=difference["difference"] / scores["crps"][champion],
        low=difference["low"] / scores["crps"][champion],
        high=difference["high"] / scores["crps"][champion],
    )


def coverage_finding(table: pd.DataFrame, asked: Mapping[float, float]) -> str:
    """How often prediction intervals held, from `coverage`: heading and sentence. asked : what was asked
    of the model for each level (`recalibrated`)."""
    covered: dict[Any, float] = dict(zip(table["level"], table["covered"], strict=True))
    worst = max(abs(found - level) for level, found in covered.items())
    heading = "hold what they say" if worst <= WITHIN else "are off, and said to be"
    told = ", ".join(
        sentence("{level:.0%} intervals held {found:.1%}", level=level, found=found)
        for level, found in covered.items()
    )
    moved = [
        sentence("for {level:.0%} {asked:.1%}", level=level, asked=nominal)
        for level, nominal in asked.items()
        if nominal != level
    ]
    text = (
        "## Intervals for single customers {heading}\n\n"
        "Of each customer the model says with what probability how many orders come. Over the hold-out "
        "{told} of the customers."
    )
    if moved:
        text += (
            " At earlier origins its intervals had held more or fewer than they said, so it is asked "
            "for what had held: {moved}."
        )
    return sentence(text, heading=heading, told=told, moved=", ".join(moved))
