"""Step copy: the training step of a float64 copy of a model, deterministic except for moved parameters."""

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.reading.containers import with_tensors_changed
from lightning_tricks.doctor.reading.read_optimizers import normalize_optimizer_config
from lightning_tricks.doctor.tracing.obtain_batch import bring_to_model
from lightning_tricks.doctor.tracing.one_pass import find_entry, find_loss
from lightning_tricks.doctor.tracing.single_process import single_process
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn
from lightning_tricks.doctor.tracing.without_compile import without_compile
from lightning_tricks.engine.gradcheck.library_casts import KeepDouble

_LOW = (torch.float32, torch.float16, torch.bfloat16)
_SAME = 1e-13  # relative, because a device may add in a different order
_OF_MODULES = frozenset(vars(nn.Module()))


class UncheckableStepError(ValueError):
    """The gradients of a step cannot be compared with finite differences; the message contains the reason."""


class StepCopy:
    """The training step of a model, on a copy of it and of the batch, in float64.

    Before each call, parameters, buffers, attributes and generators are restored, so that dropout and sampling draw the
    same numbers again. Nothing is logged and no optimizer steps. The model itself is not changed.

    Args:
        model: a LightningModule; or a module whose ``forward(**batch)`` or ``forward(*batch)`` returns a scalar loss,
            or an output with a ``loss``.
        batch: the argument of its ``training_step``.

    Raises:
        UncheckableStepError: the model cannot be copied.
    """

    def __init__(self, model: nn.Module, batch: Any) -> None:
        self._model: Any = _copy_in_float64(getattr(model, "_orig_mod", model))
        self._batch = _batch_in_float64(batch, self._model)
        self._manual = getattr(self._model, "automatic_optimization", True) is False
        self._losses: list[Tensor] = []
        self._trainer = TrainerStandIn(None, None, self._model)
        self._stand_in_()
        if not self._model.training:  # if the model is in training mode, its parts keep their modes: they may be frozen
            self._model.train()
        self.parameters = {name: value for name, value in self._model.named_parameters() if value.requires_grad}
        self._memory = ObjectSnapshot()
        self._memory.remember(self._model, self._batch)
        self._restore_random_state = remember_random_state()

    def _stand_in_(self) -> None:
        configure = getattr(self._model, "configure_optimizers", None)
        stand_in_(self._model, Step(), self._trainer)
        optimizers: list[Any] = []
        if self._manual and callable(configure):
            with _refusing("`configure_optimizers`"):
                optimizers, _ = normalize_optimizer_config(configure())
        stand_in_(self._model, Step(optimizers), self._trainer)
        for module in self._model.modules():
            if "manual_backward" in vars(module):
                vars(module)["manual_backward"] = lambda loss, *_, **__: self._losses.append(loss)

    def loss_and_gradients(self) -> tuple[float, dict[str, Tensor]]:
        """Return the loss and its gradients by name; missing gradients are zeros.

        Raises:
            UncheckableStepError: the step raises, or returns no loss whose gradient can be compared.
        """
        with self._running():
            loss = self._loss()
            _refuse_low_precision(loss)
            gradients = self._gradients_of(loss)
            value = float(loss.detach())
        again = self.loss_at({}, 0.0)
        if not math.isclose(value, again, rel_tol=_SAME):
            raise UncheckableStepError(
                f"The step draws new random numbers at each call: its loss is {value!r}, then {again!r}, "
                "although the generators of Python, NumPy, torch and the module were reset. Use one of these "
                "generators."
            )
        return value, gradients

    def gradients_on(self, batch: Any) -> dict[str, Tensor]:
        """Return the gradients of the loss on another batch, by name."""
        self._batch = _batch_in_float64(batch, self._model)
        with self._running():
            return self._gradients_of(self._loss())

    def _gradients_of(self, loss: Tensor) -> dict[str, Tensor]:
        with _refusing("the backward pass"):
            found = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)
        pairs = zip(self.parameters.items(), found, strict=True)
        return {name: torch.zeros_like(p) if g is None else g.to_dense().to(p.dtype) for (name, p), g in pairs}

    def loss_at(self, directions: Mapping[str, Tensor], step: float) -> float:
        """Return the loss with parameters moved along directions, by name."""
        with self._running():
            with torch.no_grad():
                for name, direction in directions.items():
                    self.parameters[name].add_(direction, alpha=step)
            return float(self._loss().detach())

    @contextmanager
    def _running(self) -> Iterator[None]:
        restore_random_state = remember_random_state()
        self._memory.restore_()
        self._restore_random_state()
        self._losses.clear()
        try:
            with _in_float64(), without_compile(), single_process(), torch.inference_mode(False), torch.enable_grad():
                yield
        finally:
            self._losses.clear()
            restore_random_state()

    def _loss(self) -> Tensor:
        entry = find_entry(self._model, self._batch)
        with _refusing(f"`{entry.name}` in float64", self._trainer), KeepDouble():
            returned = entry.call()
        loss = find_loss(entry, returned)
        if entry.name == "forward" and isinstance(returned, Tensor) and returned.ndim == 0:
            loss = returned
        if self._manual:
            if len(self._losses) != 1:
                raise UncheckableStepError(
                    f"The step uses manual optimization and calls `manual_backward` {len(self._losses)} times, but "
                    f"only one loss can be compared. Check each loss in a separate step."
                )
            loss = self._losses[0]
        if loss is None:
            raise UncheckableStepError(
                f"`{entry.name}` returns no loss. Return a scalar, or a dict with the key 'loss'."
            )
        return _checked(loss if loss.ndim == 0 else loss.mean() if loss.is_floating_point() else loss)


def _checked(loss: Tensor) -> Tensor:
    if not loss.is_floating_point():
        raise UncheckableStepError(
            f"The loss is of type {loss.dtype}, which has no gradient. Return a floating-point loss."
        )
    if not loss.requires_grad:
        raise UncheckableStepError("The loss is detached: no gradient leads to a parameter. Return the loss itself.")
    if not loss.isfinite():
        raise UncheckableStepError(
            f"The loss is {loss.item()}, so there are no finite differences. Fix the loss first."
        )
    return loss


def _refuse_low_precision(loss: Tensor) -> None:
    """Raise an error for a loss that is partly computed in less than float64."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        inputs = getattr(node, "_input_metadata", ())  # not in torch 2.4
        low = next((each.dtype for each in inputs if each.dtype in _LOW), None)
        if low is not None:
            raise UncheckableStepError(
                f"The step casts to {str(low).removeprefix('torch.')} ({node.name()}), whose rounding errors hide the "
                f"finite differences. Use the dtype of the input, and no autocast."
            )
        waiting += [following for following, _ in node.next_functions]


def _batch_in_float64(batch: Any, model: nn.Module) -> Any:
    with _in_float64():
        own = bring_to_model(copy.deepcopy(batch), model)
        own = apply_to_collection(own, PackedSequence, lambda packed: packed.double())
        return with_tensors_changed(own, _as_double)


def _copy_in_float64(model: nn.Module) -> nn.Module:
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name in ("_trainer", "_fabric"):
            if vars(module).get(name) is not None:
                memo[id(vars(module)[name])] = None
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:  # torch only copies leaves
                memo[id(value)] = value.detach().clone()
    try:
        copied = copy.deepcopy(model, memo).double()
    # raised by a user-defined class, or by an object that cannot be copied, such as a generator
    except Exception as error:
        raise UncheckableStepError(f"The model cannot be copied to float64: {type(error).__name__}: {error}") from error
    copied._apply(_as_double)  # type: ignore[no-untyped-call]
    for module in copied.modules():
        for name, value in list(vars(module).items()):
            if name not in _OF_MODULES and isinstance(value, (Tensor, list, tuple, dict)):
                vars(module)[name] = with_tensors_changed(value, _as_double)
    return copied


def _as_double(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.to(torch.float64) if tensor.is_floating_point() else tensor


@contextmanager
def _in_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _refusing(phase: str, trainer: TrainerStandIn | None = None) -> Iterator[None]:
    try:
        yield
    except UncheckableStepError:
        raise
    except Exception as error:  # user code
        asked = f"; it uses `trainer.{trainer.unanswered[0]}`" if trainer and trainer.unanswered else ""
        casts = "; it may cast to float32" if "dtype" in str(error) or "Float" in str(error) else ""
        raise UncheckableStepError(f"{phase} raised {type(error).__name__}: {error}{asked}{casts}") from error
