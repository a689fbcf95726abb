"""What customers write, in their language and mood, put together from texts.yml."""

from __future__ import annotations

import numpy as np

from loyaltylab.simulation.arrays import Flags, Floats, Ints, Texts, texts
from loyaltylab.simulation.behaviour import TOPICS
from loyaltylab.simulation.people import LOCALES, texts_of
from loyaltylab.simulation.surveys import INSTRUMENTS

_SENTIMENTS = ("bad", "mixed", "good")


def ticket_texts(rng: np.random.Generator, locale: Ints, topic: Ints, angry: Flags) -> Texts:
    """A message to support for each ticket."""
    wrote = np.empty(len(locale), object)
    for language, name in enumerate(LOCALES):
        said = texts_of(name)
        ours = np.flatnonzero(locale == language)
        body = np.empty(len(ours), object)
        for number, subject in enumerate(TOPICS):
            for mood, furious in (("calm", False), ("angry", True)):
                these = np.flatnonzero((topic[ours] == number) & (angry[ours] == furious))
                body[these] = _one_of(rng, said["tickets"][subject][mood], len(these))
        opening = _one_of(rng, said["greetings"], len(ours))
        wrote[ours] = opening + " " + body + " " + _one_of(rng, said["closings"], len(ours))
    return wrote


def comments(rng: np.random.Generator, locale: Ints, instrument: Ints, sentiment: Ints) -> Texts:
    """A comment for each answer; sentiment 0 bad, 1 mixed, 2 good."""
    wrote = np.empty(len(locale), object)
    for language, name in enumerate(LOCALES):
        for code, asked in enumerate(INSTRUMENTS):
            for feeling, sentiments in enumerate(_SENTIMENTS):
                these = np.flatnonzero(
                    (locale == language) & (instrument == code) & (sentiment == feeling)
                )
                pool = texts_of(name)["comments"][asked][sentiments]
                wrote[these] = _one_of(rng, pool, len(these))
    return wrote


def reviews(rng: np.random.Generator, locale: Ints, stars: Floats) -> Texts:
    """A public review for each rating of one to five stars."""
    wrote = np.empty(len(locale), object)
    feeling = np.select([stars >= 4, stars >= 3], [2, 1], 0)
    for language, name in enumerate(LOCALES):
        for code, sentiment in enumerate(_SENTIMENTS):
            these = np.flatnonzero((locale == language) & (feeling == code))
            wrote[these] = _one_of(rng, texts_of(name)["reviews"][sentiment], len(these))
    return wrote


def _one_of(rng: np.random.Generator, pool: list[str], size: int) -> Texts:
    return texts(pool)[rng.integers(0, len(pool), size)]
