"""The parameters of a simulated company. `simulation` builds it; data/README.md explains each one."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator


def _number(default: float, low: float, high: float) -> Any:
    return Field(default, ge=low, le=high)


def _share(default: float, high: float = 1) -> Any:
    return _number(default, 0, high)


class World(BaseModel):
    """`simulation:` of dataset.yml: what differs from the company that stands here.

    A share is a probability; "per year" is the expected count of 365.25 days; money is in EUR.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    customers: int = _number(20_000, 100, 5_000_000)
    seed: int = _number(1, 0, 2**32 - 1)
    first_year: int = _number(2023, 2000, 2100)
    years: int = _number(3, 1, 10)

    # Who they are
    german_share: float = _share(0.5)
    norwegian_share: float = _share(0.25)
    household_share: float = _share(0.3)
    shared_email_share: float = _share(0.1)
    namesake_share: float = _share(0.01, 0.2)
    moves_per_year: float = _share(0.08)
    marriages_per_year: float = _share(0.02)
    email_changes_per_year: float = _share(0.06)

    # How they are won
    growth: float = _number(1.15, 0.2, 5)
    holiday_newcomers: float = _number(2.2, 1, 10)
    holiday_purchase_ratio: float = _number(0.6, 0.05, 5)
    holiday_dropout_ratio: float = _number(1.6, 0.05, 5)
    channel_effect: float = _number(1, 0, 3)
    cost_per_newcomer: float = _number(14, 0, 1000)

    # How they buy
    purchase_shape: float = _number(1.1, 0.1, 20)
    purchases_per_year: float = _number(2.2, 0.01, 100)
    dropout_shape: float = _number(0.8, 0.1, 20)
    dropouts_per_year: float = _number(2.0, 0, 100)
    regular_share: float = _share(0.1)
    regularity: float = _number(6, 1, 50)
    holiday_purchases: float = _number(1.7, 1, 10)
    order_value: float = _number(62, 20, 1000)
    order_shape: float = _number(4, 0.5, 100)
    customer_shape: float = _number(5, 2.5, 100)
    spend_rate_correlation: float = _number(0, -0.95, 0.95)
    margin: float = _share(0.38, 0.75)
    return_rate: float = _share(0.09, 0.5)
    cancellation_rate: float = _share(0.02)

    # What they like, who sells to whom
    business_share: float = _share(0.06, 0.5)
    business_purchase_ratio: float = _number(1.5, 0.2, 5)
    business_value_ratio: float = _number(1.8, 0.2, 5)
    series_loyalty: float = _share(0.6)
    bought_together: float = _share(0.2)
    bought_after: float = _share(0.2)
    voucher_rate: float = _share(0.12)
    referrer_known: float = _share(0.7)

    # Campaigns
    campaigns: int = _number(4, 0, 12)
    campaign_effect: float = _share(0.1)
    holdout_share: float = _share(0.3, 0.9)

    # Abuse, and honest extremes
    abuse_share: float = _share(0.01, 0.1)
    extreme_share: float = _share(0.01, 0.1)

    # Service, and what it does
    ticket_rate: float = _share(0.12)
    wait_hours: float = _number(9, 0.1, 1000)
    ticket_effect: float = _number(-0.7, -5, 5)
    wait_effect: float = _number(-0.35, -5, 5)
    satisfaction_memory: float = _share(0.6, 0.95)
    hazard_ratio: float = _number(0.65, 0.1, 10)
    reverse_causality: float = _number(0, 0, 5)
    tenure_confounding: float = _number(0, 0, 2)

    # Surveys
    nps_share: float = _share(0.5)
    csat_share: float = _share(0.25)
    ces_share: float = _share(0.8)
    response_rate: float = _number(0.2, 0.01, 0.95)
    response_by_satisfaction: float = _number(0.5, -3, 3)
    response_by_tenure: float = _number(0.2, -3, 3)
    score_reliability: float = _share(0.75)
    comment_rate: float = _share(0.4)
    review_rate: float = _share(0.015)

    # Visits
    visits_per_year: float = _number(4, 0, 200)
    sign_in_rate: float = _share(0.4)
    strangers: float = _number(1, 0, 20)
    conversion_effect: float = _number(1, 0, 3)
    path_effect: float = _share(0.6)
    interest_effect: float = _share(1)
    cart_ratio: float = _number(1.3, 0, 10)

    # Records of them
    guest_share: float = _share(0.25)
    crm_share: float = _share(0.35)
    duplicate_rate: float = _share(0.08, 0.45)
    missing_rate: float = _share(0.05, 0.2)
    typo_rate: float = _share(0.03, 0.2)
    swap_rate: float = _share(0.01, 0.2)
    nickname_rate: float = _share(0.04, 0.2)
    transcription_rate: float = _share(0.15, 0.2)
    old_address_rate: float = _share(0.6)
    error_correlation: float = _share(0.5)

    # Consent
    analytics_consent: float = _share(0.88)
    marketing_consent: float = _share(0.5)
    withdrawals_per_year: float = _share(0.03)
    erasure_rate: float = _share(0.004, 0.2)

    # Dirt
    impossible_dates: float = _share(0.001, 0.1)
    negative_amounts: float = _share(0.001, 0.1)
    foreign_currencies: float = _share(0.002, 0.1)
    repeated_rows: float = _share(0.005, 0.1)
    markup_in_names: float = _share(0.0005, 0.1)
    formulas_in_names: float = _share(0.0005, 0.1)
    control_characters: float = _share(0.001, 0.1)
    misread_letters: float = _share(0.02, 0.1)
    broken_bytes: float = _share(0.002, 0.1)

    @field_validator("*", mode="before")
    @classmethod
    def _in_range(cls, given: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        low, high = cls.bounds(name)
        whole = cls.model_fields[name].annotation is int
        right = type(given) is int or (type(given) is float and not whole)
        if not (right and low <= given <= high):  # nor NaN, which no comparison holds for
            raise ValueError(f"a {'whole ' * whole}number from {low} to {high}")
        return given

    @model_validator(mode="after")
    def _shares_fit(self) -> World:
        if self.german_share + self.norwegian_share > 1:
            raise ValueError(
                "german_share and norwegian_share that make 1 or less together (the rest is "
                f"English); they make {self.german_share + self.norwegian_share:g}"
            )
        return self

    @classmethod
    def bounds(cls, name: str) -> tuple[float, float]:
        """The least and the greatest value that a parameter may have."""
        metadata = cls.model_fields[name].metadata
        low = next(m.ge for m in metadata if hasattr(m, "ge"))
        return low, next(m.le for m in metadata if hasattr(m, "le"))

    @property
    def first_day(self) -> dt.date:
        return dt.date(self.first_year, 1, 1)

    @property
    def last_day(self) -> dt.date:
        """The last day that the exports cover."""
        return dt.date(self.first_year + self.years - 1, 12, 31)

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1
