"""What attacks did: in a browser, in a spreadsheet, in a terminal, on the disk. Each function tells what
it found, a text each; nothing is what should be found."""

import contextlib
import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Error, sync_playwright

from loyaltylab import pdf
from tests.hostile import ADDRESS, MARK

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What a page of ours has no element or attribute for, however harmless this one may be.
_FOREIGN = """() => {
  const found = [];
  const kinds = ['script', 'iframe', 'object', 'embed', 'form', 'input', 'base', 'template', 'svg a',
    'foreignObject', 'animate', 'set'];
  for (const kind of kinds) {
    const tags = document.querySelectorAll(kind);
    if (tags.length) found.push(`${tags.length} ${kind}`);
  }
  if (document.querySelectorAll('style').length > 2) found.push('a style of another');
  for (const tag of document.querySelectorAll('meta[http-equiv]'))
    if (tag.httpEquiv !== 'Content-Security-Policy') found.push(`meta ${tag.httpEquiv}`);
  for (const tag of document.querySelectorAll('*'))
    for (const {name, value} of tag.attributes) {
      if (name.startsWith('on')) found.push(`${tag.tagName} ${name}`);
      const link = /^(href|src|xlink:href|action|srcdoc|formaction|data)$/.test(name);
      if (link && /^[\\s\\x00-\\x1f]*(javascript|vbscript|data:text)/i.test(value)) found.push(value);
      if (link && value.includes('ADDRESS')) found.push(value);
      if (name === 'style' && /url\\((?!['"]?#)|expression|@import/i.test(value)) found.push(value);
    }
  return found;
}""".replace("ADDRESS", urlsplit(ADDRESS).netloc)


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Raises LabError where there is none."""
    program = pdf.find_browser()
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=QUIET)
        yield opened
        opened.close()


@contextlib.contextmanager
def tab(opened: Any, *, policy: bool) -> Iterator[Any]:
    """policy : whether the browser heeds the policy of pages, or goes by what is in them alone."""
    context = opened.new_context(bypass_csp=not policy)
    yield context.new_page()
    context.close()


def of_page(tab: Any, page: Path, *, wait: int = 0) -> list[str]:
    """What a page does when it is opened, all of it unfolded: dialogs, requests, scripts, complaints.

    wait : milliseconds in which it may do so afterwards.
    """
    did: list[str] = []
    own = page.resolve().as_uri()

    def dialog(asked: Any) -> None:
        did.append(f"dialog: {asked.message}")
        with contextlib.suppress(Error):  # the page is gone already
            asked.dismiss()

    listeners = {
        "dialog": dialog,
        "request": lambda asked: did.extend(
            [f"request: {asked.url}"] * (asked.url != own and not asked.url.startswith("data:"))
        ),
        "console": lambda said: did.append(f"console: {said.text}"),
        "pageerror": lambda error: did.append(f"error: {error}"),
        "popup": lambda window: did.append("a window"),
    }
    for event, listener in listeners.items():
        tab.on(event, listener)
    tab.goto(own)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab.wait_for_timeout(wait)
    if tab.evaluate(f"'{MARK}' in document.documentElement.dataset"):
        did.append("a script ran")
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)
    return did


def foreign(tab: Any) -> list[str]:
    """Elements and attributes of the open page that only an attack can have brought."""
    return tab.evaluate(_FOREIGN)


def of_table(text: str) -> list[str]:
    """Cells of a CSV that a spreadsheet would compute, whatever sign it takes for the end of a cell."""
    found = []
    for delimiter in ",;\t":
        for row in csv.reader(
            io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter
        ):
            for cell in row:
                bare = unicodedata.normalize("NFKC", cell).lstrip(' \t\r\n"')
                # Or the row begins with one, where it is taken for one cell.
                number = re.match(r"-?\d+(\.\d+)?(e[-+]?\d+)?(,|$)", cell)
                if bare.startswith(("=", "+", "-", "@")) and not number:
                    found.append(f"formula: {cell}")
    return found


def of_output(text: str) -> list[str]:
    """Signs that a terminal obeys, but those that end a line or leave room in it."""
    odd = {
        sign
        for sign in text
        if unicodedata.category(sign) in ("Cc", "Cf", "Cs") and sign not in "\n\t"
    }
    return [f"sign of a terminal: {sign!a}" for sign in sorted(odd)]


def of_disk(*folders: Path) -> list[str]:
    """Files and folders that are called MARK."""
    return [
        f"left: {path}" for folder in folders for path in folder.rglob("*") if path.name == MARK
    ]
