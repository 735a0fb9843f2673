"""Trick pages: one page per trick from its docstring and its option, and the index that helps to choose.

The picture, the formula and the lines for a Trainer, Hydra, LightningCLI and the environment variable all come from
the docstring; `peers.yaml` adds what other libraries do, and `chooser.yaml` the situations of the index.
"""

import inspect
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

import yaml

import lightning_tricks
from builder.markdown import cards, code, figure, from_docstring, table, tabs, toctree
from builder.pages import DOCS, write
from builder.pictures import draw
from lightning_tricks.cli.catalogue import Card, read_cards
from lightning_tricks.cli.recipes import read_recipes

PEERS: dict[str, list[str]] = yaml.safe_load((DOCS / "peers.yaml").read_text(encoding="utf-8"))
CHOOSER: dict[str, list[str]] = yaml.safe_load((DOCS / "chooser.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class TrickPage:
    """The parts of a trick's page."""

    card: Card

    @cached_property
    def docstring(self) -> str:
        """The method card, with its markup."""
        return inspect.getdoc(getattr(lightning_tricks, self.card.callback)) or ""

    @property
    def trainer_lines(self) -> str:
        """The example of the docstring, without prompts."""
        lines = re.findall(r"^\s*(?:>>>|\.\.\.) ?(.*)$", self.docstring, re.MULTILINE)
        imports = [line for line in lines if line.startswith("from ")]
        if "from lightning.pytorch import Trainer" not in imports:  # the tests of docstrings provide it
            imports.insert(0, "from lightning.pytorch import Trainer")
        return "\n".join([*imports, "", *(line for line in lines if line not in imports)])

    @property
    def overrides(self) -> list[str]:
        """The overrides of the docstring's line for Hydra."""
        found = re.search(r"With Hydra: ``(.*?)``", self.docstring, re.DOTALL)
        return [] if found is None else _words(found[1].replace("\n", " "))

    @property
    def cli_arguments(self) -> list[str]:
        """The arguments for LightningCLI that correspond to the overrides."""
        options = self.overrides[0].removeprefix("tricks=[").rstrip("]").split(",")
        callbacks = {each.option: each.callback for each in read_cards()}
        lines = []
        for option in options:
            lines.append(f"--trainer.callbacks+=lightning_tricks.{callbacks[option]}")
            start = f"tricks.{option}."
            for word in self.overrides[1:]:
                if word.startswith(start):
                    key, _, value = word.removeprefix(start).partition("=")
                    lines.append(f"--trainer.callbacks.{key}={value}")
        return lines

    @property
    def formula(self) -> tuple[str, str] | None:
        """The first formula of the function that the docstring refers to, with the function's name."""
        for name in re.findall(r":\w+:`~?(lightning_tricks[\w.]+)`", self.docstring.partition("\nSee ")[2]):
            module, _, attribute = name.rpartition(".")
            try:
                value = getattr(import_module(module), attribute)
            except (ImportError, AttributeError):
                continue
            found = re.search(r"\.\. math::(.*?)\n\s*\n", inspect.getdoc(value) or "", re.DOTALL)
            if found:
                return name, " ".join(found[1].split())
        return None

    def text(self, target: Path) -> str:
        """Return the page."""
        title = f"# {self.card.callback}\n\n{from_docstring(self.card.title)}"
        return "\n\n".join([title, *self._picture(target), *self._formula(), *self._lines(), *self._reference()]) + "\n"

    def _picture(self, target: Path) -> list[str]:
        drawn = draw(self.card.option, self.trainer_lines, target / "tricks" / "drawn")
        return [figure(f"drawn/{drawn.file}", drawn.alt, drawn.caption)] if drawn else []

    def _formula(self) -> list[str]:
        if self.formula is None:
            return []
        name, formula = self.formula
        return [code("{math}", formula), f"The formula of {{py:func}}`~{name}`, which explains its symbols."]

    def _lines(self) -> list[str]:
        hydra = " ".join(
            ["python train.py", *(shlex.quote(word) for word in [f"+{self.overrides[0]}", *self.overrides[1:]])]
        )
        cli = " \\\n    ".join(["python train.py fit", *map(shlex.quote, self.cli_arguments)])
        options = self.overrides[0].removeprefix("tricks=[").rstrip("]")
        items = [
            ("Trainer", code("python", self.trainer_lines)),
            ("Hydra", code("bash", hydra)),
            ("LightningCLI", code("bash", cli)),
            ("Without editing the script", code("bash", f"LIGHTNING_TRICKS={options} python train.py")),
        ]
        return ["## Use it", tabs(items)]

    def _reference(self) -> list[str]:
        parts = ["## Reference", code("{eval-rst}", f".. autoclass:: lightning_tricks.{self.card.callback}")]
        parts += ["## Option", f"`conf/tricks/{self.card.option}.yaml`:", code("yaml", self.card.yaml)]
        recipes = [recipe.name for recipe in read_recipes() if self.card.option in recipe.tricks]
        if recipes:
            parts.append(f"Recipes that contain it: {', '.join(f'`+recipes={name}`' for name in recipes)}.")
        if self.card.option in PEERS:
            facts = "\n".join(f"- {fact}" for fact in PEERS[self.card.option])
            parts += ["## What other libraries do", facts]
        return parts


def own_tricks() -> list[TrickPage]:
    """Return a page per trick of the library, by name of the option."""
    return [TrickPage(card) for card in read_cards() if card.docstring]


def write_trick_pages(target: Path) -> None:
    """Write the page of each trick, the index and the page of Lightning's own callbacks."""
    pages = own_tricks()
    for page in pages:
        write(target / "tricks" / f"{page.card.option}.md", page.text(target))
    write(target / "tricks" / "index.md", index_page(pages))
    write(target / "tricks" / "lightning-callbacks.md", _foreign([card for card in read_cards() if not card.docstring]))


def index_page(pages: list[TrickPage]) -> str:
    """Return the page with the chooser, all tricks and the recipes; tricks that the chooser lacks follow its table."""
    titles = {page.card.option: page.card.callback for page in pages}
    rows = []
    for situation, options in CHOOSER.items():
        links = ", ".join(f"[{titles[option]}]({option}.md)" for option in options)
        rows.append((situation, links))
    others = titles.keys() - {option for options in CHOOSER.values() for option in options}
    links = ", ".join(f"[{titles[option]}]({option}.md)" for option in sorted(others))
    listed = [(page.card.callback, page.card.option, from_docstring(_use_when(page))) for page in pages]
    recipes = [(f"`+recipes={each.name}`", from_docstring(each.title), ", ".join(
        f"[{option}]({option}.md)" if option in titles else f"`{option}`" for option in each.tricks
    )) for each in read_recipes()]  # fmt: skip
    return "\n\n".join([
        "# Tricks",
        "Each trick is a callback, a Hydra option and, where it computes something, a pure function.",
        "## Which one?",
        table(("My run …", "Try"), rows),
        *[f"For other cases: {links}."] * bool(others),
        "## All tricks",
        cards(listed),
        "## Recipes",
        "A recipe selects several tricks with one option.",
        table(("recipe", "purpose", "tricks"), recipes),
        toctree([*(page.card.option for page in pages), "lightning-callbacks"], ":maxdepth: 1"),
    ]) + "\n"  # fmt: skip


def _use_when(page: TrickPage) -> str:
    found = re.search(r"Use when: (.*?)\n\n", page.docstring, re.DOTALL)
    return " ".join(found[1].split()) if found else page.card.title


def _foreign(others: list[Card]) -> str:
    parts = ["# Callbacks of Lightning as options", "These options build callbacks that Lightning itself contains."]
    for card in others:
        parts += [
            f"## {card.callback}",
            card.title,
            code("bash", f"python train.py '+tricks=[{card.option}]'"),
            code("yaml", card.yaml),
        ]
    return "\n\n".join(parts) + "\n"


def _words(line: str) -> list[str]:
    """Return the overrides of a line; quotes within brackets belong to the value."""
    found = re.findall(r"(?:[^\s'\[{]|'\{[^}]*\}'|\[[^\]]*\]|\{[^}]*\}|'[^']*')+", line)
    return [re.sub(r"='(.*)'$", r"=\1", word) for word in found]
