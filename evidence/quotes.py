"""Quotes: rows of the tables of docs/evidence.md that other pages show, written again whenever that page is."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
_QUOTE = re.compile(r"(?<=<!-- rows of evidence.md -->\n)(.*?)(?=<!-- /rows -->)", re.DOTALL)


def pages() -> list[Path]:
    """Return the pages that quote."""
    return [page for page in sorted(DOCS.rglob("*.md")) if _QUOTE.search(page.read_text(encoding="utf-8"))]


def renewed(text: str, table: str) -> str:
    r"""Return a page whose quoted rows are those of a table with the same first cell.

    Raises:
        KeyError: the table has no such row.

    Example:
        >>> page = "<!-- rows of evidence.md -->\n| a | old |\n<!-- /rows -->"
        >>> renewed(page, "| a | 1 |\n| b | 2 |").splitlines()[1]
        '| a | 1 |'
    """
    rows = {_first(line): line for line in table.splitlines()}
    return _QUOTE.sub(lambda quote: "".join(f"{rows[_first(line)]}\n" for line in quote[1].splitlines()), text)


def _first(line: str) -> str:
    return line.split("|")[1].strip()


def renew(table: str) -> None:
    """Write the quoted rows of all pages.

    Args:
        table: the table of all tasks.
    """
    for page in pages():
        page.write_text(renewed(page.read_text(encoding="utf-8"), table), encoding="utf-8")
