"""Pieces of HTML and SVG, made fit for one page. Grain: one Markdown text, HTML text or figure.

What comes in is the notebooks' own, yet a value of a customer's file may be part of it: only
listed elements and attributes pass, nothing that runs and nothing that asks the network.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from colorsys import hls_to_rgb, rgb_to_hls
from dataclasses import dataclass
from html import escape
from typing import Any
from xml.etree import ElementTree

from bs4 import BeautifulSoup, Tag
from bs4.element import PreformattedString
from mistune import BlockParser, InlineParser
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from loyaltylab.language import phrase


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# An element that is dropped goes with its content; one that is not listed leaves its content.
DROPPED = ["script", "style", "iframe", "object", "embed", "template", "noscript", "svg", "math"]
ELEMENTS = _words(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption",
    "figure h1 h2 h3 h4 h5 h6 hr i img kbd li mark ol p pre q s samp small span strong sub summary",
    "sup table tbody td tfoot th thead time tr u ul var",
)
ATTRIBUTES = _words(
    "alt class colspan datetime dir href lang open rowspan scope span src start title",
)
SVG_ELEMENTS = _words(
    "circle clipPath defs ellipse g image line linearGradient marker mask path pattern polygon",
    "polyline radialGradient rect stop svg symbol text textPath tspan use",
)
HEADING = re.compile(r"h[1-6]")
_DARKEST = "#4c9bd6"  # of plots.SEQUENCE: where it is a swatch of a legend, it is one of cells
_INK = "fill: #1a1a1a"  # plots.INK, of what stands in the cells of a heat map
# A cell of figures, whatever the language: of its words, there is at most one between two figures.
_FIGURES = r"[+\-−]?\d[\d,.\u00a0]*%?"
NUMBER = re.compile(rf"{_FIGURES}( \w+( \w+)?)?( {_FIGURES})?|–")


@dataclass(frozen=True)
class Heading:
    """A heading of the page: its level, 1 for the title, its text, and its id."""

    level: int
    text: str
    anchor: str


class Fragments:
    """The pieces of one page, which share its outline and never repeat an id.

    pages : what a link to a notebook leads to, "03_retention.ipynb" to "03_retention.html".
    """

    def __init__(self, pages: Mapping[str, str]) -> None:
        self.headings: list[Heading] = []
        self._pages = pages
        self._anchors = {"main"}
        self._figures = 0
        self._tables = 0
        self._names: Counter[str] = Counter()

    @property
    def title(self) -> str:
        """Text of the first heading; empty if there is none."""
        return self.headings[0].text if self.headings else ""

    @property
    def contents(self) -> list[Heading]:
        """The headings of the contents list."""
        return [heading for heading in self.headings if heading.level in (2, 3)]

    def prose(self, markdown: str, attachments: dict[str, dict[str, str]] | None = None) -> str:
        """Markdown as safe HTML. A dollar sign is a currency, never the start of a formula."""
        renderer = IPythonRenderer(
            escape=False, exclude_anchor_links=True, attachments=attachments or {}
        )
        parser = MarkdownWithMath(renderer, block=BlockParser(), inline=InlineParser())
        return self.markup(parser.render(markdown))

    def markup(self, html: str) -> str:
        """HTML as safe HTML, its headings and tables fitted to the page."""
        soup = BeautifulSoup(html, "html.parser")
        for tag in soup.find_all(DROPPED):
            tag.extract()
        for string in soup.find_all(string=lambda text: isinstance(text, PreformattedString)):
            string.extract()  # comments and declarations, which browsers end in ways of their own
        for tag in soup.find_all(True):
            self._clean(tag)
        for heading in soup.find_all(HEADING):
            self._outline(heading)
        for table in soup.find_all("table"):
            self._frame(table)
        return str(soup)

    def figure(self, svg: str, alt: str, data: Mapping[str, Any] | None = None) -> str:
        """An SVG document as a figure in HTML, described by `alt`, its data behind a toggle below it.

        data : a `figure_data.FigureData` as JSON has it. Raises ParseError if `svg` is not well-formed.
        """
        self._figures += 1
        root = ElementTree.fromstring(svg)  # noqa: S314 - what matplotlib drew, in a notebook of ours
        _leave_drawing(root)
        _follow_scheme(root)
        _rename_ids(root, prefix=f"fig.{self._figures}.")  # no heading's id has a dot
        root.set("role", "img")
        root.set("aria-label", alt)
        drawing = f"<figure>{ElementTree.tostring(root, encoding='unicode')}</figure>"
        return drawing if data is None else drawing + self._data(data)

    def _data(self, data: Mapping[str, Any]) -> str:
        """The table of a figure: the first cell of a row is its heading."""
        columns = list(zip(*data["rows"], strict=True))
        numeric = [all(NUMBER.fullmatch(cell) for cell in column) for column in columns]
        right = [' class="number"' if is_number else "" for is_number in numeric]
        head = "".join(
            f'<th scope="col"{mark}>{escape(name)}</th>'
            for name, mark in zip(data["columns"], right, strict=True)
        )
        body = ""
        for first, *others in data["rows"]:
            cells = zip(right[1:], others, strict=True)
            body += f'<tr><th scope="row"{right[0]}>{escape(first)}</th>'
            body += "".join(f"<td{mark}>{escape(cell)}</td>" for mark, cell in cells)
            body += "</tr>\n"
        told = phrase("Data of this figure: {caption}", caption=data["caption"])
        caption = escape(told)
        # Written as `_frame` would: to read so many cells again takes half of a page's time.
        framed = self._framed(told).items()
        frame = "".join(f' {attribute}="{escape(value)}"' for attribute, value in framed)
        rows = f"<thead><tr>{head}</tr></thead>" + f"\n<tbody>\n{body}</tbody>"
        table = f"<div{frame}><table><caption><span>{caption}</span></caption>{rows}</table></div>"
        notes = "".join(f"<p>{escape(note)}</p>" for note in data["notes"])
        return f'\n<details class="data"><summary>{caption}</summary>{table}{notes}</details>'

    def _clean(self, tag: Tag) -> None:
        right = "text-align:right" in str(tag.get("style", "")).replace(" ", "")
        tag.attrs = {name: value for name, value in tag.attrs.items() if name in ATTRIBUTES}
        if tag.name not in ELEMENTS:
            tag.unwrap()
        elif tag.name == "img" and not str(tag.get("src", "")).startswith("data:image/"):
            tag.replace_with(str(tag.get("alt", "")))
        elif tag.name == "img":
            unsaid = phrase("No description has been provided for this image")
            tag.attrs = {"alt": unsaid, **tag.attrs}
        elif tag.name in ("td", "th") and right:  # a column of a Markdown table
            tag["class"] = "number"
        elif "href" in tag.attrs:
            tag["href"] = self._link(str(tag["href"]))

    def _link(self, url: str) -> str:
        """A notebook's link leads to its page, one that could run something to nowhere."""
        scheme = re.match(r"[^/?#]*?:", url)
        if scheme and scheme[0].lower() not in ("http:", "https:", "mailto:"):
            return "#"
        path, hash_, anchor = url.partition("#")
        return self._pages.get(path.removeprefix("./"), path) + hash_ + anchor

    def _outline(self, tag: Tag) -> None:
        """One h1 a page, no level left out, and an id of its own."""
        level = min(max(int(tag.name[1]), 2), self.headings[-1].level + 1) if self.headings else 1
        text = " ".join(tag.get_text().split())
        slug = re.sub(r"\W+", "-", text.lower()).strip("-") or "section"
        anchor, count = slug, 1
        while anchor in self._anchors:
            count += 1
            anchor = f"{slug}-{count}"
        self._anchors.add(anchor)
        self.headings.append(Heading(level, text, anchor))
        tag.name = f"h{level}"
        tag["id"] = anchor

    def _frame(self, table: Tag) -> None:
        """A frame that also the keyboard scrolls, a caption that stays in sight, header scopes."""
        name = ""
        if caption := table.find("caption"):
            name = caption.get_text()
            line = Tag(name="span")
            line.extend(list(caption.contents))
            caption.append(line)
        frame = Tag(name="div")
        frame.attrs.update(self._framed(name))
        table.wrap(frame)
        for cell in table.find_all("th"):
            cell.attrs.setdefault("scope", "col" if cell.find_parent("thead") else "row")

    def _framed(self, name: str) -> dict[str, str]:
        """Attributes of the frame around the next table, by its caption or else its number."""
        self._tables += 1
        name = " ".join(name.split()) or phrase("Table {number}", number=self._tables)
        self._names[name] += 1
        if (count := self._names[name]) > 1:  # landmarks of one name cannot be told apart
            name = f"{name} ({count})"
        return {"class": "table", "role": "region", "tabindex": "0", "aria-label": name}


def _leave_drawing(element: ElementTree.Element) -> None:
    """Take away all that is not drawing, and the namespaces, which HTML does without."""
    for child in list(element):
        empty = _local(child.tag) == "path" and not child.get("d")
        if _local(child.tag) in SVG_ELEMENTS and not empty:
            _leave_drawing(child)
        else:
            element.remove(child)
    element.tag = _local(element.tag)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    element.attrib.clear()
    for name, value in attributes.items():
        fetched = name == "href" and not value.startswith(("#", "data:image/"))
        fetched = fetched or re.search(r"url\((?!['\"]?#)", value) is not None
        if not fetched and not name.startswith("on"):
            element.set(name, value)


def _rename_ids(root: ElementTree.Element, *, prefix: str) -> None:
    """Prefix the ids that the drawing refers to, and drop the many that nothing refers to."""
    own = re.compile(r"(url\(['\"]?#)([^'\")]+)")
    used = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "href" and value.startswith("#"):
                used.add(value[1:])
                element.set(name, f"#{prefix}{value[1:]}")
            else:
                used.update(anchor for _, anchor in own.findall(value))
                element.set(name, own.sub(rf"\g<1>{prefix}\2", value))
    for element in root.iter():
        anchor = element.attrib.pop("id", None)
        if anchor in used:
            element.set("id", f"{prefix}{anchor}")


def _follow_scheme(element: ElementTree.Element, *, cells: bool = False) -> None:
    """Give each colour another one on a dark page; a browser that does not know how keeps the first.

    The cells of a heat map and the figures in them stay: they are read against each other.
    """
    cells = cells or element.get("id", "").startswith("QuadMesh")
    style = element.get("style", "")
    if style and not (element.tag == "text" and _INK in style):
        changed = "(stroke)" if cells else "(fill|stroke)"
        element.set("style", re.sub(changed + r": (#[0-9a-f]{6})\b", _both, style))
    for child in element:
        _follow_scheme(child, cells=cells)


def _both(declared: re.Match[str]) -> str:
    name, color = declared.groups()
    if color == "#ffffff":
        return f"{name}: var(--card)"
    if color == _DARKEST:
        return declared[0]
    return f"{name}: {color}; {name}: light-dark({color}, {_on_dark(color)})"


def _on_dark(color: str) -> str:
    """A colour that is on the dark page what this one is on the white: greys are turned over, and
    colours are lighter and paler, the darker the more, so that shades keep their order."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, light, full = rgb_to_hls(red, green, blue)
    grey = red == green == blue
    light = 0.92 - 0.8 * light if grey else max(light, 0.45 + 0.4 * light)
    parts = hls_to_rgb(hue, light, 0.8 * full)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def _local(name: str) -> str:
    """A name without its XML namespace."""
    return name.rpartition("}")[2]
