"""Non-finite watch: record for each operation of a pass, and of its backward pass, whether its values are finite."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lightning_tricks.doctor.facts.numeric_facts import ArgumentFact, FaultyOperation
from lightning_tricks.doctor.facts.operations import words
from lightning_tricks.doctor.reading.containers import tensors_in
from lightning_tricks.doctor.tracing.module_stack import ModuleStack
from lightning_tricks.doctor.tracing.one_pass import is_own_source
from lightning_tricks.doctor.tracing.signatures import argument_names, name_of

# infinite on purpose
_MASKING = words("masked_fill where full full_like fill new_full setitem tril triu tensor add_mask zeros ones")


@dataclass
class _Call:
    """One call of a torch function: its arguments by name and its result, all kept alive."""

    op: str
    module: str
    arguments: list[tuple[str, Tensor]]
    results: list[Tensor]
    parents: list[int]
    has_nan: bool
    has_inf: bool
    place: str = ""

    def describe(self, *, unused: bool = False, result: str = "") -> FaultyOperation:
        found = result or ("NaN" if self.has_nan else "infinite")
        arguments = tuple(_argument(name, tensor) for name, tensor in self.arguments if tensor.is_floating_point())
        return FaultyOperation(self.op, self.module, found, arguments, self.place, unused)


@dataclass
class NonfiniteWatch(TorchFunctionMode):
    """While entered, keeps every call and its tensors; meant for one pass with a known non-finite result.

    Args:
        stack: the module whose forward makes a call.
    """

    stack: ModuleStack
    _calls: list[_Call] = field(default_factory=list)
    _made: dict[int, int] = field(default_factory=dict)
    _nodes: dict[Any, int] = field(default_factory=dict)
    _backward: FaultyOperation | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, name_of(func)
        names = argument_names(func, name)
        named = [(names[i] if i < len(names) else "input", value) for i, value in enumerate(args)]
        given = [(key, tensor) for key, value in [*named, *kwargs.items()] for tensor in tensors_in(value)]
        if name.endswith("backward"):
            return func(*args, **kwargs)
        writes = getattr(func, "__name__", "").rstrip("_") != getattr(func, "__name__", "") or name == "setitem"
        kept = [(key, tensor.detach().clone() if writes else tensor) for key, tensor in given]
        parents = [self._made[id(tensor)] for _, tensor in given if id(tensor) in self._made]
        result = func(*args, **kwargs)
        results = [tensor for tensor in tensors_in(result) if tensor.is_floating_point()]
        if name == "setitem" and given:
            results = [given[0][1]]
        if results:
            self._keep(name, kept, results, parents)
        return result

    def _keep(self, name: str, given: list[tuple[str, Tensor]], results: list[Tensor], parents: list[int]) -> None:
        with torch.no_grad():
            has_nan, has_inf = (any(bool(test(each).any()) for each in results) for test in (torch.isnan, torch.isinf))
        index = len(self._calls)
        self._calls.append(_Call(name, self.stack.path, given, results, parents, has_nan, has_inf, _place()))
        self._made.update(dict.fromkeys(map(id, results), index))
        for result in results:
            self._follow(result.grad_fn, index)

    def _follow(self, node: Any, index: int) -> None:
        """Assign the backward nodes that a call has added to the call, and watch them."""
        waiting = [node]
        while waiting:
            each = waiting.pop()
            if each is None or each in self._nodes or type(each).__name__ == "AccumulateGrad":
                continue
            self._nodes[each] = index
            each.register_hook(self._hook(index))
            waiting.extend(following for following, _ in each.next_functions)

    def _hook(self, index: int) -> Callable[[Sequence[Tensor | None], Sequence[Tensor | None]], None]:
        def look(grad_inputs: Sequence[Tensor | None], grad_outputs: Sequence[Tensor | None]) -> None:
            made, came = (
                [values_of(grad) for grad in each if grad is not None] for each in (grad_inputs, grad_outputs)
            )
            if self._backward is None and not all(map(_is_finite, made)) and all(map(_is_finite, came)):
                unused = any(_is_unused(new, old) for new in made for old in came)
                result = "NaN" if any(bool(torch.isnan(each).any()) for each in made) else "infinite"
                self._backward = self._calls[index].describe(unused=unused, result=result)

        return look

    def first_backward(self) -> FaultyOperation | None:
        """Return the first operation whose backward pass turned finite gradients into non-finite ones."""
        return self._backward

    def first_forward(self, loss: Tensor | None) -> FaultyOperation | None:
        """Return the operation that produced the first NaN before the loss, or the infinite value that led to it."""
        end = None if loss is None else self._made.get(id(loss))
        calls = self._before(end) if end is not None else range(len(self._calls))
        for index in calls:
            call = self._calls[index]
            if call.has_nan and not any(bool(torch.isnan(tensor).any()) for _, tensor in _floats(call)):
                return (self._first_infinite(self._before(index)) or call).describe()
        if end is None:
            return None
        found = self._first_infinite(calls)
        return found.describe() if found is not None else None

    def _first_infinite(self, calls: Sequence[int]) -> _Call | None:
        for index in calls:
            call = self._calls[index]
            if call.has_inf and call.op not in _MASKING and all(_is_finite(tensor) for _, tensor in _floats(call)):
                return call
        return None

    def _before(self, index: int) -> list[int]:
        seen, waiting = {index}, [index]
        while waiting:
            new = set(self._calls[waiting.pop()].parents) - seen
            seen |= new
            waiting.extend(new)
        return sorted(seen)


def _floats(call: _Call) -> list[tuple[str, Tensor]]:
    return [(name, tensor) for name, tensor in call.arguments if tensor.is_floating_point()]


def values_of(tensor: Tensor) -> Tensor:
    """Return the values of a tensor; for a sparse tensor, the stored ones."""
    return tensor.coalesce().values() if tensor.is_sparse else tensor.detach()


def _is_finite(tensor: Tensor) -> bool:
    with torch.no_grad():
        return bool(torch.isfinite(tensor).all())


def _is_unused(made: Tensor, came: Tensor) -> bool:
    """Return whether the incoming gradient is 0 wherever the outgoing one is not finite."""
    if made.shape != came.shape:
        return False
    return bool((came[~torch.isfinite(made)] == 0).all()) and not _is_finite(made)


def _argument(name: str, tensor: Tensor) -> ArgumentFact:
    with torch.no_grad():
        values = values_of(tensor)
        finite = values[torch.isfinite(values)].float()
        low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 0.0)
        closed = int((values == -torch.inf).all(-1).sum()) if values.dim() and values.shape[-1] else 0
        counts = int((values == 0).sum()), int(torch.isinf(values).sum())
    return ArgumentFact(name, tuple(tensor.shape), low, high, *counts, closed)


def _place() -> str:
    """Return the innermost line of the user's source that is running."""
    for frame in reversed(traceback.extract_stack()):
        if is_own_source(frame.filename):
            return f"{frame.filename.replace(chr(92), '/').rpartition('/')[2]}:{frame.lineno}"
    return ""
