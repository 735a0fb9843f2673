"""Watch record: what a watcher of a metric must know after a restart, next to what the scores came to."""

from dataclasses import dataclass

import torch

from lightning_tricks.engine.watch.metric_reader import Reading


@dataclass
class WatchRecord:
    """What a watcher must know after a restart, next to what the scores came to.

    Attributes:
        position: index of the batch after which the last check was made: a check repeated after a resume is none.
        last_score: the score of the last check.
        best_epoch: the epoch of the best check.
        best_step: optimizer steps before the best check.
        by_validation: the metric is logged by validation.
        held: value and type of a score that the end of the epoch is to check, ``None`` if there is none.
        stopped: the last check stopped the run.
        stopped_epoch: the epoch in which it did.
        stop_reason: why it did.
        rewind: the best weights must be restored before the next batch.
    """

    position: int = -1
    last_score: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    by_validation: bool = False
    held: list[float] | None = None
    stopped: bool = False
    stopped_epoch: int = 0
    stop_reason: str | None = None
    rewind: bool = False

    def stop(self, epoch: int, reason: str) -> None:
        """Note that the run ends in this epoch; of a run that had ended and was resumed, the epoch of then stays."""
        if not self.stopped:
            self.stopped_epoch = epoch
        self.stopped, self.stop_reason = True, reason

    def mark_continuing(self) -> None:
        """Note that the run does not end, or no longer."""
        self.stopped, self.stopped_epoch, self.stop_reason = False, 0, None

    def keep_for_epoch_end(self, reading: Reading) -> None:
        """Keep a score for the end of the epoch, as plain values."""
        self.held = [reading.value, reading.precision == torch.float64]

    def take_held(self) -> Reading | None:
        """Return the score that was kept, once."""
        held, self.held = self.held, None
        return None if held is None else Reading(held[0], True, torch.float64 if held[1] else torch.float32)
