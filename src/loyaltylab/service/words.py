"""What texts are made of, in any language: terms, languages, and what all letters share.

Nothing here knows a language: there are no lists of stop words. What is common to most texts of a
group says nothing about one of them, and that is found by counting.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

FEWEST = 50  # texts without which no language and no recurring problem is looked for
MOST_LANGUAGES = 8
APART = 0.3  # mean silhouette above which groups of letters are languages, and below which one is
SHARED = 0.2  # of the most used words, from which on two groups are in one language
_FEWEST = 20  # different texts a language, on average
_USED = 30  # words of a group that are most used
COMMON_END = 0.05  # share of texts that share an opening or closing, from which on it is a formula
_LONGEST_END = 8  # words of an opening or closing
_JUDGED = 2_000  # texts that the silhouette is of: it compares each with each
_FITTED = 2_000  # different texts by which languages are told apart

# Scripts without spaces between words: Thai, kana and Han. Two letters stand for a word there.
_UNSPACED = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_TERM = re.compile(rf"[{_UNSPACED}]+|[^\W\d_{_UNSPACED}]+(?:['’][^\W\d_{_UNSPACED}]+)*")

Ints = np.ndarray[Any, np.dtype[np.int64]]


def terms(text: str) -> list[str]:
    """The words of a text in small letters, without numbers; pairs of letters where none are spaced."""
    found: list[str] = []
    for word in _TERM.findall(text.lower()):
        if re.match(rf"[{_UNSPACED}]", word):
            found += [word[i : i + 2] for i in range(max(len(word) - 1, 1))]
        elif any(map(str.isalpha, word)):  # ½ is no digit, and no letter
            found.append(word)
    return found


def languages(texts: Sequence[str], *, seed: int) -> Ints:
    """Which language each text is in: 0 is that of most texts, then 1, …; told by its letters alone.

    k-means on the main directions of TF-IDF of one to three letters in a row, of the different texts;
    as many groups as have the highest mean silhouette (Rousseeuw 1987, J. Comput. Appl. Math. 20), or
    one if that is not above APART or there are fewer than FEWEST different texts. Groups that share
    SHARED of their most used words are topics of one language.
    """
    plain = pd.Series(list(texts), dtype=object).str.lower()
    distinct = np.array(sorted(set(plain)), dtype=object)
    if len(distinct) < FEWEST:
        return np.zeros(len(plain), np.int64)
    random = np.random.default_rng(seed)
    fitted = distinct
    if len(distinct) > _FITTED:
        fitted = distinct[np.sort(random.choice(len(distinct), _FITTED, replace=False))]
    letters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(1, 3), min_df=2, max_features=2_000, sublinear_tf=True
    )
    with threadpool_limits(1):
        counts = letters.fit_transform(fitted)
        directions = TruncatedSVD(min(8, counts.shape[1] - 1), random_state=seed).fit(counts)
        points = normalize(directions.transform(counts))
        size = min(_JUDGED, len(points))
        best, chosen = APART, None
        different = len(np.unique(points.round(9), axis=0))
        for k in range(2, min(MOST_LANGUAGES, len(fitted) // _FEWEST, different - 1) + 1):
            fit = KMeans(k, n_init=3, random_state=seed).fit(points)
            score = silhouette_score(points, fit.labels_, sample_size=size, random_state=seed)
            if score > best:
                best, chosen = score, fit
        if chosen is None:
            return np.zeros(len(plain), np.int64)
        said = chosen.predict(normalize(directions.transform(letters.transform(distinct))))
    said = _joined(distinct.tolist(), said)[said]
    group = plain.map(dict(zip(distinct, said, strict=True))).to_numpy(np.int64)
    # From the most texts on; groups of as many in the order of their first text.
    sizes = pd.Series(group).groupby(group).size()
    first = pd.Series(said).groupby(said).apply(lambda part: part.index[0])
    order = sorted(sizes.index, key=lambda number: (-sizes[number], first[number]))
    return pd.Series(group).map({number: at for at, number in enumerate(order)}).to_numpy(np.int64)


def _joined(texts: Sequence[str], groups: Ints) -> Ints:
    """For each group the first one that is of the same language, by the words most used in them."""
    used = []
    for number in range(int(groups.max()) + 1):
        counts = Counter(
            word
            for text in np.asarray(texts, object)[groups == number]
            for word in set(terms(text))
        )
        used.append({w for w, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:_USED]})
    alike = np.array([[len(a & b) >= SHARED * _USED for b in used] for a in used])
    return connected_components(alike, directed=False)[1].astype(np.int64)


def without_formulas(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """The terms of each text without the opening and the closing that one text in twenty shares.

    texts : `terms` of texts in one language. Of an opening the longest is taken that at least
    COMMON_END of all texts, and five, begin with; of a closing likewise.
    """
    opened = [_without_opening(t, common) for t, common in _with_common(texts)]
    turned = [t[::-1] for t in opened]
    return [_without_opening(t, common)[::-1] for t, common in _with_common(turned)]


def _with_common(texts: Sequence[Sequence[str]]) -> list[tuple[list[str], set[tuple[str, ...]]]]:
    counts = Counter(
        tuple(text[:length])
        for text in texts
        for length in range(1, min(_LONGEST_END, len(text)) + 1)
    )
    common = {start for start, n in counts.items() if n >= max(5, COMMON_END * len(texts))}
    return [(list(text), common) for text in texts]


def _without_opening(text: list[str], common: set[tuple[str, ...]]) -> list[str]:
    for length in range(min(_LONGEST_END, len(text)), 0, -1):
        if tuple(text[:length]) in common:
            return text[length:]
    return text
