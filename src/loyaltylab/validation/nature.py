"""What each canonical column is, in the words of data protection: its kind, origin, and whose it is.

A declaration, to be read by a data-protection officer as it stands. Origins follow the taxonomy of
the Article 29 Working Party (WP 242, 2017: provided, observed, derived), in whose terms zero-party
data are what a customer gives knowingly and on purpose. "Personal" is meant as in GDPR art. 4(1):
about somebody who can be identified, be it by way of other columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["identity", "descriptive", "behavioural", "attitudinal", "permission", "business"]
Origin = Literal["given", "observed", "made", "reported"]
Personal = Literal["directly", "by its record", "no"]

KINDS: Mapping[Kind, str] = {
    "identity": "who somebody is, and the numbers that lead there",
    "descriptive": "what is true of somebody for long: where they live, how they came",
    "behavioural": "what they did, and what was done for them",
    "attitudinal": "what they say they think or feel",
    "permission": "what they allowed the company to do, or asked of it",
    "business": "the company's own affairs, about nobody",
}
ORIGINS: Mapping[Origin, str] = {
    "given": "by the customer, knowingly and on purpose (zero-party)",
    "observed": "by the company, in what customers do with it (first-party)",
    "made": "by the company: numbers it assigns, its own acts, what it infers (first-party)",
    "reported": "by another company: public there, or bought from it (third-party)",
}
PERSONAL: Mapping[Personal, str] = {
    "directly": "names or reaches somebody by itself",
    "by its record": "about somebody whom a number beside it leads to: a pseudonym at best",
    "no": "about nobody",
}


class Nature(NamedTuple):
    """kind, origin and personal as above; free_text: may hold anything; care: why to take care with
    it, empty if for no other reason than that it is personal.
    """

    kind: Kind
    origin: Origin
    personal: Personal = "by its record"
    free_text: bool = False
    care: str = ""


_WORDS = "free text: may name other people, or tell of health and the like (GDPR art. 9)"
_RECORD = {
    "source": Nature("identity", "made"),
    "record_id": Nature("identity", "made"),
}
_OBSERVED = Nature("behavioural", "observed")
_MADE = Nature("behavioural", "made")
_BUSINESS = Nature("business", "made", "no")

NATURE: Mapping[str, Mapping[str, Nature]] = {
    "orders": {
        "order_id": Nature("identity", "made"),
        **_RECORD,
        "ordered_at": _OBSERVED,
        "amount": _OBSERVED,
        "currency": _OBSERVED,
        "margin": _MADE,
        "channel": _OBSERVED,
        "status": _MADE,
        "returned_amount": _OBSERVED,
        "voucher": _OBSERVED,
    },
    "order_lines": {  # personal, since the order's number leads to who ordered
        "order_id": Nature("identity", "made"),
        "product_id": _OBSERVED,
        "category": _OBSERVED,
        "quantity": _OBSERVED,
        "unit_price": _OBSERVED,
    },
    "customers": {
        **_RECORD,
        "given_name": Nature("identity", "given", "directly"),
        "family_name": Nature("identity", "given", "directly"),
        "email": Nature("identity", "given", "directly"),
        "phone": Nature("identity", "given", "directly"),
        "birth_date": Nature(
            "identity",
            "given",
            care="with postcode and sex it singles most people out (Sweeney 2000), and it tells "
            "who is a child (GDPR art. 8)",
        ),
        "street": Nature("identity", "given", "directly"),
        "postcode": Nature("descriptive", "given"),
        "city": Nature("descriptive", "given"),
        "country": Nature("descriptive", "given"),
        "registered_at": _OBSERVED,
        "acquired_through": Nature("descriptive", "observed"),
        "customer_type": Nature("descriptive", "given"),
        "referred_by": Nature(
            "identity",
            "observed",
            care="the number of another customer: it tells who knows whom, and must go when that "
            "other asks to be forgotten",
        ),
        "loyalty_member": Nature("descriptive", "given"),
        "consent_analytics": Nature("permission", "given"),
        "consent_marketing": Nature("permission", "given"),
    },
    "surveys": {
        "response_id": Nature("identity", "made"),
        **_RECORD,
        "instrument": _MADE,
        "touchpoint": _MADE,
        "sent_at": _MADE,
        "answered_at": _OBSERVED,
        "score": Nature("attitudinal", "given"),
        "comment": Nature("attitudinal", "given", free_text=True, care=_WORDS),
    },
    "tickets": {
        "ticket_id": Nature("identity", "made"),
        **_RECORD,
        "opened_at": _OBSERVED,
        "first_reply_at": _MADE,
        "resolved_at": _MADE,
        "reopened": _OBSERVED,
        "channel": _OBSERVED,
        "topic": _MADE,
        "text": Nature("attitudinal", "given", free_text=True, care=_WORDS),
    },
    "visits": {
        "visit_id": Nature("identity", "made"),
        "device_id": Nature(
            "identity",
            "observed",
            care="an online identifier (GDPR art. 4(1), recital 30): it follows a device even "
            "where nobody signed in, and reading it as a rule needs consent of its own "
            "(ePrivacy art. 5(3))",
        ),
        **_RECORD,
        "started_at": _OBSERVED,
        "seconds": _OBSERVED,
        "stage": _OBSERVED,
        "interest": _MADE,
        "channel": _OBSERVED,
        "device": _OBSERVED,
        "cart_value": _OBSERVED,
    },
    "contracts": {
        "contract_id": Nature("identity", "made"),
        **_RECORD,
        "began_at": _OBSERVED,
        "ended_at": _OBSERVED,
    },
    "campaigns": {
        "campaign_id": _MADE,
        **_RECORD,
        **dict.fromkeys(("arm", "started_at", "ended_at", "channel", "cost"), _MADE),
    },
    "spend": {
        "date": _BUSINESS,
        "channel": _BUSINESS,
        "amount": _BUSINESS,
        "impressions": Nature("business", "reported", "no"),
        "clicks": Nature("business", "reported", "no"),
    },
    "feedback": {  # personal, since a public review can be found again, with its author's name
        "feedback_id": Nature("identity", "reported"),
        "platform": Nature("identity", "reported"),
        "posted_at": Nature("behavioural", "reported"),
        "rating": Nature("attitudinal", "reported"),
        "text": Nature("attitudinal", "reported", free_text=True, care=_WORDS),
    },
    "erasures": {
        **_RECORD,
        "requested_at": Nature("permission", "given"),
    },
}


def tells_who(table: str, column: str) -> bool:
    """Whether a value of the column may say who somebody is, by itself or beside little else."""
    nature = NATURE[table].get(column)
    where = ("postcode", "city")
    return nature is not None and (
        nature.free_text
        or (nature.kind == "identity" and column not in ("source", "platform"))
        or column in where
    )


# What works with a column's values, by page. The first page only where it decides by them (repeated
# rows, foreign currencies, consent, erasure): that it counts and describes every column is no purpose
# to keep one for, and neither is that the page on growth counts what touchpoints hold. Later pages by
# what comes before their section "Against the truth".
_CHECKED = ("01_validation",)
_LINKED = ("02_linkage",)
_LEAVING, _GROUPS, _WINNING = "03_retention", "03b_segments", "03c_acquisition"
_LASTING, _VALUE = "04_lifetime_value", "04b_value"
_ORDERS = (_LEAVING, _GROUPS, _WINNING, _LASTING, _VALUE, "04c_models")
_ANSWERS = ("05_satisfaction",)
_HELP = ("05b_service",)
_WAY, _GROWTH = "06_journey", "07_growth"
# Whose a row is: for consent, erasure and linkage.
_NAMED = dict.fromkeys(("source", "record_id"), (*_CHECKED, *_LINKED))
USED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "orders": {
        "order_id": (*_CHECKED, *_LINKED, _LEAVING, _LASTING, _WAY, _GROWTH),
        **dict.fromkeys(
            ("source", "record_id"),
            (*_CHECKED, *_LINKED, *_ORDERS, *_ANSWERS, *_HELP, _WAY, _GROWTH),
        ),
        "ordered_at": (*_LINKED, *_ORDERS, *_ANSWERS, *_HELP, _WAY, _GROWTH),
        "amount": (*_LINKED, *_ORDERS, *_ANSWERS, _WAY, _GROWTH),
        "currency": _CHECKED,
        "margin": (*_LINKED, _LEAVING, _WINNING, _VALUE, *_ANSWERS, _GROWTH),
        "channel": (*_LINKED, _LEAVING, _WINNING, _LASTING, _VALUE, _WAY, _GROWTH),
        **dict.fromkeys(("status", "returned_amount"), (_VALUE, _GROWTH)),
        "voucher": (_GROWTH,),
    },
    "order_lines": {
        "order_id": (*_LINKED, _LEAVING, _LASTING, _WAY, _GROWTH),  # to forget whose order it was
        "product_id": (_GROWTH,),
        "category": (_LEAVING, _LASTING, _WAY, _GROWTH),
        **dict.fromkeys(("quantity", "unit_price"), (_LEAVING, _LASTING, _GROWTH)),
    },
    "customers": {
        **dict.fromkeys(
            ("source", "record_id"),
            (*_CHECKED, *_LINKED, _LEAVING, _GROUPS, _WINNING, _LASTING, _VALUE, *_ANSWERS)
            + (_WAY, _GROWTH),
        ),
        # By these records are compared,
        **dict.fromkeys(("given_name", "family_name", "email", "phone"), _LINKED),
        "birth_date": (*_LINKED, _GROWTH),
        **dict.fromkeys(("street", "postcode", "city"), _LINKED),
        # and by these as well is told what is known of a person.
        "registered_at": (*_LINKED, _GROWTH),
        "country": (*_LINKED, _LEAVING, _GROUPS, _LASTING, _GROWTH),
        "customer_type": (*_LINKED, _GROWTH),
        "referred_by": (*_LINKED, _GROWTH),
        "loyalty_member": (*_LINKED, _LEAVING, _GROUPS),
        "acquired_through": (*_LINKED, _LEAVING, _GROUPS, _WINNING, _LASTING, _VALUE, *_ANSWERS)
        + (_WAY, _GROWTH),
        "consent_analytics": (*_CHECKED, *_LINKED),
        "consent_marketing": (*_CHECKED, *_LINKED, _GROUPS, _WAY, _GROWTH),
    },
    "surveys": {
        "response_id": (*_CHECKED, *_ANSWERS, *_HELP),
        **dict.fromkeys(("source", "record_id"), (*_CHECKED, *_LINKED, *_ANSWERS, *_HELP)),
        **dict.fromkeys(("instrument", "answered_at", "score"), (*_ANSWERS, *_HELP)),
        "touchpoint": _ANSWERS,
        # Also when the record was last used, as of tickets and visits.
        "sent_at": (*_LINKED, *_ANSWERS, *_HELP),
        "comment": _HELP,
    },
    "tickets": {
        **dict.fromkeys(("source", "record_id"), (*_CHECKED, *_LINKED, *_ANSWERS, *_HELP)),
        **dict.fromkeys(("ticket_id", "first_reply_at", "resolved_at"), (*_ANSWERS, *_HELP)),
        **dict.fromkeys(("reopened", "topic"), (*_ANSWERS, *_HELP)),
        "opened_at": (*_LINKED, *_ANSWERS, *_HELP),
        **dict.fromkeys(("channel", "text"), _HELP),
    },
    "visits": {
        "visit_id": _CHECKED,
        **dict.fromkeys(("source", "record_id"), (*_CHECKED, *_LINKED, _LEAVING, _WAY, _GROWTH)),
        "device_id": (*_LINKED, _WAY),
        "started_at": (*_LINKED, _LEAVING, _WAY, _GROWTH),
        **dict.fromkeys(("seconds", "stage", "interest", "channel", "cart_value"), (_WAY,)),
        "device": (_WAY, _GROWTH),
    },
    "contracts": {
        "contract_id": _CHECKED,
        **dict.fromkeys(("source", "record_id"), (*_CHECKED, *_LINKED, _LEAVING)),
        "began_at": (*_LINKED, _LEAVING),
        "ended_at": (_LEAVING,),
    },
    "campaigns": {
        "campaign_id": (*_CHECKED, _GROWTH),
        **dict.fromkeys(("source", "record_id"), (*_CHECKED, *_LINKED, _GROWTH)),
        **dict.fromkeys(("arm", "started_at", "ended_at", "channel", "cost"), (_GROWTH,)),
    },
    "spend": dict.fromkeys(("date", "channel", "amount"), (_WINNING, _VALUE, _WAY)),
    "feedback": dict.fromkeys(("feedback_id", "platform", "posted_at", "rating", "text"), _HELP),
    "erasures": {**_NAMED, "requested_at": _LINKED},
}
