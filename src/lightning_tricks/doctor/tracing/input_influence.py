"""Input influence: which inputs of a model, and which of their features, change any of its outputs in eval mode."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.facts.influence_facts import InfluenceFact, InfluenceFacts, VisibleTarget
from lightning_tricks.doctor.reading.containers import walk_batch
from lightning_tricks.doctor.tracing.calibrate_norms import calibrate_norms_
from lightning_tricks.doctor.tracing.custom_gradients import check_functions
from lightning_tricks.doctor.tracing.eval_part import EvalPart, is_float
from lightning_tricks.doctor.tracing.eval_passes import part_to_run
from lightning_tricks.doctor.tracing.interventions import Listener
from lightning_tricks.doctor.tracing.module_stack import ModuleStack
from lightning_tricks.doctor.tracing.visible_targets import Sequences, find_visible_target

_FEWEST, _NOISE = 4, 0.02


def measure_influence(
    model: nn.Module,
    part: "InfluencePart",
    path: str,
    batch: Any,
    *,
    targets: Sequence[Tensor] = (),
    is_deterministic: bool = False,
) -> InfluenceFacts | str:
    """Return which parts of each input change an output, or why this is unknown; the caller restores the model.

    Floating-point features are measured by gradients, ids and masks by shifting them by one sample. Features that seem
    to be ignored are changed by a large amount, and again with noise on all weights, which opens layers and gates that
    start at zero.

    Args:
        model: it is left in eval mode, possibly with other weights and statistics.
        part: the part to examine; if it has run with gradients, that pass is used.
        path: its path.
        batch: provides the names of the inputs.
        targets: the targets of the losses.
        is_deterministic: whether two passes are known to return the same; otherwise this is checked.
    """
    model.eval()
    # under a mode, as the first pass: without one, some modules take a faster path that rounds differently
    with torch.enable_grad(), Listener(ModuleStack(model)):
        if not part.has_run:
            with torch.no_grad():
                calibrate_norms_(model, part.run)
            part.run_with_gradients()
        gradients = check_functions(part.functions)
        if not is_deterministic and not part.returns_the_same():
            return "two passes in eval mode differ"
        names = {id(leaf): place for place, leaf in walk_batch(batch)} | _arguments(part.call[1])
        sequences = (Sequences(names.get(id(each), "?"), each) for each in part.inputs)
        seen = find_visible_target(part.run_changed, sequences, part.outputs, targets)
        positions = {id(each): part.only_position(each) for each in part.inputs}
        ignored = _ignored_by(model, part)
    direct = {id(value) for value in (*part.call[0], *part.call[1].values())}
    facts = tuple(
        InfluenceFact(
            path=names.get(id(each), "?"),
            features=_features(each),
            ignored=ignored.get(id(each), ()),
            offered=id(each) not in direct,
            position=positions[id(each)],
            length=each.shape[1] if each.dim() > 1 else 0,
        )
        for each in part.inputs
    )
    return InfluenceFacts(path, facts, gradients, VisibleTarget(*seen) if seen is not None else None)


def _ignored_by(model: nn.Module, part: "InfluencePart") -> dict[int, tuple[int, ...]]:
    """Return the ignored features of each input, by its identity, that stay ignored with noise on the weights."""
    found = {id(each): features for each in part.inputs if (features := part.ignored(each))}
    suspects = {id(each): each for each in part.inputs if id(each) in found}
    for seed in (0, 1) if suspects else ():
        _add_noise_(model, seed)
        part.run_with_gradients()
        for key, each in suspects.items():
            again = part.ignored(each)
            found[key] = [feature for feature in found[key] if feature in again]
    return {key: tuple(features) for key, features in found.items()}


def part_with_influence(
    model: nn.Module, calls: Mapping[str, tuple[Any, Any]], size: int | None
) -> "InfluencePart | None":
    """Return the part of a model whose inputs are to be changed; ``None`` for fewer than four samples."""
    path = part_to_run(model, calls)
    if path is None or size is None or size < _FEWEST:
        return None
    return InfluencePart(model.get_submodule(path), calls[path], size)


class InfluencePart(EvalPart):
    """A part whose inputs are changed one by one."""

    def __init__(self, module: nn.Module, call: tuple[Any, Any], size: int) -> None:
        super().__init__(module, call, size)
        self._felt: set[int] = set()

    def returns_the_same(self) -> bool:
        """Return whether another pass has the same outputs."""
        return all(torch.equal(a, b) for a, b in zip(self.outputs, self.run(), strict=False))

    def ignored(self, tensor: Tensor) -> list[int]:
        """Return the features of an input that change no output, neither by their gradient nor with another value."""
        if not _varies(tensor) or id(tensor) in self._felt:
            return []
        if not is_float(tensor):
            return [] if self._differs(self.run_changed(tensor, tensor.roll(1, 0))) else [0]
        dim = 1 if tensor.dim() > 3 else tensor.dim() - 1
        silent = self._without_gradient(tensor, dim)
        if not silent:
            return []
        try:
            after = self.run_changed(tensor, _changed(tensor, silent, dim))
        except (IndexError, RuntimeError, ValueError):  # a column of ids: a module that rejects other values reads it
            return []
        return [] if self._differs(after) else silent

    def _without_gradient(self, tensor: Tensor, dim: int) -> list[int]:
        gradient = self.gradients.get(id(tensor))
        flat = torch.zeros(_features(tensor))
        if gradient is not None:
            others = tuple(each for each in range(tensor.dim()) if each != dim)
            flat = gradient.abs().sum(others) if tensor.dim() > 1 else gradient.abs().sum()[None]
        varies = (tensor != tensor[:1]).any(0).reshape(-1) if tensor.dim() == 2 else torch.ones(len(flat)).bool()
        sizes = zip(flat.tolist(), varies.tolist(), strict=True)
        return [i for i, (size, differs) in enumerate(sizes) if differs and not size]

    def only_position(self, tensor: Tensor) -> int | None:
        """Return the only position of a sequence that changes an output; ``None`` if there are several, or none."""
        if tensor.dim() not in (2, 3) or tensor.shape[1] < _FEWEST or not _varies(tensor):
            return None
        if tensor.dim() == 3 and is_float(tensor):
            gradient = self.gradients.get(id(tensor))
            felt = [] if gradient is None else (gradient.abs().sum((0, 2)) != 0).nonzero().flatten().tolist()
            position = felt[0] if len(felt) == 1 else None
            return position if position is not None and not self._feels_others(tensor, position) else None
        if is_float(tensor) or tensor.dim() == 3 or len(torch.unique(tensor)) < _FEWEST:
            return None
        last = tensor.shape[1] - 1
        if self._feels_others(tensor, 0, last) or not self._feels_others(tensor):
            return None
        return next((each for each in (0, last) if not self._feels_others(tensor, each)), None)

    def _feels_others(self, tensor: Tensor, *kept: int) -> bool:
        """Return whether an output changes if all positions but some are exchanged among the samples."""
        changed = tensor.detach().roll(1, 0)
        changed[:, list(kept)] = tensor.detach()[:, list(kept)]
        differs = self._differs(self.run_changed(tensor, changed))
        if differs and not is_float(tensor):
            self._felt.add(id(tensor))
        return differs

    def _differs(self, outputs: Sequence[Tensor]) -> bool:
        pairs = zip(outputs, self.outputs, strict=False)
        return any(a.shape != b.shape or not torch.equal(a.detach().nan_to_num(), b.nan_to_num()) for a, b in pairs)


def _varies(tensor: Tensor) -> bool:
    """Return whether not all samples are equal."""
    return bool((tensor != tensor[:1]).any())


def _arguments(kwargs: Any) -> dict[int, str]:
    """Return the names of tensors passed by keyword."""
    return {id(value): name for name, value in kwargs.items() if isinstance(value, Tensor)}


def _features(tensor: Tensor) -> int:
    if not tensor.is_floating_point() or tensor.dim() < 2:
        return 1
    return tensor.shape[1] if tensor.dim() > 3 else tensor.shape[-1]


def _changed(tensor: Tensor, features: list[int], dim: int) -> Tensor:
    """Return an input with larger values in some features, because a maximum may have ignored the old ones."""
    new = tensor.detach().clone()
    if tensor.dim() < 2:
        return new.roll(1, 0) * 3
    place = torch.tensor(features, device=tensor.device)
    part = new.index_select(dim, place)
    return new.index_copy(dim, place, part.roll(1, 0) + 10 * part.std().clamp_min(1.0))


def _add_noise_(model: nn.Module, seed: int) -> None:
    """Add noise to all weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in _floats(model):
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(noise * (_NOISE + 0.1 * float(parameter.detach().float().std(correction=0))))


def _floats(model: nn.Module) -> Iterator[nn.Parameter]:
    return (each for each in model.parameters() if each.is_floating_point() and not nn.parameter.is_lazy(each))
