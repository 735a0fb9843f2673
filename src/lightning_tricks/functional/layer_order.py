"""Layer order: find the stem, the numbered blocks and the head of a model from its registration order."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn

_WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")


class _Part(NamedTuple):
    """A part of a model that stays together: a module or, if ``module`` is ``None``, a single parameter."""

    path: str
    module: nn.Module | None
    block: bool

    def pattern(self) -> str:
        return name_pattern(self.path) if self.module is None else f"{name_pattern(self.path)}.*"

    def pieces(self) -> "list[_Part]":
        """Return the parts that it can be split into; none for a layer."""
        if self.module is None or not any(_has_parameters(child) for child in self.module.children()):
            return []
        return _parts(self.module, f"{self.path}.")

    def is_norm(self) -> bool:
        """Whether all its parameters belong to normalization layers."""
        if self.module is None:
            return False
        owners = [module for module in self.module.modules() if any(True for _ in module.parameters(recurse=False))]
        return all("norm" in type(owner).__name__.lower() for owner in owners)


def parameter_names(model: nn.Module) -> Iterator[tuple[list[str], Tensor]]:
    """Yield each parameter once, with all its names (a tied weight has several), in registration order."""
    names: dict[int, list[str]] = {}
    values: dict[int, nn.Parameter] = {}
    for name, value in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), []).append(name)
        values[id(value)] = value
    for key, value in values.items():
        yield names[key], value


def plain_name(name: str) -> str:
    """Return a parameter's name without the parts that ``torch.compile`` and other wrappers insert.

    Example:
        >>> plain_name("net._orig_mod.head.weight")
        'net.head.weight'
    """
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def name_pattern(name: str) -> str:
    """Return the glob pattern that matches exactly this name.

    Example:
        >>> name_pattern("branches.a[0].weight")
        'branches.a[[]0].weight'
    """
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in plain_name(name))


def find_patterns(model: nn.Module) -> list[list[str]]:
    """Return the patterns of the groups that a model's structure suggests, from input to head.

    Args:
        model: any module.

    Returns:
        A list of patterns for each group. If the structure has fewer than three groups, the largest part is split until
        there are three or nothing can be split further.
    """
    parts = _without_tied(_parts(model, ""))
    groups = _join(parts)
    while len(groups) < 3:
        candidates = [part for part in parts if part.pieces()]
        if not candidates:
            groups = [[part] for part in parts]
            break
        largest = max(candidates, key=_size)
        at = parts.index(largest)
        pieces = [piece._replace(block=piece.module is not None) for piece in largest.pieces()]
        parts = _without_tied([*parts[:at], *pieces, *parts[at + 1 :]])
        groups = _join(parts)
    return [[part.pattern() for part in group] for group in groups]


def _parts(module: nn.Module, prefix: str) -> list[_Part]:
    """Split a module into its outermost numbered blocks and the parts between them."""
    parts = [_Part(prefix + name, None, False) for name, _ in module.named_parameters(recurse=False)]
    for name, child in module.named_children():
        path = prefix + name
        if not _has_parameters(child):
            continue
        if name.isdigit():
            parts.append(_Part(path, child, True))
        elif any(step.isdigit() for key, _ in child.named_parameters() for step in key.split(".")[:-1]):
            parts += _parts(child, f"{path}.")
        else:
            parts.append(_Part(path, child, False))
    return parts


def _without_tied(parts: Sequence[_Part]) -> list[_Part]:
    """Omit modules all of whose parameters belong to earlier modules."""
    seen: set[int] = set()
    kept = []
    for part in parts:
        own = set() if part.module is None else {id(value) for value in part.module.parameters()}
        if part.module is None or own - seen:
            kept.append(part)
        seen |= own
    return kept


def _join(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Join the parts before the first block, those after the last block, and each norm with the part before it."""
    blocks = [i for i, part in enumerate(parts) if part.block]
    stem_ends, head_starts = (blocks[0], blocks[-1] + 1) if blocks else (0, len(parts))
    if all(part.is_norm() for part in parts[head_starts:]):  # a tied output layer is not a separate head
        head_starts = len(parts)
    groups: list[list[_Part]] = []
    for i, part in enumerate(parts):
        if i < stem_ends or i > head_starts:
            joins = True
        else:
            follows_parameter = i > 0 and parts[i - 1].module is None and not part.block
            joins = i != head_starts and (part.is_norm() or follows_parameter)
        if joins and groups:
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _size(part: _Part) -> int:
    return sum(value.numel() for value in part.module.parameters()) if part.module is not None else 0


def _has_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
