"""A hook of mkdocs: the studies of experiments/ become pages of the site, and links stay links.

In the repository a page of docs/ links to ``../experiments/`` and a study to ``../../docs/``; in the site
both lie below one root. A link to a file that the site does not hold (code, for one) becomes plain text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

_REPOSITORY = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the texts and figures of the studies."""
    for path in sorted((_REPOSITORY / "experiments").rglob("*")):
        if path.suffix in {".md", ".png"}:
            place = path.relative_to(_REPOSITORY).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: object) -> str:
    """Let links lead to where the files are in the site."""
    here = PurePosixPath(page.file.src_uri).parent

    def linked(link: re.Match[str]) -> str:
        text, target = link.groups()
        place, hash_, anchor = target.partition("#")
        if not place or ":" in place:
            return link.group()
        found = _in_site(str(here / place), files) or _in_site(_moved(here, place), files)
        if found is None:
            return text if (_REPOSITORY / _moved(here, place)).exists() else link.group()
        return f"[{text}]({os.path.relpath(found, here)}{hash_}{anchor})"

    return _LINK.sub(linked, markdown)


def _moved(here: PurePosixPath, place: str) -> str:
    """Return where a link of the repository leads to, below the repository's root."""
    root = PurePosixPath() if here.parts[:1] == ("experiments",) else PurePosixPath("docs")
    return os.path.normpath(root / here / place)


def _in_site(place: str, files: Files) -> str | None:
    """Return the site's file of a place in the repository, or None."""
    place = os.path.normpath(place).removeprefix("docs/")
    for name in (place, f"{place}/README.md", f"{place}/index.md"):
        if files.get_file_from_path(name) is not None:
            return name
    return None
