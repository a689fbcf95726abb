"""Who is asked, who answers, and what they say.

An answer depends on satisfaction when the invitation comes; so does answering at all, so that the
scores that a company sees are not missing at random.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import optimize, special

from loyaltylab.simulation.arrays import Floats, Ints, Texts, random, runs, texts
from loyaltylab.simulation.behaviour import Behaviour, latest
from loyaltylab.simulation.calendar import YEAR
from loyaltylab.world import World

INSTRUMENTS = ("nps", "csat", "ces")
TOUCHPOINTS = ("relationship", "delivery", "support")
# Shares of the scores, lowest first, of a customer base whose satisfaction is as at the start:
# thresholds cut the latent answer so. NPS from 0, the others from 1.
SCORE_SHARES = {
    "nps": [0.025, 0.01, 0.015, 0.02, 0.025, 0.07, 0.065, 0.13, 0.2, 0.19, 0.25],
    "csat": [0.05, 0.07, 0.16, 0.38, 0.34],
    "ces": [0.04, 0.05, 0.08, 0.12, 0.21, 0.28, 0.22],
    "review": [0.14, 0.06, 0.09, 0.2, 0.51],
}
LOWEST = {"nps": 0, "csat": 1, "ces": 1, "review": 1}

_FIRST_NPS = 60.0  # days from the first order to the first relationship survey; then yearly
_LAPSED = 2.0  # years without an order after which nobody is asked any more
_ANSWER_HOURS = 14.0  # median from invitation to answer
_ANSWER_SPREAD = 1.3
_REVIEW_AFTER = 9.0  # mean days from an order to its review


def simulate(world: World, behaviour: Behaviour) -> pd.DataFrame:
    """Grain: one invitation, in order of sending.

    Columns customer, instrument (position in INSTRUMENTS), sent and answered (days; missing if not
    answered), satisfaction when sent, score (missing if not answered), told (the score that they would
    have given), comment (whether one is left).
    """
    rng = random(world.seed, "surveys")
    occasions = (_yearly, _deliveries, _cases)
    asked = pd.concat([sent(world, behaviour, rng) for sent in occasions], ignore_index=True)
    asked = asked[asked["sent"] < world.days].sort_values(["sent", "customer"], ignore_index=True)
    customer, sent = asked["customer"].to_numpy(), asked["sent"].to_numpy()
    content = behaviour.satisfaction(customer, sent)
    tenure = (sent - behaviour.customers["acquired"].to_numpy()[customer]) / YEAR
    gone = behaviour.customers["left_at"].to_numpy()[customer] <= sent

    latent = _felt(world, rng, content)
    latent += world.tenure_confounding * tenure - world.reverse_causality * gone
    told = np.zeros(len(asked))
    for code, instrument in enumerate(INSTRUMENTS):
        these = asked["instrument"].to_numpy() == code
        told[these] = _score(instrument, latent[these])

    lean = world.response_by_satisfaction * content + world.response_by_tenure * tenure
    answers = rng.random(len(asked)) < response(lean, world.response_rate)
    wait = np.exp(np.log(_ANSWER_HOURS) + _ANSWER_SPREAD * rng.standard_normal(len(asked))) / 24
    answers &= sent + wait < world.days
    asked["satisfaction"] = content
    asked["answered"] = np.where(answers, sent + wait, np.nan)
    asked["score"] = np.where(answers, told, np.nan)
    asked["told"] = told
    asked["comment"] = answers & (rng.random(len(asked)) < world.comment_rate)
    return asked


def response_ids(size: int) -> Texts:
    """The numbers that the survey tool gives its invitations, in their order."""
    return texts([f"A{number:07d}" for number in range(1, size + 1)])


def reviews(world: World, behaviour: Behaviour) -> pd.DataFrame:
    """Public reviews. Grain: one, by time. Columns customer, posted (days), stars (1 to 5)."""
    rng = random(world.seed, "reviews")
    orders = behaviour.orders
    rows = np.flatnonzero(rng.random(len(orders)) < world.review_rate)
    made = pd.DataFrame(
        {
            "customer": orders["customer"].to_numpy()[rows],
            "posted": orders["time"].to_numpy()[rows] + rng.exponential(_REVIEW_AFTER, len(rows)),
        }
    )
    made = made[made["posted"] < world.days].sort_values("posted", ignore_index=True)
    content = behaviour.satisfaction(made["customer"].to_numpy(), made["posted"].to_numpy())
    made["stars"] = _score("review", _felt(world, rng, content))
    return made


def response(lean: Floats, rate: float) -> Floats:
    """The chance of an answer, logistic in `lean`, with the mean that `rate` says."""
    if not len(lean):
        return lean

    def excess(intercept: float) -> float:
        return float(special.expit(intercept + lean).mean()) - rate

    reach = 40 + float(np.abs(lean).max())
    return special.expit(optimize.brentq(excess, -reach, reach) + lean)


def _felt(world: World, rng: np.random.Generator, content: Floats) -> Floats:
    """What an answer is cut from: satisfaction, as reliably as it shows in one."""
    reliable = world.score_reliability
    return reliable * content + np.sqrt(1 - reliable**2) * rng.standard_normal(len(content))


def _score(instrument: str, latent: Floats) -> Floats:
    cuts = special.ndtri(np.cumsum(SCORE_SHARES[instrument])[:-1])
    return LOWEST[instrument] + np.searchsorted(cuts, latent).astype(float)


def _yearly(world: World, behaviour: Behaviour, rng: np.random.Generator) -> pd.DataFrame:
    people, orders = behaviour.customers, behaviour.orders
    start = people["acquired"].to_numpy() + _FIRST_NPS
    times = np.maximum(np.ceil((world.days - start) / YEAR), 0).astype(np.int64)
    customer = np.repeat(np.arange(len(people)), times)
    sent = start[customer] + runs(times) * YEAR
    last = orders["time"].to_numpy()[latest(orders, customer, sent)]
    asked = (sent - last < _LAPSED * YEAR) & (rng.random(len(customer)) < world.nps_share)
    return _invitations(customer[asked], 0, sent[asked])


def _deliveries(world: World, behaviour: Behaviour, rng: np.random.Generator) -> pd.DataFrame:
    orders = behaviour.orders
    asked = rng.random(len(orders)) < world.csat_share
    sent = orders["time"].to_numpy() + 3 + 5 * rng.random(len(orders))
    return _invitations(orders["customer"].to_numpy()[asked], 1, sent[asked])


def _cases(world: World, behaviour: Behaviour, rng: np.random.Generator) -> pd.DataFrame:
    tickets = behaviour.tickets
    asked = (rng.random(len(tickets)) < world.ces_share) & tickets["resolved"].notna().to_numpy()
    sent = tickets["resolved"].to_numpy() + 0.1 + 0.9 * rng.random(len(tickets))
    return _invitations(tickets["customer"].to_numpy()[asked], 2, sent[asked])


def _invitations(customer: Ints, instrument: int, sent: Floats) -> pd.DataFrame:
    return pd.DataFrame({"customer": customer, "instrument": instrument, "sent": sent})
