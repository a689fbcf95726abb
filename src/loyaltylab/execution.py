"""Notebooks as programs: what parameters one takes, and running it.

The `parameters` cell of a notebook is its contract. Each line is a literal and a comment:

    period = "month"    # week | month | quarter: length of a cohort and of its periods
    holdout_weeks = 39  # 1..520 weeks: held out at the end
    topic = ""          # text: what to look for

A bound may be left out (`1.. weeks`).
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import sys
import time
import tokenize
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat

from loyaltylab import failure
from loyaltylab import warm as kernels
from loyaltylab.contract import Dataset, Scalar
from loyaltylab.dataset import tables_of
from loyaltylab.errors import LabError
from loyaltylab.files import scratch, write_json, written_whole
from loyaltylab.language import phrase
from loyaltylab.progress import Progress, seconds_of
from loyaltylab.wording import did_you_mean

_RANGE = re.compile(
    r"(?P<low>-?[\d.]*\d)?\.\.(?P<high>-?[\d.]*\d)?\s*(?P<unit>[^:]*):\s*(?P<meaning>.+)"
)
_CHOICES = re.compile(r"(?P<choices>[^:|]+(\|[^:|]+)+):\s*(?P<meaning>.+)")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook; `low` and `high` are inclusive, missing if unbounded."""

    name: str
    default: Scalar
    meaning: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    def problem(self, value: Scalar) -> str:
        """What is wrong with a value, as "expected …"; empty if nothing is."""
        kind = type(self.default)
        # A whole number serves where a fraction is expected; True is no number.
        fits = type(value) is kind or (kind is float and type(value) is int)
        if not fits:
            return f"expected {_KINDS[kind]}"
        if self.choices and value not in self.choices:
            return f"expected one of {', '.join(self.choices)}"
        low, high = self.low, self.high
        if isinstance(value, str):
            return ""
        if (low is not None and value < low) or (high is not None and value > high):
            least = [] if low is None else [f"{low:g} or more"]
            most = [] if high is None else [f"{high:g} or less"]
            return f"expected {' and '.join(least + most)} {self.unit}".rstrip()
        return ""


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters of a notebook, by name.

    Raises LabError if its parameters cell does not keep to the form above.
    """
    cells = _read(notebook).cells
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise LabError(
            f"{notebook.name}: expected one cell tagged parameters, found {len(tagged)}."
        )
    source = tagged[0].source
    try:
        statements = ast.parse(source).body
        comments = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
    except SyntaxError as error:
        raise LabError(
            f"{notebook.name}: parameters, line {error.lineno}: expected Python. Correct the cell."
        ) from None
    found = {}
    for statement in statements:
        try:
            if not isinstance(statement, ast.Assign) or not isinstance(
                statement.targets[0], ast.Name
            ):
                raise ValueError
            name, default = statement.targets[0].id, ast.literal_eval(statement.value)
            found[name] = _parameter(name, default, comments[statement.lineno])
        except (ValueError, KeyError):
            raise LabError(
                f"{notebook.name}: parameters, line {statement.lineno}: expected name = literal "
                "followed by # range, choices or text, a colon, and what it means."
            ) from None
    return found


def _read(notebook: Path) -> Any:
    try:
        return nbformat.read(notebook, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError, OSError):
        raise LabError(
            f"{notebook.name} cannot be read as a notebook: expected the JSON that Jupyter saves. "
            "Look for marks of a merge in it, or restore it."
        ) from None


def _parameter(name: str, default: Any, comment: str) -> Parameter:
    if type(default) not in _KINDS:
        raise ValueError
    if match := _RANGE.fullmatch(comment):
        low, high = (float(b) if b else None for b in match.group("low", "high"))
        unit, meaning = match["unit"].strip(), match["meaning"]
        return Parameter(name, default, meaning, low=low, high=high, unit=unit)
    if match := _CHOICES.fullmatch(comment):
        choices = tuple(choice.strip() for choice in match["choices"].split("|"))
        return Parameter(name, default, match["meaning"], choices=choices)
    kind, colon, meaning = comment.partition(": ")
    if not colon or isinstance(default, int | float) != (kind == "flag"):
        raise ValueError
    return Parameter(name, default, meaning)


def parameter_problems(dataset: Dataset, notebooks: Path) -> list[str]:
    """What is wrong with the parameters that dataset.yml sets, a sentence each; none runs a kernel."""
    known = {path.stem: path for path in sorted(notebooks.glob("[0-9]*.ipynb"))}
    problems = []
    for stem, values in dataset.parameters.items():
        if stem not in known:
            problems.append(
                f'dataset.yml under parameters: no notebook "{stem}"; expected one of '
                f"{', '.join(known)}. {did_you_mean(stem, known)}".rstrip()
            )
            continue
        takes = {n: p for n, p in parameters(known[stem]).items() if n != "dataset"}
        for name, value in values.items():
            place = f"dataset.yml under parameters.{stem}"
            if name not in takes:
                problems.append(
                    f'{place}: unknown parameter "{name}"; expected one of '
                    f"{', '.join(takes) or 'none'}. {did_you_mean(name, takes)}".rstrip()
                )
            elif problem := takes[name].problem(value):
                problems.append(f"{place}: {name} is {value!r}; {problem}.")
    return problems


def run(
    notebook: Path,
    target: Path,
    values: Mapping[str, Scalar],
    *,
    results: Path | None = None,
    without: Sequence[str] = (),
    failed: Path | None = None,
    seconds: Path | None = None,
    warm: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Run a notebook by papermill with these parameters; `target` gets it with its outputs.

    without : tags; cells with one of them are left out.
    failed : folder that keeps a run that failed, under the notebook's name, until it runs again.
    seconds : file of what each cell took, for the next run to say how much is left.
    warm : whether its kernel may be forked from one that has the imports, see `warm`.

    Where the data cannot answer its question (UnanswerableError), it ends at that cell with the
    reason as its last sentence, and its numbers in `results` are those that it had saved by then;
    without `results`, that is a failure like any other.
    Raises LabError, naming notebook and cell, if a cell fails; `target` is then left as it was.
    """
    import papermill  # slow to import, and `check` does without it
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    # The environment's own kernel and a plain IPython, whatever the user's home folder holds.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    began = time.monotonic()
    numbers = None if results is None else results / f"{notebook.stem}.json"
    earlier = _changed(numbers)
    if failed is not None:
        with contextlib.suppress(OSError):
            (failed / notebook.name).unlink()
    with written_whole(target) as part, scratch() as name:
        folder = Path(name)
        output = folder / notebook.name
        source = folder / f"source-{notebook.name}"
        prepared = _without_cells(_read(notebook), without)
        nbformat.write(prepared, source)
        os.environ["IPYTHONDIR"] = name
        root = notebook.resolve().parent.parent
        kernel = kernels.kernel(root, folder / "jupyter") if warm else "python3"
        progress = Progress(
            notebook.stem,
            [cell.id for cell in prepared.cells],
            seconds_of(seconds) if seconds else {},
            sys.stderr,
        )
        try:
            with progress:
                papermill.execute_notebook(
                    str(source),
                    str(output),
                    dict(values),
                    kernel_name=kernel,
                    cwd=str(notebook.parent),
                    progress_bar=False,
                    log_output=False,
                    # Once, at the end: after each cell it would be a fifth of a long page's time.
                    request_save_on_cell_execute=False,
                    # Customers' data goes through a socket of this user, not through an open port.
                    config=Config({"KernelManager": {"transport": "ipc", "ip": f"{name}/kernel"}}),
                    extra_arguments=["--IPKernelApp.log_level=50"],  # a kernel told to stop says so
                    on_cell_execute=lambda cell, **_: progress.begin(cell.id),
                    on_cell_executed=lambda cell, **_: progress.end(cell.id),
                )
        except PapermillExecutionError as error:
            if error.ename != "UnanswerableError" or numbers is None:
                run_until = failure.without_marks(nbformat.read(output, as_version=4))
                kept = _keep(run_until, failed / notebook.name) if failed else None
                words = failure.told(notebook, run_until, error.ename, str(error.evalue), kept)
                raise LabError(words) from None
            executed = _ended_early(nbformat.read(output, as_version=4), str(error.evalue))
            if _changed(numbers) == earlier:  # what an earlier run found is not this one's
                tables_of(numbers.parent, notebook.stem).unlink(missing_ok=True)
                write_json(numbers, [])
        except (DeadKernelError, RuntimeError) as error:
            raise LabError(
                f"{notebook.name}: its kernel died at {progress.place} ({type(error).__name__}). If "
                "memory ran out, set engine: {duckdb: {memory_limit: …}} in dataset.yml."
            ) from None
        else:
            executed = nbformat.read(output, as_version=4)
        nbformat.write(_without_traces(executed), part)
    if seconds:
        with contextlib.suppress(LabError):  # a guess less, the next time
            write_json(seconds, {cell: round(took, 3) for cell, took in progress.seconds.items()})
    report(f"{notebook.stem}: {time.monotonic() - began:.1f} s")


def _changed(path: Path | None) -> int | None:
    """When it was written last; None if it is not there."""
    return path.stat().st_mtime_ns if path is not None and path.exists() else None


def _without_cells(notebook: Any, tags: Sequence[str]) -> Any:
    notebook.cells = [
        cell for cell in notebook.cells if not set(cell.metadata.get("tags", [])) & set(tags)
    ]
    return notebook


def _ended_early(executed: Any, reason: str) -> Any:
    """The notebook up to the cell that raised, which shows the reason instead of a traceback."""
    kept = []
    for cell in executed.cells:
        if "papermill-error-cell-tag" in cell.metadata.get("tags", []):
            continue
        kept.append(cell)
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            text = phrase("**This page ends here.** {reason}", reason=reason)
            data = {"text/markdown": text, "text/plain": text}
            cell.outputs = [nbformat.v4.new_output("display_data", data)]
            break
    executed.cells = kept
    return executed


def _keep(executed: Any, path: Path) -> Path | None:
    """Where a failed run is kept; None if it cannot be, which is no failure of its own."""
    try:
        with written_whole(path) as part:
            nbformat.write(executed, part)
    except LabError:
        return None
    return path


def _without_traces(executed: Any) -> Any:
    """Take out what differs from run to run: times, process ids, papermill's notes, random ids."""
    executed.metadata.pop("papermill", None)
    executed.metadata["language_info"] = {"name": "python"}
    for cell in executed.cells:
        for trace in ("papermill", "execution"):
            cell.metadata.pop(trace, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    return executed
