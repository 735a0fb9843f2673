"""Watch report: log in one line how a run ended, and pass its outcome to the process that started it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol

import torch
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.engine.run.result_logging import log_results
from lightning_tricks.engine.run.trick import Trick, callbacks_of


class Reporter(Protocol):
    """What a report needs of a watcher."""

    identity: ClassVar[tuple[str, ...]]
    monitor: str

    @property
    def state_key(self) -> str: ...

    @property
    def stopping_reason_message(self) -> str | None: ...

    def outcome(self) -> dict[str, float]: ...

    def describe_best(self) -> str: ...

    def restores_best(self) -> bool: ...

    def summary_sentences(self) -> list[str]: ...


def report_end(
    trainer: Trainer, watcher: Reporter, watchers: Sequence[Reporter], *, has_checked: bool, interrupted: bool
) -> None:
    """Log what a watcher came to; the last of several watchers reports how the run ended.

    Args:
        trainer: a Trainer at the end of its fit.
        watcher: the one that reports.
        watchers: all that watch the run.
        has_checked: the watcher checked its metric at least once.
        interrupted: the run ended by Ctrl-C.
    """
    log_results(trainer, watcher, watcher.outcome(), {"stop_reason": watcher.stopping_reason_message or ""})
    if not has_checked and not interrupted:
        rank_zero_warn(
            f"`{type(watcher).__name__}` never checked `{watcher.monitor}`: no validation logged it before the end of "
            "the run. See `check_val_every_n_epoch` and `val_check_interval`."
        )
    if watchers[-1] is watcher:
        rank_zero_info(closing_line(trainer, watchers, interrupted))


def closing_line(trainer: Trainer, watchers: Iterable[Reporter], interrupted: bool) -> str:
    """Return what stopped the run, the best scores with their positions, and the path of the learning rate.

    Epochs are numbered from 0, as in Lightning's logs and checkpoints; a step is the number of optimizer steps so far.
    """
    watchers = list(watchers)
    tricks = list(dict.fromkeys([*watchers, *callbacks_of(trainer, Trick)]))  # LiveControl can also stop a run
    found = [(type(trick).__name__, getattr(trick, "stopping_reason_message", None)) for trick in tricks]
    reasons = [f"{name}: {reason}" for name, reason in found if reason]
    if interrupted:
        cause = "interrupted"
    elif reasons:
        cause = "stopped by " + ", ".join(reasons)
    elif trainer.max_steps >= 0 and trainer.global_step >= trainer.max_steps:
        cause = f"ended at max_steps={trainer.max_steps}"
    elif trainer.should_stop:
        cause = "stopped by another callback or the module"
    else:
        cause = f"ended at max_epochs={trainer.max_epochs}"
    bests: dict[str, bool] = {}
    for watcher in watchers:
        bests[watcher.describe_best()] = bests.get(watcher.describe_best(), False) or watcher.restores_best()
    sentences = [f"{best}{', restored' if back else ''}." for best, back in bests.items()]
    sentences += [sentence for trick in tricks for sentence in getattr(trick, "summary_sentences", list)()]
    last = max(trainer.fit_loop.epoch_progress.current.ready - 1, 0)
    return f"Training {cause} (epoch {last}, step {trainer.global_step}). {' '.join(dict.fromkeys(sentences))}"


def publish(trainer: Trainer, key: str, outcome: Mapping[str, float]) -> None:
    """Add the outcome to the Trainer's metrics, which are returned from spawned and forked processes."""
    for name, value in outcome.items():
        trainer.callback_metrics[f"{key}/{name}"] = torch.tensor(float(value), dtype=torch.float64)
