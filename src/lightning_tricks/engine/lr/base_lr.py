"""Base LR: read how the rates of a run's groups relate, and make a found rate the new base of all of them."""

from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from lightning_tricks.engine.lr.lr_product import product_of
from lightning_tricks.engine.lr.scheduler_scaling import scale_rates_, schedulers_of
from lightning_tricks.functional.scheduler_groups import peak_lrs
from lightning_tricks.reports.lr_finder_result import LRFinderResult


def rate_shares(trainer: Trainer) -> list[list[float]]:
    """Return the rate of each group, by optimizer, as a share of the largest.

    Raises:
        MisconfigurationException: no group has a rate above zero.
    """
    product = product_of(trainer)
    peaks = product.group_base_lrs() if product else _peaks(trainer)
    top = max((peak for of_one in peaks for peak in of_one), default=0.0)
    if not top > 0:
        raise MisconfigurationException(
            "All parameter groups are built with a learning rate of 0, so that their ratios are not known. Build the "
            "optimizer with any rate above 0; `LRFinder` only keeps the ratios."
        )
    return [[peak / top for peak in of_one] for of_one in peaks]


def apply_lr(trainer: Trainer, lr: float) -> None:
    """Make a found rate the base of the run.

    The callbacks' factors go on acting on it, and so does a scheduler of the module's own: what it remembers of the
    old rate is scaled with it.

    Args:
        trainer: a Trainer that fits.
        lr: of the group whose rate is the largest; the others keep their ratio to it.
    """
    product = product_of(trainer)
    if product is not None:
        product.rebase(lr)
        return
    peaks = _peaks(trainer)
    top = max(peak for of_one in peaks for peak in of_one)
    scale_rates_(trainer, [[lr] * len(of_one) for of_one in peaks], "LRFinder", over=top)


def _peaks(trainer: Trainer) -> list[list[float]]:
    """Return the rate that each group was built with, of a cyclic scheduler its highest, by optimizer."""
    schedulers = schedulers_of(trainer)
    return [peak_lrs(optimizer, schedulers) for optimizer in trainer.optimizers]


def publish_result(trainer: Trainer, result: LRFinderResult) -> None:
    """Send the figure of a result to the loggers that take one."""
    tag, step = "lr_finder", trainer.global_step
    for logger in trainer.loggers:
        kinds = {kind.__name__ for kind in type(logger).__mro__}
        client: Any = logger
        if "TensorBoardLogger" in kinds:
            client.experiment.add_figure(tag, result.plot(), step)
        elif "WandbLogger" in kinds:
            client.log_image(tag, [result.plot()], step)
        elif "MLFlowLogger" in kinds:
            client.experiment.log_figure(client.run_id, result.plot(), f"{tag}.png")
