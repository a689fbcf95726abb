"""What of the code and the notebooks a reader may see, and what the catalogues say of it."""

import ast
import json
import re
from pathlib import Path

from babel.messages.pofile import read_po

from loyaltylab.language import _MARKDOWN_LINE, CATALOGUES
from loyaltylab.pages import label

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "loyaltylab"
# What these say is for the terminal, in English, unless it is a phrase.
TERMINAL = {
    *("__main__", "contract", "dataset", "engine", "errors", "execution", "files", "headers"),
    *("history", "inspection", "locations", "onboarding", "provenance", "records", "simulation"),
    *("sources", "wording", "workbooks", "world", "addresses", "databases", "failure", "fetching"),
    *(
        "pdf",
        "progress",
        "shortage",
        "warm",
        "stub",
        "collecting",
        "spark",
        "spark_backend",
        "alone",
    ),
    # Beside errors they have the reasons of rules, which are worded in `reasons`.
    *("validation/declared", "validation/rules", "validation/tables"),
}
SPEAKING = {"phrase", "sentence", "say", "counted"}
ERRORS = {"LabError", "ValueError", "TypeError", "KeyError", "AssertionError", "compile", "_unread"}
_WORDS = re.compile(r"[A-Za-z]{2,}[^A-Za-z{}]*\s[^{}]*[A-Za-z]{2,}|[A-Za-z]{3,} \{|\} [A-Za-z]{3,}")


def subject(path: Path) -> str:
    """The file of the catalogues that has a module's or a notebook's words."""
    if path.suffix == ".ipynb":
        return path.stem.partition("_")[2]
    inner = path.relative_to(PACKAGE)
    if _terminal(path):
        return "common"
    return inner.parts[0].removesuffix(".py") if len(inner.parts) > 1 else "common"


def speaking() -> list[Path]:
    """Modules and notebooks with words for readers."""
    return sorted(PACKAGE.rglob("*.py")) + sorted(ROOT.glob("notebooks/[0-9]*.ipynb"))


def needed(path: Path) -> set[str]:
    """English texts of a module or notebook that a catalogue must have."""
    if path.suffix != ".ipynb":
        return _said(ast.parse(path.read_text("utf-8")), every=not _terminal(path))
    texts: set[str] = set()
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            texts |= {match[2] for match in _MARKDOWN_LINE.finditer(source)}
        elif cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
            texts |= _said(ast.parse(source), every=True)
    return texts


def page_texts() -> set[str]:
    """English texts of the page's template, and the names of pages."""
    template = (PACKAGE / "template" / "index.html.j2").read_text("utf-8")
    names = {label(path.stem) for path in ROOT.glob("notebooks/[0-9]*.ipynb")}
    return set(re.findall(r'"([^"]+)" \| phrase', template)) | names


def constants(path: Path) -> set[str]:
    """All text constants of a module or of a notebook's code."""
    return {
        node.value
        for tree in _trees(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _trees(path: Path) -> list[ast.Module]:
    """The code of a module, or of each cell of a notebook."""
    if path.suffix != ".ipynb":
        return [ast.parse(path.read_text("utf-8"))]
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [ast.parse("".join(c["source"])) for c in cells if c["cell_type"] == "code"]


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _of_errors(tree: ast.Module) -> set[int]:
    """What stands in an error, which the terminal shows: ids of its nodes."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {id(inner) for call in calls if _called(call) in ERRORS for inner in ast.walk(call)}


def _said(tree: ast.Module, *, every: bool) -> set[str]:
    texts = set()
    silent = _of_errors(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                silent.add(id(first.value))
        elif isinstance(node, ast.Call):
            name = _called(node)
            if name == "counted":
                texts |= _nouns(node)
                silent |= {id(inner) for inner in node.args}
            elif name in SPEAKING and node.args:
                text = node.args[0]
                if isinstance(text, ast.Constant) and re.search("[A-Za-z]{2,}", _prose(text.value)):
                    texts.add(text.value)
        elif isinstance(node, ast.JoinedStr):
            silent |= {id(inner) for inner in ast.walk(node) if inner is not node}
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if every and text and id(node) not in silent and _WORDS.search(_prose(node.value)):
            texts.add(node.value)
    return texts


def glued(path: Path) -> list[str]:
    """Texts with words that are put together by an f-string: no catalogue can have them."""
    if _terminal(path):
        return []
    found = []
    for tree in _trees(path):
        silent = _of_errors(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) and id(node) not in silent:
                fixed = "{}".join(v.value for v in node.values if isinstance(v, ast.Constant))
                if re.search(r"[A-Za-z]{2,} | [A-Za-z]{2,}", fixed):
                    found.append(f"{path.name}:{node.lineno}: {fixed.strip()}")
    return found


def _terminal(path: Path) -> bool:
    if path.suffix == ".ipynb":
        return False
    inner = path.relative_to(PACKAGE).with_suffix("")
    return inner.parts[0] in TERMINAL or inner.as_posix() in TERMINAL


def _nouns(call: ast.Call) -> set[str]:
    nouns = [a.value for a in call.args[1:] if isinstance(a, ast.Constant)]
    if not nouns:
        return set()
    return {nouns[0], f"no {nouns[1] if len(nouns) > 1 else nouns[0] + 's'}"}


def _prose(text: str) -> str:
    """A template without its fields."""
    return re.sub(r"\{[^}]*\}", "{}", text)


def catalogue(language: str) -> dict[str, tuple[str, ...]]:
    """English → translation, or its plural forms, of all files of a language.

    Raises AssertionError where two files translate a text differently, or a translation is fuzzy.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted((CATALOGUES / language).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=language, abort_invalid=True):
                if not message.id:
                    continue
                assert not message.fuzzy, f"{path}: {message.id!r} is fuzzy"
                one = message.id[0] if isinstance(message.id, tuple) else message.id
                said = message.string if isinstance(message.string, tuple) else (message.string,)
                assert found.get(one, said) == said, f"{path}: {one!r} is translated in two ways"
                found[one] = said
    return found


def unsaid(subject: str) -> set[str]:
    """Texts of a subject that look as if they were for readers and are not, a line each."""
    path = Path(__file__).parent / "unsaid" / f"{subject}.txt"
    return set(path.read_text("utf-8").splitlines()) if path.exists() else set()
