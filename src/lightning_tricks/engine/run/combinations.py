"""Combinations: warn about tricks in one Trainer that share a purpose or work against each other."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal, Protocol

from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.core.class_names import is_instance_of
from lightning_tricks.engine.run.check_interval import check_interval
from lightning_tricks.engine.run.lightning_internals import checks_at_epoch_end, is_lightnings
from lightning_tricks.engine.run.scheduler_rates import scheduler_plans
from lightning_tricks.functional.plan_conflicts import find_conflicts, reductions_left
from lightning_tricks.functional.run_plan import Fact, Pace, PatientRule

Purpose = Literal["schedule", "norm clipping", "mixing"]
"""A purpose for which a run usually has a single trick."""

_EXPLANATIONS: dict[Purpose, str] = {
    "schedule": (
        "schedule the learning rate over the whole run, and their factors multiply. Keep one of them. To follow "
        "one schedule with another, use `LRSchedule(join(...))`; if a product is intended, `LRSchedule(product(...))`."
    ),
    "norm clipping": "bound the norm of the same gradient, one after the other. Keep one of them.",
    "mixing": (
        "mix the rows of every batch, one after the other. Keep one of them. To use each for some batches, give each "
        "a `p` below 1."
    ),
}


class HasPurpose(Protocol):
    """The attributes of a trick that are read."""

    @property
    def purpose(self) -> Purpose | None: ...

    @property
    def state_key(self) -> str: ...


def warn_of_shared_purposes(tricks: Iterable[HasPurpose]) -> None:
    """Warn, once per purpose, about tricks that share it; tricks without a purpose can be combined with any other."""
    sharing: dict[Purpose, list[str]] = defaultdict(list)
    for trick in tricks:
        if trick.purpose is not None:
            sharing[trick.purpose].append(trick.state_key)
    for purpose, names in sharing.items():
        if len(names) > 1:
            listed = ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"
            rank_zero_warn(f"{listed} {'both' if len(names) == 2 else 'all'} {_EXPLANATIONS[purpose]}")


def warn_of_plan_conflicts(run: Any) -> None:
    """Warn, once per fit, about tricks whose lengths and patience work against each other in a run of this length.

    Args:
        run: a run before its first batch, when all lengths are known.
    """
    pace = pace_of(run)
    facts: list[Fact] = [fact for member in run.members for fact in member.plan_facts(run)]
    facts += [*_other_stops(run, pace), *scheduler_plans(run.trainer, pace)]
    for message in dict.fromkeys(find_conflicts(facts, pace, keeps_best=_keeps_best(run.trainer.callbacks))):
        rank_zero_warn(message)
    for fact in facts:
        note = reductions_left(fact, pace) if isinstance(fact, PatientRule) else None
        if note is not None:
            rank_zero_info(note)


def pace_of(run: Any) -> Pace:
    """Return the length of a run; under manual optimization, steps and epochs cannot be converted."""
    steps_per_epoch = None if run.is_manual else run.clock.steps_per_epoch
    return Pace(run.clock.length_of(len(run.optimizers)), steps_per_epoch)


def _other_stops(run: Any, pace: Pace) -> list[Fact]:
    """Return the early stoppings of Lightning itself; a class of another origin may share the name alone."""
    strangers = [cb for cb in run.trainer.callbacks if not any(cb is member for member in run.members)]
    others = [cb for cb in strangers if is_instance_of(cb, "EarlyStopping") and is_lightnings(cb)]
    return [
        PatientRule(
            f"Lightning's `EarlyStopping(monitor={stop.monitor!r}, patience={stop.patience})`",
            (stop.monitor, stop.mode),
            stop.patience,
            "stop",
            check_interval(run.trainer, pace, by_validation=not checks_at_epoch_end(stop)),
        )
        for stop in others
    ]


def _keeps_best(callbacks: Iterable[Any]) -> bool:
    """Return whether any callback keeps the best or averaged weights, from any package."""
    kept = ("WeightAveraging", "StochasticWeightAveraging")
    return any(
        getattr(callback, "restore_best", False)
        or is_instance_of(callback, *kept)
        or (is_instance_of(callback, "ModelCheckpoint") and getattr(callback, "monitor", None) is not None)
        for callback in callbacks
    )
