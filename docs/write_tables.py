"""Write the generated tables of README.md and docs/rules.md: `make tables`."""

from collections.abc import Callable
from pathlib import Path

import lightning_tricks
from lightning_tricks.cli.list import markdown_table, rules_table, tricks_table

ROOT = Path(__file__).parents[1]
SOURCES = "src/lightning_tricks"


def tricks() -> str:
    """Return the table of tricks; each callback links to its source, whose docstring documents it."""
    table = markdown_table(tricks_table(own=True))
    for name, module in lightning_tricks._HOMES.items():
        table = table.replace(f"| `{name}` |", f"| [`{name}`]({SOURCES}/{module.replace('.', '/')}.py) |")
    return table


def rules() -> str:
    """Return the table of rules, as `lightning-tricks list rules --format markdown` prints it."""
    return markdown_table(rules_table())


TABLES: dict[str, tuple[str, Callable[[], str]]] = {"README.md": ("tricks", tricks), "docs/rules.md": ("rules", rules)}
"""File, the name of its markers, and the table between them."""


def render(page: str) -> str:
    """Return the text of a page with its table as it should be."""
    name, table = TABLES[page]
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = (ROOT / page).read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} must contain `{begin}` and `{end}`.")
    return f"{before}{begin}\n{table()}\n{end}{after}"


if __name__ == "__main__":
    for page in TABLES:
        (ROOT / page).write_text(render(page), encoding="utf-8")
