"""Recipes: read the packaged sets of tricks from their files, without importing the callbacks."""

import re
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Recipe:
    """A named set of tricks.

    Attributes:
        name: its name in Hydra, ``+recipes=name``.
        page: the comment at the top of its file.
        tricks: the options that it selects.
        yaml: the text of the file.
    """

    name: str
    page: str
    tricks: tuple[str, ...]
    yaml: str

    @property
    def title(self) -> str:
        """The page's text up to its first full stop or semicolon."""
        return re.split(r"(?<! al)[.;](?:\s|$)", self.page.replace("\n", " "), maxsplit=1)[0]


def read_recipes() -> list[Recipe]:
    """Return all packaged recipes, by name.

    Example:
        >>> [recipe.name for recipe in read_recipes()]
        ['auto', 'baseline', ...]
    """
    folder = files("lightning_tricks.conf").joinpath("recipes")
    entries = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name
    )
    return [_recipe(entry.name.removesuffix(".yaml"), entry.read_text(encoding="utf-8")) for entry in entries]


def _recipe(name: str, text: str) -> Recipe:
    head = re.match(r"(?:#.*\n)*", text)
    lines = head[0].splitlines() if head else []
    page = "\n".join(line.lstrip("# ") for line in lines if "@package" not in line)
    selected = re.search(r"/tricks@_here_: *\[([^\]]*)\]", text)
    tricks = tuple(part.strip() for part in selected[1].split(",")) if selected else ()
    return Recipe(name, page, tricks, text)
