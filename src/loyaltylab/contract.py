"""The contract of dataset.yml: what it may say, and clear words for what it may not."""

from __future__ import annotations

import codecs
import contextlib
import datetime as dt
import itertools
import math
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from loyaltylab import addresses, criteria, keeping
from loyaltylab.criteria import Criterion
from loyaltylab.errors import LabError
from loyaltylab.wording import in_words
from loyaltylab.world import World

Format = Literal["csv", "text", "fixed", "parquet", "jsonl", "excel", "database"]
TableName = Literal[
    "orders",
    "order_lines",
    "customers",
    "surveys",
    "tickets",
    "visits",
    "contracts",
    "campaigns",
    "spend",
    "feedback",
    "erasures",
]


KeptName = Literal["orders", "customers", "surveys", "tickets", "visits", "contracts", "feedback"]


def _one_value(given: Any) -> Any:
    if not isinstance(given, bool | int | float | str):
        raise ValueError("one value: a number, a text, or true or false")
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError("a finite number")
    return given


def _day(given: Any) -> Any:
    # pydantic itself would also take a number, as seconds since 1970.
    if isinstance(given, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(given)
    if type(given) is dt.date:
        return given
    raise ValueError("a day such as 2024-12-31")


# What dataset.yml may protect: columns of customers, but for those that tell records apart.
PROTECTABLE = (
    "given_name",
    "family_name",
    "email",
    "phone",
    "birth_date",
    "street",
    "postcode",
    "city",
    "country",
    "registered_at",
    "acquired_through",
    "customer_type",
    "referred_by",
    "loyalty_member",
    "consent_analytics",
    "consent_marketing",
)


def _period(given: Any) -> Any:
    if not isinstance(given, str) or not keeping.is_period(given):
        raise ValueError("a period such as 400 days, 18 months or 2 years")
    return given


Scalar = Annotated[bool | int | float | str, BeforeValidator(_one_value)]
Day = Annotated[dt.date, BeforeValidator(_day)]
Share = Annotated[float, Field(ge=0, le=1)]

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


# Options that only some formats have; given for another, one would be left out in silence.
_ONLY_FOR: dict[str, tuple[Format, ...]] = {
    "delimiter": ("csv",),
    "quote": ("csv",),
    "widths": ("fixed",),
    "names": ("csv", "text", "fixed", "excel"),
    "encoding": ("csv", "text", "fixed", "jsonl"),
    "sheet": ("excel",),
}

# What DuckDB's strptime knows, but for time zones (a time is taken as the clock showed it).
_DATE_FORMAT = r"([^%]|%-[dmyHIMSpj]|%[aAbBcdfgGHIjmMnpSuUVwWxXyY%])*"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DuckDB(Strict):
    """DuckDB in this process. What is more than `memory_limit` goes to disk: to the folder `spill`, or
    else to one beside the derived data."""

    memory_limit: str | None = Field(default=None, pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")
    threads: int | None = Field(default=None, ge=1)
    spill: str | None = None

    @field_validator("spill")
    @classmethod
    def _is_absolute(cls, value: str | None) -> str | None:
        # Below the dataset's folder make would take what is spilled for new data.
        if value is not None and not Path(value).expanduser().is_absolute():
            raise ValueError("expected the whole path of a folder, such as /scratch/lab")
        return value


# Where a Spark is, as its own URLs have it; `local` is in this process.
_HOST = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
_MASTER = (
    r"(local(\[(\d+|\*)(,\d+)?\])?|yarn|k8s://\S+"
    rf"|spark://{_HOST}:\d+(,{_HOST}:\d+)*|sc://{_HOST}(:\d+)?(/(;\S*)?)?)"
)
# Who may use it is nobody's business who reads dataset.yml: a name of the environment stands there.
_TOKEN = re.compile(r"token=(?!\$\{[A-Za-z_][A-Za-z0-9_]*\}(;|$))", re.IGNORECASE)
_SECRET = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)


class Spark(Strict):
    """An existing Spark: the URL of its master (spark://, yarn, k8s://, local[n]) or of its Spark
    Connect (sc://), and settings of Spark's own."""

    master: str
    settings: dict[str, bool | int | float | str] = {}

    @field_validator("master")
    @classmethod
    def _is_a_master(cls, master: str) -> str:
        if _TOKEN.search(master):
            raise ValueError("an address without a token: name a variable, token=${NAME}")
        if not re.fullmatch(_MASTER, master):
            raise ValueError(
                "spark://host:7077, yarn, k8s://…, sc://host:15002, or local[2] for this machine"
            )
        return master

    @field_validator("settings")
    @classmethod
    def _are_sparks(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name in settings:
            if not re.fullmatch(r"spark(\.[A-Za-z0-9_-]+)+", name):
                raise ValueError(
                    f'names of Spark\'s settings, as spark.executor.memory; found "{name}"'
                )
            if _SECRET.search(name):
                raise ValueError(f"no secret; {name} belongs in spark-defaults.conf")
        return settings


class Engine(Strict):
    """`engine:` of dataset.yml; `{duckdb: …}` (the default), or `{spark: URL}`.

    most_rows : that may leave the engine for pandas at once, see `collecting`.
    """

    duckdb: DuckDB = DuckDB()
    spark: Spark | None = None
    most_rows: int = Field(default=10_000_000, ge=1)

    @field_validator("spark", mode="before")
    @classmethod
    def _spark_by_url(cls, given: Any) -> Any:
        return {"master": given} if isinstance(given, str) else given

    def in_process(self) -> Engine:
        """Without Spark: what reads raw files, and says who is who, whatever reads their results."""
        return self.model_copy(update={"spark": None})


class File(Strict):
    """One file (or one pattern of files alike) and how to read it.

    path : below the dataset's folder, `*` and `?` allowed in the name; or `package:module/inner/path`
        for a file inside an installed package; or a table of a database, as `addresses` has it.
    source : name of the system it comes from, unless a column says so.
    names : the columns' names, for a file without a header; widths : of a fixed-width file.
    sign : what may stand before or behind its amounts of money, such as € or kr.
    date_format : strptime pattern of every date and time in it; ISO 8601 if not given.
    country : ISO 3166 code of its phone numbers, where a row has no country of its own.
    owner : who can mend what is wrong with it.
    verified_email : whether its e-mail addresses were confirmed by their owners.
    one_per_person : whether nobody has two records in it.
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
    sign: Annotated[str, Field(pattern=r"^[^\d\s+.,'-][^\d+,'-]{0,9}$")] | None = None
    date_format: str | None = None
    sheet: str | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    owner: str | None = None
    verified_email: bool = False
    one_per_person: bool = False
    columns: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_suffix(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"path": given}
        if not isinstance(given, dict):
            raise ValueError("a path, or keys such as path and columns")
        suffix = PurePosixPath(str(given.get("path"))).suffix.lower()
        if addresses.is_address(str(given.get("path"))):
            given = {"format": "database"} | given
        elif "delimiter" in given:  # whatever the ending says
            given = {"format": "csv"} | given
        elif suffix in SUFFIXES:
            given = {"format": SUFFIXES[suffix]} | given
        if suffix == ".tsv" and given["format"] == "csv":
            given = {"delimiter": "\t"} | given
        return given

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        inside = path
        if addresses.is_address(path):
            address = addresses.parse(path)
            if address.kind != "file":
                return path
            inside = address.database
        inner = PurePosixPath(inside.removeprefix("package:"))
        if inner.is_absolute() or ".." in inner.parts or "\\" in inside:
            raise ValueError(
                "a path below the dataset's folder, without .. and with forward slashes"
            )
        return path

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            "a".encode(encoding)  # codecs.lookup alone also knows hex and the like
            return codecs.lookup(encoding).name.removesuffix("-sig")
        except (LookupError, ValueError):
            raise ValueError("an encoding that Python knows, such as utf-8 or cp1252") from None

    @field_validator("date_format")
    @classmethod
    def _known_date_format(cls, pattern: str | None) -> str | None:
        if pattern is None or (
            re.fullmatch(_DATE_FORMAT, pattern, re.DOTALL) and re.search("%-?[yYcxgG]", pattern)
        ):
            return pattern
        raise ValueError('a strptime pattern with a year and no time zone, such as "%d.%m.%Y"')

    @model_validator(mode="after")
    def _fits_together(self) -> File:
        for option, formats in _ONLY_FOR.items():
            if option in self.model_fields_set and self.format not in formats:
                raise ValueError(
                    f"{option} only for format {' or '.join(formats)}; this one is {self.format}"
                )
        if (self.format == "database") != addresses.is_address(self.path):
            raise ValueError("format database for a path such as raw/shop.db#orders, and no other")
        if self.decimal == self.thousands:
            raise ValueError(f'decimal and thousands that differ; both are "{self.decimal}"')
        if self.delimiter in (self.quote, "\n", "\r") or self.quote in ("\n", "\r"):
            raise ValueError("delimiter and quote that differ from each other and from a line end")
        if self.format == "fixed" and not (self.widths and self.names):
            raise ValueError("names and widths for a fixed-width file")
        if self.widths and len(self.widths) != len(self.names or []):
            raise ValueError(
                f"as many names as widths; there are {len(self.names or [])} and {len(self.widths)}"
            )
        folded = [name.lower() for name in self.names or []]
        if len(set(folded)) != len(folded):
            raise ValueError("names that differ, in more than upper and lower case")
        return self


Files = Annotated[
    list[File],
    BeforeValidator(lambda given: given if isinstance(given, list) else [given]),
    Field(min_length=1),
]


class ColumnRule(Strict):
    """What a column of dataset.yml must keep beside the rules that every dataset has.

    at_least, at_most : another column of the table; references : a table and its column of the same
    name, in one row of which the value must be; note : rows that break it are accepted and counted.
    """

    required: bool = False
    unique: bool = False
    min: Scalar | None = None
    max: Scalar | None = None
    allowed: list[Scalar] | None = None
    pattern: str | None = None
    at_least: str | None = None
    at_most: str | None = None
    references: str | None = None
    note: bool = False

    @field_validator("pattern")
    @classmethod
    def _can_be_searched(cls, pattern: str | None) -> str | None:
        import pyarrow as pa  # slow to import, and few datasets have a pattern
        import pyarrow.compute as pc

        # DuckDB and pyarrow have the same engine, which searches in linear time.
        try:
            pc.match_substring_regex(pa.scalar(""), pattern or "")
        except pa.ArrowInvalid:
            raise ValueError("a regular expression without looking around or back") from None
        return pattern

    @field_validator("allowed")
    @classmethod
    def _allows_something(cls, allowed: list[Any] | None) -> list[Any] | None:
        if allowed == []:
            raise ValueError("at least one value")
        return allowed

    @model_validator(mode="after")
    def _only_notes_what_it_can(self) -> ColumnRule:
        if self.note and (self.required or self.unique):
            raise ValueError("required and unique without note: they put rows aside")
        return self


class Thresholds(Strict):
    """What `make report` still goes on with. Shares from 0 to 1; none: whatever is found.

    put_aside : of each table's rows; score : the lowest data-quality score of an export.
    """

    put_aside: Share | None = 0.05
    score: Share | None = None


class Dataset(Strict):
    """dataset.yml. `observed_until` is the last day seen; without it, the last order's day.

    language : of its report.
    simulation : of what world its files are made; they are then `simulated`.
    protected : columns of customers that no model may use.
    segments : name of a segment → who is in it. minimum_cell : customers; pages show no smaller cohort.
    keep : table → how long its rows are kept, see `keeping`; all of them if not given.
    """

    title: str
    description: str = ""
    simulated: bool = False
    language: Literal["en", "de", "nb"] = "en"
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    observed_until: Day | None = None
    engine: Engine = Engine()
    simulation: World | None = None
    tables: dict[TableName, Files]
    rules: dict[TableName, dict[str, ColumnRule]] = {}
    thresholds: Thresholds = Thresholds()
    protected: list[str] = []
    segments: dict[str, Criterion] = {}
    minimum_cell: int = Field(default=5, ge=1)
    keep: dict[KeptName, Annotated[str, BeforeValidator(_period)]] = {}
    parameters: dict[str, dict[str, Scalar]] = {}

    @field_validator("observed_until")
    @classmethod
    def _is_of_our_time(cls, day: dt.date | None) -> dt.date | None:
        # As of any time in the data, see schemas; and after it there are days.
        if day is not None and not 1950 <= day.year < 2100:
            raise ValueError("a day from 1950 to 2099")
        return day

    @field_validator("engine", mode="before")
    @classmethod
    def _engine_by_name(cls, given: Any) -> Any:
        if given == "duckdb":
            return {}
        if isinstance(given, dict | Engine):
            return given
        raise ValueError(
            "duckdb, or a key duckdb with its settings, or a key spark with its master"
        )

    @field_validator("tables")
    @classmethod
    def _has_orders(cls, tables: dict[TableName, Any]) -> dict[TableName, Any]:
        if "orders" not in tables:
            raise ValueError(f'a table "orders"; there are {", ".join(tables) or "none"}')
        return tables

    @field_validator("protected")
    @classmethod
    def _names_columns(cls, protected: list[str]) -> list[str]:
        if not set(protected) <= set(PROTECTABLE):
            raise ValueError(f"columns of customers: {', '.join(PROTECTABLE)}")
        return protected

    @field_validator("segments")
    @classmethod
    def _names_a_file(cls, segments: dict[str, Any]) -> dict[str, Any]:
        for name in segments:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9 -]{0,58}[a-z0-9])?", name):
                raise ValueError(
                    "names of small letters, digits, spaces and hyphens, 60 at most, as a file is "
                    f'named by each; found "{name}"'
                )
        return segments

    @field_validator("simulation")
    @classmethod
    def _in_its_currency(cls, simulation: World | None, info: ValidationInfo) -> World | None:
        if simulation is not None and info.data.get("currency", "EUR") != "EUR":
            raise ValueError(f"currency EUR, as its files have; it is {info.data['currency']}")
        return simulation

    @field_validator("keep")
    @classmethod
    def _can_be_kept(cls, keep: dict[Any, str], info: ValidationInfo) -> dict[Any, str]:
        tables = info.data.get("tables")
        if tables and (lacking := [name for name in keep if name not in tables]):
            raise ValueError(
                f"only what is under tables: {', '.join(tables)}; found {', '.join(lacking)}"
            )
        if keep and not (info.data.get("observed_until") or info.data.get("simulation")):
            raise ValueError(
                "observed_until beside it: the last day that the export covers, from which periods "
                "count back"
            )
        return keep

    @model_validator(mode="after")
    def _is_simulated(self) -> Dataset:
        if self.simulation is not None:
            self.simulated = True
            self.observed_until = self.observed_until or self.simulation.last_day
        return self

    def kept_since(self, table: KeptName) -> dt.date:
        """The first day of which rows of a table that `keep` names are kept."""
        assert self.observed_until is not None
        return keeping.first_day(self.keep[table], self.observed_until)


# Of dataset.yml: far more than any needs, and read in a second.
LARGEST = 1_000_000  # bytes
MOST_VALUES = 100_000
DEEPEST = 50  # keys and lists in each other


class _Loader(yaml.SafeLoader):
    """YAML's safe loader; notes a key given twice, of which it would keep the last in silence.

    What a few lines may stand for is bounded: an alias of aliases can mean more than memory holds.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[str] = []
        self._sizes: dict[int, int | None] = {}  # of nodes; None while its own parts are counted

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            self._size(node, 1)
        return node

    def _size(self, node: yaml.Node, depth: int) -> int:
        """How many values it stands for, each alias written out."""
        if depth > DEEPEST:
            raise _unfit(f"keys and lists in more than {DEEPEST} others", node)
        size = self._sizes.get(id(node), 0)
        if size is None:
            raise _unfit("an alias of what it stands in", node)
        if not size:
            self._sizes[id(node)] = None
            values = [] if isinstance(node, yaml.ScalarNode) else node.value
            parts = itertools.chain(*values) if isinstance(node, yaml.MappingNode) else values
            size = 1 + sum(self._size(part, depth + 1) for part in parts)
            self._sizes[id(node)] = size
        if size > MOST_VALUES:
            raise _unfit(f"aliases that stand for more than {MOST_VALUES:,} values", node)
        return size

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError):
            # Of a tag such as !!int, or a number of thousands of digits.
            raise _unfit("a value that cannot be read as what it is marked as", node) from None
        if isinstance(value, int) and abs(value) >= 2**63:
            raise _unfit("a whole number of more than 18 digits", node)
        if isinstance(value, str) and not value.isascii() and re.search("[\ud800-\udfff]", value):
            raise _unfit("half a letter (a surrogate)", node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        pairs = node.value if isinstance(node, yaml.MappingNode) else []  # none of `!!map [a]`
        for key in (key for key, _ in pairs if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                self.problems.append(
                    f'dataset.yml: key "{addresses.masked(key.value)}" is given twice, again in line '
                    f"{key.start_mark.line + 1}. Keep one."
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _unfit(what: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


# A day stays text until `Day` reads it: YAML's own reading fails on 31 February with a traceback.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(path: Path) -> Dataset:
    """Read and check a dataset.yml.

    Raises LabError with every problem found, one a line.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise LabError(
                f"dataset.yml: expected at most {LARGEST:,} bytes, found {path.stat().st_size:,}. "
                "Keep in it what data/README.md lists."
            )
        loader = _Loader(path.read_text(encoding="utf-8"))
        given = loader.get_single_data()
    except OSError as error:
        raise LabError(f"dataset.yml cannot be read ({error.strerror}). Allow it.") from None
    except UnicodeDecodeError:
        raise LabError(
            "dataset.yml: expected UTF-8 text, found other bytes. Save it as UTF-8."
        ) from None
    except RecursionError:
        raise LabError(
            f"dataset.yml: expected keys and lists in at most {DEEPEST} others, found them deeper. "
            "Write them flat."
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or getattr(error, "reason", "")
        raise LabError(
            f"dataset.yml: expected YAML, cannot read it{where}: {what}. "
            "Correct the line; quote a text that holds signs."
        ) from None
    if not isinstance(given, dict):
        raise LabError(
            "dataset.yml: expected keys such as title, currency and tables, found none. Write them."
        )
    try:
        dataset = Dataset.model_validate(given)
    except ValidationError as error:
        loader.problems += [in_words(e, given, _known_keys) for e in error.errors()]
    if loader.problems:
        raise LabError("\n".join(loader.problems))
    return dataset


def _known_keys(inside: list[str]) -> list[str]:
    """The keys that may stand under these."""
    if inside in (["tables"], ["rules"]):
        return list(get_args(TableName))
    if inside == ["keep"]:
        return list(get_args(KeptName))
    if inside[:1] == ["segments"]:
        return criteria.known_keys(inside[2:])
    model: type[BaseModel] = Dataset
    if inside:
        models: dict[str, type[BaseModel]] = {
            "tables": File,
            "duckdb": DuckDB,
            "spark": Spark,
            "engine": Engine,
            "rules": ColumnRule,
            "simulation": World,
            "thresholds": Thresholds,
        }
        model = next(models[key] for key in (inside[-1], inside[0]) if key in models)
    return list(model.model_fields)
