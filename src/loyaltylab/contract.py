"""The contract of dataset.yml: what it may say, and clear words for what it may not."""

from __future__ import annotations

import codecs
import datetime as dt
import difflib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from loyaltylab.engine import Engine
from loyaltylab.errors import LabError

Format = Literal["csv", "text", "fixed", "parquet", "jsonl", "excel"]
TableName = Literal[
    "orders",
    "order_lines",
    "customers",
    "surveys",
    "tickets",
    "visits",
    "spend",
    "feedback",
    "erasures",
]
Scalar = bool | int | float | str

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "excel",
    ".xls": "excel",
    ".ods": "excel",
}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class File(Strict):
    """One file (or one pattern of files alike) and how to read it.

    path : below the dataset's folder, `*` and `?` allowed in the name; or `package:module/inner/path`
        for a file inside an installed package.
    source : name of the system it comes from, unless a column says so.
    names : the columns' names, for a file without a header; widths : of a fixed-width file.
    date_format : strptime pattern of every date and time in it; ISO 8601 if not given.
    columns : canonical column → the file's column; a column of the same name needs no entry.
    """

    path: str
    format: Format
    source: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(max_length=1)] = '"'
    names: list[str] | None = None
    widths: list[Annotated[int, Field(ge=1)]] | None = None
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    date_format: str | None = None
    sheet: str | None = None
    columns: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_suffix(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"path": given}
        if isinstance(given, dict) and isinstance(given.get("path"), str):
            suffix = PurePosixPath(given["path"]).suffix.lower()
            if suffix in SUFFIXES:
                given = {"format": SUFFIXES[suffix]} | given
            if suffix == ".tsv":
                given = {"delimiter": "\t"} | given
        return given

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        inner = PurePosixPath(path.removeprefix("package:"))
        if inner.is_absolute() or ".." in inner.parts or "\\" in path:
            raise ValueError(
                "a path below the dataset's folder, without .. and with forward slashes"
            )
        return path

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError("an encoding that Python knows, such as utf-8 or cp1252") from None

    @model_validator(mode="after")
    def _fits_together(self) -> File:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands that differ")
        if self.format == "fixed" and len(self.widths or []) != len(self.names or []):
            raise ValueError("as many names as widths")
        if self.format == "fixed" and not self.widths:
            raise ValueError("names and widths for a fixed-width file")
        if self.names and len(set(self.names)) != len(self.names):
            raise ValueError("names that are all different")
        return self


Files = Annotated[
    list[File],
    BeforeValidator(lambda given: given if isinstance(given, list) else [given]),
    Field(min_length=1),
]


class Dataset(Strict):
    """dataset.yml. `observed_until` is the last day seen; without it, the last order's day."""

    title: str
    description: str = ""
    simulated: bool = False
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    observed_until: dt.date | None = None
    engine: Engine = Engine()
    tables: dict[TableName, Files]
    parameters: dict[str, dict[str, Scalar]] = {}

    @field_validator("engine", mode="before")
    @classmethod
    def _engine_by_name(cls, given: Any) -> Any:
        return {} if given == "duckdb" else given

    @field_validator("tables")
    @classmethod
    def _has_orders(cls, tables: dict[TableName, Any]) -> dict[TableName, Any]:
        if "orders" not in tables:
            raise ValueError('a table "orders": every other one may be left out')
        return tables


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, refusing a key given twice, of which it would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        if twice := next((k for k in keys if keys.count(k) > 1), None):
            raise LabError(
                f'dataset.yml: key "{twice}" is given twice (line {node.start_mark.line + 1} on). '
                "Keep one."
            )
        return super().construct_mapping(node, deep)


def load(path: Path) -> Dataset:
    """Read and check a dataset.yml.

    Raises LabError with every problem found, one a line.
    """
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except UnicodeDecodeError:
        raise LabError("dataset.yml: expected UTF-8 text. Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "not YAML"
        raise LabError(f"dataset.yml: cannot be read as YAML{where}: {what}.") from None
    if not isinstance(given, dict):
        raise LabError("dataset.yml: expected keys such as title, currency, tables; it has none.")
    try:
        return Dataset.model_validate(given)
    except ValidationError as error:
        raise LabError("\n".join(_in_words(e) for e in error.errors())) from None


def _in_words(error: Any) -> str:
    """A pydantic error as: where, what was expected, what was there, what to do."""
    where = [str(part) for part in error["loc"] if part not in ("[key]",)]
    key, inside = (where[-1], where[:-1]) if where else ("", [])
    place = "dataset.yml" + (f" under {'.'.join(inside)}" if inside else "")
    message = error["msg"]
    if error["type"] == "extra_forbidden":
        known = _known_keys(inside)
        close = difflib.get_close_matches(key, known, 1)
        advice = f'Did you mean "{close[0]}"?' if close else "Remove it."
        return f'{place}: unknown key "{key}"; expected one of {", ".join(known)}. {advice}'
    if error["type"] == "missing":
        return f'{place}: key "{key}" is missing. Add it.'
    if error["type"] == "literal_error":
        expected = error["ctx"]["expected"].replace("'", "")
        if error["loc"][-1:] == ("[key]",):
            return f'{place}: unknown key "{key}"; expected one of {expected}.'
        return f"{place}: {key} is {error['input']!r}; expected {expected}."
    expected = re.sub(r"^Value error, ", "", message)
    expected = re.sub(r"^(Input|String|List) should ", "it should ", expected)
    there = "" if isinstance(error["input"], dict | BaseModel) else f" is {error['input']!r};"
    return f"{place}: {key}{there} expected {expected}."


def _known_keys(inside: list[str]) -> list[str]:
    if not inside:
        model: type[BaseModel] = Dataset
    elif inside[0] == "tables":
        model = File
    else:
        from loyaltylab.engine import DuckDB

        model = DuckDB if inside[-1] == "duckdb" else Engine
    return list(model.model_fields)
