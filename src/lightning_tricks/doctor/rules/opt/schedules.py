"""Learning-rate schedules compared with the length of the run."""

from collections.abc import Iterator

from lightning_tricks.core.trick_worth import with_worth
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.optimizer_facts import SchedulerFact
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, rule

_NOTHING = 1e-3


@rule("OPT012", "warning", kind="static", needs=("optimizers",))
def scheduler_horizon(
    evidence: Evidence, *, tolerance: float = 0.02, epochs: int = 1000, idle: float = 0.6
) -> Iterator[Symptom | NotChecked]:
    """A schedule that is longer or shorter than the run.

    What it looks at:  every schedule, simulated over the run on a copy: the share of the run with less than a
                       thousandth of the peak learning rate, and whether the learning rate still rises at the end. The
                       horizon of one-cycle and cosine schedules against the steps or epochs of the run, according to
                       Lightning's ``interval``; without a Trainer, horizons of very many epochs, and learning rates
                       that vanish within half an epoch; a learning rate of 0 for a whole epoch at the start.
    Why it matters:    a schedule that is cut off never reaches its low learning rates. A schedule that is too short
                       raises an error, repeats, or leaves a learning rate near zero: typically a schedule in epochs
                       that is stepped after each batch.
    Options:           ``tolerance``: the relative difference that is accepted; ``epochs``: without a Trainer, a longer
                       horizon is not read as epochs; ``idle``: the largest share of the run with almost no learning
                       rate.
    Try:               ``interval="epoch"`` for schedules in epochs;
                       ``total_steps=self.trainer.estimated_stepping_batches`` and ``interval="step"``, or
                       ``tricks=[one_cycle]``, ``tricks=[cosine_decay]``, which determine the length of the run
                       themselves.
    False alarms:      a run that is meant to end early.
    References:        Lightning documentation, ``configure_optimizers``.
    """
    for index, optimizer in enumerate(evidence.optimizers or ()):
        for scheduler in optimizer.schedulers:
            found = list(_compare_horizon(evidence, scheduler, tolerance, epochs))
            difference = next((each for each in found if isinstance(each, str)), "")
            message, remedy = (difference, _remedy(scheduler)) if difference else _simulated(scheduler, idle)
            if message:
                yield Symptom(f"optimizer {index}", message, remedy)
            yield from (each for each in found if isinstance(each, NotChecked) and not message)


def _compare_horizon(
    evidence: Evidence, scheduler: SchedulerFact, tolerance: float, epochs: int
) -> Iterator[str | NotChecked]:
    horizon = _horizon(scheduler)
    if horizon is None:
        return
    length, unit = _length(evidence, scheduler)
    ends = f"{scheduler.kind} ends after {horizon:g} calls"
    if length is not None:
        if abs(horizon - length) > max(1, tolerance * length):
            yield f"{ends}, but the run has {length} (once {'an epoch' if unit == 'epoch' else 'a step'})"
    elif scheduler.interval == "epoch" and horizon > epochs:
        yield f"{ends} once an epoch: more than {epochs} epochs, so it seems to count steps"
    else:
        yield NotChecked(evidence.missing.get("plan", "the run has no end"))


def _simulated(scheduler: SchedulerFact, idle: float) -> tuple[str, str]:
    """Return what is wrong with the learning rates of a schedule over the run, and the remedy; empty if nothing is."""
    curve = scheduler.curve
    if curve is None or not curve.rates:
        return "", ""
    first_alive = next((call for call, rate in curve.rates if rate > 0), 0)
    if scheduler.interval == "epoch" and first_alive > 0:
        how_long = "the first epoch" if first_alive == 1 else f"the first {first_alive} epochs"
        return f"{scheduler.kind} has a learning rate of 0 in {how_long}", '(epoch + 1) / warmup, or interval="step"'
    end = curve.calls or (curve.calls_per_epoch // 2)
    inside = [(call, rate) for call, rate in curve.rates if call <= end]
    peak = max(rate for _, rate in inside)
    last_alive = max((call for call, rate in inside if rate >= _NOTHING * peak), default=0)
    after = next((call for call, _ in inside if call > last_alive), None)
    unit = "epochs" if scheduler.interval == "epoch" else "steps"
    if peak > 0 and after is not None and after < (1 - idle) * end:
        length = f"of {end} {unit}" if curve.calls else f"{unit}, within half an epoch"
        rate = dict(inside)[after]
        remedy = 'interval="epoch", if it counts epochs' if scheduler.interval == "step" else "a slower decay"
        return (
            f"{scheduler.kind} reduces the learning rate from {peak:.3g} to {rate:.1g} after {after} {length}",
            remedy,
        )
    final = inside[-1][1]
    later = max((rate for call, rate in curve.rates if call > end), default=0.0)
    if curve.calls and final >= peak and later > 2 * final:
        message = f"{scheduler.kind} still warms up when the run ends, after {end} {unit}: {final:.3g} of {later:.3g}"
        return message, f"a warm-up of at most a tenth of the run: {max(1, end // 10)} {unit}"
    return "", ""


def _horizon(scheduler: SchedulerFact) -> float | None:
    key = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max"}.get(scheduler.kind)
    value = scheduler.settings.get(key) if key else None
    return float(value) if isinstance(value, (int, float)) else None


def _length(evidence: Evidence, scheduler: SchedulerFact) -> tuple[int | None, str]:
    if evidence.plan is None:
        return None, scheduler.interval
    length = evidence.plan.epochs if scheduler.interval == "epoch" else evidence.plan.steps
    return None if length is None else length // max(1, scheduler.frequency), scheduler.interval


def _remedy(scheduler: SchedulerFact) -> str:
    trick = "tricks=[one_cycle]" if scheduler.kind == "OneCycleLR" else "tricks=[cosine_decay]"
    advice = f'self.trainer.estimated_stepping_batches with interval="step"; {trick} determines the length itself'
    return with_worth(advice)
