"""Find a batch size: train at several sizes for the same time, compare, and restore everything."""

from collections.abc import Sequence
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from lightning_tricks.callbacks.lr_finder import LRFinder
from lightning_tricks.core.arguments import check_choice, check_count, check_list, check_number, check_text
from lightning_tricks.core.time_budgets import parse_budget
from lightning_tricks.engine.lr.base_lr import rate_shares, top_lr
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.trial.batch_size_search import BatchSizeSearch
from lightning_tricks.engine.trial.resized_loader import batch_size_of, rows_of
from lightning_tricks.engine.trial.trial_fit import end_trial_fit, run_trial_fit
from lightning_tricks.engine.trial.trial_progress import progress_of
from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.functional.batch_size_choice import (
    LR_RULES,
    LRRule,
    choose_batch_size,
    scaled_lr,
    trial_batch_sizes,
)
from lightning_tricks.reports.batch_size_result import BatchSizeResult, BatchSizeTrial


def find_batch_size(
    model: LightningModule,
    train_dataloaders: Any = None,
    *,
    datamodule: LightningDataModule | None = None,
    val_dataloaders: Any = None,
    sizes: Sequence[int] | None = None,
    budget: float | str = "30s",
    monitor: str = "val_loss",
    mode: Literal["min", "max"] = "min",
    lr_rule: LRRule = "sqrt",
    tolerance: float = 0.02,
    trainer: Trainer | None = None,
) -> BatchSizeResult:
    """Find the smallest batch size that trains as well as any other in the same wall time, and restore everything.

    Each size trains from the same state for the same time, including data loading and excluding validation. Sizes that
    run out of memory, diverge or are too slow for the budget are recorded and excluded from the choice. Afterwards,
    weights, buffers, optimizers, loaders, the Trainer and the random generators are restored exactly.

    The learning rate of the optimizer belongs to the loader's own batch size; at another size it is scaled by
    ``lr_rule``, and a higher rate is reached linearly in the first tenth of the time. Momentum is not changed, and
    learning-rate schedules do not act. Sizes are rows per process.

    Args:
        model: a LightningModule that logs ``monitor`` in validation.
        train_dataloaders: as for ``Trainer.fit``; a DataLoader, whose sampler and dataset are used at all sizes.
        datamodule: as for ``Trainer.fit``.
        val_dataloaders: as for ``Trainer.fit``.
        sizes: at least one size, each at most the number of rows; by default powers of two from 16 to 512, and the
            loader's own.
        budget: wall-clock time for all sizes together, in seconds or as ``"30s"`` or ``"2min"``; at least about 5 s per
            size.
        monitor: the validation metric; all validation batches are used, or as many as a quarter of the budget permits.
        mode: ``"min"`` or ``"max"``.
        lr_rule: ``"sqrt"``, ``"linear"`` (usual for SGD) or ``"none"``.
        tolerance: the share of the best improvement that may be missing, in [0, 1); typically 0.01 to 0.05.
        trainer: the Trainer of the planned training, for its precision, accumulation, devices and the callbacks that
            change a step; by default one device and no callbacks. ``ddp_spawn`` and ``ddp_fork`` raise an error.

    Returns:
        The suggestion with its reason, and the result of each size.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, a size is larger than the data, there is no batch, or ``budget`` is
            shorter than one step at every size.
        RuntimeError: the loss has no gradient.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: the batch size cannot be changed;
            there are no validation batches; ``monitor`` is not logged; DeepSpeed; or something cannot be restored.

    Example::

        result = find_batch_size(model, train_dataloader, val_dataloaders=val_dataloader, budget="1min")
        print(result)
    """
    check_text("monitor", monitor)
    check_choice("mode", mode, ("min", "max"))
    check_choice("lr_rule", lr_rule, LR_RULES)
    check_number("tolerance", tolerance, 0, 1, high_open=True)
    wanted = None if sizes is None else _check_sizes(sizes)
    finder = _BatchSizeFinder(wanted, parse_budget("budget", budget), monitor, mode, lr_rule, tolerance)
    run_trial_fit(
        "find_batch_size",
        finder,
        model,
        train_dataloaders,
        val_dataloaders,
        datamodule,
        trainer=trainer,
        validates=True,
        without=LRFinder,
    )
    if finder.result is None:
        raise ValueError("There is no training batch to try a size on. Check the loader and its dataset.")
    return finder.result


def _check_sizes(sizes: Sequence[int]) -> list[int]:
    found = sorted({check_count("sizes", size, 1) for size in check_list("sizes", sizes)})
    if not found:
        raise ValueError("`sizes` must contain at least one batch size, got an empty list.")
    return found


class _BatchSizeFinder(Trick):
    """Search when an epoch starts, and end the fit."""

    def __init__(
        self,
        sizes: list[int] | None,
        budget: float,
        monitor: str,
        mode: Literal["min", "max"],
        lr_rule: LRRule,
        tolerance: float,
    ) -> None:
        self.sizes, self.budget, self.monitor, self.mode = sizes, budget, monitor, mode
        self.lr_rule, self.tolerance = lr_rule, tolerance
        self.result: BatchSizeResult | None = None

    def begin_fit(self, run: Run) -> None:
        """Refuse an engine that keeps the state to itself."""
        if run.strategy_is("DeepSpeedStrategy"):
            raise MisconfigurationException(
                "`find_batch_size` cannot act under DeepSpeed, whose engine does not expose weights and optimizer "
                "state, so that they cannot be restored. Find the size with another strategy."
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find a size."""
        self.result = self._search(trainer, pl_module)
        end_trial_fit(trainer)

    def _search(self, trainer: Trainer, pl_module: LightningModule) -> BatchSizeResult:
        own, shares = batch_size_of(trainer), rate_shares(trainer)
        sizes, lr = self._sizes_for(own, rows_of(trainer)), top_lr(trainer)

        def lr_of(size: int) -> float:
            return scaled_lr(lr, own, size, self.lr_rule)

        with TrialRun(trainer, pl_module, shares, first=True, validates=True) as run:
            search = BatchSizeSearch(run, self.monitor, sizes, own, lr, self.budget)
            with progress_of(trainer, "Batch sizes", len(sizes)) as show:
                trials = search.try_sizes(lr_of, show)
        self._refuse_short_budget(trials)
        scores = {trial.size: trial.score for trial in trials}
        size, reason = choose_batch_size(
            search.start, scores, mode=self.mode, tolerance=self.tolerance, monitor=self.monitor
        )
        of_size = None if size is None else lr_of(size)
        found = (size, reason, trials, of_size, search.start, search.seconds)
        return BatchSizeResult(*found, self.monitor, self.mode, self.lr_rule, self.tolerance, own)

    def _sizes_for(self, own: int, rows: int | None) -> list[int]:
        if self.sizes is None:
            return trial_batch_sizes(rows, own)
        if rows is not None and self.sizes[-1] > rows:
            raise ValueError(
                f"`sizes` must be at most the {rows:,} training rows of a process, got {self.sizes[-1]:,}. Remove the "
                f"larger sizes, or use all rows in one batch."
            )
        return self.sizes

    def _refuse_short_budget(self, trials: list[BatchSizeTrial]) -> None:
        tried = [trial for trial in trials if trial.state != "not tried"]
        if all(trial.state == "too slow" for trial in tried):
            raise ValueError(
                f"`budget`={self.budget:g} s is too short for {len(trials)} sizes: {trials[0].detail}. Raise `budget`, "
                "or try fewer `sizes`."
            )
