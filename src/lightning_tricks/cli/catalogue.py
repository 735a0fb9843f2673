"""Catalogue: read the options and docstrings of the tricks without importing them.

Reading the source takes milliseconds; importing it would take seconds, because of torch and Lightning.
"""

import ast
import inspect
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import lightning_tricks
from lightning_tricks.core.close_names import close_names, did_you_mean


@dataclass(frozen=True)
class Card:
    """One trick.

    Attributes:
        option: its name in Hydra, ``tricks=[option]``.
        target: the callback it builds, as a dotted name.
        title: a one-line summary.
        docstring: the callback's method card; empty for callbacks of other libraries.
        yaml: the text of the option.
    """

    option: str
    target: str
    title: str
    docstring: str
    yaml: str

    @property
    def callback(self) -> str:
        """The name of the callback's class."""
        return self.target.rsplit(".", 1)[1]


def read_cards() -> list[Card]:
    """Return all packaged tricks, by name."""
    folder = files("lightning_tricks.conf").joinpath("tricks")
    return [
        _card(entry.name.removesuffix(".yaml"), entry.read_text(encoding="utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    ]


def find_card(name: str, cards: list[Card]) -> Card:
    """Return the card of an option or a callback.

    Raises:
        LookupError: an unknown name; the message suggests close matches.
    """
    for card in cards:
        if name in (card.option, card.callback):
            return card
    names = [known for card in cards for known in (card.option, card.callback)]
    offer = did_you_mean(close_names(name, names, cutoff=0.5)) or " `lightning-tricks list` shows all."
    raise LookupError(f"There is no trick named {name!r}.{offer}")


def _card(option: str, text: str) -> Card:
    found = re.search(r"_target_: *(\S+)", text)
    target = found[1] if found else ""
    package, _, callback = target.rpartition(".")
    docstring = _docstring(callback) if package == "lightning_tricks" else ""
    first_comment = text.splitlines()[0].lstrip("# ").strip()
    return Card(option, target, docstring.splitlines()[0] if docstring else first_comment, docstring, text)


def _docstring(public_name: str) -> str:
    home = lightning_tricks._HOMES[public_name]
    source = Path(lightning_tricks.__file__).parent.joinpath(*home.split(".")).with_suffix(".py")
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == public_name:
            return plain_text(inspect.cleandoc(ast.get_docstring(node) or ""))
    return ""


def plain_text(docstring: str) -> str:
    """Remove docstring markup that a terminal does not render.

    Example:
        >>> plain_text("See :func:`lightning_tricks.functional.schedules.cosine_decay`, with ``t_0``.")
        'See lightning_tricks.functional.schedules.cosine_decay, with `t_0`.'
    """
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", docstring).replace("``", "`")
