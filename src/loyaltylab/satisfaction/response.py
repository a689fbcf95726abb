"""Who answers: the chance of an answer by what was known when asked. Grain in: one invitation.

Equal invitations are counted, and the model sees the counts. One model for each instrument.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning, SingularMatrixWarning

from loyaltylab.intervals import Z, clustered_error, holm
from loyaltylab.language import phrase
from loyaltylab.satisfaction.breakdown import Floats, group_name
from loyaltylab.satisfaction.invitations import NOMINAL, NUMERIC, UNKNOWN

LARGEST = 5.0  # times the mean weight: what is above is cut to that
_RARE = 10  # answers, and refusals, that a level needs for a parameter of its own
_PER_PARAMETER = 10  # the same for each parameter of the model (Peduzzi et al. 1996)
SINGULAR = 1e-10  # of the largest eigenvalue: below it, a direction that the data do not tell
Ints = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class Terms:
    """How kinds of invitations become columns of a design.

    centres : of the numbers; levels : of each nominal feature, those that have a column, the others
    counting as the commonest; new : whether those without an order before have one; plain : whether
    there is a constant alone, since there are too few answers for more.
    """

    centres: dict[str, float]
    levels: dict[str, list[str]]
    new: bool
    plain: bool

    def design(self, kinds: pd.DataFrame) -> Floats:
        """kinds × columns: a constant, each number and its square, and the levels."""
        columns: list[Any] = [np.ones(len(kinds))]
        if self.plain:
            return np.column_stack(columns)
        for name, centre in self.centres.items():
            value = (kinds[name] - centre).fillna(0).to_numpy(float)
            columns += [value, value**2]
        if self.new:
            columns.append(kinds["tenure"].isna().to_numpy(float))
        for name, levels in self.levels.items():
            columns += [kinds[name].eq(level).to_numpy(float) for level in levels]
        return np.column_stack(columns)


@dataclass(frozen=True)
class Response:
    """The chance of an answer to one instrument.

    kinds : grain: one kind of invitation; features, invited, answered, chance (of an answer, as
    fitted); tenure in years. parameters and bread (inverse of the information) of the logistic
    model. kind, person, score : of each invitation; score is missing where there is no answer.
    """

    instrument: str
    kinds: pd.DataFrame
    terms: Terms
    parameters: Floats
    bread: Floats
    kind: Ints
    person: Ints
    score: Floats

    @property
    def answered(self) -> Any:
        """Whether each invitation was answered."""
        return ~np.isnan(self.score)

    def influence(self, gradient: Floats) -> Floats:
        """What each invitation adds to the error of a function of the parameters with this gradient."""
        lean = self.terms.design(self.kinds) @ (self.bread @ gradient)
        return lean[self.kind] * (self.answered - self.kinds["chance"].to_numpy()[self.kind])


def fit(rows: pd.DataFrame, instrument: str) -> Response:
    """Logistic regression of answering on tenure, orders, recency, touchpoint, channel and tickets.

    rows : `invitations.frame`. Each number enters with its square. Levels with fewer than ten answers or
    refusals count as the commonest one; with fewer than ten of either for each parameter, all
    invitations are taken to be alike. Raises ValueError without any invitation to the instrument.
    """
    part = rows[rows["instrument"] == instrument]
    if part.empty:
        raise ValueError(f"instrument: expected one that was asked, got {instrument}.")
    features = part[[*NUMERIC, *NOMINAL]].astype(dict.fromkeys(NUMERIC, float))
    features["tenure"] = (features["tenure"] + 0.5) / 12  # the middle of a month
    coded = pd.DataFrame({name: features[name].fillna(-1) for name in NUMERIC})
    for name in NOMINAL:
        coded[name] = features[name].astype("category").cat.codes
    kind = coded.groupby([*coded], sort=True).ngroup().to_numpy()
    _, first = np.unique(kind, return_index=True)
    kinds = features.iloc[first].astype(dict.fromkeys(NOMINAL, object)).reset_index(drop=True)
    score = part["score"].to_numpy(float)
    kinds["invited"] = np.bincount(kind)
    kinds["answered"] = np.bincount(kind, weights=~np.isnan(score)).astype(int)
    terms = _terms(kinds)
    parameters, bread = _logistic(kinds, terms)
    kinds["chance"] = expit(terms.design(kinds) @ parameters)
    if kinds["answered"].sum() in (0, len(part)):
        kinds["chance"] = float(kinds["answered"].any())
    person = part["person"].to_numpy()
    return Response(instrument, kinds, terms, parameters, bread, kind, person, score)


def _terms(kinds: pd.DataFrame) -> Terms:
    known = kinds.dropna(subset=list(NUMERIC))
    centres = {
        name: float(np.average(known[name], weights=known["invited"]))
        for name in NUMERIC
        if known[name].nunique() > 1
    }
    levels = {}
    for name in NOMINAL:
        counts = kinds.groupby(name)[["invited", "answered"]].sum()
        common = counts["invited"].idxmax() if len(counts) else None
        often = _both(counts) >= _RARE
        levels[name] = [level for level in counts.index[often] if level != common]
    new = kinds.loc[kinds["tenure"].isna(), ["invited", "answered"]].sum()
    terms = Terms(centres, levels, len(known) > 0 and bool(_both(new) >= _RARE), plain=False)
    needed = _PER_PARAMETER * terms.design(kinds.head(1)).shape[1]
    plain = bool(_both(kinds[["invited", "answered"]].sum()) < needed)
    return Terms(terms.centres, terms.levels, terms.new, plain)


def _both(counts: Any) -> Any:
    """The smaller of how many answered and how many did not."""
    return np.minimum(counts["answered"], counts["invited"] - counts["answered"])


def _logistic(kinds: pd.DataFrame, terms: Terms) -> tuple[Floats, Floats]:
    """Parameters and inverse information; of a constant alone in closed form."""
    design = terms.design(kinds)
    invited, answered = kinds["invited"].to_numpy(), kinds["answered"].to_numpy()
    if terms.plain:
        asked, said = invited.sum(), answered.sum()
        refused = asked - said
        lean = np.log(said / refused) if said and refused else 0.0
        spread = asked / (said * refused) if said and refused else 0.0
        return np.array([lean]), np.array([[spread]])
    counts = np.column_stack([answered, invited - answered])
    model = sm.GLM(counts, design, family=sm.families.Binomial())
    with warnings.catch_warnings():
        # Features that go together, and as many parameters as kinds, fit exactly or in several ways:
        # the chances are the same, and nothing else is asked of the model.
        for kind in (PerfectSeparationWarning, SingularMatrixWarning, RuntimeWarning):
            warnings.simplefilter("ignore", kind)
        parameters = model.fit().params
    chance = expit(design @ parameters)
    information = (design * (invited * chance * (1 - chance))[:, None]).T @ design
    return parameters, np.linalg.pinv(information, rcond=SINGULAR, hermitian=True)


def auc(model: Response) -> float:
    """How well the model tells answers from refusals, 0.5 as a coin; missing without both of them.

    Of the same invitations that it was fitted to: the size of what is known, not a forecast.
    """
    ranked = model.kinds.groupby("chance")[["invited", "answered"]].sum()
    said = ranked["answered"].to_numpy(float)
    refused = ranked["invited"].to_numpy(float) - said
    pairs = said.sum() * refused.sum()
    below = refused.cumsum() - refused
    return float((said * (below + refused / 2)).sum() / pairs) if pairs else float("nan")


def who_answers(model: Response) -> pd.DataFrame:
    """How much more often some answer than others, all else equal. Grain: one contrast.

    instrument, who, more (mean difference of the chance of an answer, in shares), low, high (normal, at
    LEVEL; delta method, errors clustered by person), p (Holm over the contrasts). Nothing is said of
    levels that are not known. Empty where the model has a constant alone.
    """
    kinds, known = model.kinds, model.kinds["tenure"].notna()
    pairs: list[tuple[str, pd.DataFrame, pd.DataFrame]] = []
    if not model.terms.plain:
        ordered = kinds[known]
        for name in model.terms.centres:
            more = ordered.assign(**{name: ordered[name] + 1})
            pairs.append((phrase(_MORE[name]), more, ordered))
        for name, levels in model.terms.levels.items():
            usual = str(kinds.groupby(name)["invited"].sum().idxmax()) if levels else ""
            for level in (level for level in levels if level != UNKNOWN):
                words = _rather(name, level, usual)
                pairs.append((words, kinds.assign(**{name: level}), kinds.assign(**{name: usual})))
    told = [
        {"instrument": model.instrument, "who": w} | _contrast(model, a, b) for w, a, b in pairs
    ]
    table = pd.DataFrame(told, columns=["instrument", "who", "more", "low", "high", "p"])
    return table.assign(p=holm(table["p"]))


_MORE = {
    "tenure": "customers for a year longer",
    "orders": "customers with twice as many orders",
    "recency": "customers whose last order is twice as long ago",
}
_LEVELS = {
    "touchpoint": "those asked at {level} rather than {usual}",
    "channel": "customers won through {level} rather than {usual}",
}
_TICKETS = {
    ("none", "resolved"): "customers with none rather than a ticket just resolved",
    ("none", "open"): "customers with none rather than a ticket still open",
    ("resolved", "none"): "customers with a ticket just resolved rather than none",
    ("resolved", "open"): "customers with a ticket just resolved rather than a ticket still open",
    ("open", "none"): "customers with a ticket still open rather than none",
    ("open", "resolved"): "customers with a ticket still open rather than a ticket just resolved",
}


def _rather(name: str, level: str, usual: str) -> str:
    """Who has one level of a feature, beside who has the usual one."""
    if name == "ticket":
        return phrase(_TICKETS[level, usual])
    return phrase(_LEVELS[name], level=level, usual=group_name(usual))


def _contrast(model: Response, one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    """Mean chance of `one` less that of `other`, both the same invitations but for one feature."""
    weight = one["invited"].to_numpy(float) / one["invited"].sum()
    difference, gradient = 0.0, np.zeros(len(model.parameters))
    for sign, kinds in ((1, one), (-1, other)):
        design = model.terms.design(kinds)
        chance = expit(design @ model.parameters)
        difference += sign * float(weight @ chance)
        gradient += sign * ((weight * chance * (1 - chance)) @ design)
    error = clustered_error(model.influence(gradient), model.person)
    p = float(2 * norm.sf(abs(difference) / error)) if error else np.nan
    return {
        "more": difference,
        "low": difference - Z * error,
        "high": difference + Z * error,
        "p": p,
    }
