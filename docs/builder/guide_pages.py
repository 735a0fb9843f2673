"""Guide pages: run the Python blocks of the guide, and show what each prints and draws below it."""

import contextlib
import io
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from builder.markdown import figure, printed_text
from builder.pages import DOCS, ROOT, relink, write

sys.path.insert(0, str(ROOT / "examples"))  # pages import the data and the models of the examples

_BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_FIGURE = re.compile(r"^# (.+)\nfigure = ", re.MULTILINE)


def write_guide_pages(target: Path, work: Path) -> None:
    """Write every page of the guide with its output.

    Args:
        target: the source folder of the site.
        work: the folder in which the blocks run.
    """
    for page in sorted((DOCS / "guide").glob("*.md")):
        place = page.relative_to(DOCS)
        text = relink(page.read_text(encoding="utf-8"), page, place, target)
        write(target / place, with_output(text, page.stem, target / place.parent / "drawn", work / page.stem))


def with_output(text: str, name: str, drawn: Path, work: Path) -> str:
    """Return a page whose blocks were run one after the other, each followed by what it printed.

    A block that assigns a Matplotlib figure to ``figure`` is followed by the picture. The comment above that line is
    its text alternative.

    Args:
        text: the page.
        name: the start of the names of the pictures.
        drawn: the folder for the pictures.
        work: the folder in which the blocks run, which is emptied before.
    """
    space: dict[str, Any] = {"__name__": name}
    drawn.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(work, ignore_errors=True)  # what an earlier build left may change what is printed
    work.mkdir(parents=True)

    def run(block: re.Match[str]) -> str:
        space.pop("figure", None)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block[1], f"{name}.md", "exec"), space)
        parts = [block[0]]
        if output := printed.getvalue().strip("\n").replace(f"{work}{os.sep}", ""):
            parts.append(printed_text(output) + "\n")
        if "figure" in space:
            file = f"{name}-{text[: block.start()].count('```python') + 1}.svg"
            space["figure"].savefig(drawn / file, metadata={"Date": None})
            parts.append(figure(f"drawn/{file}", _alternative(block[1], name)) + "\n")
        return "\n".join(parts)

    before = Path.cwd()
    os.chdir(work)
    try:
        return _BLOCK.sub(run, text)
    finally:
        os.chdir(before)


def _alternative(block: str, page: str) -> str:
    """Return the text alternative of the picture that a block draws."""
    found = _FIGURE.search(block)
    if found is None:
        raise ValueError(f"{page}.md: the line `figure = ...` needs a comment above it that describes the picture.")
    return found[1]
