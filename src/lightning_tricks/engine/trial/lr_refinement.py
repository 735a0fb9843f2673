"""LR refinement: compare a few rates around a suggestion by short trial trainings."""

import math
from statistics import fmean

from lightning.pytorch import Trainer

from lightning_tricks.core.arguments import check_whole
from lightning_tricks.core.durations import parse_duration
from lightning_tricks.engine.trial.trial_progress import progress_of
from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.engine.trial.trial_validation import validation_loss
from lightning_tricks.functional.lr_trials import best_trial, damp_move, trial_rates
from lightning_tricks.reports.lr_finder_result import LRFinderResult

_JUDGED_ON = 10  # minimum number of batches over which the loss of a trial is averaged
_SHORTEST = 20  # minimum number of steps per trial


def check_refine(length: int | str, most: int) -> int | str:
    """Return the length of a trial if it is a Duration or a number of steps up to ``most``.

    Raises:
        TypeError, ValueError: it is neither.
    """
    if not isinstance(length, str):
        return check_whole("refine", length, 0, most)
    parse_duration(length, "refine")
    return length


def steps_per_trial(length: int | str, trainer: Trainer, planned: int | None, most: int) -> int:
    """Return the length of a trial in optimizer steps, at most ``most``, for a run of so many planned steps."""
    amount, unit = parse_duration(f"{length}st" if isinstance(length, int) else length)
    if unit == "ep":
        amount *= math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    elif unit == "dur":
        amount *= planned or most
    return min(math.ceil(amount), most)


def refine(run: TrialRun, result: LRFinderResult, steps: int, budget: int) -> LRFinderResult:
    """Train for a few steps at each of a few rates, from the same weights on the same batches, and choose a rate.

    Args:
        run: the trial run in which the steps are taken.
        result: the result of the sweep, with a suggestion.
        steps: maximum number of steps per trial.
        budget: total number of steps of all trials.
    """
    assert result.suggestion is not None
    mean, planned = result.factors.mean, result.planned_steps
    lr = result.suggestion * mean  # trials have a constant rate
    steps = min(steps, planned or steps)  # a trial as long as the whole training is the best evidence
    run.rewind()  # the weights at the end of the sweep are arbitrary
    validates = validation_loss(run.trainer, run.module, limit=1) is not None
    if not validates:  # the loss on repeated batches measures memorization
        once = run.trainer.num_training_batches / run.trainer.accumulate_grad_batches
        steps = int(min(steps, max(once, _SHORTEST)))
    rates = trial_rates(lr, steps, budget, planned)
    trials: list[tuple[float, float]] = []
    with progress_of(run.trainer, "LR finder: refining", len(rates)) as show:
        for done, rate in enumerate(rates):
            run.rewind()
            trials.append((rate, _train_at(run, rate, steps, validates)))
            show(done + 1)
    best = best_trial(trials)
    found, reason = None, f"training diverges at every rate around {lr:.2g}; {result.reason}"
    if best is not None:
        found = damp_move(lr, best / rates[len(rates) // 2], steps, planned)
        kind = "validation" if validates else "training"
        reason = f"of {len(rates)} rates, {best:.2g} reaches the lowest {kind} loss after {steps} steps"
        reason += _why_not_best(lr, found, best, planned) if steps != planned else ""
        if mean != 1:
            found /= mean
            reason += f"; the schedule multiplies the rate by {mean:.2g} on average, so its base is {found:.2g}"
    return LRFinderResult.from_dict({**result.to_dict(), "suggestion": found, "reason": reason, "trials": trials})


def _why_not_best(lr: float, found: float, best: float, planned: int | None) -> str:
    """Return why a training longer than the trials is not given the best rate of the trials."""
    length = f"{planned:,} steps" if planned else "unknown length"
    moves = f"stays at {lr:.2g}" if f"{found:.2g}" == f"{lr:.2g}" else f"moves from {lr:.2g} to {found:.2g}"
    return (
        f"; a training of {length} needs a smaller rate than a short trial, so the suggestion {moves} "
        f"instead of {best:.2g}"
    )


def _train_at(run: TrialRun, lr: float, steps: int, validates: bool) -> float:
    """Train for a few steps and return the final loss, averaged over several batches, because one is mostly noise.

    Steps at a rate of zero do not change the weights. There is no validation with diverged weights, because it may
    raise.
    """
    try:
        for _ in range(steps):
            run.step(lr)
        losses = [run.step(0.0) for _ in range(1 if validates else _JUDGED_ON)]
    except Exception:
        if not run.has_broken():
            raise
        return math.inf
    known = [loss for loss in losses if loss is not None]
    loss = fmean(run.read(known)) if known else math.inf
    if not validates or not math.isfinite(loss):
        return loss
    validated = validation_loss(run.trainer, run.module, limit=max(steps, _JUDGED_ON))
    return math.inf if validated is None else run.read([validated])[0]
