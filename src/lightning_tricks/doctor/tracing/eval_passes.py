"""Eval passes: how the outputs change when nothing, all inputs, or one sample of the inputs changes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.object_snapshot import seed_random_state
from lightning_tricks.doctor.facts.behaviour_facts import BehaviourFacts
from lightning_tricks.doctor.facts.trace_facts import TensorFact
from lightning_tricks.doctor.reading.containers import (
    changeable_tensors_in,
    hides_tensors,
    tensors_in,
    with_tensors_changed,
)
from lightning_tricks.doctor.reading.measure_tensors import measure
from lightning_tricks.doctor.tracing.calibrate_norms import calibrate_norms_
from lightning_tricks.doctor.tracing.eval_part import EvalPart
from lightning_tricks.doctor.tracing.interventions import Listener
from lightning_tricks.doctor.tracing.module_stack import ModuleStack

Change = Callable[[Tensor], Tensor]

# relative size of rounding errors
_EQUAL = 1e-6
_DRAWS = 4


def observe_behaviour(
    model: nn.Module, calls: Mapping[str, tuple[Any, Any]], size: int | None, part: EvalPart | None = None
) -> BehaviourFacts:
    """Run a model in eval mode a few times and compare its outputs.

    Args:
        model: it is left in eval mode, its untrained batch norms with the statistics of the batch.
        calls: the arguments with which it was called or, if a step calls its parts instead, those of the parts, of
            which the largest is run.
        size: the number of samples in the batch, if known.
        part: that part, if its gradients for the inputs are needed, too: they come from the first pass.
    """
    path = part_to_run(model, calls)
    if path is None:
        return BehaviourFacts(reason="the step calls no module")
    passes = _Passes(model.get_submodule(path), calls[path], size)
    model.eval()
    stack = ModuleStack(model)
    # all passes under the same mode: without one, some modules take a faster path that rounds differently
    with torch.set_grad_enabled(part is not None), stack, Listener(stack) as listener:
        calibrate_norms_(model, passes.outputs)
        listener.forget()
        passes.run_first(part)
        always_on, random = tuple(dict.fromkeys(listener.dropouts)), tuple(dict.fromkeys(listener.random))
        known = BehaviourFacts(module=path, always_on=always_on, random=random, outputs=_measured(passes.first))
        return _with_changes(known, passes)


def _with_changes(known: BehaviourFacts, passes: "_Passes") -> BehaviourFacts:
    """Return the facts with the changes of the outputs, measured by further passes."""
    if not passes.can_replace:
        reason = passes.why_not_replaced
        return replace(known, repeat_change=passes.repeated(), reason=reason)
    passes.run_changed()
    mixing, shifted, repeated = passes.mixing(), passes.shifted(), 0.0
    if mixing is None or max(mixing, shifted or 0.0) > _EQUAL or known.always_on or known.random:
        # layers that are left out at random may be the same twice
        repeated = passes.repeated(_DRAWS if known.random else 1) or 0.0
    known = replace(known, repeat_change=repeated)
    if repeated > _EQUAL:
        return replace(known, reason="two passes in eval mode differ")
    why = "no output has a row for each sample" if mixing is None else None
    if passes.relates_samples:
        mixing, shifted, why = None, None, "an input relates the samples to each other"
    return replace(
        known,
        input_change=passes.changed(),
        input_gradient=passes.has_gradient,
        mixing_change=mixing,
        roll_change=shifted,
        reason=why,
    )


def part_to_run(model: nn.Module, calls: Mapping[str, tuple[Any, Any]]) -> str | None:
    """Return the path of the part to run: the model itself or, if a step calls its parts instead, the largest one."""
    return "" if "" in calls else max(calls, key=lambda call: _size_of(model.get_submodule(call)), default=None)


class _Passes:
    """Passes of a module over one batch: as it is, with the first sample replaced by another, and shifted by one."""

    def __init__(self, module: nn.Module, call: tuple[Any, Any], size: int | None) -> None:
        self._module, self._call, self._size = module, call, size
        inputs = [tensor for tensor in changeable_tensors_in(call) if _has_rows(tensor, size)]
        self._other = _most_different_row(inputs) if size and size > 1 else None
        self._is_hidden = hides_tensors(call)
        self.has_gradient = False
        self.first: list[Tensor] = []
        self._second: list[Tensor] = []
        self._rolled: list[Tensor] = []

    @property
    def can_replace(self) -> bool:
        return self._other is not None and not self._is_hidden

    @property
    def why_not_replaced(self) -> str:
        if self._is_hidden:
            return "an input holds tensors that cannot be exchanged"
        return "all samples of the batch are equal, or their number is unknown"

    @property
    def relates_samples(self) -> bool:
        return any(_relates_rows(tensor, self._size) for tensor in tensors_in(self._call))

    def outputs(self, change: Change | None = None, *, seed: bool = True) -> list[Tensor]:
        """Return the floating-point outputs, with the rows of each input changed."""
        if seed:  # passes with other inputs draw the same random numbers; the caller restores the generators
            seed_random_state(0)
        args, kwargs = self._call
        if change is not None:
            of_rows = change
            args, kwargs = with_tensors_changed(
                self._call, lambda item: of_rows(item) if _has_rows(item, self._size) else item
            )
        returned = self._module(*args, **kwargs)
        return [
            tensor.detach().float() for tensor in tensors_in(returned) if tensor.is_floating_point() and tensor.dim()
        ]

    def run_first(self, part: EvalPart | None) -> None:
        seed_random_state(0)
        if part is not None and part.try_with_gradients():
            self.first = [output for output in part.outputs if output.dim()]
            self.has_gradient = any(each is not None and bool(each.any()) for each in part.gradients.values())
        else:
            self.first = self.outputs()

    def run_changed(self) -> None:
        other = self._other or 0
        self._second = self.outputs(lambda item: _with_first_replaced(item, other))
        self._rolled = _attempt(lambda: self.outputs(lambda item: item.roll(1, 0)))

    def repeated(self, times: int = 1) -> float | None:
        """Return the largest change of the outputs in further passes with other random numbers."""
        changes = (_change(self.first, self.outputs(seed=False)) for _ in range(times))
        return max((each for each in changes if each is not None), default=None)

    def mixing(self) -> float | None:
        """Return the change of the other samples' outputs when the first sample is replaced."""
        rows = self._rows()
        return _change([self.first[i][1:] for i in rows], [self._second[i][1:] for i in rows])

    def shifted(self) -> float | None:
        """Return the difference from outputs that are shifted like the samples."""
        rows = self._rows()
        rolled = [self._rolled[i] for i in rows if i < len(self._rolled)]
        return _change([self.first[i].roll(1, 0) for i in rows], rolled)

    def changed(self) -> float | None:
        """Return the change of the first sample's output when it is replaced, or of any output."""
        rows = self._rows()
        change = _change([self.first[i][:1] for i in rows], [self._second[i][:1] for i in rows])
        if change is not None and change > _EQUAL:
            return change
        # a single sample may lack an effect by chance, and rolling all rows together does not change a model that
        # pools them by an index, which is also rolled
        changes = (_change(self.first, self._rolled), _change(self.first, self._second))
        return max((each for each in changes if each is not None), default=None)

    def _rows(self) -> list[int]:
        """Return the outputs that have a row for each sample, without those that are square in the batch."""
        size = self._size
        return [i for i, leaf in enumerate(self.first) if _has_rows(leaf, size) and leaf.shape[1:2] != (size,)]


def _measured(outputs: list[Tensor]) -> tuple[TensorFact, ...]:
    """Return the facts about outputs, from all values, because a contract on their range covers every value."""
    facts = []
    for output in outputs:
        found = measure(output)
        if found is not None and not found.nonfinite:
            low, high = torch.stack(torch.aminmax(output)).tolist()
            found = replace(found, low=low, high=high)
        facts.append(TensorFact(tuple(output.shape), str(output.dtype), found))
    return tuple(facts)


def _attempt(run: Callable[[], list[Tensor]]) -> list[Tensor]:
    """Return the outputs of a pass; none if it does not accept the inputs (lengths may have to be sorted)."""
    try:
        return run()
    except (RuntimeError, ValueError, IndexError):
        return []


def _size_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if not nn.parameter.is_lazy(parameter))


def _has_rows(tensor: Tensor, size: int | None) -> bool:
    return tensor.dim() > 0 and not tensor.is_nested and tensor.shape[0] == size


def _relates_rows(tensor: Tensor, size: int | None) -> bool:
    """Return whether a tensor is a matrix over the samples, or a list of pairs of them: a graph's edges."""
    if size is None or tensor.dim() != 2:
        return False
    is_list = tensor.shape[0] == 2 and size != 2 and not tensor.is_floating_point() and tensor.numel() > 0
    return tuple(tensor.shape) == (size, size) or (is_list and int(tensor.min()) >= 0 and int(tensor.max()) < size)


def _most_different_row(inputs: list[Tensor]) -> int | None:
    """Return the sample, among the first eight, that differs from the first one in most inputs."""
    if not inputs:
        return None
    rows = range(1, min(8, len(inputs[0])))
    counts = {row: sum(not torch.equal(input_[0], input_[row]) for input_ in inputs) for row in rows}
    best = max(counts, key=lambda row: counts[row], default=0)
    return best if counts.get(best) else None


def _with_first_replaced(tensor: Tensor, row: int) -> Tensor:
    """Return the batch with the first sample replaced by another one, which is valid data of any kind."""
    tensor = tensor.clone()
    tensor[0] = tensor[row]
    return tensor


def _change(before: list[Tensor], after: list[Tensor]) -> float | None:
    """Return the largest difference relative to the size of the outputs."""
    pairs = [(a, b) for a, b in zip(before, after, strict=False) if a.shape == b.shape and a.numel()]
    if not pairs:
        return None
    return max(float((a - b).abs().max() / a.abs().max().clamp_min(1e-12)) for a, b in pairs)
