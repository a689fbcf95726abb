"""Problems that recur in what customers write, in any language. Grain in: one text of `texts.drawn`.

In each language on its own: TF-IDF of words, and from it a non-negative matrix factorisation (Lee &
Seung 1999, Nature 401, 788–791), in which every theme is a set of words that are used together.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from loyaltylab.service import words
from loyaltylab.service.texts import masked, worn_by

NUMBERS = (30, 20, 15, 10, 5, 3)  # of themes in a language, in the order in which they are tried
AGREEING = 0.7  # mean agreement of the themes of samples from which on a number of them is stable
FOUND_AGAIN = 0.5  # agreement of a single theme from which on it is shown
HALF = 0.5  # of what a text is about, for it to count as one of that theme
TOP = 10  # words by which themes are compared
NAMED = 5  # words by which a theme is named
COMMON = 0.1  # share of the texts from which on a word is too common to say something
NONE = -1
_SAMPLES, _SAMPLED = 4, 0.8  # samples of the texts by which agreement is judged, and their size
_FITTED = 8_000  # texts of a language that themes are learned from

Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Themes:
    """texts : those given with language and theme (NONE: no theme makes up half of it).

    table : theme, language (a number, 0 that of most texts), terms (the words that weigh most in it),
        agreement (0 to 1: how far its words are those of a theme of each sample of the texts).
    choice : language, texts, common (its most frequent words), themes, agreement; a number of themes of
        0 where there are too few texts or words to look for any.
    """

    texts: pd.DataFrame
    table: pd.DataFrame
    choice: pd.DataFrame


_TRIED = 50  # examples of a theme, before it is left without one


def find(texts: pd.DataFrame, *, minimum: int, seed: int) -> Themes:
    """Look for themes in each language (`words.languages`).

    In a language as many themes as possible, of NUMBERS, such that those of random samples of four
    fifths of the texts still have the same words: mean Jaccard index of their TOP words, best matched,
    of at least AGREEING (Greene, O'Callaghan & Cunningham 2014, "How many topics?", ECML PKDD, who take
    the number with the highest); where none has, that with the highest. Words count that at least
    `minimum` customers and fewer than COMMON of the texts use.
    """
    language_of = words.languages(texts["text"].tolist(), seed=seed)
    texts = texts.assign(language=language_of, core="", theme=NONE, part=0.0)
    rows: list[dict[str, Any]] = []
    choices: list[dict[str, Any]] = []
    for language, part in texts.groupby("language", sort=True):
        plain = [words.terms(text) for text in part["text"]]
        found = _of_language(plain, part["person"].to_numpy(), minimum, seed)
        told = {"language": language, "texts": len(part), "common": _common(plain, part, minimum)}
        choices.append(told | {"themes": len(found.terms), "agreement": found.agreement})
        texts.loc[part.index, "theme"] = np.where(found.of >= 0, found.of + len(rows), NONE)
        texts.loc[part.index, "core"] = [" ".join(own) for own in found.cores]
        texts.loc[part.index, "part"] = found.parts
        for terms, agreeing in zip(found.terms, found.agreements, strict=True):
            named = {"theme": len(rows), "language": language, "terms": terms}
            rows.append(named | {"agreement": agreeing})
    table = pd.DataFrame(rows, columns=["theme", "language", "terms", "agreement"])
    names = ["language", "texts", "common", "themes", "agreement"]
    types = {"theme": int, "language": int, "agreement": float}
    return Themes(texts, table.astype(types), pd.DataFrame(choices, columns=names))


@dataclass(frozen=True)
class _Found:
    cores: list[list[str]]
    parts: Matrix
    of: np.ndarray[Any, np.dtype[np.int64]]
    terms: list[str]
    agreements: list[float]

    @property
    def agreement(self) -> float:
        return float(np.mean(self.agreements)) if self.agreements else float("nan")


def _of_language(
    plain: Sequence[list[str]], persons: np.ndarray[Any, Any], minimum: int, seed: int
) -> _Found:
    own = words.without_formulas(plain)
    nothing = _Found(own, np.zeros(len(plain)), np.full(len(plain), NONE), [], [])
    if len(plain) < words.FEWEST:
        return nothing
    names = _vocabulary(own, persons, minimum)
    most = min(len(plain) // 20, len(names) // 4)
    if most < NUMBERS[-1]:
        return nothing
    weights = TfidfVectorizer(analyzer=_as_they_are, vocabulary=names, sublinear_tf=True)
    matrix = weights.fit_transform(own)
    random = np.random.default_rng(seed)
    learned = matrix[_some(random, len(plain), _FITTED)] if len(plain) > _FITTED else matrix
    samples = [
        learned[_some(random, learned.shape[0], int(_SAMPLED * learned.shape[0]))]
        for _ in range(_SAMPLES)
    ]
    best: tuple[float, list[float], NMF] | None = None
    with threadpool_limits(1), warnings.catch_warnings():
        # What still moves after so many rounds is less than what the samples differ by.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for number in (n for n in NUMBERS if n <= most):
            fit = _model(number, seed).fit(learned)
            again = [_model(number, seed).fit(sample).components_ for sample in samples]
            each = np.mean([agreement(fit.components_, other) for other in again], axis=0)
            if best is None or each.mean() > best[0]:
                best = (float(each.mean()), each.tolist(), fit)
            if best[0] >= AGREEING:
                break
        assert best is not None
        _, each, fit = best
        parts = fit.transform(matrix) * fit.components_.sum(axis=1)
    whole = parts.sum(axis=1)
    strongest = parts.argmax(axis=1)
    part = np.divide(parts.max(axis=1), whole, out=np.zeros(len(whole)), where=whole > 0)
    terms = [
        ", ".join(names[i] for i in np.argsort(-row, kind="stable")[:NAMED] if row[i] > 0)
        for row in fit.components_
    ]
    return _Found(own, part, np.where(part >= HALF, strongest, NONE), terms, each)


def _as_they_are(terms: list[str]) -> list[str]:
    return terms


def _model(number: int, seed: int) -> NMF:
    return NMF(number, init="nndsvd", tol=1e-3, max_iter=100, random_state=seed)


def _some(random: np.random.Generator, whole: int, size: int) -> np.ndarray[Any, Any]:
    return np.sort(random.choice(whole, size, replace=False))


def agreement(some: Matrix, others: Matrix) -> Matrix:
    """How far each theme's TOP words are those of its counterpart: Jaccard index, 0 to 1.

    Rows are themes, columns words; counterparts are matched so that the sum is highest.
    """
    tops, theirs = (
        [set(np.argsort(-row, kind="stable")[:TOP]) for row in m] for m in (some, others)
    )
    alike = np.array([[len(a & b) / len(a | b) for b in theirs] for a in tops])
    rows, columns = linear_sum_assignment(-alike)
    found: Matrix = np.zeros(len(some))
    found[rows] = alike[rows, columns]
    return found


def _vocabulary(
    texts: Sequence[list[str]], persons: np.ndarray[Any, Any], minimum: int
) -> list[str]:
    """Words that enough customers and not too many texts use, in the order of the alphabet."""
    in_texts, by_persons = _used(texts, persons)
    most = max(COMMON * len(texts), minimum)
    return sorted(w for w, n in in_texts.items() if n <= most and by_persons[w] >= minimum)


def _used(
    texts: Sequence[list[str]], persons: np.ndarray[Any, Any]
) -> tuple[dict[str, int], dict[str, int]]:
    """How many texts each word is in, and how many persons use it."""
    place = {word: at for at, word in enumerate(sorted({w for text in texts for w in text}))}
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    columns = np.array([place[w] for text in texts for w in text], dtype=np.int64)
    shape = (len(texts), len(place))
    once = csr_matrix((np.ones(len(columns)), (rows, columns)), shape=shape) > 0
    who = np.unique(persons, return_inverse=True)[1]
    of = csr_matrix(
        (np.ones(len(who)), (who, np.arange(len(who)))), shape=(who.max() + 1, len(who))
    )
    counts = [np.asarray(m.sum(axis=0)).ravel() for m in (once, (of @ once) > 0)]
    texts_, people = ({w: int(n[at]) for w, at in place.items()} for n in counts)
    return texts_, people


def _common(plain: Sequence[list[str]], part: pd.DataFrame, minimum: int) -> str:
    """The four words most used in a language, by which a reader knows it."""
    in_texts, by_persons = _used(plain, part["person"].to_numpy())
    known = [word for word in in_texts if by_persons[word] >= minimum]
    return ", ".join(sorted(known, key=lambda word: (-in_texts[word], word))[:4])


def sizes(found: Themes, *, minimum: int) -> pd.DataFrame:
    """How often each theme comes up. Grain: one theme that at least `minimum` customers wrote about and
    that was FOUND_AGAIN, most texts first.

    theme, language, terms, agreement, texts, tickets, comments, customers.
    """
    part = found.texts[found.texts["theme"] != NONE]
    counted = part.groupby("theme").agg(
        texts=("kind", "size"),
        tickets=("kind", lambda kind: (kind == "ticket").sum()),
        comments=("kind", lambda kind: (kind == "comment").sum()),
        customers=("person", "nunique"),
    )
    table = found.table.merge(counted.reset_index(), on="theme", validate="one_to_one")
    table = table[(table["customers"] >= minimum) & (table["agreement"] >= FOUND_AGAIN)]
    return table.sort_values(["texts", "theme"], ascending=[False, True], ignore_index=True)


def cells(found: Themes, table: pd.DataFrame, months: pd.DatetimeIndex) -> pd.DataFrame:
    """Texts of the themes of `table` (`sizes`) by month, for `alarms.trends`. Grain: theme × month.

    group (the theme), month (first day), count, exposure (texts of the month in the same language).
    """
    texts = found.texts.assign(month=found.texts["at"].dt.to_period("M").dt.to_timestamp())
    whole = texts.groupby(["language", "month"]).size().rename("exposure").reset_index()
    counts = texts.groupby(["theme", "month"]).size().rename("count").reset_index()
    every = table[["theme", "language"]].merge(pd.DataFrame({"month": months}), how="cross")
    every = every.merge(whole, how="left").merge(counts, how="left")
    every = every.fillna({"exposure": 0, "count": 0}).astype({"exposure": int, "count": int})
    return every.rename(columns={"theme": "group"})[["group", "month", "count", "exposure"]]


def examples(found: Themes, table: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """What texts of a theme sound like, masked. Grain: one theme of `table` (`sizes`); words, example.

    Of its texts the one that says, without opening and closing, what most of them say, and of what they
    are about is most of the theme; and of these the shortest that, as it is shown, may be of `minimum`
    customers or more. A theme without one has no row.
    """
    rows = []
    for theme, terms in table[["theme", "terms"]].itertuples(index=False):
        part = found.texts[found.texts["theme"] == theme]
        shown = masked(part["text"].tolist(), part["person"].tolist(), minimum=minimum)
        core = part.groupby("core")["part"].sum().round(6)
        said = part.assign(shown=shown)[part["core"] == core.idxmax()]
        written = part["text"].tolist(), part["person"].tolist()
        for example in sorted(dict.fromkeys(said["shown"]), key=len)[:_TRIED]:
            if worn_by(example, *written) >= minimum:
                rows.append({"words": terms, "example": example})
                break
    return pd.DataFrame(rows, columns=["words", "example"])
