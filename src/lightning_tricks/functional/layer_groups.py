"""Layer groups: divide a model's parameters, from input to head, into groups that fine-tuning treats differently.

A group is a list of parameter names. No parameter is in two groups; a tied weight, which several layers share, belongs
to the group nearest the input.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from lightning_tricks.functional.layer_order import find_patterns, name_pattern, parameter_names, plain_name

_SHOWN = 12


@dataclass(frozen=True)
class LayerGroup:
    """One group.

    Attributes:
        patterns: the glob patterns that selected its parameters.
        names: its parameters as ``named_parameters()`` calls them, in registration order.
        num_parameters: number of elements of these parameters.
    """

    patterns: tuple[str, ...]
    names: tuple[str, ...]
    num_parameters: int


def group_layers(model: nn.Module, groups: Sequence[str | Sequence[str]] | None = None) -> list[LayerGroup]:
    """Divide a model by patterns, or by its registration order and numbered blocks.

    Args:
        model: any module.
        groups: from input to head, each a glob pattern on parameter names or a list of them; the first match counts.
            ``None``: :func:`group_by_registration`.

    Returns:
        The groups, from input to head.

    Raises:
        ValueError: a pattern matches no remaining parameter, or a trainable parameter is in no group; the message lists
            the patterns and the parameters.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 2))
        >>> [group.names for group in group_layers(model, ["0.*", ["1.*", "3.*"], "4.*"])][1]
        ('1.weight', '1.bias', '3.weight', '3.bias')
        >>> [group.patterns for group in group_layers(model)]
        [('0.*', '1.*'), ('3.*',), ('4.*',)]
    """
    return group_by_registration(model) if groups is None else group_by_patterns(model, groups)


def group_by_patterns(model: nn.Module, groups: Sequence[str | Sequence[str]]) -> list[LayerGroup]:
    """Divide a model by glob patterns on parameter names; see :func:`group_layers`."""
    patterns = [[group] if isinstance(group, str) else list(group) for group in groups]
    found, idle = _assign(model, patterns)
    if idle:
        raise ValueError(
            f"`groups`: {', '.join(map(repr, idle))} matches no remaining parameter (the first match counts, a tied "
            f"weight belongs to the group nearest the input). {_describe_patterns(model, patterns)}"
        )
    placed = {name for group in found for name in group.names}
    missed = [name for name, value in model.named_parameters() if value.requires_grad and name not in placed]
    if missed:
        raise ValueError(f"`groups`: {_list_first(missed)} are in no group. {_describe_patterns(model, patterns)}")
    return found


def group_by_registration(model: nn.Module) -> list[LayerGroup]:
    """Divide a model in the order in which its layers are registered.

    Each numbered block (``blocks.3``, ``encoder.layer.3``, ``layer1.0``) is a group. The layers before the first block
    (stem, embeddings) form one group, those after the last (final norm, pooler, head) another. A normalization layer
    belongs to the layer before it. Without blocks, each child is a group. There are at least three groups if there are
    that many layers.

    Example:
        >>> import torch
        >>> class ViT(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        ...         self.patch_embed = nn.Conv2d(3, 4, 2)
        ...         self.blocks = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        ...         self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 2)
        >>> [group.patterns for group in group_by_registration(ViT())]
        [('pos_embed', 'patch_embed.*'), ('blocks.0.*',), ('blocks.1.*',), ('norm.*', 'head.*')]
    """
    return _assign(model, find_patterns(model))[0]


def group_by_depth(model: nn.Module, depth: int) -> list[LayerGroup]:
    """Divide a model by the first ``depth`` parts of its parameters' paths, in registration order.

    Example:
        >>> model = nn.ModuleDict({"body": nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8)), "head": nn.Linear(8, 2)})
        >>> [group.patterns for group in group_by_depth(model, 1)]
        [('body.*',), ('head.*',)]
        >>> [group.patterns for group in group_by_depth(model, 2)]
        [('body.0.*',), ('body.1.*',), ('head.*',)]

    Raises:
        ValueError: ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"`depth` must be at least 1, got {depth}.")
    paths: dict[str, None] = {}
    for name, _ in model.named_parameters():
        owner = name.split(".")[:-1]
        paths[".".join([*map(name_pattern, owner[:depth]), "*"]) if owner else name_pattern(name)] = None
    return _assign(model, [[path] for path in paths])[0]


def group_by_modules(model: nn.Module, modules: Iterable[nn.Module | Sequence[nn.Module]]) -> list[LayerGroup]:
    """Divide a model by a list of modules, or of lists of modules, from input to head.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2))
        >>> [group.names for group in group_by_modules(model, [[model[0], model[1]], model[2]])][1]
        ('2.weight', '2.bias')

    Raises:
        ValueError: a module is not part of the model, a module is given twice (directly or inside another), or a
            trainable parameter is in none of them.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    groups: list[list[str]] = []
    taken: list[str] = []
    for entry in modules:
        group: list[str] = []
        for module in [entry] if isinstance(entry, nn.Module) else entry:
            path = paths.get(id(module))
            if path is None:
                raise ValueError(f"`modules`: a {type(module).__name__} that is not part of {type(model).__name__}.")
            clash = [other for other in taken if _inside(path, other) or _inside(other, path)]
            if clash:
                raise ValueError(
                    f"`modules`: {path!r} and {clash[0]!r} contain the same parameters; give only one of them."
                )
            taken.append(path)
            group.append(f"{name_pattern(path)}.*" if path else "*")
        groups.append(group)
    return group_by_patterns(model, groups)


def layer_multipliers(num_groups: int, decay: float) -> list[float]:
    """Return ``decay ** (i - (n - 1))`` for group i of n: 1 for the head, smaller towards the input (2.6 in ULMFiT).

    Example:
        >>> layer_multipliers(3, 2.0)
        [0.25, 0.5, 1.0]

    References:
        Howard & Ruder, Universal Language Model Fine-tuning, 2018, section 3.2.
    """
    return [decay ** (i - (num_groups - 1)) for i in range(num_groups)]


def spread_multipliers(num_groups: int, low: float, high: float) -> list[float]:
    """Return ``num_groups`` multipliers from ``low`` to ``high`` in equal ratios; ``high`` for a single group.

    Example:
        >>> [round(m, 6) for m in spread_multipliers(3, 0.01, 1.0)]
        [0.01, 0.1, 1.0]
    """
    if num_groups == 1:
        return [high]
    return [low * (high / low) ** (i / (num_groups - 1)) for i in range(num_groups)]


def describe_groups(
    groups: Sequence[LayerGroup], multipliers: Sequence[float] | None = None, thawed: Iterable[int] | None = None
) -> str:
    """Return a table of group, patterns, parameters and, if given, the multiplier and whether the group is frozen.

    Example:
        >>> groups = group_layers(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), ["0.*", "1.*"])
        >>> print(describe_groups(groups, [0.5, 1]))
        group  patterns  parameters  multiplier
            0  0.*               40         0.5
            1  1.*               18           1
    """
    columns = [
        ["group", *map(str, range(len(groups)))],
        ["patterns", *(", ".join(group.patterns) for group in groups)],
        ["parameters", *(f"{group.num_parameters:,}" for group in groups)],
    ]
    if multipliers is not None:
        columns.append(["multiplier", *(f"{multiplier:.4g}" for multiplier in multipliers)])
    if thawed is not None:
        open_ones = set(thawed)
        columns.append(["state", *("trains" if i in open_ones else "frozen" for i in range(len(groups)))])
    widths = [max(map(len, column)) for column in columns]
    left = {"patterns", "state"}
    rows = [
        "  ".join(
            cell.ljust(width) if column[0] in left else cell.rjust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in zip(*columns, strict=True)
    ]
    return "\n".join(rows)


def _assign(model: nn.Module, patterns: Sequence[Sequence[str]]) -> tuple[list[LayerGroup], list[str]]:
    """Assign each parameter to the first pattern that matches one of its names; return groups and unused patterns."""
    flat = [(i, pattern) for i, group in enumerate(patterns) for pattern in group]
    members: list[list[str]] = [[] for _ in patterns]
    sizes = [0] * len(patterns)
    idle = [True] * len(flat)
    for names, value in parameter_names(model):
        cleaned = [plain_name(name) for name in names]
        for at, (group, pattern) in enumerate(flat):
            if any(fnmatchcase(name, pattern) for name in cleaned):
                members[group].append(names[0])
                sizes[group] += value.numel()
                idle[at] = False
                break
    groups = [LayerGroup(tuple(patterns[i]), tuple(names), sizes[i]) for i, names in enumerate(members)]
    return groups, [pattern for (_, pattern), unused in zip(flat, idle, strict=True) if unused]


def _inside(path: str, other: str) -> bool:
    return path == other or other == "" or path.startswith(f"{other}.")


def _describe_patterns(model: nn.Module, patterns: Sequence[Sequence[str]]) -> str:
    given = " | ".join(", ".join(group) for group in patterns)
    names = [name for name, _ in model.named_parameters()]
    return f"Patterns, from input to head: {given}. Parameters: {_list_first(names)}."


def _list_first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
