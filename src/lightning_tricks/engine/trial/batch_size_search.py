"""Batch size search: train at several sizes from the same state for the same time, with validations in between."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import torch
from lightning.pytorch.utilities.memory import garbage_collection_cuda

from lightning_tricks.engine.run.ranks import gather_objects
from lightning_tricks.engine.trial.size_trial import Outcome, SizeTrial
from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.engine.trial.trial_validation import validation_score
from lightning_tricks.functional.batch_size_choice import ValidationPlan, plan_validation
from lightning_tricks.reports.batch_size_result import BatchSizeTrial, State

_FOR_VALIDATION = 0.25  # share of the budget
_RESERVE = 0.9  # share of the remaining time for training: first steps and rewinding also take time
_LEAST = 0.25  # share of the budget for training, however long validations take
_MOST = 10**9  # batches of an endless validation
_LOOKED_AT = 4  # batches used to measure the time of a validation


class BatchSizeSearch:
    """Trials of several batch sizes in one trial run. Times and decisions are the same on all processes.

    Args:
        run: the trial run in which the steps are taken.
        monitor: the validation metric.
        sizes: the sizes to try, increasing.
        own: the loader's own size.
        lr: the learning rate at that size.
        budget: seconds of wall-clock time for all sizes together, including validation.

    Attributes:
        plan: how often and on how many batches to validate.
        start: the score before training.
        seconds: the training time of each size.
    """

    def __init__(self, run: TrialRun, monitor: str, sizes: Sequence[int], own: int, lr: float, budget: float) -> None:
        self.run, self.monitor, self.sizes, self.own, self.lr = run, monitor, sizes, own, lr
        self._strategy: Any = run.trainer.strategy
        begin = self.now()
        self.plan = self._plan_validation(_FOR_VALIDATION * budget / len(sizes))
        again = self.now()
        self.start = self.score()
        validating = self.plan.points * len(sizes) * self.since(again)
        left = _RESERVE * (budget - self.since(begin) - validating)
        self.seconds = max(left, _LEAST * budget) / len(sizes)

    def _plan_validation(self, seconds: float) -> ValidationPlan:
        counts = self.run.trainer.fit_loop.epoch_loop.val_loop.max_batches or [1]
        batches = int(max(1, min(counts[0], _MOST)))
        more = min(batches, _LOOKED_AT)
        times = []
        for count in (1, 1, more):  # the first one is a warm-up
            begin = self.now()
            validation_score(self.run.trainer, self.run.module, count, self.monitor)
            times.append(self.since(begin))
        per_batch = max(0.0, times[2] - times[1]) / (more - 1) if more > 1 else times[1]
        return plan_validation(seconds, max(0.0, times[1] - per_batch), per_batch, batches)

    def score(self) -> float:
        """Validate and return the metric."""
        return validation_score(self.run.trainer, self.run.module, self.plan.batches, self.monitor)

    def now(self) -> float:
        """Return the seconds on the clock of this process."""
        return perf_counter()

    def since(self, begin: float) -> float:
        """Return the seconds since a moment, on the slowest process; synchronizes with the device."""
        device = self._strategy.root_device
        torch.zeros((), device=device).item()
        mine = torch.tensor(self.now() - begin, device=device)
        return float(self._strategy.reduce(mine, reduce_op="max"))

    def try_sizes(self, lr_of: Callable[[int], float], show: Callable[[int], None]) -> list[BatchSizeTrial]:
        """Train at each size and return the results.

        Args:
            lr_of: returns the learning rate of a size.
            show: takes the number of completed sizes.

        Raises:
            Exception: an exception of the user's step at the loader's own size.
        """
        trials: list[BatchSizeTrial] = []
        is_full = False
        for done, size in enumerate(self.sizes):
            if is_full:
                trials.append(BatchSizeTrial(size, lr_of(size), "not tried", detail="a smaller size ran out of memory"))
            else:
                trials.append(self._run_trial(SizeTrial(self, size, lr_of(size))))
            is_full = is_full or trials[-1].state == "out of memory"
            show(done + 1)
        return trials

    def _run_trial(self, trial: SizeTrial) -> BatchSizeTrial:
        outcome = self._agreed(trial.look_ahead()) if self.run.trainer.world_size > 1 else Outcome()
        for part in (trial.warm_up, trial.train):
            if outcome.state == "completed":
                self.run.rewind(trial.size)
                outcome = part()
        found = trial.result(outcome)
        self.run.rewind()
        garbage_collection_cuda()
        return found

    def _agreed(self, outcome: Outcome) -> Outcome:
        """Return the worst state of all processes, because one that stops alone would leave the others waiting."""
        everyone: list[Outcome] = gather_objects(outcome)
        order: list[State] = ["completed", "failed", "out of memory"]
        return max(everyone, key=lambda each: order.index(each.state))
