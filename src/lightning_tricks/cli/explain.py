"""`lightning-tricks explain TRICK`: its method card and its option."""

import argparse
import sys

from lightning_tricks.cli.catalogue import find_card, read_cards


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser("explain", help="print what a trick does, its arguments and its option")
    parser.add_argument("trick", help="the name of an option or a callback: cosine_decay, CosineDecay")


def run(args: argparse.Namespace) -> int:
    """Print the card; 2 if there is none."""
    try:
        card = find_card(args.trick, read_cards())
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    print(f"{card.callback} (tricks=[{card.option}])\n")
    print(card.docstring or card.title)
    print(f"\nThe option, conf/tricks/{card.option}.yaml:\n")
    print("\n".join(f"    {line}" for line in card.yaml.splitlines()))
    return 0
