"""Scheduler scaling: scale the rates of a run with schedulers, and check that the schedulers keep the scale."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.functional.learning_rates import unshare_lrs_
from lightning_tricks.functional.scheduler_forecast import find_deviation, forecast_lrs
from lightning_tricks.functional.scheduler_groups import is_known, scale_groups_, scale_scheduler_


def schedulers_of(trainer: Trainer) -> list[Any]:
    """Return each scheduler of the module once."""
    return list({id(config.scheduler): config.scheduler for config in trainer.lr_scheduler_configs}.values())


def scale_rates_(trainer: Trainer, factors: Sequence[Sequence[float]], owner: str, over: float = 1.0) -> None:
    """Multiply the rates of all groups, and the rates that the module's schedulers store, by ``factors / over``.

    A scheduler that is not a torch class is stepped ahead before and after the scaling, and the steps are undone. If it
    does not write the scaled rates, a warning names it.

    Args:
        trainer: a fitting Trainer.
        factors: factors by optimizer and group.
        owner: the name of the callback that scales.
        over: the divisor of all factors.
    """
    for optimizer, scales in zip(trainer.optimizers, factors, strict=True):
        unshare_lrs_(optimizer)
        mine = [s for s in schedulers_of(trainer) if getattr(s, "optimizer", optimizer) is optimizer]
        strange = [scheduler for scheduler in mine if not is_known(scheduler)]
        before = [_forecast(trainer, scheduler, optimizer) for scheduler in strange]
        scale_groups_(optimizer, scales, over)
        shared = [setting for scheduler in mine for setting in scale_scheduler_(scheduler, scales, over)]
        if shared:
            rank_zero_warn(
                f"{', '.join(shared)} has a single rate for all parameter groups, so the ratios of `{owner}` shrink "
                f"near it. `CosineDecay(end_factor=...)` keeps them."
            )
            continue
        for scheduler, expected in zip(strange, before, strict=True):
            now = _forecast(trainer, scheduler, optimizer)
            _check(type(scheduler).__name__, expected, now, scales, over, owner)


def _forecast(trainer: Trainer, scheduler: Any, optimizer: Any) -> list[list[float]]:
    module = trainer.lightning_module
    others = [trainer, *module.modules(), *module.parameters(), *module.buffers()]
    return forecast_lrs(scheduler, optimizer, others)


def _check(
    name: str,
    before: list[list[float]],
    now: list[list[float]],
    factors: Sequence[float],
    over: float,
    owner: str,
) -> None:
    way_out = f"Give `{name}` the rates that you want, or remove it and use a schedule such as `CosineDecay`."
    if not before or not now:
        rank_zero_warn(
            f"`{name}` cannot be stepped ahead, so it is unknown whether it keeps the rates of `{owner}`. Check them "
            f"with a `LearningRateMonitor`. {way_out}"
        )
        return
    deviation = find_deviation(before, now, factors, over)
    if deviation is not None:
        rank_zero_warn(
            f"`{name}` overwrites the rates of `{owner}`: its step {deviation.step} sets the learning rate of group "
            f"{deviation.group} to {deviation.found:.3g} instead of {deviation.expected:.3g}, because it stores its "
            f"own rates. {way_out}"
        )
