"""Clock: read from a Trainer's own progress where a run stands; nothing here has state."""

import math

import lightning
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from packaging.version import Version

from lightning_tricks.core.durations import RunLength


def parts_per_epoch(trainer: Trainer, batches_seen: int | None = None) -> int | None:
    """Return how many optimizer steps (under manual optimization: batches) an epoch has.

    Args:
        trainer: a Trainer whose training loader is set up: from ``on_train_start`` on.
        batches_seen: the batches of the last full epoch, for a loader without length.

    Returns:
        The number, or ``None`` for a loader without length whose end was not seen yet.
    """
    batches = trainer.num_training_batches
    if math.isinf(batches):
        if batches_seen is None:
            return None
        batches = batches_seen
    return math.ceil(batches / trainer.accumulate_grad_batches)


def run_length(trainer: Trainer, parts: int | None) -> RunLength:
    """Return what bounds the run; if epochs and steps do, only the one that is reached first.

    Args:
        trainer: a Trainer that fits.
        parts: optimizer steps in an epoch, ``None`` if not known.
    """
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs >= 0 else None
    steps = trainer.max_steps if trainer.max_steps >= 0 else None
    if epochs is not None and steps is not None:
        if parts is not None and steps < epochs * parts:
            epochs = None
        else:
            steps = None
    return RunLength(epochs, steps)


def resumed_batches(trainer: Trainer) -> tuple[int, int]:
    """Return, in ``on_train_start``, how many batches of the current epoch a resumed run has behind it.

    A checkpoint from an epoch's end resumes with that epoch's batches still counted; the next epoch has none.

    Returns:
        The number, and by how much the batch index of the coming epoch runs ahead: of a loader without length
        Lightning does not know that the epoch was over, and counts on from its last batch.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    done = progress.current.ready
    if not trainer.fit_loop.restarting or done >= trainer.num_training_batches:
        return 0, 0
    return (0, done) if progress.is_last_batch else (done, 0)


def warn_if_a_batch_is_repeated(batches: int) -> None:
    """Warn where a run resumes inside an epoch under a Lightning that trains the last batch before it once more."""
    if batches and Version(lightning.__version__) < Version("2.5"):
        rank_zero_warn(
            f"Lightning {lightning.__version__} repeats a batch when it resumes inside an epoch, so this run will not "
            "equal one that never stopped. Upgrade to lightning 2.5, or resume from the end of an epoch."
        )


def epoch_is_over(trainer: Trainer, batches_done: int) -> bool:
    """Say, after a batch, whether it was the last of its epoch."""
    return trainer.is_last_batch or batches_done >= trainer.num_training_batches
