"""Clipper: the hook shared by all clipping callbacks: measure, check, clip and log; a subclass defines how."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from lightning_tricks.core.arguments import check_count, check_flag
from lightning_tricks.doctor.facts.run_facts import ClipFact
from lightning_tricks.engine.clip.clip_state import ClipState, GradientNorms, restore_clip_state
from lightning_tricks.engine.clip.step_guard import (
    StepGuard,
    TooManySkips,
    active_scaler,
    name_nonfinite,
    unscale_gradients,
)
from lightning_tricks.engine.run.combinations import Purpose
from lightning_tricks.engine.run.lightning_internals import logs_now
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.gradients import join_norms, tensor_norms


class Clipper(Trick):
    """A trick that bounds the gradients of each optimizer right before its step, or skips the step.

    ``on_before_optimizer_step`` is the one hook after accumulation, all-reduce and unscaling that also runs under
    manual optimization.

    Args:
        skip_nonfinite: skip a step with a non-finite gradient.
        max_skips: maximum number of consecutive skips.
        log: whether to log norms.
    """

    norm_type: float = 2.0
    checklist_roles = ("clipping",)

    def __init__(self, skip_nonfinite: bool, max_skips: int | None, log: bool) -> None:
        super().__init__()
        self.skip_nonfinite = check_flag("skip_nonfinite", skip_nonfinite)
        self.max_skips = None if max_skips is None else check_count("max_skips", max_skips, 0)
        if max_skips is not None and not skip_nonfinite:
            raise ValueError(f"`max_skips` has no effect with `skip_nonfinite=False`, got {max_skips}. Remove it.")
        self._logs = check_flag("log", log)  # Lightning assigns its own method to the name `log`
        self.reset()

    @property
    def fixed_limit(self) -> ClipFact | None:
        """The limit of each value or of the norm of all gradients, if it is the same in each step."""
        return None

    @property
    def purpose(self) -> Purpose | None:
        """All clipping callbacks bound a norm."""
        return "norm clipping"

    def reset(self) -> None:
        self._states: dict[int, ClipState] = {}
        self._loaded: dict[int, dict[str, Any]] = {}
        self._guards: dict[int, StepGuard] = {}
        self._had_backward = False
        self._mark = ""

    def settings(self) -> dict[str, Any]:
        """Return the arguments as plain values."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: self._logs if name == "log" else getattr(self, name) for name in names}

    def measure(self, groups: Sequence[Sequence[Tensor]]) -> GradientNorms:
        """Measure the gradients of an optimizer.

        Args:
            groups: the parameters with a gradient, by group; at least one.
        """
        raise NotImplementedError

    def clip(self, measured: GradientNorms, state: ClipState, observe: bool) -> Tensor | None:
        """Clip the measured gradients in place, and return ``()`` whether any was clipped; ``None`` if none was.

        Args:
            measured: the measured gradients.
            state: the state of their optimizer.
            observe: whether to learn from them; False if an optimizer evaluates its loss again in the same step.
        """
        raise NotImplementedError

    def restore_rule(self, tensors: dict[str, Tensor]) -> Any:
        """Rebuild what was learned from the tensors of a checkpoint."""
        raise NotImplementedError

    def more_to_log(self, state: ClipState) -> dict[str, Tensor]:
        """Return what is logged in addition to the norms."""
        return {}

    @property
    def num_skipped(self) -> int:
        """Number of steps skipped because of a non-finite gradient; reading it may synchronize."""
        return sum(int(entry["skipped"]) for entry in self.plain_state()["optimizers"].values())

    def begin_fit(self, run: Run) -> None:
        """Raise an error for a second clipping, inaccessible gradients, and steps that cannot be skipped."""
        name, trainer = type(self).__name__, run.trainer
        if trainer.gradient_clip_val:
            raise MisconfigurationException(
                f"`{name}` and `Trainer(gradient_clip_val={trainer.gradient_clip_val})` would both clip. Remove one of "
                "them."
            )
        if run.strategy_is("DeepSpeedStrategy"):
            raise MisconfigurationException(
                f"`{name}` cannot act under DeepSpeed, whose engine does not expose the gradients. Use the engine's "
                "own option `gradient_clipping`, which `Trainer(gradient_clip_val=...)` sets."
            )
        if run.strategy_is("FSDPStrategy"):
            raise MisconfigurationException(
                f"`{name}` cannot act under `FSDPStrategy`, whose flat parameters split tensors. Use "
                "`ModelParallelStrategy` with `fully_shard` (FSDP2)."
            )
        if self.skip_nonfinite and any(isinstance(optimizer, LBFGS) for optimizer in run.optimizers):
            raise MisconfigurationException(
                f"`{name}(skip_nonfinite=True)` cannot skip a step of LBFGS, which evaluates its loss several times "
                f"per step and stores each result. Pass `skip_nonfinite=False`."
            )
        others = [clipper for clipper in run.members_of(Clipper) if clipper is not self and clipper._logs]
        self._mark = f"-{self.state_key}" if others else ""
        if active_scaler(trainer) is not None:
            run.call_with(trainer.strategy, "training_step", lambda: self._note_backward(False), before=True)
            run.call_with(trainer.strategy, "backward", lambda: self._note_backward(True))

    def _note_backward(self, had_backward: bool) -> None:
        self._had_backward = had_backward

    @torch.no_grad()
    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure, check, clip and log the gradients of one optimizer."""
        groups = [[p for p in group["params"] if p.grad is not None] for group in optimizer.param_groups]
        if not any(groups):
            return
        scaler = active_scaler(trainer)
        if scaler is not None:
            if pl_module.automatic_optimization and not self._had_backward:
                return  # `training_step` returned None: the gradients stay scaled and no step follows
            unscale_gradients(scaler, optimizer)
        optimizers = self._run.optimizers if self._run is not None else trainer.optimizers
        index = 0 if optimizers[0] is optimizer else next(i for i, o in enumerate(optimizers) if o is optimizer)
        measured = self.measure(groups)
        state = self._state_of(index, measured.total.device)
        again = isinstance(optimizer, LBFGS) and state.counted_at == trainer.global_step
        if isinstance(optimizer, LBFGS):
            state.counted_at = trainer.global_step
        logs = self._logs and not again and logs_now(trainer)
        judged = self._judge(pl_module, optimizer, index, measured, scaled=scaler is not None)
        clipped = self.clip(judged, state, observe=not again) if judged else None
        if self._logs and not again:
            if clipped is not None:
                state.clipped += clipped & ~measured.bad
            state.steps += 1
        if logs:
            after = self._norm(measured) if judged else measured.total
            mark = f"-optimizer_{index}" if len(trainer.optimizers) > 1 else ""
            self._log(pl_module, state, measured.total, after, mark + self._mark)

    def _state_of(self, index: int, device: torch.device) -> ClipState:
        """Return the state of an optimizer, on the device of its measurements, which is known at its first step.

        The device changes if the model is spread over several and parameters that come first are unfrozen later.
        """
        state = self._states.get(index)
        if state is None or state.skipped.device != device:
            plain = self._loaded.get(index) if state is None else state.to_plain()
            self._states[index] = restore_clip_state(plain, device, self.restore_rule)
        return self._states[index]

    def _judge(
        self,
        pl_module: LightningModule,
        optimizer: Optimizer,
        index: int,
        measured: GradientNorms,
        scaled: bool,
    ) -> GradientNorms | None:
        """Skip the coming step if it is bad, and return what is left to clip, with numbers already read."""
        if scaled:  # the scaler detects this as well, and skips
            self._states[index].skipped += measured.bad
        if scaled or not self.skip_nonfinite:
            return measured
        guard = self._guards.get(index)
        if guard is None or guard.optimizer is not optimizer:  # an optimizer may be replaced during the run
            if guard is not None:
                guard.release()
            guard = self._guards[index] = StepGuard(optimizer, self.max_skips)
        try:
            return guard.judge(measured, self._states[index])
        except TooManySkips:
            raise self._too_many(pl_module, self._states[index]) from None

    def _too_many(self, pl_module: LightningModule, state: ClipState) -> RuntimeError:
        names = name_nonfinite(pl_module, state.last_nonfinite) if state.last_nonfinite else "unknown"
        return RuntimeError(
            f"`{type(self).__name__}` skipped {int(state.bad_in_a_row)} consecutive steps with non-finite "
            f"gradients, more than `max_skips={self.max_skips}`. First parameters with such a gradient: {names}. The "
            "weights are those of the last good step. A lower learning rate or a warm-up usually helps; "
            "`Trainer(detect_anomaly=True)` finds the operation."
        )

    def _norm(self, measured: GradientNorms) -> Tensor:
        """Return the current norm of the gradients."""
        return join_norms(tensor_norms([p.grad for p in measured.params], self.norm_type), self.norm_type)  # type: ignore[misc]

    def _log(self, pl_module: LightningModule, state: ClipState, before: Tensor, after: Tensor, mark: str) -> None:
        values = {
            "grad_norm": before,
            "grad_norm_clipped": after,
            "clip_rate": state.clipped / state.steps,
            **self.more_to_log(state),
        }
        pl_module.log_dict({name + mark: value.to(torch.float32) for name, value in values.items()})
        state.clipped, state.steps = torch.zeros_like(state.clipped), 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the number of skipped steps, for users whose object ran as a copy in another process."""
        if self._logs:
            entries = self._loaded | {index: vars(state) for index, state in self._states.items()}
            counts = [entry["skipped"].to(pl_module.device, torch.float32) for entry in entries.values()]
            skipped = torch.stack(counts).sum() if counts else torch.zeros((), device=pl_module.device)
            pl_module.log("num_skipped" + self._mark, skipped, sync_dist=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the flag that the last step left for the next one."""
        for index, guard in self._guards.items():
            try:
                guard.check_last_step()
            except TooManySkips:
                raise self._too_many(pl_module, self._states[index]) from None

    def end_fit(self, run: Run) -> None:
        """Restore and release the optimizers; the counts are kept."""
        for guard in self._guards.values():
            guard.release()
        self._guards = {}
        for state in self._states.values():
            state.last_nonfinite = None

    def plain_state(self) -> dict[str, Any]:
        """Return the counts and what was learned, by optimizer."""
        return {"optimizers": self._loaded | {index: state.to_plain() for index, state in self._states.items()}}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        """Keep the state from a checkpoint until each optimizer's next step, when its device is known."""
        self._states, self._loaded = {}, dict(state["optimizers"])
