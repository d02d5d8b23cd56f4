"""Check that a built site asks no other host for anything: no script, style, image or font from elsewhere.

Links that a reader may follow are allowed. Run by ``make docs`` with the folder of the site.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

_ELSEWHERE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
_IN_STYLES = re.compile(r"(?:url\(|@import)\s*[\"']?(\s*(?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
#: What a browser fetches without being asked: the values of these attributes, of any element.
_FETCHED = {"src", "srcset", "poster", "data", "background"}
#: A <link> is fetched, unless it only says what a page is related to.
_ONLY_RELATED = {"canonical", "next", "prev", "author", "license", "alternate"}


class Requests(HTMLParser):
    """What a page makes the browser fetch from another host.

    Attributes
    ----------
    found : list of str
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element fetches."""
        values = {name: value or "" for name, value in attrs}
        fetched = [value for name, value in values.items() if name in _FETCHED]
        if tag == "link" and not set(values.get("rel", "").split()) <= _ONLY_RELATED:
            fetched.append(values.get("href", ""))
        self.found += [f"<{tag}> {value}" for value in fetched if _ELSEWHERE.match(value)]
        self.found += _IN_STYLES.findall(values.get("style", ""))
        self._in_style = tag == "style"
        if tag == "pre" and "mermaid" in values.get("class", ""):
            self.found.append("<pre> a diagram whose program is fetched from another host")

    def handle_data(self, data: str) -> None:
        """Note what a style sheet inside a page fetches."""
        if self._in_style:
            self.found += _IN_STYLES.findall(data)


def requests(folder: Path) -> list[str]:
    """Return what the pages and style sheets of a folder fetch from other hosts, each with its file."""
    found: list[str] = []
    for path in sorted(folder.rglob("*.html")):
        page = Requests()
        page.feed(path.read_text(encoding="utf-8"))
        found += [f"{path}: {what}" for what in page.found]
    for path in sorted(folder.rglob("*.css")):
        found += [f"{path}: {what}" for what in _IN_STYLES.findall(path.read_text(encoding="utf-8"))]
    return found


def main(folder: Path) -> int:
    """Print every request to another host, and return the exit code."""
    pages = len(list(folder.rglob("*.html")))
    found = requests(folder)
    print("\n".join(found) or f"{pages} pages, no request to another host")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
