"""Base LR: read the ratios of the rates of a run's groups, and make a found rate their new base."""

from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.engine.lr.lr_product import product_of
from lightning_tricks.engine.lr.scheduler_scaling import scale_rates_, schedulers_of
from lightning_tricks.engine.run.result_logging import log_figure
from lightning_tricks.functional.scheduler_groups import peak_lrs
from lightning_tricks.reports.lr_finder_result import LRFinderResult


def rate_shares(trainer: Trainer) -> list[list[float]]:
    """Return the rate of each group, by optimizer, as a fraction of the largest.

    Raises:
        MisconfigurationException: there is no optimizer, a group has no learning rate, or all rates are zero.
    """
    top = top_lr(trainer)
    if not top > 0:
        raise MisconfigurationException(
            "All parameter groups are built with a learning rate of 0, so their ratios are unknown. Build the "
            "optimizer with any rate above 0; `LRFinder` only keeps the ratios."
        )
    return [[peak / top for peak in of_one] for of_one in _base_lrs(trainer)]


def top_lr(trainer: Trainer) -> float:
    """Return the base rate of the group whose rate is the largest.

    Raises:
        MisconfigurationException: there is no optimizer, or a group without a learning rate.
    """
    check_has_rates(trainer)
    return max((lr for of_one in _base_lrs(trainer) for lr in of_one), default=0.0)


def current_lr(trainer: Trainer) -> float:
    """Return the rate of the last step, of the group whose rate is the largest."""
    return max(float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups)


def _base_lrs(trainer: Trainer) -> list[list[float]]:
    product = product_of(trainer)
    return product.group_base_lrs() if product else _peaks(trainer)


def check_has_rates(trainer: Trainer) -> None:
    """Raise an error for a run without a learning rate to find.

    Raises:
        MisconfigurationException: the module has no optimizer, or one without a learning rate (``lr=None``).
    """
    name = type(trainer.lightning_module).__name__
    if not any(optimizer.param_groups for optimizer in trainer.optimizers):
        raise MisconfigurationException(
            f"`{name}.configure_optimizers` returns no optimizer, so there is no learning rate to find. "
            "Return one, or remove `LRFinder`."
        )
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            if group.get("lr") is None:
                raise MisconfigurationException(
                    f"A parameter group of {type(optimizer).__name__} has no learning rate (`lr`={group.get('lr')!r}): "
                    f"the optimizer of `{name}` determines its step size itself. Remove `LRFinder`."
                )


def apply_lr(trainer: Trainer, lr: float) -> None:
    """Make a found rate the base of the run.

    The callbacks' factors still multiply it, and so does the module's own scheduler, whose stored rates are scaled as
    well.

    Args:
        trainer: a fitting Trainer.
        lr: the rate of the group with the largest rate; the others keep their ratio to it.
    """
    product = product_of(trainer)
    if product is not None:
        product.rebase(lr)
        return
    peaks = _peaks(trainer)
    top = max(peak for of_one in peaks for peak in of_one)
    scale_rates_(trainer, [[lr] * len(of_one) for of_one in peaks], "LRFinder", over=top)


def _peaks(trainer: Trainer) -> list[list[float]]:
    """Return the rate that each group was built with, by optimizer; for a cyclic scheduler, its highest rate."""
    schedulers = schedulers_of(trainer)
    return [peak_lrs(optimizer, schedulers) for optimizer in trainer.optimizers]


def publish_result(trainer: Trainer, result: LRFinderResult) -> None:
    """Send the figure of a result to the loggers that accept figures; if none does, write it to the run's folder.

    Called on all ranks, which agree on the folder; only rank 0 sends or writes it.
    """
    tag = "lr_finder"
    if log_figure(trainer, result.plot, tag):
        return
    path = Path(trainer.log_dir or trainer.default_root_dir) / f"{tag}-step={trainer.global_step}.png"
    if not trainer.is_global_zero:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        result.plot().savefig(path)
    except OSError as error:
        rank_zero_warn(f"LRFinder: the curve could not be written to {path}: {error}")
    else:
        rank_zero_info(f"LRFinder: no logger of this run accepts figures, so the curve was written to {path}.")
