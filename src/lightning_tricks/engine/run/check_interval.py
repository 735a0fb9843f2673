"""Check interval: the time between two checks of a metric, from the Trainer's settings of validation."""

import math
from typing import Any

from lightning_tricks.functional.run_plan import Pace, Span


def check_interval(trainer: Any, pace: Pace, *, by_validation: bool) -> Span:
    """Return the mean time between two checks; unknown on both clocks if validation follows the wall time.

    Args:
        trainer: a Trainer whose training loader is set up.
        pace: the length of its run.
        by_validation: whether each validation is a check, otherwise each training epoch.
    """
    if not by_validation or not trainer.enable_validation:
        return pace.span(1, "ep")
    batches, every, after = trainer.num_training_batches, trainer.check_val_every_n_epoch, trainer.val_check_batch
    if after is None:
        return Span()
    if math.isinf(after) or (every is not None and after >= batches):
        return pace.span(every or 1, "ep")
    if every is not None and math.isfinite(batches):
        return pace.span(every / (batches // after), "ep")
    steps = after / trainer.accumulate_grad_batches if trainer.lightning_module.automatic_optimization else None
    return Span(after / batches if math.isfinite(batches) else None, steps)
