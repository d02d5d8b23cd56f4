"""A page taken apart: tags that close, ids, addresses, cells and words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "wbr", "hr", "link", "input"}
ADDRESSES = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background", "cite"}


class Page(HTMLParser):
    """Read a page and refuse what does not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.styles: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self._look(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self._look(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> out of order in {self.open}"

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.styles.append(data)
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def _look(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ADDRESSES:
                self.addresses.append(value)
            elif name == "style" or "url(" in (value or ""):
                self.styles.append(value)
            elif name.startswith("on"):
                self.handlers.append(name)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def cells(self) -> list[str]:
        return [" ".join(cell.split()) for table in self.tables for row in table for cell in row]


def self_contained(text: str) -> Page:
    """Assert that a page asks for nothing and runs nothing, and give it."""
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
    assert page.handlers == []
    within = [address for address in page.addresses if not address.startswith("data:")]
    assert all(address.startswith("#") and address[1:] in page.ids for address in within), within
    for style in page.styles:
        assert "@import" not in style
        assert "@font-face" not in style
        for target in re.findall(r"url\(([^)]*)\)", style):
            assert target.strip("'\"").startswith("#")
            assert target.strip("'\"")[1:] in page.ids
    assert len(page.ids) == len(set(page.ids)), "an id twice"
    assert "://" not in re.sub(r"data:[^\"]*", "", text)
    return page
