"""Weight penalty: L1 and L2 terms of chosen weights, as if they were in the loss."""

from collections.abc import Sequence
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch.optim import LBFGS, Optimizer

from lightning_tricks.core.arguments import check_number, check_words
from lightning_tricks.engine.clip.step_guard import active_scaler, unscale_gradients
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.parameter_selection import select_weights
from lightning_tricks.functional.penalties import add_penalty_grads_


class WeightPenalty(Trick):
    """Penalize large weights as if an L1 or L2 term were in the loss.

    Use when: a model overfits, or only a few of many inputs should matter (L1), and the loss cannot be edited or the
    optimizer's ``weight_decay`` applies to too many parameters.

    Where it acts: ``on_before_optimizer_step``, before every other callback and therefore before clipping; gradients
    are already accumulated, reduced and unscaled. Under accumulation the penalty is scaled by the share of the window
    that was processed, as in a loss. Under manual optimization the whole penalty counts once per step of each
    optimizer; a module that clips manually before it calls ``optimizer.step()`` clips without it.

    Interacts with: ``weight_decay``, which acts in addition (in SGD, ``l2`` equals ``weight_decay=2 * l2``; AdamW's
    decay is not part of the loss). The logged loss does not contain the penalty. LBFGS with a line search raises an
    error, because it reads the loss; without a line search, its ``tolerance_change`` still considers only the loss
    without the penalty.

    Args:
        l1: factor of the sum of absolute weights, >= 0; typically 1e-5 to 1e-3.
        l2: factor of the sum of squared weights, >= 0; typically 1e-5 to 1e-2 (Goodfellow et al. 2016, section 7.1).
        include: glob patterns on parameter names; biases and the parameters of normalization layers are excluded unless
            a pattern names them without a wildcard.
        exclude: glob patterns on parameter names to exclude.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a factor is negative or not finite; when fit starts, a pattern that matches nothing.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import WeightPenalty
        >>> trainer = Trainer(callbacks=[WeightPenalty(l2=1e-4, exclude=["head.*"])])

        With Hydra: ``tricks=[weight_penalty] tricks.weight_penalty.l2=1e-4``

    See :func:`lightning_tricks.functional.penalties.weight_penalty` for the formula.
    """

    checklist_roles = ("l2",)

    def __init__(
        self,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.l1 = check_number("l1", l1, 0)
        self.l2 = check_number("l2", l2, 0)
        self.include = check_words("include", include, "glob patterns")
        self.exclude = check_words("exclude", exclude, "glob patterns")
        self.reset()

    def reset(self) -> None:
        self._weights: dict[str, Any] = {}
        self._share = 0.0  # share of an accumulation window since the penalty was last added
        self._had_backward = False

    def begin_fit(self, run: Run) -> None:
        """Find the weights; raise an error for inaccessible gradients and for optimizers that read the loss."""
        if run.strategy_is("DeepSpeedStrategy"):
            raise MisconfigurationException(
                "`WeightPenalty` cannot act under DeepSpeed, whose engine does not expose the gradients. Use "
                "`weight_decay` of the optimizer that `configure_optimizers` returns."
            )
        if run.strategy_is("FSDPStrategy"):
            raise MisconfigurationException(
                "`WeightPenalty` cannot act under `FSDPStrategy`, whose flat parameters join weights and biases. Use "
                "`ModelParallelStrategy` with `fully_shard` (FSDP2)."
            )
        self._refuse_line_search(run)
        self._weights = dict(select_weights(run.module, self.include, self.exclude))
        if not (self.l1 or self.l2):
            rank_zero_warn("`WeightPenalty` has `l1=0` and `l2=0` and has no effect. Give one of them.")
        run.act_first(self)

    def optimizers_replaced(self, run: Run) -> None:
        self._refuse_line_search(run)

    def _refuse_line_search(self, run: Run) -> None:
        for optimizer in run.optimizers:
            if isinstance(optimizer, LBFGS) and optimizer.param_groups[0].get("line_search_fn"):
                raise MisconfigurationException(
                    "`WeightPenalty` adds to gradients, but LBFGS with `line_search_fn` also reads the loss, which "
                    "does not contain the penalty. Use `line_search_fn=None`, or add "
                    "`lightning_tricks.weight_penalty(...)` to the loss in `training_step`."
                )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._had_backward = False

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Reset the share when the gradients are dropped."""
        self._share = 0.0

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add this batch's share of an accumulation window."""
        self._had_backward = True
        self._share += 1.0 / trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Add the gradient of the penalty."""
        held = {id(value) for group in optimizer.param_groups for value in group["params"]}
        weights = [value for value in self._weights.values() if id(value) in held and value.requires_grad]
        share, self._share = self._share, 0.0
        if not pl_module.automatic_optimization:
            has_gradient = any(p.grad is not None for group in optimizer.param_groups for p in group["params"])
            share = float(has_gradient)
        elif not self._had_backward and active_scaler(trainer) is not None:
            return  # `training_step` returned None: the gradients stay scaled and no step follows
        scaler = active_scaler(trainer)
        if scaler is not None and weights and share:
            unscale_gradients(scaler, optimizer)
        add_penalty_grads_(weights, self.l1, self.l2, share)

    def end_fit(self, run: Run) -> None:
        """Release the weights."""
        self._weights = {}
