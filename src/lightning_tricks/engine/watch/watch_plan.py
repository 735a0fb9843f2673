"""Watch plan: how long a watcher waits for a better score, as a fact to compare with the plans of other tricks."""

import inspect
from typing import Any, Literal, Protocol

from lightning_tricks.engine.run.check_interval import check_interval
from lightning_tricks.engine.run.combinations import pace_of
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.run_plan import START, PatientRule, Span


class Watcher(Protocol):
    """The attributes of a watcher that are read."""

    monitor: str
    mode: Any
    patience: int
    restore_best: bool

    @property
    def state_key(self) -> str: ...
    @property
    def checks_by_validation(self) -> bool: ...


def plan_rule(
    watcher: Watcher,
    run: Run,
    action: Literal["stop", "reduce"],
    start: Span = START,
    reductions: int | None = None,
) -> PatientRule:
    """Return the plan of a watcher.

    Args:
        watcher: a callback of the run.
        run: a run before its first batch.
        action: what the watcher does when its patience has run out.
        start: earlier checks do not count.
        reductions: the number of reductions down to the floor at which a plateau rule stops.
    """
    usual = inspect.signature(type(watcher).__init__).parameters["patience"].default
    return PatientRule(
        name=f"`{type(watcher).__name__}(monitor={watcher.monitor!r}, patience={watcher.patience})`",
        key=watcher.state_key,
        watched=(watcher.monitor, watcher.mode),
        patience=watcher.patience,
        has_usual_patience=watcher.patience == usual,
        action=action,
        restores_best=watcher.restore_best,
        interval=check_interval(run.trainer, pace_of(run), by_validation=watcher.checks_by_validation),
        start=start,
        reductions=reductions,
    )
