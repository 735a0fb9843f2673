"""Best weights: keep those of the best check in host memory, and put them back under any strategy."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_tricks.core.weight_snapshot import WeightSnapshot, is_sharded, named_tensors
from lightning_tricks.engine.run.trick import Trick

_BEFORE_VALIDATION = ("on_validation_start", "on_validation_epoch_start", "on_validation_model_eval")


class BestWeights:
    """The weights and buffers of the best check of one run.

    In one process they are kept and saved. Under DDP rank 0 keeps and saves the one copy and broadcasts it. Where the
    parameters are sharded each rank keeps what it has, and none is saved.

    Attributes:
        score: the score of the check whose weights these are; ``None``: there are none.
    """

    def __init__(self) -> None:
        self.score: float | None = None
        self._best = WeightSnapshot()
        self._evaluated = WeightSnapshot(on_host=False)
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

    def copy_evaluated(self, pl_module: LightningModule) -> None:
        """Copy what is being evaluated, on the device: what the validation ends with may be something else."""
        if self._is_keeper:
            self._evaluated.take(pl_module)

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

    def put_back(self, pl_module: LightningModule, *, together: bool = True) -> bool:
        """Write the best weights into the module.

        Args:
            pl_module: the module.
            together: all ranks are here, so that rank 0 can hand its copy on.

        Returns:
            Whether there were any.
        """
        if self.score is None or not (self._is_keeper or together):
            return False
        if self._best:
            self._best.put_back_(pl_module)
        if self._is_shared and together:
            _broadcast_from_zero_(pl_module)
        return True

    def put_back_for_good(self, trainer: Trainer, pl_module: LightningModule, *, together: bool = True) -> None:
        """Write the best weights into the module and into every average that would take its place in a validation."""
        for averaging in _averaging_callbacks(trainer):
            averaging.on_validation_epoch_start(trainer, pl_module)  # exchanges module and average
            self.put_back(pl_module, together=together)
            averaging.on_validation_epoch_end(trainer, pl_module)
        self.put_back(pl_module, together=together)

    def drop_evaluated(self) -> None:
        """Free the copy on the device."""
        self._evaluated.adopt({})

    def state(self) -> dict[str, Any]:
        """Return score and tensors for the checkpoint, nothing where they are not saved; on all ranks the same."""
        if not self._is_saved or (self.score is None and not self._evaluated):
            return {}
        return {"score": self.score, **({} if self._is_shared else self._tensors())}

    def complete_(self, state: dict[str, Any]) -> None:
        """Add the tensors of rank 0 to the state that is being saved."""
        if self._is_shared and self._is_keeper and (self._best or self._evaluated):
            state.update(self._tensors())

    def _tensors(self) -> dict[str, Any]:
        """Return the best, and what was evaluated where the check is still to come."""
        return {"tensors": self._best.lend(), "evaluated": self._evaluated.lend()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint holds, on every rank."""
        self.score = state.get("score")
        self._best.adopt(state.get("tensors", {}))
        self._evaluated.adopt(state.get("evaluated", {}))


def _averaging_callbacks(trainer: Trainer) -> list[Any]:
    """Return the ``WeightAveraging`` of either Lightning package; it keeps its average after fit."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [cb for cb in callbacks if any(kind.__name__ == "WeightAveraging" for kind in type(cb).__mro__)]


def changes_for_validation(trainer: Trainer, pl_module: LightningModule) -> bool:
    """Say whether somebody may put other weights into the module for the time of a validation.

    Weight averaging does, and is done before a callback behind it learns the score. Whoever acts at the start of a
    validation might, except what Lightning itself brings.
    """
    others: list[Any] = [callback for callback in trainer.callbacks if not isinstance(callback, Trick)]  # type: ignore[attr-defined]
    for owner in (*others, pl_module):
        for hook in _BEFORE_VALIDATION:
            home = getattr(getattr(owner, hook, None), "__module__", None) or "lightning.pytorch."
            if not home.startswith(("lightning.pytorch.", "pytorch_lightning.")) or home.endswith(".weight_averaging"):
                return True
    return False


def _broadcast_from_zero_(pl_module: LightningModule) -> None:
    with torch.inference_mode(False), torch.no_grad():
        for _, tensor in named_tensors(pl_module):
            whole = tensor.detach().contiguous()  # backends refuse strides, such as those of channels_last
            torch.distributed.broadcast(whole.view(-1).view(torch.uint8), src=0)  # bytes: no backend knows all types
            if whole.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(whole)
