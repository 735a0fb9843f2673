"""`lightning-tricks list`: what there is, a line each."""

import argparse
from collections.abc import Sequence

from lightning_tricks.cli.catalogue import Card, read_cards


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser("list", help="list the tricks, a line each")
    parser.add_argument("what", nargs="?", choices=["tricks"], default="tricks", help="what to list (default: tricks)")
    parser.add_argument("--format", choices=["text", "markdown"], default="text", help="text, or the README's table")


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    print(markdown_table(read_cards()) if args.format == "markdown" else text_table(read_cards()))
    return 0


def text_table(cards: Sequence[Card]) -> str:
    """Return one line a trick: option, callback, what it does."""
    widths = [max(len(getattr(card, column)) for card in cards) for column in ("option", "callback")]
    return "\n".join(f"{card.option:<{widths[0]}}  {card.callback:<{widths[1]}}  {card.title}" for card in cards)


def markdown_table(cards: Sequence[Card]) -> str:
    """Return the README's table, of our own callbacks; Lightning's have pages of their own."""
    rows = [f"| `{card.option}` | `{card.callback}` | {card.title} |" for card in cards if card.docstring]
    return "\n".join(["| option | callback | what it does |", "| --- | --- | --- |", *rows])
