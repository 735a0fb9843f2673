"""`lightning-tricks explain NAME`: a trick's method card and option, or the page of a rule of the doctor's."""

import argparse
import sys

from lightning_tricks.cli.catalogue import Card, find_card, plain_text, read_cards
from lightning_tricks.doctor.rules.registry import find_rule
from lightning_tricks.doctor.rules.rule import Rule

_KINDS = {
    "static": "from the model, the optimizers and the loaders as they are",
    "batch": "from one batch: a training step is traced",
    "run": "during training: by the callback `Doctor`",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser("explain", help="print what a trick does, or what a rule of the doctor's means")
    parser.add_argument(
        "name", help="an option, a callback, or a rule: cosine_decay, CosineDecay, PLC001, dropout-before-batchnorm"
    )


def run(args: argparse.Namespace) -> int:
    """Print the card or the page; 2 if there is none."""
    try:
        print(explain_rule(find_rule(args.name)) if _is_rule(args.name) else explain_trick(_card(args.name)))
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    return 0


def explain_trick(card: Card) -> str:
    """Return the method card of a trick and its option."""
    yaml = "\n".join(f"    {line}" for line in card.yaml.splitlines())
    return (
        f"{card.callback} (tricks=[{card.option}])\n\n{card.docstring or card.title}\n\n"
        f"The option, conf/tricks/{card.option}.yaml:\n\n{yaml}"
    )


def explain_rule(rule: Rule) -> str:
    """Return the page of a rule, with its options and how to leave it out."""
    lines = [f"{rule.code} {rule.name}: {rule.severity}{', in preview' if rule.preview else ''}", "", _page(rule), ""]
    lines.append(f"Checked {_KINDS[rule.kind]}.")
    if rule.options:
        given = ", ".join(f"{key!r}: {value!r}" for key, value in rule.options.items())
        lines.append(f"Defaults: options={{{rule.code!r}: {{{given}}}}}.")
    lines.append(f"Left out by a comment in the class's source, `# lt: ignore[{rule.code}]`, or by --ignore.")
    return "\n".join(lines)


def _page(rule: Rule) -> str:
    return plain_text(rule.page)


def _is_rule(name: str) -> bool:
    try:
        find_rule(name)
    except LookupError:
        return False
    return True


def _card(name: str) -> Card:
    """Return a card; what is spelt like a rule is answered with the closest rules."""
    try:
        return find_card(name, read_cards())
    except LookupError:
        if "-" in name or name[-3:].isdigit():
            find_rule(name)  # raises
        raise
