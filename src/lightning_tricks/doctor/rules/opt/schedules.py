"""Learning-rate schedules against the length of the run."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence, SchedulerFact
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, rule

_NOTHING = 1e-3


@rule("OPT012", "warning", kind="static", needs=("optimizers",))
def scheduler_horizon(
    evidence: Evidence, *, tolerance: float = 0.02, epochs: int = 1000, idle: float = 0.6
) -> Iterator[Symptom | NotChecked]:
    """A schedule that is longer or shorter than the run.

    What it looks at:  every schedule, simulated over the run on a copy: what share of the run has less than a
                       thousandth of the peak rate, and whether the rate still rises at the end. The horizon of
                       one-cycle and cosine schedules against the run's steps or epochs, by Lightning's ``interval``;
                       without a Trainer, horizons of very many epochs, and rates that vanish within half an epoch.
    Why it matters:    a schedule that is cut off never reaches its low rates; one that is too short raises, repeats or
                       leaves no rate to learn with: schedules in epochs that are stepped after each batch.
    Options:           ``tolerance``: how far it may be off; ``epochs``: more are no epochs, where no Trainer says;
                       ``idle``: the share of the run that may have no rate to speak of.
    Try:               ``interval="epoch"`` for schedules in epochs;
                       ``total_steps=self.trainer.estimated_stepping_batches`` and ``interval="step"``, or
                       ``tricks=[one_cycle]``, ``tricks=[cosine_decay]``, which take the run's length by themselves.
    False alarms:      a run that is meant to end early.
    References:        Lightning documentation, ``configure_optimizers``.
    """
    for index, optimizer in enumerate(evidence.optimizers or ()):
        for scheduler in optimizer.schedulers:
            found = list(_compare_horizon(evidence, scheduler, tolerance, epochs))
            said = next((each for each in found if isinstance(each, str)), "")
            message, remedy = (said, _remedy(scheduler)) if said else _simulated(scheduler, idle)
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
    said = f"{scheduler.kind} is over after {horizon:g} calls"
    if length is not None:
        if abs(horizon - length) > max(1, tolerance * length):
            yield f"{said}, the run has {length} (once {'an epoch' if unit == 'epoch' else 'a step'})"
    elif scheduler.interval == "epoch" and horizon > epochs:
        yield f"{said} once an epoch: more than {epochs} epochs, it seems to be meant in steps"
    else:
        yield NotChecked(evidence.missing.get("plan", "the run has no end"))


def _simulated(scheduler: SchedulerFact, idle: float) -> tuple[str, str]:
    """Return what is wrong with the rates that a schedule gives over the run, and what to try; empty if nothing is."""
    curve = scheduler.curve
    if curve is None or not curve.rates:
        return "", ""
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
        return f"{scheduler.kind} leaves a rate of {rate:.1g}, from {peak:.3g}, after {after} {length}", remedy
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
    return f'self.trainer.estimated_stepping_batches with interval="step"; {trick} takes the length by itself'
