"""A report as one PDF. Grain in: the pages of a report. Grain out: one PDF, printed by a browser.

The pages are laid one after the other in one HTML file, so that links between them lead to the
right sheet. Nothing is asked of the network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from loyaltylab.errors import LabError
from loyaltylab.files import scratch, written_whole

BROWSERS = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
]
PRINT = [
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
]
SECONDS = 300  # a browser that has not printed by then does not print


def write(pages: Sequence[Path], target: Path) -> None:
    """Print the pages, in this order, as the PDF `target`, whole or not at all.

    Raises LabError if there is no browser, if it prints nothing, or if `target` cannot be written.
    """
    browser = find_browser()
    # Beside the target: a browser that is kept in a sandbox may see no folder of the system's.
    with written_whole(target) as part, scratch(target.parent, prefix=".pdf-") as name:
        folder = Path(name).resolve()
        book, printed = folder / "report.html", folder / "r.pdf"
        book.write_text(combined(pages), encoding="utf-8")
        command = [browser, *PRINT, f"--user-data-dir={folder}/profile"]
        # The superuser (in a container) has no sandbox; the pages are our own and run nothing.
        command += ["--no-sandbox"] * (hasattr(os, "geteuid") and os.geteuid() == 0)
        try:
            subprocess.run(  # noqa: S603 - a program of the system, and arguments of ours
                [*command, f"--print-to-pdf={printed}", book.as_uri()],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LabError(_no_print(browser, type(error).__name__)) from None
        if not printed.is_file() or not printed.read_bytes().startswith(b"%PDF-"):
            raise LabError(_no_print(browser, "no file"))
        part.write_bytes(_without_dates(printed.read_bytes()))


def find_browser() -> str:
    """The path of the first browser of BROWSERS that is there. Raises LabError if none is."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise LabError(
        "No browser to print with: expected one of Chromium, Google Chrome or Microsoft Edge, "
        f"looked for {', '.join(name for name in BROWSERS if '/' not in name)}. Install one, or "
        "open the pages in the browser that you have and print them from there."
    )


def combined(pages: Sequence[Path]) -> str:
    """The pages one after the other as one HTML document, each id once, without what only a screen
    needs: navigation, code, footers."""
    soups = {page: BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser") for page in pages}
    names = {page.name: page.stem for page in pages}
    first = soups[pages[0]]
    styles = "".join(str(style) for style in first.find_all("style"))
    policy = first.find("meta", attrs={"http-equiv": True})
    title = _text(first, ".brand span")
    rules = "".join(chain.from_iterable(_sheets(p.stem, soup) for p, soup in soups.items()))
    bodies = []
    for page, soup in soups.items():
        main = soup.find("main")
        if not isinstance(main, Tag):
            raise LabError(f"{page}: expected a page of a report. Delete it and run make report.")
        for tag in main.select("details.code"):
            tag.decompose()
        _separate(main, page.stem, names)
        parts = [main]
        if page == pages[0]:
            for tag in soup.select("nav"):
                tag.decompose()
            parts = soup.select("header.site, aside.simulated, .columns")
        bodies.append(f'<section class="{_sheet(page.stem)}">{"".join(map(str, parts))}</section>')
    return (
        f'<!DOCTYPE html>\n<html lang="{first.html["lang"] if first.html else "en"}"><head>'
        f'<meta charset="utf-8">{policy}<title>{title} · Loyalty Lab</title>{styles}'
        f"<style>@page {{ size: A4; }}{rules}</style></head><body>{''.join(bodies)}</body></html>\n"
    )


def _sheets(stem: str, soup: BeautifulSoup) -> Iterator[str]:
    """What stands above the sheets of one page: the dataset, whether it is simulated, the page."""
    aside = soup.select_one("aside.simulated")
    left = [_text(soup, ".brand span"), *([str(aside["aria-label"])] if aside else [])]
    name = _sheet(stem)
    yield f".{name} {{ page: {name}; }}"
    yield (
        f"@page {name} {{ @top-left {{ content: {_quoted(' · '.join(left))}; }}"
        f" @top-right {{ content: {_quoted(_text(soup, 'header.site [aria-current]'))}; }} }}"
    )


def _sheet(stem: str) -> str:
    """A name for CSS, which takes none that begins with a digit."""
    return f"page-{stem}"


def _text(soup: BeautifulSoup, selector: str) -> str:
    found = soup.select_one(selector)
    return " ".join(found.get_text().split()) if found else ""


def _quoted(text: str) -> str:
    """A string of CSS inside an HTML style: nothing in it ends either."""
    return '"' + re.sub(r'["\\<\n]', lambda sign: f"\\{ord(sign[0]):x} ", text) + '"'


def _separate(main: Tag, stem: str, names: dict[str, str]) -> None:
    """Ids that no other page has, and links that lead to them.

    names : file name of a page → the stem that its ids begin with.
    """
    reference = re.compile(r"(url\(['\"]?#)")
    for tag in [main, *main.find_all(True)]:
        for name, value in list(tag.attrs.items()):
            if not isinstance(value, str):
                continue
            if name == "id":
                tag[name] = stem if tag is main else f"{stem}.{value}"
            elif name == "href" and value.startswith("#") and tag.name != "a":
                tag[name] = f"#{stem}.{value[1:]}"
            elif "url(" in value:
                tag[name] = reference.sub(rf"\g<1>{stem}.", value)
    for link in main.find_all("a", href=True):
        page, _, anchor = str(link["href"]).partition("#")
        if not page or page in names:
            to = names.get(page, stem)
            link["href"] = f"#{to}.{anchor}" if anchor not in ("", "main") else f"#{to}"
        elif not re.match(r"(https?|mailto):", page):
            link.unwrap()  # a file beside the pages, which is not where the PDF is sent to


def _without_dates(pdf: bytes) -> bytes:
    """When it was printed, as zeros: the same pages give the same bytes."""
    return re.sub(
        rb"/(CreationDate|ModDate) \(D:\d{14}",
        lambda date: date[0][:-14] + b"19700101000000",
        pdf,
    )


def _no_print(browser: str, found: str) -> str:
    return (
        f"{browser} printed nothing: expected a PDF, found {found}. Open the pages in it and print "
        "them from there, or install another Chromium."
    )
