"""What the site's generator does besides: pages from elsewhere, and links that leave `docs/`.

`docs/` reads well without the site: its links lead to files of the repository. On the site,
links to the READMEs of examples lead to their pages, and what has no page is named, not linked.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "build" / "reference"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def _elsewhere() -> dict[str, Path]:
    """Return the pages that do not lie in `docs/`: by their address on the site."""
    pages = {f"reference/{path.name}": path for path in sorted(GENERATED.glob("*.md"))}
    pages["changes.md"] = ROOT / "CHANGELOG.md"
    for path in sorted(ROOT.glob("examples/**/README.md")):
        pages[path.relative_to(ROOT).as_posix()] = path
    return pages


def on_config(config: Any) -> Any:
    """Give the examples' pages their place behind the gallery."""
    readmes = [page for page in _elsewhere() if page.startswith("examples/")]
    entry = {"Examples": [{page.split("/")[-2]: page} for page in readmes]}
    results = next(part["Results"] for part in config["nav"] if "Results" in part)
    if entry not in results:
        results.append(entry)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add those pages."""
    for page, path in _elsewhere().items():
        files.append(File.generated(config, page, content=path.read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lead links from where a page lies in the repository to where they lead on the site."""
    source = page.file.src_uri
    home = _elsewhere().get(source, ROOT / "docs" / source).parent

    def led(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = Path(posixpath.normpath((home / target).as_posix()))
        for address, origin in _elsewhere().items():
            if path == origin:
                return f"[{text}]({_relative(address, source)}{anchor})"
        if path.is_relative_to(ROOT / "docs"):
            address = path.relative_to(ROOT / "docs").as_posix()
            return f"[{text}]({_relative(address, source)}{anchor})"
        if not path.exists():
            return match[0]  # reported as broken
        return text if text.startswith("`") else f"{text} (`{path.relative_to(ROOT).as_posix()}`)"

    return _LINK.sub(led, markdown)


def _relative(address: str, source: str) -> str:
    return posixpath.relpath(address, posixpath.dirname(source) or ".")
