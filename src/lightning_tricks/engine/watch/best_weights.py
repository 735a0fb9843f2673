"""Best weights: keep the weights of the best check in host memory, and restore them under any strategy."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor

from lightning_tricks.core.class_names import is_instance_of
from lightning_tricks.core.tensor_copies import bit_sums, changed_names, is_plain
from lightning_tricks.core.weight_snapshot import WeightSnapshot, is_sharded, named_tensors
from lightning_tricks.engine.run.run import strategy_is
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.watch.optimizer_modes import Modes, read_modes, restore_modes_


class BestWeights:
    """The weights and buffers of the best check of one run.

    In a single process they are kept and saved. Under DDP, rank 0 keeps and saves a single copy and broadcasts it. If
    the parameters are sharded, each rank keeps its shards, and nothing is saved.

    Whether the module contains other weights during validation, such as an average, is determined from the weights:
    sums of their bits are compared before a validation and at its first batch. The same comparison is made at the end
    of training: weights that were written after the last optimizer step and never validated are the intended result of
    another callback.

    Attributes:
        score: the score of the check with these weights; ``None`` if there are none.
        was_restored: whether the module contains the best weights.
    """

    def __init__(self) -> None:
        self.score: float | None = None
        self.was_restored = False
        self._best = WeightSnapshot()
        self._evaluated = WeightSnapshot(on_host=False)
        self._before_validation: dict[str, Tensor] = {}
        self._validates_others = False
        self._modes: Modes = []
        self._trained: dict[str, Tensor] = {}
        self._between_epochs: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None
        self._is_keeper = True
        self._is_saved = True
        self._is_shared = False

    def start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Determine which ranks keep a copy; the checkpoint has been loaded by now."""
        sharded = is_sharded(pl_module)
        self._is_shared = trainer.world_size > 1 and not sharded and strategy_is(trainer, "DDPStrategy")
        self._is_keeper = trainer.is_global_zero or not self._is_shared
        self._is_saved = self._is_shared or (trainer.world_size == 1 and not sharded)
        if not self._is_saved:
            self.score = None
        if not self._is_saved or not self._is_keeper:
            self._best.adopt({})
            self._evaluated.adopt({})

    def begin_validation(self, pl_module: LightningModule) -> None:
        """Record the training weights, before any callback can swap them for this validation."""
        self._before_validation = bit_sums(dict(named_tensors(pl_module)))

    def begin_batches(self, pl_module: LightningModule, *, later: bool) -> None:
        """Copy the evaluated weights on the device if the validation may end with other weights.

        Args:
            pl_module: the module, at the first validation batch.
            later: whether the score is checked only after further training steps.
        """
        now = bit_sums(dict(named_tensors(pl_module)))
        if changed_names(self._before_validation, now):
            self._validates_others = True
            self._modes = read_modes(pl_module.trainer)
        if self._is_keeper and (later or self._validates_others):
            self._evaluated.take(pl_module)

    def begin_epoch(self, pl_module: LightningModule) -> None:
        """Record the weights before the first step of an epoch."""
        if self._trained:
            self._between_epochs = (self._trained, _parameter_sums(pl_module))

    def note_trained(self, pl_module: LightningModule) -> None:
        """Record the weights that training has reached, or that a watcher has restored."""
        self._trained = _parameter_sums(pl_module)

    def _replaced_at_the_end(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Return whether, on any rank, weights were written after the last epoch that no validation has evaluated."""
        replaced = bool(changed_names(self._trained, _parameter_sums(pl_module))) and not self._validates_others
        return bool(trainer.strategy.reduce_boolean_decision(replaced, all=False))

    def _replaced_before_the_end(self, pl_module: LightningModule) -> bool:
        """Return whether weights other than the best were written before an epoch that did not change them."""
        if self._between_epochs is None or self._validates_others or not self._best:
            return False
        before, after = self._between_epochs
        if not changed_names(before, after) or changed_names(after, self._trained):
            return False
        return bool(changed_names(bit_sums(self._best.named_copies()), _parameter_sums(pl_module)))

    def keep(self, pl_module: LightningModule, score: float, *, evaluated: bool) -> None:
        """Copy to the host the weights with this score: those copied during validation, or the module's.

        Args:
            pl_module: the module.
            score: the score of these weights.
            evaluated: whether the score comes from validation, not from training.
        """
        self.score = score
        if self._is_keeper:
            self._best.take(self._evaluated if evaluated and self._evaluated else pl_module)

    def restore(self, pl_module: LightningModule, *, together: bool = True) -> None:
        """Write the best weights into the module, and warn if they no longer fit.

        Args:
            pl_module: the module.
            together: whether all ranks call this, so that rank 0 can broadcast its copy.
        """
        if self.score is None or not (self._is_keeper or together):
            return
        self.was_restored = True
        if self._best:
            self.was_restored, misfits = self._best.restore_(pl_module)
            _warn_of(misfits, self.was_restored)
        if self._is_shared and together:
            _broadcast_from_zero_(pl_module)

    def restore_everywhere(self, trainer: Trainer, pl_module: LightningModule, *, together: bool = True) -> None:
        """Write the best weights into the module and into every average that validation would use instead.

        If another callback has replaced the trained weights and no validation has evaluated the new ones, they are
        kept.

        Args:
            trainer: a Trainer at the end of its fit.
            pl_module: its module.
            together: whether all ranks call this; if not, training was interrupted within an epoch.
        """
        if self.score is None:
            return
        if together and self._replaced_at_the_end(trainer, pl_module):
            rank_zero_warn(
                f"The best weights are not restored, because {_names_of_enders(trainer)} replaced the trained weights "
                f"at the end of training, for instance by an average, and no validation evaluated the new ones. The "
                f"new weights are kept. To get the best weights instead, remove that callback or load the best "
                f"checkpoint; `restore_best=False` disables this warning."
            )
            return
        if together and self._replaced_before_the_end(pl_module):
            rank_zero_warn(
                f"{_names_of_enders(trainer)} replaced the trained weights before the last epoch, for instance by an "
                f"average. Validation evaluated the new weights, but their score is not the best, so the best weights "
                f"are restored. Set `restore_best=False` to keep the new ones."
            )
        for averaging in _averaging_callbacks(trainer):
            averaging.on_validation_epoch_start(trainer, pl_module)  # swaps the module and the average
            self.restore(pl_module, together=together)
            averaging.on_validation_epoch_end(trainer, pl_module)
        self.restore(pl_module, together=together)
        if self.was_restored:
            restore_modes_(trainer, self._modes)

    def drop_evaluated(self) -> None:
        """Free the copy on the device."""
        self._evaluated.adopt({})

    def state(self) -> dict[str, Any]:
        """Return score and tensors for the checkpoint, the same on all ranks; nothing if they are not saved."""
        if not self._is_saved or (self.score is None and not self._evaluated):
            return {}
        plain = {"score": self.score, "validates_others": self._validates_others}
        return {**plain, **({} if self._is_shared else self._tensors())}

    def complete_(self, state: dict[str, Any]) -> None:
        """Add rank 0's tensors to the state that is being saved."""
        if self._is_shared and self._is_keeper and (self._best or self._evaluated):
            state.update(self._tensors())

    def _tensors(self) -> dict[str, Any]:
        """Return the best weights, and the evaluated ones if their check is still to come."""
        return {"tensors": self._best.named_copies(), "evaluated": self._evaluated.named_copies()}

    def load(self, state: dict[str, Any]) -> None:
        """Load the state of a checkpoint, on every rank."""
        self.score, self._validates_others = state.get("score"), state.get("validates_others", False)
        self._best.adopt(state.get("tensors", {}))
        self._evaluated.adopt(state.get("evaluated", {}))


def _averaging_callbacks(trainer: Trainer) -> list[Any]:
    """Return the ``WeightAveraging`` callbacks of either Lightning package, which keep their average after fit."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [cb for cb in callbacks if is_instance_of(cb, "WeightAveraging")]


def _names_of_enders(trainer: Trainer) -> str:
    """Return the class names of callbacks from other packages that act at the end of training."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    others = [type(callback) for callback in callbacks if not isinstance(callback, Trick)]
    bases = ("lightning.pytorch.callbacks.callback", "pytorch_lightning.callbacks.callback")
    found = [kind.__name__ for kind in others if kind.on_train_end.__module__ not in bases]
    return " or ".join(f"`{name}`" for name in dict.fromkeys(found)) or "a callback or the module"


def _parameter_sums(pl_module: LightningModule) -> dict[str, Tensor]:
    """Return the bit sums of the parameters; for sharded parameters, those of this process's part."""
    names = {name for name, _ in pl_module.named_parameters()}
    return bit_sums({name: tensor for name, tensor in named_tensors(pl_module) if name in names})


def _warn_of(misfits: list[str], written: bool) -> None:
    if not misfits:
        return
    some = ", ".join(misfits[:6]) + (f" and {len(misfits) - 6} more" if len(misfits) > 6 else "")
    if written:
        rank_zero_warn(
            f"The best weights are restored, except for buffers that have changed since the best check: {some}."
        )
    else:
        rank_zero_warn(
            f"The best weights are not restored, because parameters have changed since the best check: {some}. The "
            f"model keeps its current weights. If it is meant to change during training (pruning, growing), set "
            f"`restore_best=False`."
        )


def _broadcast_from_zero_(pl_module: LightningModule) -> None:
    with torch.inference_mode(False), torch.no_grad():
        for _, tensor in named_tensors(pl_module):
            if not is_plain(tensor):
                continue  # backends only send dense tensors
            whole = tensor.detach().contiguous()  # backends do not accept strides such as those of channels_last
            # as bytes, because no backend supports all dtypes
            torch.distributed.broadcast(whole.view(-1).view(torch.uint8), src=0)
            if whole.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(whole)
