"""Devices: whose the visits are in which nobody signed in. Grain in: one visit; grain out: one device.

A device is joined to a person by the sign-ins on it. They are taken to follow a Chinese restaurant
process: of n sign-ins on a device n_p were by person p, and the next visitor is p with probability
n_p / (n + θ), and somebody new with θ / (n + θ) (Hoppe, F. M. (1984), J. Math. Biol. 20, 91–94). So
one sign-in by somebody else lowers the confidence, and many by one person raise it.

`assigned` is what linkage hands over, one row a record: source, record_id, person_id, confidence (in
(0, 1], the probability that the record is this person's). A device_id is one device, whichever system
the visits were signed in to.

What could be wrong: visits of one device are not independent, as who signed in last stays signed in,
so n counts for more than it tells; who shares a device and never signs in is not seen; one θ stands
for devices that differ, a family's tablet and one's own phone; and of a person whose records linkage
did not join each part counts as another visitor. The first three make the confidence of a shared
device too high, the last one makes it too low.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from loyaltylab.intervals import Z

# Counted in with the devices that were seen, so that there is an estimate without any, and none is
# 0: ten devices with two sign-ins each, one of them by two persons. That one device in ten is shared
# is an assumption; a few hundred devices outweigh it.
PRIOR = pd.DataFrame({"persons": [1, 2], "sign_ins": [2, 2], "devices": [9, 1]})

_EXACT = dt.Decimal(18, 12)  # so that a mean is the same whatever order threads add it in
_RECORD = ["source", "record_id"]


@dataclass(frozen=True)
class Sharing:
    """How much devices are shared.

    theta : the concentration parameter θ, above 0; the second sign-in on a device is by another
    person than the first with probability θ / (1 + θ). low, high : Wald interval at LEVEL on the
    scale of logarithms. devices : with two sign-ins or more, from which it was estimated.
    """

    theta: float
    low: float
    high: float
    devices: int


def sign_ins(visits: ir.Table, assigned: ir.Table) -> ir.Table:
    """Who signed in where. Grain: one device and person.

    device_id, person_id, sign_ins (visits that were signed in), certainty (mean confidence of their
    records), first_at, last_at. A device on which nobody signed in is not there.
    """
    known = visits.join(assigned, _RECORD)
    confidence = known["confidence"].cast(_EXACT)
    return known.group_by("device_id", "person_id").agg(
        sign_ins=known.count(),
        certainty=confidence.sum().cast("float64") / known.count(),
        first_at=known["started_at"].min(),
        last_at=known["started_at"].max(),
    )


def sharing(signed: ir.Table) -> Sharing:
    """θ by maximum likelihood over all devices of `sign_ins`, with PRIOR counted in.

    The likelihood of k persons in n sign-ins is that of Ewens' sampling formula (Ewens, W. J. (1972),
    Theor. Popul. Biol. 3, 87–112), θ^k / (θ (θ + 1) … (θ + n − 1)) but for a factor without θ. So it is
    fitted to counts of devices by k and n. A device with one sign-in alone says nothing about θ.
    """
    of_device = signed.group_by("device_id").agg(
        persons=signed.count(), sign_ins=signed["sign_ins"].sum()
    )
    shared = of_device.filter(of_device["sign_ins"] > 1)
    counts = shared.group_by("persons", "sign_ins").agg(devices=shared.count()).to_pandas()
    return _estimate(pd.concat([PRIOR, counts], ignore_index=True), int(counts["devices"].sum()))


def _estimate(counts: pd.DataFrame, devices: int) -> Sharing:
    weight, n = counts["devices"].to_numpy(float), counts["sign_ins"].to_numpy(float)
    others = float((weight * (counts["persons"] - 1)).sum())

    def score(log_theta: float) -> float:
        """The slope of the log-likelihood in log θ: other persons seen, less those expected."""
        theta = np.exp(log_theta)
        return others - float((weight * theta * (digamma(theta + n) - digamma(theta + 1))).sum())

    # It falls all the way: of a device 1 / (θ + i) is below 1 / i and above 0, so that θ is between.
    low, high = 1 / (weight * n).sum(), (weight * n * (n - 1) / 2).sum()
    theta = float(np.exp(brentq(score, np.log(low), np.log(high))))
    information = weight * theta * (digamma(theta + n) - digamma(theta + 1))
    information += weight * theta**2 * (polygamma(1, theta + n) - polygamma(1, theta + 1))
    reach = Z / np.sqrt(information.sum())
    return Sharing(theta, theta * float(np.exp(-reach)), theta * float(np.exp(reach)), devices)


def owners(signed: ir.Table, theta: float) -> ir.Table:
    """Whose each device is. Grain: one device of `sign_ins`.

    device_id, person_id (the most probable; of several the one who signed in last, then the first by
    person_id), confidence (that the next visitor is this person: n_p / (n + θ) × certainty, in
    (0, 1)), sign_ins (n, of all persons), persons.
    """
    device = ibis.window(group_by="device_id")
    weighed = signed.mutate(
        all_sign_ins=signed["sign_ins"].sum().over(device),
        persons=signed.count().over(device),
        expected=signed["sign_ins"] * signed["certainty"],
    )
    best = ibis.window(
        group_by="device_id",
        order_by=[ibis.desc("expected"), ibis.desc("last_at"), ibis.asc("person_id")],
    )
    ranked = weighed.mutate(rank=ibis.row_number().over(best))
    first = ranked.filter(ranked["rank"] == 0)
    return first.select(
        "device_id",
        "person_id",
        confidence=first["expected"] / (first["all_sign_ins"] + theta),
        sign_ins="all_sign_ins",
        persons="persons",
    )


def attribute(visits: ir.Table, assigned: ir.Table, owners: ir.Table) -> ir.Table:
    """visits with person_id and confidence; neither loses nor doubles a row.

    Of a visit that was signed in they are its record's, of any other, earlier or later, those of its
    device in `owners`. Both are missing where nobody ever signed in on the device.
    """
    records = assigned.select(
        _source="source", _record_id="record_id", _signed="person_id", _sure="confidence"
    )
    devices = owners.select(_device_id="device_id", _owner="person_id", _likely="confidence")
    found = visits.left_join(
        records,
        [visits["source"] == records["_source"], visits["record_id"] == records["_record_id"]],
    )
    found = found.left_join(devices, found["device_id"] == devices["_device_id"])
    signed = found["record_id"].notnull()
    return found.select(
        *visits.columns,
        person_id=signed.ifelse(found["_signed"], found["_owner"]),
        confidence=signed.ifelse(found["_sure"], found["_likely"]),
    )
