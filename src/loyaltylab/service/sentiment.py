"""Whether a text is favourable, learned from texts with a score and applied to texts without one.

Grain in: one text of `texts.drawn`. Customers write the same short texts ("all good") again and again,
so two questions are kept apart: how well a wording is judged that was learned from, and how well one
that is new. Messages to support are nearly all new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.language import phrase
from loyaltylab.service.words import FEWEST, terms

FOLDS = 5
BARS = 5  # groups of texts by their predicted chance, in the table of calibration
DRAWS = 300  # of the bootstrap over different texts, and of shares corrected for errors
_DISTINCT = 4_000  # different texts that are learned from
_FEATURES = 10_000  # words, and as many sequences of letters
_TELLS = 0.1  # sensitivity + specificity − 1 below which a corrected share would be a guess
_TAILS = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Skill:
    """How well texts are judged that were held out.

    auc, low, high : chance that a favourable text is given a higher chance than another (1: always,
        ½: as a coin), with a bootstrap interval over different texts. accuracy : right where the
        likelier side is taken. brier : mean squared error of the chance.
    calibration : predicted, texts, observed, low, high (Wilson), by up to BARS groups of rising chance.
    right : draws of sensitivity and specificity (columns).
    """

    auc: float
    low: float
    high: float
    accuracy: float
    brier: float
    calibration: pd.DataFrame
    right: Floats

    @property
    def tells(self) -> bool:
        """Whether it tells the sides apart well enough for a share to be corrected for its errors."""
        return float(np.percentile(self.right.sum(axis=1) - 1, _TAILS[0])) >= _TELLS


@dataclass(frozen=True)
class Sentiment:
    """What was learned. texts : with a score, of which distinct in wording; share : of them favourable.

    naive : right if all are taken as the more frequent side; naive_brier : with `share` for all.
    known, new : the skill where some, or no copy of a held-out text is among those learned from.
    """

    texts: int
    distinct: int
    share: float
    naive: float
    naive_brier: float
    known: Skill
    new: Skill
    model: Model


@dataclass(frozen=True)
class Model:
    """A fitted judge of texts; wordings : those learned from, judged by `known`, all others by `new`."""

    words: TfidfVectorizer
    letters: TfidfVectorizer
    wordings: frozenset[str]
    known: CalibratedClassifierCV
    new: CalibratedClassifierCV

    def judged(self, texts: pd.Series) -> pd.DataFrame:
        """chance (that each text is favourable, 0 to 1) and known (whether its wording is)."""
        keys = _keys(texts)
        distinct = np.array(sorted(set(keys)), dtype=object)
        if not len(distinct):
            return pd.DataFrame({"chance": [], "known": []}, index=texts.index)
        known = np.array([key in self.wordings for key in distinct])
        with threadpool_limits(1):
            features = _features(self.words, self.letters, distinct)
            sides = [m.predict_proba(features)[:, 1] for m in (self.known, self.new)]
        found = pd.DataFrame({"chance": np.where(known, *sides), "known": known}, index=distinct)
        return found.loc[keys].set_axis(texts.index)


def lacking(texts: pd.DataFrame) -> str:
    """Why nothing can be learned from these texts, as a sentence; empty if it can."""
    known = texts[texts["favourable"].notna()]
    keys = _keys(known["text"])
    if keys.nunique() < FEWEST:
        return phrase(
            "There are {distinct:,} different texts with a rating or a score; learning from them how "
            "customers sound takes {few} or more.",
            distinct=keys.nunique(),
            few=FEWEST,
        )
    sides = (keys[known["favourable"].astype(bool) == side].nunique() for side in (True, False))
    if min(sides) < 2 * FOLDS:
        return phrase(
            "Nearly all texts with a rating or a score are on the same side, so there is nothing by "
            "which to tell the sides apart: it takes {few} different texts or more of each.",
            few=2 * FOLDS,
        )
    return ""


def learn(texts: pd.DataFrame, *, seed: int) -> Sentiment:
    """Learn from the texts whose `favourable` is known (`lacking` must be empty).

    Logistic regression on TF-IDF of words (one and two in a row) and of two to four letters in a row;
    its chances are corrected by a sigmoid of what was held out within (Platt 1999). Texts are held out
    in FOLDS parts: for wordings that are known at random, for new ones all copies of a text together.
    """
    scored = texts[texts["favourable"].notna()]
    rows = pd.DataFrame(
        {"key": _keys(scored["text"]), "good": scored["favourable"].astype(bool)}
    ).sort_values(["key", "good"], ignore_index=True)
    random = np.random.default_rng(seed)
    distinct = np.array(sorted(rows["key"].unique()), dtype=object)
    if len(distinct) > _DISTINCT:
        distinct = np.sort(random.choice(distinct, _DISTINCT, replace=False))
        rows = rows[rows["key"].isin(distinct)].reset_index(drop=True)
    leaning = rows.groupby("key")["good"].mean() > 0.5
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    fold = pd.Series(0, index=leaning.index)
    for number, (_, held_out) in enumerate(parts.split(leaning, leaning)):
        fold.iloc[held_out] = number
    at_random = random.permutation(np.arange(len(rows)) % FOLDS)
    skills, judges = [], []
    words, letters = _vectorisers()
    with threadpool_limits(1):
        features = _features(words.fit(distinct), letters.fit(distinct), distinct)
        place = dict(zip(distinct, range(len(distinct)), strict=True))
        for folds in (at_random, rows["key"].map(fold).to_numpy()):
            counted = rows.assign(fold=folds).groupby(["key", "good", "fold"]).size()
            table = counted.rename("n").reset_index()
            inputs = features[table["key"].map(place).to_numpy()]
            chance = np.zeros(len(table))
            for number in range(FOLDS):
                out = (table["fold"] == number).to_numpy()
                judge = _judge(inputs[~out], table[~out])
                chance[out] = judge.predict_proba(inputs[out])[:, 1]
            skills.append(_skill(table, chance, seed))
            judges.append(_judge(inputs, table))
    share = float(rows["good"].mean())
    return Sentiment(
        texts=len(rows),
        distinct=len(distinct),
        share=share,
        naive=max(share, 1 - share),
        naive_brier=share * (1 - share),
        known=skills[0],
        new=skills[1],
        model=Model(words, letters, frozenset(distinct), *judges),
    )


def _keys(texts: pd.Series) -> pd.Series:
    """Texts without capital letters, punctuation and numbers: what makes two of them the same."""
    distinct = {text: " ".join(terms(text)) for text in texts.unique()}
    return texts.map(distinct)


def _vectorisers() -> tuple[TfidfVectorizer, TfidfVectorizer]:
    return (
        TfidfVectorizer(
            ngram_range=(1, 2),
            sublinear_tf=True,
            max_features=_FEATURES,
            token_pattern=r"\S+",  # noqa: S106 - no password: what a word is made of
        ),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=_FEATURES
        ),
    )


def _features(words: TfidfVectorizer, letters: TfidfVectorizer, keys: Any) -> csr_matrix:
    return hstack([words.transform(keys), letters.transform(keys)]).tocsr()


def _judge(inputs: csr_matrix, table: pd.DataFrame) -> CalibratedClassifierCV:
    folds = table["fold"].to_numpy()
    judge = CalibratedClassifierCV(
        LogisticRegression(C=3.0, max_iter=1_000, tol=1e-3),
        method="sigmoid",
        cv=[(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in np.unique(folds)],
        ensemble=False,
    )
    return judge.fit(inputs, table["good"], sample_weight=table["n"].to_numpy(float))


def _skill(table: pd.DataFrame, chance: Floats, seed: int) -> Skill:
    good, n = table["good"].to_numpy(), table["n"].to_numpy(float)
    text = pd.factorize(table["key"])[0]
    random, distinct = np.random.default_rng(seed), text.max() + 1
    aucs: list[float] = []
    right: list[tuple[float, float]] = []
    while len(aucs) < DRAWS:
        times = np.bincount(random.integers(0, distinct, distinct), minlength=distinct)[text]
        drawn: Floats = n * times
        if drawn[good].any() and drawn[~good].any():
            aucs.append(roc_auc_score(good, chance, sample_weight=drawn))
            right.append(_right(good, chance, drawn))
    auc = float(roc_auc_score(good, chance, sample_weight=n))
    low, high = (float(end) for end in np.percentile(aucs, _TAILS))
    return Skill(
        auc=auc,
        low=min(low, auc),
        high=max(high, auc),
        accuracy=float(n[(chance > 0.5) == good].sum() / n.sum()),
        brier=float((n * (chance - good) ** 2).sum() / n.sum()),
        calibration=_calibration(good, chance, n),
        right=np.array(right),
    )


def _right(good: Any, chance: Floats, n: Floats) -> tuple[float, float]:
    """Sensitivity and specificity where a chance above one half is taken for favourable."""
    taken = chance > 0.5
    return (
        float(n[taken & good].sum() / n[good].sum()),
        float(n[~taken & ~good].sum() / n[~good].sum()),
    )


def _calibration(good: Any, chance: Floats, n: Floats) -> pd.DataFrame:
    order = np.argsort(chance, kind="stable")
    so_far = np.cumsum(n[order]) - n[order] / 2
    bar = np.empty(len(n), int)
    bar[order] = np.minimum((so_far * BARS / n.sum()).astype(int), BARS - 1)
    cells = pd.DataFrame({"bar": bar, "n": n, "sum": n * chance, "good": n * good})
    table = cells.groupby("bar")[["n", "sum", "good"]].sum().reset_index(drop=True)
    share, low, high = share_with_interval(table["good"], table["n"])
    return pd.DataFrame(
        {"predicted": table["sum"] / table["n"], "texts": table["n"].astype(int)}
        | {"observed": share, "low": low, "high": high}
    )


def corrected(skill: Skill, taken: Any, whole: Any, *, seed: int) -> tuple[Floats, Floats]:
    """Shares of favourable texts where `taken` of `whole` are judged so; and DRAWS of each (rows).

    Rogan & Gladen (1978), Am. J. Epidemiology 107, 71–76: (share taken + specificity − 1) /
    (sensitivity + specificity − 1), kept within 0 and 1. Draws allow for chance in the share taken
    (Jeffreys) and for how well sensitivity and specificity are known, if the judge errs on these texts
    as on those it was tried on. Missing where it does not tell the sides apart; 0 where whole is 0.
    """
    taken, whole = np.asarray(taken, float), np.asarray(whole, float)
    random = np.random.default_rng(seed)
    seen = random.beta(taken + 0.5, whole - taken + 0.5, (len(skill.right), len(taken))).T
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.clip((seen + skill.right[:, 1] - 1) / (skill.right.sum(axis=1) - 1), 0, 1)
        sensitivity, specificity = skill.right.mean(axis=0)
        shares = (taken / whole + specificity - 1) / (sensitivity + specificity - 1)
    shares = np.clip(shares, 0, 1)
    none = whole == 0
    if not skill.tells:
        shares[:], draws[:] = np.nan, np.nan
    shares[none], draws[none] = 0.0, 0.0
    return shares, draws


def favourable(
    texts: pd.DataFrame, found: Sentiment | None, by: list[str], *, minimum: int, seed: int
) -> pd.DataFrame:
    """The share of favourable texts. Grain: one group of `by` with at least `minimum` texts.

    What a text was rated counts where it was; of the others the share is `corrected`, those of known
    and of new wording apart. Without a model they are left out. Returns the columns `by`, texts, rated,
    share, low, high: missing where some texts are of a kind that the model does not tell apart. Where
    all are rated the interval is Wilson's.
    """
    if found is None:
        texts = texts[texts["favourable"].notna()]
    rated = texts["favourable"].notna()
    cells = texts[by].assign(texts=1, rated=rated, good=texts["favourable"].fillna(False))
    for name in ("known", "new"):
        cells[name] = cells[f"{name}_good"] = False
    if found is not None and not rated.all():
        judged = found.model.judged(texts.loc[~rated, "text"])
        for name, such in (("known", judged["known"]), ("new", ~judged["known"])):
            cells.loc[~rated, name] = such
            cells.loc[~rated, f"{name}_good"] = such & (judged["chance"] > 0.5)
    counts = cells.columns.difference(by)
    table = cells.astype(dict.fromkeys(counts, int)).groupby(by, sort=True)[list(counts)].sum()
    table = table[table["texts"] >= minimum].reset_index()
    share, low, high = share_with_interval(table["good"], table["rated"])
    mixed = np.flatnonzero(table["texts"] > table["rated"])
    if found is not None and len(mixed):
        some = table.iloc[mixed]
        size = some["texts"].to_numpy(float)
        random = np.random.default_rng(seed)
        good, all_rated = some["good"].to_numpy(float), some["rated"].to_numpy(float)
        draws = random.beta(good + 0.5, all_rated - good + 0.5, (DRAWS, len(some))).T
        both, middle = draws * (all_rated / size)[:, None], good / size
        for name, skill in (("known", found.known), ("new", found.new)):
            part = some[name].to_numpy(float) / size
            shares, draws = corrected(skill, some[f"{name}_good"], some[name], seed=seed)
            both, middle = both + part[:, None] * draws, middle + part * shares
        ends = np.percentile(both, _TAILS, axis=1)
        share[mixed], low[mixed], high[mixed] = (
            middle,
            np.minimum(ends[0], middle),
            np.maximum(ends[1], middle),
        )
    return table[[*by, "texts", "rated"]].assign(share=share, low=low, high=high)
