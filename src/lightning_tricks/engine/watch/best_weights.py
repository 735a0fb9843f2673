"""Best weights: keep those of the best check in host memory, and restore them under any strategy."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor

from lightning_tricks.core.tensor_copies import bit_sums, changed_names, is_plain
from lightning_tricks.core.weight_snapshot import WeightSnapshot, is_sharded, named_tensors
from lightning_tricks.engine.run.trick import Trick


class BestWeights:
    """The weights and buffers of the best check of one run.

    In one process they are kept and saved. Under DDP rank 0 keeps and saves the one copy and broadcasts it. Where the
    parameters are sharded each rank keeps what it has, and none is saved.

    Whether other weights are in the module while it is validated, such as an average, is seen from the weights: sums of
    their bits are compared before a validation and at its first batch. Likewise at the end of training: what has been
    written since the last optimizer step and was never validated is the result that another callback was asked for.

    Attributes:
        score: the score of the check whose weights these are; ``None``: there are none.
        was_restored: they are in the module now.
    """

    def __init__(self) -> None:
        self.score: float | None = None
        self.was_restored = False
        self._best = WeightSnapshot()
        self._evaluated = WeightSnapshot(on_host=False)
        self._before_validation: dict[str, Tensor] = {}
        self._validates_others = False
        self._trained: dict[str, Tensor] = {}
        self._between_epochs: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None
        self._is_keeper = True
        self._is_saved = True
        self._is_shared = False

    def start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settle which ranks keep a copy; everything is restored now."""
        sharded = is_sharded(pl_module)
        strategies = {kind.__name__ for kind in type(trainer.strategy).__mro__}
        self._is_shared = trainer.world_size > 1 and not sharded and "DDPStrategy" in strategies
        self._is_keeper = trainer.is_global_zero or not self._is_shared
        self._is_saved = self._is_shared or (trainer.world_size == 1 and not sharded)
        if not self._is_saved:
            self.score = None
        if not self._is_saved or not self._is_keeper:
            self._best.adopt({})
            self._evaluated.adopt({})

    def begin_validation(self, pl_module: LightningModule) -> None:
        """Note the weights of training, before anyone can have exchanged them for this validation."""
        self._before_validation = bit_sums(dict(named_tensors(pl_module)))

    def begin_batches(self, pl_module: LightningModule, *, later: bool) -> None:
        """Copy what is being evaluated, on the device, if the validation may end with other weights.

        Args:
            pl_module: the module, at the first validation batch.
            later: the score is checked only after further training steps.
        """
        now = bit_sums(dict(named_tensors(pl_module)))
        self._validates_others |= bool(changed_names(self._before_validation, now))
        if self._is_keeper and (later or self._validates_others):
            self._evaluated.take(pl_module)

    def begin_epoch(self, pl_module: LightningModule) -> None:
        """Note the weights before the first step of an epoch."""
        if self._trained:
            self._between_epochs = (self._trained, _parameter_sums(pl_module))

    def note_trained(self, pl_module: LightningModule) -> None:
        """Note the weights that training has come to, or that a watcher has restored."""
        self._trained = _parameter_sums(pl_module)

    def _replaced_at_the_end(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Return whether weights that no validation has seen were written after the last epoch, on any rank."""
        replaced = bool(changed_names(self._trained, _parameter_sums(pl_module))) and not self._validates_others
        return bool(trainer.strategy.reduce_boolean_decision(replaced, all=False))

    def _replaced_before_the_end(self, pl_module: LightningModule) -> bool:
        """Return whether other weights than the best were written before an epoch that did not change them."""
        if self._between_epochs is None or self._validates_others or not self._best:
            return False
        before, after = self._between_epochs
        if not changed_names(before, after) or changed_names(after, self._trained):
            return False
        return bool(changed_names(bit_sums(self._best.named_copies()), _parameter_sums(pl_module)))

    def keep(self, pl_module: LightningModule, score: float, *, evaluated: bool) -> None:
        """Copy to the host the weights that had this score: those of the last look, if there was one, or the module's.

        Args:
            pl_module: the module.
            score: the score of these weights.
            evaluated: the score comes from validation, not from training.
        """
        self.score = score
        if self._is_keeper:
            self._best.take(self._evaluated if evaluated and self._evaluated else pl_module)

    def restore(self, pl_module: LightningModule, *, together: bool = True) -> None:
        """Write the best weights into the module; warn where they do not fit it any longer.

        Args:
            pl_module: the module.
            together: all ranks are here, so that rank 0 can hand its copy on.
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
        """Write the best weights into the module and into every average that would take its place in a validation.

        Weights that another callback has written in place of the trained ones, and that no validation saw, stay.

        Args:
            trainer: a Trainer at the end of its fit.
            pl_module: its module.
            together: all ranks are here; otherwise training was interrupted between two ends of an epoch.
        """
        if self.score is None:
            return
        if together and self._replaced_at_the_end(trainer, pl_module):
            rank_zero_warn(
                f"The best weights are not restored, because {_names_of_enders(trainer)} replaced the trained weights "
                "at the end of training, by an average for instance, and no validation evaluated the new ones. They "
                "stay. To get the best weights instead, remove that callback or load the best checkpoint; "
                "`restore_best=False` turns this warning off."
            )
            return
        if together and self._replaced_before_the_end(pl_module):
            rank_zero_warn(
                f"{_names_of_enders(trainer)} replaced the trained weights before the last epoch, by an average for "
                "instance. Validation evaluated the new ones, and their score is not the best: the best weights are "
                "restored. Set `restore_best=False` to keep the others."
            )
        for averaging in _averaging_callbacks(trainer):
            averaging.on_validation_epoch_start(trainer, pl_module)  # exchanges module and average
            self.restore(pl_module, together=together)
            averaging.on_validation_epoch_end(trainer, pl_module)
        self.restore(pl_module, together=together)

    def drop_evaluated(self) -> None:
        """Free the copy on the device."""
        self._evaluated.adopt({})

    def state(self) -> dict[str, Any]:
        """Return score and tensors for the checkpoint, nothing where they are not saved; on all ranks the same."""
        if not self._is_saved or (self.score is None and not self._evaluated):
            return {}
        plain = {"score": self.score, "validates_others": self._validates_others}
        return {**plain, **({} if self._is_shared else self._tensors())}

    def complete_(self, state: dict[str, Any]) -> None:
        """Add the tensors of rank 0 to the state that is being saved."""
        if self._is_shared and self._is_keeper and (self._best or self._evaluated):
            state.update(self._tensors())

    def _tensors(self) -> dict[str, Any]:
        """Return the best, and what was evaluated where the check is still to come."""
        return {"tensors": self._best.named_copies(), "evaluated": self._evaluated.named_copies()}

    def load(self, state: dict[str, Any]) -> None:
        """Load what a checkpoint holds, on every rank."""
        self.score, self._validates_others = state.get("score"), state.get("validates_others", False)
        self._best.adopt(state.get("tensors", {}))
        self._evaluated.adopt(state.get("evaluated", {}))


def _averaging_callbacks(trainer: Trainer) -> list[Any]:
    """Return the ``WeightAveraging`` of either Lightning package; it keeps its average after fit."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [cb for cb in callbacks if any(kind.__name__ == "WeightAveraging" for kind in type(cb).__mro__)]


def _names_of_enders(trainer: Trainer) -> str:
    """Return the class names of the callbacks that act at the end of training and are none of ours."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    others = [type(callback) for callback in callbacks if not isinstance(callback, Trick)]
    bases = ("lightning.pytorch.callbacks.callback", "pytorch_lightning.callbacks.callback")
    found = [kind.__name__ for kind in others if kind.on_train_end.__module__ not in bases]
    return " or ".join(f"`{name}`" for name in dict.fromkeys(found)) or "a callback or the module"


def _parameter_sums(pl_module: LightningModule) -> dict[str, Tensor]:
    """Return the bit sums of the parameters, of sharded ones of this process's part."""
    names = {name for name, _ in pl_module.named_parameters()}
    return bit_sums({name: tensor for name, tensor in named_tensors(pl_module) if name in names})


def _warn_of(misfits: list[str], written: bool) -> None:
    if not misfits:
        return
    some = ", ".join(misfits[:6]) + (f" and {len(misfits) - 6} more" if len(misfits) > 6 else "")
    if written:
        rank_zero_warn(f"The best weights are restored but for buffers that have changed since the best check: {some}.")
    else:
        rank_zero_warn(
            f"The best weights are not restored, because parameters have changed since the best check: {some}. The "
            "model keeps the weights that it has. If it is meant to change during training (pruning, growing), set "
            "`restore_best=False`."
        )


def _broadcast_from_zero_(pl_module: LightningModule) -> None:
    with torch.inference_mode(False), torch.no_grad():
        for _, tensor in named_tensors(pl_module):
            if not is_plain(tensor):
                continue  # backends send dense tensors only
            whole = tensor.detach().contiguous()  # backends refuse strides, such as those of channels_last
            torch.distributed.broadcast(whole.view(-1).view(torch.uint8), src=0)  # bytes: no backend knows all types
            if whole.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(whole)
