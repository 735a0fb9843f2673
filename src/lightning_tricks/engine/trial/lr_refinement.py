"""LR refinement: short trainings at a few rates around a suggestion, to know instead of guess."""

import math
from statistics import fmean

from lightning_tricks.engine.trial.trial_progress import progress_of
from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.engine.trial.trial_validation import validation_loss
from lightning_tricks.functional.lr_trials import best_trial, damp_move, trial_rates
from lightning_tricks.reports.lr_finder_result import LRFinderResult

_JUDGED_ON = 10  # batches that a trial's loss is taken over, at least
_SHORTEST = 20  # steps of a trial


def refine(run: TrialRun, result: LRFinderResult, steps: int, budget: int) -> LRFinderResult:
    """Train for a few steps at each of a few rates, from the same weights on the same batches, and settle on a rate.

    Args:
        run: in which the steps are taken.
        result: of the sweep, with a suggestion.
        steps: of one trial, at most.
        budget: steps of all trials together.
    """
    lr, planned = result.suggestion, result.planned_steps
    assert lr is not None
    steps = min(steps, planned or steps)  # a trial of the whole training knows best
    run.rewind()  # where the sweep ended, the weights may be anything
    validates = validation_loss(run.trainer, run.module, limit=1) is not None
    if not validates:  # the loss of batches that come round again says what is remembered, not what is learnt
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
        if steps != planned:
            length = f"{planned:,} steps" if planned else "unknown length"
            moves = f"stays at {lr:.2g}" if f"{found:.2g}" == f"{lr:.2g}" else f"moves from {lr:.2g} to {found:.2g}"
            reason += (
                f"; a training of {length} needs a smaller rate than so short a trial, so the suggestion {moves} "
                f"instead of {best:.2g}"
            )
    return LRFinderResult.from_dict({**result.to_dict(), "suggestion": found, "reason": reason, "trials": trials})


def _train_at(run: TrialRun, lr: float, steps: int, validates: bool) -> float:
    """Train for a few steps and return the loss that is reached, over several batches: of one it is mostly noise.

    At a rate of zero steps leave the weights where they are. Nobody validates with weights that a rate has broken:
    that may raise.
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
