"""Find a learning rate without a fit, and leave the model, the Trainer and the random state unchanged."""

from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from lightning_tricks.callbacks.lr_finder import LRFinder
from lightning_tricks.core.arguments import check_count
from lightning_tricks.engine.trial.trial_fit import end_trial_fit, run_trial_fit
from lightning_tricks.reports.lr_finder_result import LRFinderResult


def find_lr(
    model: LightningModule,
    train_dataloaders: Any = None,
    *,
    val_dataloaders: Any = None,
    datamodule: LightningDataModule | None = None,
    trainer: Trainer | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    **finder_arguments: Any,
) -> LRFinderResult:
    """Find a learning rate for a model and its data, and restore the model, the Trainer and the random generators.

    Args:
        model: a LightningModule; its ``configure_optimizers`` defines the optimizer.
        train_dataloaders: as for ``Trainer.fit``.
        val_dataloaders: as for ``Trainer.fit``; only the trials of ``refine`` use it.
        datamodule: as for ``Trainer.fit``.
        trainer: the Trainer of the planned training, for its precision, accumulation, devices and the callbacks that
            change a step; by default one device and no callbacks. ``ddp_spawn`` and ``ddp_fork`` raise an error.
        epochs: length of the planned training if no Trainer is given: a longer training needs a smaller rate.
        seed: seed of the random generators during the sweep, so that the same call finds the same rate again.
        finder_arguments: arguments of :class:`LRFinder`, except ``apply``, ``at_epochs``, ``raise_at``, ``monitor``
            and ``log_figure``.

    Returns:
        The sweep and its suggestion.

    Raises:
        TypeError: an argument that :class:`LRFinder` does not have, or that has no meaning here.
        ValueError: there is no batch, or both ``trainer`` and ``epochs``.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: the strategy uses other processes, there is no
            learning rate to find, or something cannot be restored; raised before anything is changed.

    Example::

        result = find_lr(model, train_dataloader)
        print(result)
    """
    given = sorted({"apply", "at_epochs", "raise_at", "monitor", "log_figure"} & finder_arguments.keys())
    if given:
        raise TypeError(
            f"`find_lr` searches once and applies nothing: `{given[0]}` is an argument of the callback `LRFinder`."
        )
    if epochs is not None and trainer is not None:
        raise ValueError(f"`epochs`={epochs} and `trainer` both give the length of the training; give one of them.")
    if epochs is not None:
        check_count("epochs", epochs, 1)
    if seed is not None:
        check_count("seed", seed, 0, 2**32 - 1)
    finder = _FinderNow(**finder_arguments)
    finder.knows_length = trainer is not None or epochs is not None
    run_trial_fit(
        "find_lr",
        finder,
        model,
        train_dataloaders,
        val_dataloaders,
        datamodule,
        trainer=trainer,
        epochs=epochs or 1,
        validates=bool(finder.refine),
        without=LRFinder,
        seed=seed,
        alternative=", or the callback `LRFinder` in the fit itself",
    )
    if finder.result is None:
        raise ValueError("There is no training batch to try a learning rate on. Check the loader and its dataset.")
    return finder.result


class _FinderNow(LRFinder):
    """Search in any epoch, and end the fit."""

    knows_length = True

    def planned_steps(self, trainer: Trainer) -> int | None:
        return super().planned_steps(trainer) if self.knows_length else None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.result = self.search(trainer, pl_module, first=True)
        end_trial_fit(trainer)
