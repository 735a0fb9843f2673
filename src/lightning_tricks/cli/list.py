"""`lightning-tricks list [tricks|recipes|rules]`: list them, one per line."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightning_tricks.cli.catalogue import plain_text, read_cards
from lightning_tricks.cli.recipes import read_recipes
from lightning_tricks.doctor.judging.project import known_rules
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.rules.rule import Rule


@dataclass(frozen=True)
class Table:
    """Rows with their column names; the first ``code`` columns contain names, not sentences."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    code: int


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser("list", help="list the tricks, the recipes, or the rules of the doctor")
    choices = ["tricks", "recipes", "rules"]
    parser.add_argument("what", nargs="?", choices=choices, default="tricks", help="default: tricks")
    parser.add_argument(
        "--format", choices=["text", "markdown"], default="text", help="text, or the Markdown table of the README"
    )


def run(args: argparse.Namespace) -> int:
    """Print the list; 2 if the project's settings are wrong."""
    markdown = args.format == "markdown"
    rules = all_rules if markdown else known_rules  # the README lists the packaged rules
    tables: dict[str, Callable[[], Table]] = {
        "tricks": lambda: tricks_table(own=markdown),
        "recipes": recipes_table,
        "rules": lambda: rules_table(rules()),
    }
    try:
        table = tables[args.what]()
    except ValueError as error:  # an error in the project's settings
        print(f"lightning-tricks list: {error}", file=sys.stderr)
        return 2
    print(markdown_table(table) if markdown else text_table(table))
    return 0


def tricks_table(own: bool = False) -> Table:
    """Return the option, the callback and the summary of each trick, optionally without those of Lightning."""
    rows = [(card.option, card.callback, card.title) for card in read_cards() if card.docstring or not own]
    return Table(("option", "callback", "what it does"), rows, code=2)


def recipes_table() -> Table:
    """Return the name, the tricks and the purpose of each recipe."""
    rows = [(recipe.name, ",".join(recipe.tricks), recipe.title) for recipe in read_recipes()]
    return Table(("recipe", "tricks", "purpose"), rows, code=2)


def rules_table(rules: Sequence[Rule] | None = None) -> Table:
    """Return the code, name, severity and title of each rule, by default of the packaged rules."""
    rows = [
        (rule.code, rule.name, f"{rule.severity}{' (preview)' if rule.preview else ''}", plain_text(rule.title))
        for rule in (all_rules() if rules is None else rules)
    ]
    return Table(("code", "name", "severity", "what it finds"), rows, code=2)


def text_table(table: Table) -> str:
    """Return one line per row, with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*table.rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table.rows)


def markdown_table(table: Table) -> str:
    """Return the table in Markdown."""
    rows = [[*(f"`{cell}`" for cell in row[: table.code]), *row[table.code :]] for row in table.rows]
    lines = [table.columns, ["---"] * len(table.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
