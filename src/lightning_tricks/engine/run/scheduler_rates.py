"""Scheduler rates: what the module's own schedulers will write during a run, found by stepping them ahead."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch.optim import Optimizer

from lightning_tricks.core.durations import Unit
from lightning_tricks.functional.rate_curve import SampledCycles, has_fallen, restarts_in, warmup_calls
from lightning_tricks.functional.run_plan import Pace, RatePlan, Span
from lightning_tricks.functional.scheduler_forecast import forecast_lrs
from lightning_tricks.functional.scheduler_groups import peak_lrs

_MOST_CALLS = 20_000  # half a second
_ROUNDING = 1e-9


class Stepped(NamedTuple):
    """A scheduler that Lightning steps, and when.

    Attributes:
        scheduler: the scheduler.
        optimizer: the optimizer whose rates it writes.
        unit: the clock on which it is stepped.
        every: epochs or optimizer steps between two calls.
    """

    scheduler: Any
    optimizer: Optimizer
    unit: Unit
    every: int

    def plan(self, pace: Pace, rates: list[float]) -> RatePlan:
        """Return the learning rate that it will produce."""
        restarts, end = restarts_in(rates), pace.end_on(self.unit)
        cycles = SampledCycles(tuple(float(place * self.every) for place in restarts)) if restarts else None
        warmup = pace.span(warmup_calls(self.scheduler) * self.every, self.unit)
        fall_end = end if has_fallen(rates) else None
        name = type(self.scheduler).__name__
        return RatePlan(name, self.unit, self._at(rates), warmup, cycles, fall_end, is_trick=False)

    def _at(self, rates: list[float]) -> Callable[[float], float]:
        return lambda time: rates[min(self.calls_by(time), len(rates) - 1)]

    def calls_by(self, time: float) -> int:
        """Return how often it is called before a time on its clock."""
        return int(time / self.every * (1 + _ROUNDING))

    def shares_ahead(self, trainer: Any, amount: float) -> list[float]:
        """Return its rate now and after each of the coming calls, as a share of the peak that it is built with.

        Args:
            trainer: a fitting Trainer.
            amount: how far to look ahead, on its clock.

        Returns:
            An empty list if it cannot be stepped ahead, or so often that this would take long.
        """
        calls, module = math.ceil(amount / self.every), trainer.lightning_module
        if not 0 < calls <= _MOST_CALLS:
            return []
        peaks = peak_lrs(self.optimizer, [self.scheduler])
        top = max(range(len(peaks)), key=peaks.__getitem__)
        others = [trainer, *module.modules(), *module.parameters(), *module.buffers()]
        ahead = forecast_lrs(self.scheduler, self.optimizer, others, calls)
        if not ahead or not 0 < peaks[top] < math.inf:
            return []
        now = [float(group["lr"]) for group in self.optimizer.param_groups]
        return [rates[top] / peaks[top] for rates in (now, *ahead[: calls - 1])]


def stepped_schedulers(trainer: Any) -> Iterator[Stepped]:
    """Yield the schedulers that Lightning steps, without those that follow a metric; none under manual optimization."""
    if not trainer.lightning_module.automatic_optimization:
        return
    for config in trainer.lr_scheduler_configs:
        optimizer = getattr(config.scheduler, "optimizer", trainer.optimizers[0])
        if config.reduce_on_plateau or not optimizer.param_groups:
            continue
        if config.interval == "epoch":
            yield Stepped(config.scheduler, optimizer, "ep", config.frequency)
        else:  # it is stepped after a batch that takes an optimizer step, if `frequency` divides its number
            steps = config.frequency // math.gcd(config.frequency, trainer.accumulate_grad_batches)
            yield Stepped(config.scheduler, optimizer, "st", steps)


def scheduler_plans(trainer: Any, pace: Pace) -> list[RatePlan]:
    """Return what the module's own schedulers plan, of those that can be stepped ahead to the end of the run.

    Args:
        trainer: a Trainer before its first batch.
        pace: the length of its run.
    """
    begun = Span(float(trainer.current_epoch), float(trainer.global_step))
    plans = []
    for stepped in stepped_schedulers(trainer):
        end = pace.end_on(stepped.unit)
        before = begun.epochs if stepped.unit == "ep" else begun.steps
        if end is None or before:  # the calls before a checkpoint cannot be undone
            continue
        rates = stepped.shares_ahead(trainer, end)
        if rates:
            plans.append(stepped.plan(pace, rates))
    return plans
