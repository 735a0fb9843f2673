"""API pages: one page per module with public names, and a table of all public names."""

import inspect
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import lightning_tricks
from builder.markdown import code, from_docstring, table, toctree
from builder.pages import write
from builder.trick_pages import own_tricks
from lightning_tricks import functional

ALSO = (
    "doctor.rules.rule",
    "doctor.facts.evidence",
    "doctor.facts.optimizer_facts",
    "hydra.instantiate",
    "engine.run.trick",
    "engine.lr.lr_factor",
)
"""Modules that are public without a name of the package: docs/compatibility.md."""


def write_api_pages(target: Path) -> None:
    """Write the index and the page of each module."""
    modules = public_modules()
    for module in modules:
        write(target / "api" / f"{module}.md", _module_page(module))
    write(target / "api" / "index.md", _index(modules))


def public_modules() -> list[str]:
    """Return the modules with a page, as names below the package; a trick has its separate page."""
    tricks = {page.card.callback for page in own_tricks()}
    homes = {home for name, home in lightning_tricks._HOMES.items() if name not in tricks}
    pure = {f"functional.{found.name}" for found in iter_modules(functional.__path__)}
    return sorted(homes | pure | set(ALSO))


def _module_page(module: str) -> str:
    name = f"lightning_tricks.{module}"
    return f"# {module}\n\n" + code("{eval-rst}", f".. automodule:: {name}\n   :members:\n   :show-inheritance:") + "\n"


def _index(modules: list[str]) -> str:
    tricks = {page.card.callback: page.card.option for page in own_tricks()}
    rows = []
    for name in lightning_tricks.__all__:
        page = f"../tricks/{tricks[name]}.md" if name in tricks else f"{lightning_tricks._HOMES[name]}.md"
        rows.append((f"[`{name}`]({page})", _first_line(getattr(lightning_tricks, name))))
    rest = [
        (f"[`{module}`]({module}.md)", _first_line(import_module(f"lightning_tricks.{module}"))) for module in modules
    ]
    return "\n\n".join([
        "# API reference",
        "[Compatibility](../compatibility.md) defines what is public. Names import from `lightning_tricks`:",
        table(("name", "what it is"), rows),
        "## Modules",
        "The pure functions in `functional` need only torch. What each module contains:",
        table(("module", "content"), rest),
        toctree(modules, ":maxdepth: 1"),
    ]) + "\n"  # fmt: skip


def _first_line(value: object) -> str:
    text = inspect.getdoc(value) if not isinstance(value, (str, int)) else ""
    return from_docstring((text or "A type alias.").split("\n\n")[0].replace("\n", " ")).replace("|", "\\|")
