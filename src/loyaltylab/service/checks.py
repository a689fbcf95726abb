"""How far what was found agrees with what is known. Grain in: one ticket."""

from __future__ import annotations

import ibis.expr.types as ir
import pandas as pd
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from loyaltylab.service.sentiment import Sentiment
from loyaltylab.service.themes import NONE, Themes


def likeness(found: Themes) -> dict[str, float]:
    """Themes beside the topics that the help desk gave the same tickets; missing without such tickets.

    tickets : with both; covered : share of all tickets with a topic that have a theme; purity : share
    whose topic is the most frequent of their theme; naive : purity of a single theme for all; rand :
    adjusted Rand index (Hubert & Arabie 1985, J. Classification 2, 193–218; 0: as chance would).
    """
    topical = found.texts[(found.texts["kind"] == "ticket") & found.texts["topic"].notna()]
    both = topical[topical["theme"] != NONE]
    if both.empty:
        missing = dict.fromkeys(("covered", "purity", "naive", "rand"), float("nan"))
        return {"tickets": 0} | missing
    counts = pd.crosstab(both["theme"], both["topic"]).to_numpy()
    return {
        "tickets": len(both),
        "covered": len(both) / len(topical),
        "purity": float(counts.max(axis=1).sum() / len(both)),
        "naive": float(counts.sum(axis=0).max() / len(both)),
        "rand": float(adjusted_rand_score(both["topic"], both["theme"])),
    }


def tone_told(tickets: ir.Table, moods: ir.Table, found: Sentiment) -> dict[str, float]:
    """How well the tone of tickets tells who is satisfied. tickets, auc (½: as a coin would).

    tickets : ticket_id, person_id, opened_at, text; moods : person, since, satisfaction (from then on,
    0 in the mean). The mood when the ticket was opened counts as satisfied above 0.
    """
    before = tickets.join(moods, tickets["person_id"] == moods["person"])
    before = before.filter(before["since"] <= before["opened_at"], before["text"].notnull())
    last = before.group_by("ticket_id").agg(
        text=before["text"].arbitrary(), mood=before["satisfaction"].argmax(before["since"])
    )
    table = last.order_by("ticket_id").to_pandas()
    satisfied = table["mood"] > 0
    if satisfied.nunique() < 2:
        return {"tickets": len(table), "auc": float("nan")}
    chance = found.model.judged(table["text"])["chance"]
    return {"tickets": len(table), "auc": float(roc_auc_score(satisfied, chance))}
