"""Module tree: the modules of a model as a tree with their findings; repeated blocks are merged."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from lightning_tricks.doctor.facts.model_facts import ModelFacts, ModuleFact
from lightning_tricks.doctor.rules.finding import Finding


@dataclass(frozen=True)
class Branch:
    """A module, or several consecutive equal ones.

    Attributes:
        name: its name in its parent, ``0–11`` for several modules; empty for the model.
        module: the module, the first of several.
        repeats: the number of modules.
        findings: the findings at this module; those at ``encoder.layers.*`` belong to each of the blocks.
        children: the branches below it.
    """

    name: str
    module: ModuleFact
    repeats: int
    findings: tuple[Finding, ...]
    children: tuple["Branch", ...]

    @property
    def has_findings(self) -> bool:
        """Whether there are findings here or below."""
        return bool(self.findings) or any(child.has_findings for child in self.children)


def module_tree(model: ModelFacts, findings: Sequence[Finding]) -> Branch:
    """Return the tree of a model.

    Args:
        model: its modules.
        findings: each is assigned to the modules it names, or to the model if it names none (``loss``).

    Example:
        >>> from torch import nn
        >>> from lightning_tricks.doctor.reading.read_model import read_model
        >>> tree = module_tree(read_model(nn.Sequential(nn.ReLU(), nn.ReLU(), nn.Linear(1, 1))), [])
        >>> [(branch.name, branch.repeats) for branch in tree.children]
        [('0–1', 2), ('2', 1)]
    """
    paths = {module.path for module in model.modules}
    placed: dict[str, list[Finding]] = {path: [] for path in paths}
    for finding in findings:
        for path in _places(finding.where, paths):
            placed[path].append(finding)
    children: dict[str, list[ModuleFact]] = {}
    for module in model.modules:
        if module.path:
            children.setdefault(_nearest(module.path.rpartition(".")[0], paths), []).append(module)

    def grow(module: ModuleFact) -> Branch:
        below = [grow(child) for child in children.get(module.path, [])]
        name = module.path.rpartition(".")[2]
        return Branch(name, module, 1, tuple(placed[module.path]), _merge_repeats(below))

    return grow(model.modules[0])


def home_of(where: str, model: ModelFacts) -> ModuleFact | None:
    """Return the module of a finding (the first of several), or the model if it names no module."""
    paths = {module.path for module in model.modules}
    first = {module.path: i for i, module in enumerate(model.modules)}
    found = _places(where, paths)
    return model.module(min(found, key=lambda path: first[path])) if found else None


def _places(where: str, paths: set[str]) -> list[str]:
    """Return the paths that ``where`` matches, or the nearest parent."""
    if where in paths:
        return [where]
    pattern = re.compile(re.escape(where).replace(r"\*", r"[^.]+"))
    return [path for path in paths if pattern.fullmatch(path)] or [_nearest(where, paths)]


def _nearest(path: str, paths: set[str]) -> str:
    while path not in paths:
        path = path.rpartition(".")[0]
    return path


def _merge_repeats(branches: list[Branch]) -> tuple[Branch, ...]:
    """Merge consecutive equal numbered modules into one branch."""
    found = []
    for _, group in groupby(branches, key=lambda branch: _structure(branch) if branch.name.isdigit() else branch.name):
        equal = list(group)
        name = equal[0].name if len(equal) == 1 else f"{equal[0].name}–{equal[-1].name}"
        found.append(replace(equal[0], name=name, repeats=len(equal)))
    return tuple(found)


def _structure(branch: Branch) -> object:
    below = tuple((child.name, _structure(child)) for child in branch.children)
    is_layer = branch.module.home.startswith("torch.")  # other modules may store their index: layer_idx
    settings = tuple(branch.module.settings.items()) if is_layer else ()
    return branch.module.kind, settings, branch.repeats, branch.findings, below
