"""Watch record: what a metric watcher must know after a restart, in addition to the state of the scores."""

from dataclasses import dataclass

import torch

from lightning_tricks.engine.watch.metric_reader import Reading


@dataclass
class WatchRecord:
    """What a metric watcher must know after a restart, in addition to the state of the scores.

    Attributes:
        position: index of the batch after which the last check was made, so that a check repeated after a resume is
            ignored.
        last_score: the score of the last check.
        best_epoch: the epoch of the best check.
        best_step: optimizer steps before the best check.
        by_validation: whether validation logs the metric.
        sanity_logs: whether the sanity check logged the metric; ``None`` without such a check.
        held: value and type of a score to be checked at the end of the epoch; ``None`` if there is none.
        stopped: whether the last check stopped the run.
        stopped_epoch: the epoch in which the run was stopped.
        stop_reason: the reason for the stop.
        rewind: whether the best weights must be restored before the next batch.
    """

    position: int = -1
    last_score: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    by_validation: bool = False
    sanity_logs: bool | None = None
    held: list[float] | None = None
    stopped: bool = False
    stopped_epoch: int = 0
    stop_reason: str | None = None
    rewind: bool = False

    @property
    def is_validations(self) -> bool:
        """Whether validation logs the metric, as far as it is known."""
        return self.by_validation or bool(self.sanity_logs)

    def may_be_validations(self) -> bool:
        """Return whether validation logs the metric, or whether nothing is known yet."""
        return self.by_validation or self.sanity_logs is not False

    def stop(self, epoch: int, reason: str) -> None:
        """Record that the run ends in this epoch; a resumed run that had already ended keeps its epoch."""
        if not self.stopped:
            self.stopped_epoch = epoch
        self.stopped, self.stop_reason = True, reason

    def mark_continuing(self) -> None:
        """Record that the run does not end."""
        self.stopped, self.stopped_epoch, self.stop_reason = False, 0, None

    def keep_for_epoch_end(self, reading: Reading) -> None:
        """Store a score for the end of the epoch, as plain values."""
        self.held = [reading.value, reading.precision == torch.float64]

    def take_held(self) -> Reading | None:
        """Return the stored score and clear it."""
        held, self.held = self.held, None
        return None if held is None else Reading(held[0], True, torch.float64 if held[1] else torch.float32)
