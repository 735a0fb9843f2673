"""LR factors: the hooks that every learning-rate callback shares; a subclass says what its factor is at a moment."""

from dataclasses import asdict
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from lightning_tricks.core.durations import Moment, RunLength
from lightning_tricks.engine.lr.lr_product import LRProduct, LRState
from lightning_tricks.engine.run.trick import Trick, callbacks_of
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.lr_path import describe_path


class LRFactor(Trick):
    """A trick that contributes named factors to ``lr = base × factor × factor …`` and never writes it.

    The LR callbacks of a Trainer share one :class:`LRProduct`, which the first of them makes and drives. It writes as
    soon as the clock has moved: after the batch that took a step, not before the next one, so that a monitor anywhere
    in the list reads the rate that the step uses.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)
    follows_clock: ClassVar[bool] = False
    """The factors are known before the run, from ``prepare`` and the time alone; a preview shows them."""

    writes_each_step: ClassVar[bool] = True
    """Its factors change in a run, so that a scheduler of the module's own would be a second writer."""

    overrides_others: bool = False
    """Whether, of the other callbacks' factors, only what is a group's own still counts."""

    name: str | None
    replace_scheduler: bool

    def __init__(self) -> None:
        super().__init__()
        self.loaded: LRState | None = None
        self._lr_state = LRState()
        self._product: LRProduct | None = None
        self._drives = False

    @property
    def is_active(self) -> bool:
        """Whether it has factors at all, with the arguments that it was given."""
        return True

    def split_groups(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Split the optimizers' parameter groups, where one factor for each of them is not fine enough.

        Called for all LR callbacks before any learning rate is read, in ``on_fit_start``: a checkpoint of the run holds
        the split groups, and is restored after it.
        """

    def prepare(self, run: RunLength, parts: int | None) -> None:
        """Measure lengths, once the run's are known.

        Args:
            run: what bounds the run.
            parts: optimizer steps in an epoch; ``None`` if the loader has no length and no epoch was seen yet.
        """

    def factors(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the multipliers for the step after ``moment`` of the optimizer of that index, by name."""
        raise NotImplementedError

    def write_along(self, optimizer: Optimizer, index: int, moment: Moment) -> None:
        """Write what moves together with the rates of the step after ``moment``, a momentum for instance."""

    def reset_factor(self) -> None:
        """Return to 1 if the factor was learnt in the run, because the base it was learnt under has changed."""

    @property
    def product(self) -> LRProduct | None:
        """What writes the learning rates of the run, from its start to its end."""
        return self._product

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier fit."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self.loaded, self._lr_state = None, LRState()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Share one product; the optimizers are as the module built them, nothing is restored yet."""
        super().on_fit_start(trainer, pl_module)
        if not self.is_active:
            return
        siblings = [sibling for sibling in callbacks_of(trainer, LRFactor) if sibling.is_active] or [self]
        self._drives = siblings[0] is self
        if self._drives:
            for sibling in siblings:
                sibling.split_groups(trainer, pl_module)
            product = LRProduct(trainer, pl_module, siblings)
            for sibling in siblings:
                sibling._product = product

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: everything is restored now, under every strategy."""
        if self._drives and self._product:
            self._product.start(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._drives and self._product:
            self._product.start_epoch(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._drives and self._product:
            self._product.before_batch(trainer, batch_idx)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if self._drives and self._product:
            self._product.before_step(trainer, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._drives and self._product:
            self._product.after_batch(trainer, batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._drives and self._product:
            self._product.end_epoch(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._let_go()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._let_go()

    def _let_go(self) -> None:
        """Keep the state, which a checkpoint may still ask for, but neither optimizers nor siblings."""
        if self._product:
            self._lr_state = self._product.state
        self._product, self._drives = None, False

    def summary_sentences(self) -> list[str]:
        """Return what the closing line says of the learning rate: all LR callbacks say the same."""
        path = (self._product.state if self._product else self._lr_state).path
        return [describe_path(path)] if path else []

    def plain_state(self) -> dict[str, Any]:
        """Return the state that all LR callbacks share."""
        return asdict(self._product.state if self._product else self._lr_state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what the checkpoint holds until training starts."""
        self.loaded = self._lr_state = LRState(**state_dict)
