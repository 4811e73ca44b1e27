"""Hooks of MkDocs: the site consists of the repository's own Markdown files and of generated pages.

Every file has the same path in the site as in the repository, so that links between them work in both.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import command_pages  # noqa: E402
import plugin_pages  # noqa: E402
import python_pages  # noqa: E402

_log = logging.getLogger("mkdocs.hooks.occopus")
_PAGES = (
    "*.md",
    "docs/*.md",
    "examples/README.md",
    "examples/*/README.md",
    "plugins/README.md",
    "plugins/*/*/README.md",
    "benchmarks/README.md",
    "schemas/README.md",
    "contrib/occo/README.md",
)
_LINKED = ("LICENSE", "docs/*.png", "examples/*/*", "schemas/*.json", "contrib/plugin-template/copier.yml")
"""Files that pages show or link to."""
_LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\s(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
_LINK = re.compile(r"(?<=\]\()(?P<path>[^()\s#:]+)(?=[#)])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation with the tutorials and the generated pages."""
    sections: dict[str, list[Any]] = {name: pages for entry in config.nav or [] for name, pages in entry.items()}
    sections["Tutorials"] += [path for path in _repository(("examples/*/README.md",)) if path != "examples/README.md"]
    sections["Commands"] += sorted(command_pages.pages())
    sections["Plugins"] += [{title: list(pages)} for title, pages in plugin_pages.navigation()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's files and the generated pages."""
    for path in dict.fromkeys(_repository(_PAGES + _LINKED)):
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    for path, text in {**command_pages.pages(), **plugin_pages.pages(), **python_pages.pages()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Change links to folders, which the repository's pages show, to the README of the folder."""
    folder = Path(page.file.src_uri).parent

    def led(match: re.Match[str]) -> str:
        path = match["path"]
        target = os.path.normpath(folder / path)
        return f"{path.rstrip('/')}/README.md" if files.get_file_from_path(f"{target}/README.md") else path

    return _LINK.sub(led, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """Warn if a page would load something from another host."""
    for url in _LOADED.findall(output):
        _log.warning("%s loads %s: the site must work without a network", page.file.src_uri, url)
    return output


def _repository(patterns: tuple[str, ...]) -> Iterator[str]:
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                yield path.relative_to(ROOT).as_posix()
