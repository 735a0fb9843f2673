"""Pages: copy the hand-written pages into the site, with links that lead to pages and files of the site."""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from builder.markdown import toctree

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FROM_ROOT = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
"""Pages of the repository's root, and their names on the site."""
FOLDERS = ("*.md", "decisions/*.md", "guide/*.md", "coming-from/*.md")
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
_FENCE = re.compile(r"(^(`{3,}|~{3,}).*?^\2 *$)", re.DOTALL | re.MULTILINE)


def write(file: Path, text: str) -> None:
    """Write a page if it has changed, so that Sphinx reads only changed pages again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


@cache
def hand_written() -> dict[Path, Path]:
    """Return the hand-written pages, each with its place on the site."""
    pages = {page: page.relative_to(DOCS) for pattern in FOLDERS for page in sorted(DOCS.glob(pattern))}
    return pages | {ROOT / name: Path(place) for name, place in FROM_ROOT.items()}


def copy_pages(target: Path) -> None:
    """Copy every hand-written page and the pictures into the source folder of the site."""
    for page, place in hand_written().items():
        if place.parts[0] == "guide":
            continue  # written with the output of its blocks
        write(target / place, relink(page.read_text(encoding="utf-8"), page, place, target))
    for folder in ("pictures", "_static"):
        shutil.copytree(DOCS / folder, target / folder, dirs_exist_ok=True)


def relink(text: str, page: Path, place: Path, target: Path) -> str:
    """Return a page's text with links for the site; blocks of code are left as they are.

    Args:
        text: the page in Markdown.
        page: its file, to which its links are relative.
        place: its place on the site.
        target: the source folder of the site, into which linked files of the repository are copied.
    """
    up = "../" * (len(place.parts) - 1)

    def relinked(found: re.Match[str]) -> str:
        shown, link = found[1], found[2]
        if link.startswith(("http:", "https:", "mailto:", "#")):
            return found[0]
        path, mark, anchor = link.partition("#")
        if (page.parent / path).is_dir():
            return shown.strip("[]")  # a folder of the repository has no page
        return f"{shown}({up}{_on_site((page.parent / path).resolve(), target)}{mark}{anchor})"

    return outside_code(text, lambda prose: _LINK.sub(relinked, prose))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    r"""Return the text with a change applied to everything but its blocks of code.

    Example:
        >>> outside_code("a\n```\na\n```\n", str.upper)
        'A\n```\na\n```\n'
    """
    pieces, end = [], 0
    for block in _FENCE.finditer(text):
        pieces += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*pieces, change(text[end:])])


def _on_site(file: Path, target: Path) -> str:
    """Return the place of a page, or of a copy of another file, relative to the root of the site."""
    if file == ROOT / "README.md":
        return "start.md"
    if file in hand_written():
        return hand_written()[file].as_posix()
    if file.suffix == ".ipynb":
        return f"notebooks/{file.stem}.md"
    if file.is_relative_to(DOCS):  # a picture or a generated page; Sphinx reports what does not exist
        return file.relative_to(DOCS).as_posix()
    inside = Path("files") / file.relative_to(ROOT)
    (target / inside).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target / inside)
    return inside.as_posix()


def decisions_page() -> str:
    """Return the index of the decisions, with the title of each."""
    pages = sorted((DOCS / "decisions").glob("*.md"))
    titles = [page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for page in pages]
    lines = [f"- [{title}]({page.name})" for page, title in zip(pages, titles, strict=True)]
    tree = toctree([page.stem for page in pages], ":maxdepth: 1")
    head = "# Decisions\n\nChoices that a newcomer would question, with their context and consequences."
    return "\n\n".join([head, "\n".join(lines), tree]) + "\n"


def start_page(target: Path) -> str:
    """Return the page *Start*: the README's sections on installing, on a Trainer and on Hydra."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    wanted = [part for part in sections if part.startswith(("## Install", "## Use it"))]
    return relink("# Start\n\n" + "".join(wanted), ROOT / "README.md", Path("start.md"), target)
