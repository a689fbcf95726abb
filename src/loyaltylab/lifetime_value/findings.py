"""What the page on lifetime value records and says of forecasts side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.language import phrase
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


def names() -> dict[str, str]:
    """What a reader calls each forecast, in the language in use; before a colon the short name."""
    return {key: phrase(name) for key, name in NAMES.items()}


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
                    definition=", ".join([phrase(definition), over]),
                )
        for measure, definition in _RANKS.items():
            if pd.notna(row[measure]):
                numbers.record(
                    f"lifetime_value.{prefix}holdout_{measure}",
                    row[measure],
                    unit=_UNITS.get(measure, "share"),
                    n=customers,
                    definition=phrase(definition),
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
        if off:
            meaning = (
                "parameter {parameter} of {name}, fitted to the whole period, in weeks (no best fit "
                "within bounds: where the search ended)"
            )
        elif drawn:
            meaning = "parameter {parameter} of {name}, of the weeks before the hold-out, in weeks"
        else:
            meaning = "parameter {parameter} of {name}, fitted to the whole period, in weeks"
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
                definition=phrase(meaning, parameter=parameter, name=name),
            )
        numbers.record(
            f"lifetime_value.{name}.log_likelihood",
            fit.log_likelihood,
            unit="number",
            n=fit.customers,
            definition=phrase(
                "log-likelihood of {name} fitted to the whole period in weeks (no best fit within "
                "bounds: where the search ended)"
                if off
                else "log-likelihood of {name} fitted to the whole period in weeks",
                name=name,
            ),
        )


def champion_finding(ranked: pd.DataFrame, final: pd.DataFrame, *, origins: int, weeks: int) -> str:
    """Which model is trusted and what that choice cost, from `ranking` and the hold-out's `scores`."""
    name = str(ranked.index[0])
    models = final.loc[[n for n in ranked.index if n in final.index], "crps"]
    best, regret = str(models.idxmin()), float(models[name] / models.min() - 1)
    text = sentence(
        "## The forecast is that of {champion}\n\n"
        "It was chosen before the hold-out was looked at. From each of {origins} earlier days {models} "
        "models forecast the weeks that followed: the lowest score wins, and all models combined where "
        "no single one is better than they are beyond chance. The score (CRPS) counts how far the "
        "probabilities given were from what came.",
        champion=phrase(NAMES[name]),
        origins=origins,
        models=len(ranked),
    )
    if best == name:
        cost = (
            "Over the {weeks} weeks of the hold-out, which the choice did not see, no model scored "
            "better."
        )
    elif regret < _SAME:
        cost = (
            "Over the {weeks} weeks of the hold-out, which the choice did not see, {best} scored as "
            "well."
        )
    else:
        cost = (
            "Over the {weeks} weeks of the hold-out, which the choice did not see, {best} scored "
            "{regret:.1%} better: that is what the rule cost."
        )
    return f"{text} " + sentence(cost, weeks=weeks, best=phrase(NAMES[best]), regret=regret)


def challenger_finding(difference: pd.Series, scores: pd.DataFrame, *, champion: str) -> str:
    """Gradient boosting against the champion, from its row of `differences` and `scores`."""
    verdict = {
        "worse": "**Machine learning does not beat the model.**",
        "better": "**Machine learning beats the model.**",
        "no different": "**Machine learning is no better and no worse than the model.**",
    }[difference["verdict"]]
    return f"{phrase(verdict)} " + sentence(
        "Gradient boosting, which learns from what customers alike did "
        "before and knows no theory of buying, scores {boosting:.3f} against {own:.3f} of {champion}: "
        "{by:+.1%} ({low:+.1%} to {high:+.1%}, 95% confidence; above 0 is worse).",
        boosting=scores["crps"]["boosting"],
        own=scores["crps"][champion],
        champion=phrase(NAMES[champion]),
        by=difference["difference"] / scores["crps"][champion],
        low=difference["low"] / scores["crps"][champion],
        high=difference["high"] / scores["crps"][champion],
    )


def list_finding(modelled: float, *, past: float) -> str:
    """Whether the model or past spend is the better guide to who will spend most.

    modelled, past : spend_gini of `money_scores`, missing where all spent the same.
    """
    if math.isnan(past) or math.isnan(modelled):
        return phrase(
            "All customers spent the same in the hold-out, so how well those who spend most can be "
            "picked out could not be tried."
        )
    advice = phrase(
        "For a list of customers to look after, past spend is the better and simpler guide; the model "
        "is for totals, budgets and for telling who has gone quiet."
        if past > modelled
        else "The model is the better guide for a list of customers to look after, too."
    )
    return sentence(
        "To pick out who spent most in the hold-out, sorting customers by what they had spent before "
        "reached {past:.0%} of perfect foresight, the model {modelled:.0%}. **{advice}**",
        past=past,
        modelled=modelled,
        advice=advice,
    )


def coverage_finding(table: pd.DataFrame, asked: Mapping[float, float]) -> str:
    """How often prediction intervals held, from `coverage`: heading and sentence. asked : what was asked
    of the model for each level (`recalibrated`)."""
    covered: dict[Any, float] = dict(zip(table["level"], table["covered"], strict=True))
    worst = max(abs(found - level) for level, found in covered.items())
    heading = phrase(
        "## Intervals for single customers hold what they say"
        if worst <= WITHIN
        else "## Intervals for single customers are off, and said to be"
    )
    told = [
        phrase("{level:.0%} intervals held {found:.1%}", level=level, found=found)
        for level, found in covered.items()
    ]
    moved = [
        phrase("for {level:.0%} {asked:.1%}", level=level, asked=nominal)
        for level, nominal in asked.items()
        if nominal != level
    ]
    said = phrase(
        "Of each customer the model says with what probability how many orders come. Over the hold-out "
        "{told} of the customers.",
        told=", ".join(told),
    )
    if moved:
        said += " " + phrase(
            "At earlier origins its intervals had held more or fewer than they said, so it is asked "
            "for what had held: {moved}.",
            moved=", ".join(moved),
        )
    return f"{heading}\n\n{said}"
