"""Segments by rule, as dataset.yml declares them: conditions on persons, joined by and, or, not."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _some(given: list[Any]) -> list[Any]:
    if not given:
        raise ValueError("at least one")
    return given


Figure = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class Condition(_Strict):
    """What a column's value must be; of several operators all must hold.

    missing : whether the value is not known. Any other operator says nothing of a missing value.
    """

    missing: Flag | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if not self.operators():
            raise ValueError(f"at least one of {', '.join(keys(type(self)).values())}")
        return self

    def operators(self) -> dict[str, object]:
        """The operators given, by their names in dataset.yml, each with its value."""
        return self.model_dump(by_alias=True, exclude_none=True)


class NumberCondition(Condition):
    at_least: Figure | None = None
    more_than: Figure | None = None
    at_most: Figure | None = None
    less_than: Figure | None = None


class TextCondition(Condition):
    is_: Annotated[Text | None, Field(alias="is")] = None
    one_of: Annotated[list[Text], AfterValidator(_some)] | None = None


class FlagCondition(Condition):
    is_: Annotated[Flag | None, Field(alias="is")] = None


class Criterion(_Strict):
    """One rule: rules joined by `and` or `or`, the opposite of one by `not`, or a person's column.

    A dictionary of exactly one of these keys. The columns are those of `segments.rules.columns`.
    """

    and_: Annotated[list[Criterion], AfterValidator(_some)] | None = Field(
        default=None, alias="and"
    )
    or_: Annotated[list[Criterion], AfterValidator(_some)] | None = Field(default=None, alias="or")
    not_: Criterion | None = Field(default=None, alias="not")
    purchases: NumberCondition | None = None
    spend: NumberCondition | None = None
    average_basket: NumberCondition | None = None
    mean_gap_days: NumberCondition | None = None
    days_since_first: NumberCondition | None = None
    days_since_last: NumberCondition | None = None
    rfm: TextCondition | None = None
    country: TextCondition | None = None
    acquired_through: TextCondition | None = None
    loyalty_member: FlagCondition | None = None
    consent_marketing: FlagCondition | None = None

    @model_validator(mode="after")
    def _is_one_rule(self) -> Criterion:
        given = [keys(Criterion)[name] for name in self.model_fields_set]
        if len(given) != 1:
            raise ValueError(
                f"one of {', '.join(keys(Criterion).values())} (join several by and: or or:), "
                f"found {', '.join(sorted(given)) or 'none'}"
            )
        return self


def keys(model: type[BaseModel]) -> dict[str, str]:
    """A model's fields, each with its key in dataset.yml."""
    return {name: field.alias or name for name, field in model.model_fields.items()}


def known_keys(inside: list[str]) -> list[str]:
    """The keys that may stand under segments, a segment's name, and these keys below it."""
    for annotation in (f.annotation for n, f in Criterion.model_fields.items() if n in inside[-1:]):
        condition = get_args(annotation)[0]
        return list(keys(condition).values())
    return list(keys(Criterion).values())
