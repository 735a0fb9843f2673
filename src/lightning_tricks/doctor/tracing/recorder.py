"""Recorder: record the operations of a pass while it runs.

A function mode sees calls by name, including dropout and losses with their arguments. A dispatch mode below it sees
operations inside other code, such as TorchScript. Nested calls are not recorded.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_tricks.doctor.facts.operations import DROPOUTS, LOSSES, RANDOM, WEIGHTS, words
from lightning_tricks.doctor.facts.trace_facts import ArrivalFact, Operation
from lightning_tricks.doctor.reading.containers import tensors_in
from lightning_tricks.doctor.reading.measure_tensors import describe, is_transformed, plain_settings, shape_of
from lightning_tricks.doctor.reading.read_columns import read_columns
from lightning_tricks.doctor.tracing.ledger import Ledger, covers_storage, storage_of
from lightning_tricks.doctor.tracing.mask_watch import ATTENTION, MaskWatch
from lightning_tricks.doctor.tracing.measure_classes import measure_classes
from lightning_tricks.doctor.tracing.measure_operations import channel_variance, measure_arguments, measure_result
from lightning_tricks.doctor.tracing.module_stack import ModuleStack
from lightning_tricks.doctor.tracing.signatures import argument_names, name_of, name_of_overload

# their results are not followed; a backward pass may also repeat a forward pass
_UNRECORDED = words("""
    backward grad size dim stride numel item tolist is_floating_point is_complex is_contiguous storage_offset data_ptr
    untyped_storage element_size get_device is_tensor ndimension nelement is_same_size has_torch_function
""")
# the values of their arguments do not affect the result
_FORGETFUL = words("""
    empty_like zeros_like ones_like full_like randint_like new_empty new_zeros new_ones new_full new_tensor zero fill
    rand randn random exponential empty zeros ones full arange
""")
_NOISY = RANDOM | DROPOUTS | {"scaled_dot_product_attention", "multi_head_attention_forward", "lstm", "gru"}
_ANNOUNCED = LOSSES | {"batch_norm", "embedding"}  # recorded before the call, which may raise an error


class NotFollowedError(RuntimeError):
    """A pass with operations that cannot be recorded."""


class Recorder:
    """The operations of one pass.

    Args:
        leaves: existing tensors as ``(kind, name, tensor)``: parameters, buffers, the batch.
        stack: knows the module whose ``forward`` makes a call.

    Attributes:
        operations: the operations recorded so far.
        channel_variances: variances of the input of each batch norm, after the first random number.
        arrivals: values of the batch that reach weights, by the operation that produced them.
        targets: the targets of the losses.
        scalars: copies of the results that are one number with a gradient, by their operation.
        masks: the masks of attention over padded sequences.

    Example:
        >>> import torch
        >>> stack = ModuleStack(torch.nn.Module())
        >>> x = torch.ones(2)
        >>> recorder = Recorder([("batch", "x", x)], stack)
        >>> with recorder.recording("hybrid"):
        ...     y = torch.relu_(x[:1] * 2)
        >>> [operation.op for operation in recorder.operations]
        ['batch', 'getitem', 'mul', 'relu']
    """

    def __init__(self, leaves: Iterable[tuple[str, str, Tensor]], stack: ModuleStack) -> None:
        self.operations: list[Operation] = []
        self._leaves = {id(tensor): (kind, name, tensor) for kind, name, tensor in leaves}
        # `parameter.data` is another tensor in the same memory
        self._kinds = {storage_of(tensor): kind for kind, _, tensor in self._leaves.values() if not is_lazy(tensor)}
        self._ledger = Ledger()
        self._stack = stack
        self._busy = False
        self._is_noisy = False
        self.channel_variances: dict[int, Tensor] = {}
        self.arrivals: dict[int, ArrivalFact] = {}
        self.targets: list[Tensor] = []
        self.scalars: dict[int, Tensor] = {}
        self.masks = MaskWatch(tensor for kind, _, tensor in self._leaves.values() if kind == "batch")
        self._raw: set[int] = set()  # computed from the batch alone
        self._learned: set[int] = set()  # also computed from parameters

    def recording(self, technique: str) -> ExitStack:
        """Return a context in which everything is recorded."""
        context = ExitStack()
        if technique == "hybrid":
            context.enter_context(_Dispatch(self))
        context.enter_context(_Functions(self))
        return context

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While entered, nothing is recorded; for the doctor's own work during a pass."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before

    def find(self, value: object) -> tuple[int, ...]:
        """Return the operations that produced the tensors in a value."""
        return tuple(dict.fromkeys(self._index(tensor) for tensor in tensors_in(value)))

    def run(self, function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        """Call a function and record it, but not the functions that it calls."""
        if self._busy:
            return function(*args, **kwargs)
        with self.paused():
            if not name or name in _UNRECORDED:
                return function(*args, **kwargs)
            return self._run(function, name, args, kwargs)

    def _run(self, function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        named = [(key, value) for key, value in _name(argument_names(function, name), args, kwargs) if key != "out"]
        given = [(key, tensor) for key, value in named for tensor in tensors_in(value)]
        versions = [_version(tensor) for _, tensor in given]
        operation = self._describe(name, named, given)
        if name in WEIGHTS and not self._learned.isdisjoint(operation.inputs):
            self._measure_arrivals(given)
        announced = self._announce(operation, given) if name in _ANNOUNCED else None
        result = function(*args, **kwargs)
        written = [tensor for (_, tensor), before in zip(given, versions, strict=True) if _version(tensor) != before]
        if _writes_lists(function):  # such functions do not increase the version
            written = list(tensors_in(named[0][1]))
        if name in ATTENTION:
            self.masks.note(name, self._stack.path, dict(named), result)
        self._note(operation, given, written, result, kwargs.get("out"), announced)
        return result

    def _describe(self, name: str, named: list[tuple[str, Any]], given: list[tuple[str, Tensor]]) -> Operation:
        inputs = [(key, self._index(tensor), shape_of(tensor)) for key, tensor in given]
        if name in _FORGETFUL:
            inputs = []
        elif name == "copy" or (name == "setitem" and len(given) > 1 and _fills(given[0][1], given[-1][1])):
            inputs = inputs[1:]
        operation = Operation(
            op=name,
            module=self._stack.path,
            inputs=tuple(index for _, index, _ in inputs),
            names=tuple(key for key, _, _ in inputs),
            input_shapes=tuple(shape for _, _, shape in inputs),
            settings=plain_settings({key: value for key, value in named if not isinstance(value, Tensor)}),
        )
        return replace(operation, classes=measure_classes(operation, given)) if name in LOSSES else operation

    def _measure_arrivals(self, given: list[tuple[str, Tensor]]) -> None:
        for _, tensor in given:
            index = self._index(tensor)
            if index in self._raw and index not in self.arrivals and tensor.is_floating_point():
                columns = read_columns(tensor)
                self.arrivals[index] = ArrivalFact(index, self._stack.path, describe(tensor), columns)

    def _announce(self, operation: Operation, given: list[tuple[str, Tensor]]) -> int:
        for measure_argument, found in measure_arguments(operation, given):
            index = self._index(measure_argument)
            self.operations[index] = replace(self.operations[index], statistics=found)
        self.targets += [tensor.detach() for key, tensor in given if key == "target"]
        index = self._append(operation)
        if operation.op == "batch_norm" and self._is_noisy:
            self.channel_variances[index] = channel_variance(given[0][1])
        return index

    def _note(
        self,
        operation: Operation,
        given: list[tuple[str, Tensor]],
        written: list[Tensor],
        result: Any,
        out: Any,
        announced: int | None,
    ) -> None:
        outputs = list(tensors_in(result))
        if not outputs and not written:
            return
        first = outputs[0] if outputs else written[0]
        if is_transformed(first):
            raise NotFollowedError("the step calls a transform of torch.func (grad, vmap), which is not followed")
        operation = replace(
            operation,
            shape=shape_of(first),
            dtype=str(first.dtype),
            requires_grad=first.requires_grad,
            inplace=bool(written) and any(tensor is first for tensor in written),
            wrote=next((self._kinds[kept] for kept in map(storage_of, written) if kept in self._kinds), ""),
        )
        operation = measure_result(operation, first, self.operations)
        if announced is None:
            index = self._append(operation)
        else:
            index, self.operations[announced] = announced, operation
        if first.requires_grad and first.dim() == 0:
            self.scalars[index] = first.clone()  # later, the step may add to it in place
        storages = {storage_of(tensor) for _, tensor in given}
        for output in outputs:
            if not any(output is each for each in written):
                made = index if output.dtype == first.dtype else self._append_part(index, output)
                self._ledger.note(output, made, is_view=storage_of(output) in storages)
        for tensor in [*written, *tensors_in(out)]:
            self._note_write(tensor, index)

    def _append_part(self, index: int, output: Tensor) -> int:
        """Record an additional result of a different kind, such as the indices of a maximum."""
        dtype = str(output.dtype)
        return self._append(Operation("getitem", self._stack.path, (index,), shape=shape_of(output), dtype=dtype))

    def _note_write(self, tensor: Tensor, index: int) -> None:
        whole = index
        before = self._ledger.find(tensor)
        if not covers_storage(tensor) and before is not None:
            part = Operation("partial_write", self._stack.path, (before, index), shape=self.operations[index].shape)
            whole = self._append(part)
        self._ledger.note_write(tensor, index, whole)

    def _index(self, tensor: Tensor) -> int:
        found = self._ledger.find(tensor)
        if found is not None:
            return found
        kind, name, _ = self._leaves.get(id(tensor), ("constant", "", None))
        leaf = Operation(
            kind, name, (), shape=shape_of(tensor), dtype=str(tensor.dtype), requires_grad=tensor.requires_grad
        )
        index = self._append(leaf)
        self._ledger.note(tensor, index)
        return index

    def _append(self, operation: Operation) -> int:
        self._is_noisy = self._is_noisy or operation.op in _NOISY
        index = len(self.operations)
        self.operations.append(operation)
        if operation.op == "parameter" or not self._learned.isdisjoint(operation.inputs):
            self._learned.add(index)
        elif operation.op == "batch" or not self._raw.isdisjoint(operation.inputs):
            self._raw.add(index)
        return index


class _Functions(TorchFunctionMode):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recorder.run(func, name_of(func), args, kwargs or {})


class _Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise the first use imports the compiler, which takes seconds

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recorder.run(func, name_of_overload(func), args, kwargs or {})


def _name(names: tuple[str, ...], args: Any, kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
    rest = names[len(names) - 1] if names else "input"
    positional = [(names[i] if i < len(names) else f"{rest}{i}", value) for i, value in enumerate(args)]
    return [*positional, *kwargs.items()]


def _writes_lists(function: Callable[..., Any]) -> bool:
    name = getattr(function, "__name__", "").partition(".")[0]
    return name.startswith("_foreach_") and name.endswith("_")


def _fills(target: Tensor, value: Tensor) -> bool:
    return target.numel() == value.numel()


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else int(tensor._version)
