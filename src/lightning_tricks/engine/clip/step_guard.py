"""Step guard: skip an optimizer's step, without changing its state, when its gradients are not finite."""

import math
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import SGD, Optimizer

from lightning_tricks.engine.clip.clip_state import ClipState, GradientNorms


def active_scaler(trainer: Trainer) -> Any:
    """Return the GradScaler that scales this run's losses and skips its bad steps, or ``None``."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return scaler if scaler is not None and scaler.is_enabled() else None


def unscale_gradients(scaler: Any, optimizer: Optimizer) -> None:
    """Unscale the gradients of an optimizer that unscales inside its step, which Lightning therefore leaves scaled.

    The scaler records this and does not unscale again.
    """
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        return
    settle_momentum(optimizer)
    try:
        scaler.unscale_(optimizer)
    except RuntimeError as error:  # by an earlier clipping callback; the scaler's state is private
        if "already been called" not in str(error):
            raise


def skips_by_flag(optimizer: Optimizer) -> bool:
    """Return whether the optimizer itself skips a step if ``found_inf`` is set, without a host synchronization."""
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        return False
    return all(group.get("fused") for group in optimizer.param_groups) and settle_momentum(optimizer)


def settle_momentum(optimizer: Optimizer) -> bool:
    """Initialize the momentum of a fused SGD, which a skipped first step would not do; return the success.

    Zeros are equivalent to the first step, unless ``dampening`` is set, which the first step ignores.
    """
    if not isinstance(optimizer, SGD):
        return True
    for group in optimizer.param_groups:
        if not group["momentum"]:
            continue
        for param in group["params"]:
            state = optimizer.state[param]
            if param.grad is not None and state.get("momentum_buffer") is None:
                if group["dampening"]:
                    return False
                state["momentum_buffer"] = torch.zeros_like(param)
    return True


def flag_step(optimizer: Any, bad: Tensor) -> None:
    """Let a fused optimizer skip its next step if ``bad``, a ``()`` tensor that the host does not read."""
    flag = bad.to(torch.float32)
    earlier = getattr(optimizer, "found_inf", None)  # set by another callback that measured the gradients earlier
    optimizer.found_inf = flag if earlier is None else torch.maximum(earlier, flag)


def clear_flag(optimizer: Any, *_: object) -> None:
    """Remove the flag; a step post-hook."""
    if hasattr(optimizer, "found_inf"):
        del optimizer.found_inf


def drop_gradients(optimizer: Optimizer) -> None:
    """Remove an optimizer's gradients; zeros are not sufficient, because momentum and weight decay would still act."""
    for group in optimizer.param_groups:
        for param in group["params"]:
            param.grad = None


class DeferredFlag:
    """A flag on the device that the host reads one step later, so that the host does not wait.

    On other devices than CUDA the host waits when the flag is sent: a copy that does not block could be read too early
    there, because it has no event to wait for.

    Args:
        device: the device on which the flag is computed.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        on_cuda = device.type == "cuda"
        self._host = torch.zeros((), dtype=torch.bool, pin_memory=on_cuda)
        self._seen = self._host.numpy()  # a view, so that reading it is not a torch operation
        self._event: Any = torch.cuda.Event() if on_cuda else None  # type: ignore[no-untyped-call]

    def send(self, flag: Tensor) -> None:
        """Start the copy to the host."""
        self._host.copy_(flag, non_blocking=self._event is not None)
        if self._event is not None:
            self._event.record(torch.cuda.current_stream(flag.device))

    def read(self) -> bool:
        """Return the last flag that was sent; ``False`` if there was none."""
        if self._event is not None:
            self._event.synchronize()
        return bool(self._seen)


class StepGuard:
    """Skip the steps of one optimizer whose gradients are not finite.

    Args:
        optimizer: the guarded optimizer.
        max_skips: maximum number of consecutive bad steps; ``None``: no limit.
    """

    def __init__(self, optimizer: Optimizer, max_skips: int | None) -> None:
        self.optimizer = optimizer
        self._max_skips = max_skips
        self._too_many: DeferredFlag | None = None
        self._hook: Any = None
        self._in_a_row = True  # a checkpoint may contain a count above the limit

    def judge(self, measured: GradientNorms, state: ClipState) -> GradientNorms | None:
        """Let the optimizer skip the coming step if a gradient is not finite; return what is left to clip.

        Returns:
            The measurements, with ``norm`` if it was read; ``None`` if the gradients were dropped.

        Raises:
            TooManySkips: more than ``max_skips`` consecutive bad steps.
        """
        if skips_by_flag(self.optimizer):
            self.check_last_step()
            self._judge_on_device(measured, state)
            return measured
        norm = float(measured.total)  # the only number that is read in a step
        if math.isfinite(norm):
            if self._in_a_row:
                state.bad_in_a_row.zero_()
                self._in_a_row = False
            return replace(measured, norm=norm)
        self._in_a_row = True
        state.skipped += 1
        state.bad_in_a_row += 1
        state.last_nonfinite = measured
        drop_gradients(self.optimizer)
        if self._max_skips is not None and int(state.bad_in_a_row) > self._max_skips:
            raise TooManySkips
        return None

    def _judge_on_device(self, measured: GradientNorms, state: ClipState) -> None:
        bad = measured.bad
        if self._hook is None:
            self._hook = self.optimizer.register_step_post_hook(clear_flag)
        flag_step(self.optimizer, bad)
        state.skipped += bad
        if self._max_skips is None:
            return
        state.bad_in_a_row = (state.bad_in_a_row + 1) * bad
        last, evidence = state.last_nonfinite, measured.evidence
        if last is not None and (last.evidence.shape, last.evidence.device) == (evidence.shape, evidence.device):
            evidence = torch.where(bad, evidence, last.evidence)
        state.last_nonfinite = GradientNorms(measured.params, evidence, measured.entries, measured.total)
        if self._too_many is None or self._too_many.device != bad.device:
            self._too_many = DeferredFlag(bad.device)
        self._too_many.send(state.bad_in_a_row > self._max_skips)

    def check_last_step(self) -> None:
        """Read the flag that the last step sent.

        Raises:
            TooManySkips: more than ``max_skips`` consecutive bad steps.
        """
        if self._too_many is not None and self._too_many.read():
            raise TooManySkips

    def release(self) -> None:
        """Restore the optimizer."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        clear_flag(self.optimizer)


class TooManySkips(Exception):  # noqa: N818
    """More consecutive bad steps than allowed; the callback reports which and why."""


def name_nonfinite(pl_module: LightningModule, bad: GradientNorms, limit: int = 5) -> str:
    """Return the names of the first parameters with a non-finite gradient, in the module's order."""
    pieces = bad.evidence.isfinite().cpu().split_with_sizes(list(bad.entries))
    found = {id(param) for param, finite in zip(bad.params, pieces, strict=True) if not finite.all()}
    names = [name for name, param in pl_module.named_parameters() if id(param) in found]
    if not names:  # each is finite, but the sum of their squares overflows float32
        return "none individually; only their joint norm overflows"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
