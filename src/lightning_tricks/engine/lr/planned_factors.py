"""Planned factors: what the schedules of a run will multiply the learning rate by, on average and at most."""

import copy
import math
from statistics import fmean

from lightning.pytorch import Trainer

from lightning_tricks.core.durations import Moment
from lightning_tricks.engine.lr.lr_contributor import LRContributor
from lightning_tricks.engine.lr.lr_product import LRProduct, product_of
from lightning_tricks.engine.run.combinations import pace_of
from lightning_tricks.engine.run.run import Run, run_of
from lightning_tricks.engine.run.scheduler_rates import stepped_schedulers
from lightning_tricks.functional.learning_rates import multiply
from lightning_tricks.functional.sweep_curve import CONSTANT, PlannedFactors

_SAMPLES = 500


def planned_factors(trainer: Trainer, planned_steps: int | None) -> PlannedFactors:
    """Return the product of all factors that follow the clock, over the rest of the run.

    Without a schedule of the library, the rates that the module's own schedulers will write, as shares of their peak.
    Factors that are learned during the run (a plateau rule, live control) or that differ between parameter groups count
    as 1, and so do schedulers that cannot be stepped ahead.

    Args:
        trainer: a fitting Trainer.
        planned_steps: the optimizer steps that are left; ``None`` if unknown.
    """
    run, product = run_of(trainer), product_of(trainer)
    if run is None or planned_steps is None:
        return CONSTANT
    count = min(planned_steps, _SAMPLES)
    steps = [(2 * place + 1) * planned_steps // (2 * count) for place in range(count)]
    factors = _of_schedulers(trainer, run, steps) if product is None else _of_tricks(run, product, steps)
    mean, highest = fmean(factors), max(factors)
    return PlannedFactors(mean, highest) if math.isfinite(mean) and mean > 0 else CONSTANT


def _of_tricks(run: Run, product: LRProduct, steps: list[int]) -> list[float]:
    """Return the product of the factors of all callbacks, at these steps from now."""
    clock = run.clock
    now, parts = clock.moment_of(0), clock.steps_per_epoch
    writers = [copy.copy(contributor) for contributor in product.contributors if contributor.follows_clock]
    for writer in writers:
        writer.prepare(clock.length_of(1), parts)
    return [_product_at(writers, _later(now, step, parts)) for step in steps]


def _of_schedulers(trainer: Trainer, run: Run, steps: list[int]) -> list[float]:
    """Return the product of the shares of all schedulers of the optimizer with the first of them, at these steps."""
    factors = [1.0] * len(steps)
    stepped = list(stepped_schedulers(trainer))
    pace = pace_of(run)
    for each in stepped:
        times = [getattr(pace.span(step, "st"), "epochs" if each.unit == "ep" else "steps") for step in steps]
        if each.optimizer is not stepped[0].optimizer or None in times:
            continue
        shares = each.shares_ahead(trainer, max(times) + each.every)
        if shares:
            factors = [factor * shares[each.calls_by(time)] for factor, time in zip(factors, times, strict=True)]
    return factors


def _later(now: Moment, steps: int, parts: int | None) -> Moment:
    if parts is None:
        return now._replace(step=now.step + steps)
    epochs, part = divmod(now.part + steps, parts)
    return Moment(now.epoch + epochs, part, parts, now.step + steps)


def _product_at(writers: list[LRContributor], moment: Moment) -> float:
    factors = [factor for writer in writers for factor in writer.factors_at(moment, 0).values()]
    return multiply([factor for factor in factors if isinstance(factor, (int, float))])
