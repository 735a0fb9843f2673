"""`lightning-tricks explain NAME`: the documentation of a trick, a recipe or a rule."""

import argparse
import re
import sys
from collections.abc import Sequence

from lightning_tricks.cli.catalogue import Card, find_card, plain_text, read_cards
from lightning_tricks.cli.full_card import full_card
from lightning_tricks.cli.recipes import Recipe, read_recipes
from lightning_tricks.core.close_names import close_names, did_you_mean
from lightning_tricks.doctor.judging.project import known_rules
from lightning_tricks.doctor.rules.page_url import page_url
from lightning_tricks.doctor.rules.registry import find_rule
from lightning_tricks.doctor.rules.rule import Rule

_KINDS = {
    "static": "from the model, the optimizers and the loaders",
    "batch": "from one batch: a training step is traced",
    "run": "during training, by the callback `Doctor`",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "explain", help="print the documentation of a trick, a recipe or a rule of the doctor"
    )
    parser.add_argument(
        "name",
        help="an option, a callback, a recipe, or a rule: cosine_decay, CosineDecay, fine_tune, PLC001, "
        "dropout-before-batchnorm",
    )


def run(args: argparse.Namespace) -> int:
    """Print the page; 2 if there is none."""
    try:
        print(explain(args.name))
    except (LookupError, ValueError) as error:
        print(error.args[0], file=sys.stderr)
        return 2
    return 0


def explain(name: str) -> str:
    """Return the documentation of a rule, a recipe or a trick.

    Raises:
        LookupError: an unknown name; the message suggests close matches.
        ValueError: the project's settings are wrong.
    """
    rules = known_rules()
    if _is_rule(name, rules):
        return explain_rule(find_rule(name, rules))
    recipes = {recipe.name: recipe for recipe in read_recipes()}
    return explain_recipe(recipes[name]) if name in recipes else explain_trick(_card(name, list(recipes)))


def explain_trick(card: Card) -> str:
    """Return the complete method card of a trick, and its option."""
    page = full_card(card.docstring, _docstring_of) or card.title
    return (
        f"{card.callback} (tricks=[{card.option}])\n\n{page}\n\n"
        f"The option, conf/tricks/{card.option}.yaml:\n\n{_indent(card.yaml)}"
    )


def explain_recipe(recipe: Recipe) -> str:
    """Return the purpose of a recipe, a line for each of its tricks, and its file."""
    titles = {card.option: card.title for card in read_cards()}
    width = max(map(len, recipe.tricks), default=0)
    tricks = "\n".join(f"    {option:<{width}}  {titles[option]}" for option in recipe.tricks)
    return (
        f"{recipe.name} (+recipes={recipe.name})\n\n{recipe.page}\n\nIts tricks:\n\n{tricks}\n\n"
        f"The option, conf/recipes/{recipe.name}.yaml:\n\n{_indent(recipe.yaml)}"
    )


def explain_rule(rule: Rule) -> str:
    """Return the page of a rule, with its options and how to ignore it."""
    title = f"{rule.code} {rule.name}: {rule.severity}{', in preview' if rule.preview else ''}"
    lines = [title, "", plain_text(rule.page), ""]
    lines.append(f"Checked {_KINDS[rule.kind]}.")
    if rule.options:
        given = ", ".join(f"{key!r}: {value!r}" for key, value in rule.options.items())
        lines.append(f"Defaults: options={{{rule.code!r}: {{{given}}}}}.")
    lines.append(f"Ignore it with a comment in the source of the class, `# lt: ignore[{rule.code}]`, or with --ignore.")
    if url := page_url(rule.code):
        lines.append(f"Its page, with examples: {url}")
    return "\n".join(lines)


def _is_rule(name: str, rules: Sequence[Rule]) -> bool:
    try:
        find_rule(name, rules)
    except LookupError:
        return False
    return True


def _docstring_of(callback: str) -> str:
    return next((card.docstring for card in read_cards() if card.callback == callback), "")


def _indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _card(name: str, recipes: list[str]) -> Card:
    """Return a card; for a name similar to a rule or recipe, the error suggests these."""
    try:
        return find_card(name, read_cards())
    except LookupError:
        if "-" in name or re.fullmatch(r"[A-Z]{3}|[A-Za-z]{2,4}\d+", name):
            find_rule(name)  # raises
        if offer := did_you_mean(close_names(name, recipes, cutoff=0.75)[:1]):
            raise LookupError(f"There is no trick or recipe named {name!r}.{offer}") from None
        raise
