"""Notebook pages: show the cells of each notebook with the outputs that are stored in it."""

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

from builder.markdown import code, figure, printed_text
from builder.pages import ROOT, relink, write

NOTEBOOKS = ROOT / "examples" / "notebooks"
_COMMENT = re.compile(r"^# (.+)$", re.MULTILINE)


def notebooks() -> dict[str, tuple[str, str]]:
    """Return the title of each notebook and the file of its last picture, by name."""
    found = {}
    for file in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = _cells(file)
        last = max(number for number, cell in enumerate(cells) if _draws(cell))
        title = "".join(cells[0]["source"]).split("\n")[0].lstrip("# ")
        found[file.stem] = title, f"drawn/{file.stem}-{last}.png"
    return found


def write_notebook_pages(target: Path) -> None:
    """Write the page of each notebook.

    Args:
        target: the source folder of the site.
    """
    for name in notebooks():
        file, place = NOTEBOOKS / f"{name}.ipynb", Path("notebooks", f"{name}.md")
        text = relink(page(_cells(file), name, target / "notebooks" / "drawn"), file, place, target)
        title, _, rest = text.partition("\n\n")
        write(target / place, f"{title}\n\n[Download this notebook]({file.name})\n\n{rest}")
        shutil.copyfile(file, target / "notebooks" / file.name)


def page(cells: list[dict[str, Any]], name: str, drawn: Path) -> str:
    """Return a notebook as Markdown.

    Args:
        cells: its cells, as in the file.
        name: its name, with which the names of the pictures start. The last line of comment in a cell that
            draws is the text alternative of the picture.
        drawn: the folder for the pictures.
    """
    drawn.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(code("python", source))
        for output in cell["outputs"]:
            parts.append(_shown(output, drawn / f"{name}-{number}.png", source))
    return "\n\n".join(filter(None, parts)) + "\n"


def _shown(output: dict[str, Any], file: Path, source: str) -> str:
    """Return what a cell printed or drew; notices on the error stream are left out."""
    if output["output_type"] == "stream":
        return printed_text("".join(output["text"])) if output["name"] == "stdout" else ""
    data = output["data"]
    if "image/png" not in data:
        return printed_text("".join(data["text/plain"]))
    if not (comments := _COMMENT.findall(source)):
        raise ValueError(f"{file.stem}: a cell that draws needs a line of comment that describes the picture.")
    file.write_bytes(base64.b64decode("".join(data["image/png"])))
    return figure(f"drawn/{file.name}", comments[-1])


def _draws(cell: dict[str, Any]) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def _cells(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text(encoding="utf-8"))["cells"])
