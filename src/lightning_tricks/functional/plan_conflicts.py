"""Plan conflicts: combinations of tricks that work against each other, found before the first step.

Each check is a pure function of facts (:mod:`lightning_tricks.functional.run_plan`) that returns a message or ``None``.
Lengths that share no clock are not compared.
"""

import math
from collections.abc import Iterable

from lightning_tricks.functional.run_plan import Fact, Pace, PatientRule, RatePlan, RateSearch, Span, ThawStages
from lightning_tricks.functional.schedule_shape import last_time_above

_NEARLY_ZERO, _IDLE_SHARE = 1e-4, 0.1
_SMALL, _HIGH = 0.01, 0.5
_CUT_OFF, _ROUNDING = 0.9, 1e-6


def find_conflicts(facts: Iterable[Fact], pace: Pace, *, keeps_best: bool = False) -> list[str]:
    """Return a message for each combination that works against the user.

    Args:
        facts: what the tricks of a run plan.
        pace: the length of the run.
        keeps_best: whether the best weights are kept, by any callback.
    """
    facts = list(facts)
    rules = [fact for fact in facts if isinstance(fact, PatientRule)]
    rates = [fact for fact in facts if isinstance(fact, RatePlan)]
    stages = [fact for fact in facts if isinstance(fact, ThawStages)]
    searches = [fact for fact in facts if isinstance(fact, RateSearch)]
    found = [check(rate, pace) for rate in rates for check in (long_warmup, long_cycle, unfinished_fall, idle_end)]
    found += [high_end(rate, pace, keeps_best) for rate in rates]
    pairwise = (patience_in_cycle, patience_in_warmup, double_decay, stop_before_decay)
    found += [check(rule, rate, pace) for rule in rules for rate in rates for check in pairwise]
    found += [check(a, b) for i, b in enumerate(rules) for a in rules[:i] for check in (two_bests, two_stops)]
    found += [stop_before_reduction(stop, rule) for stop in rules for rule in rules]
    found += [patience_in_stage(rule, stage) for rule in rules for stage in stages]
    found += [missed_search(search) for search in searches]
    return [message for message in found if message is not None]


# -- a schedule and the run -------------------------------------------------------------------------------------------


def long_warmup(rate: RatePlan, pace: Pace) -> str | None:
    """Find a warm-up that is as long as the run, the fall or longer than the first cycle."""
    end = rate.warmup
    first = pace.span(rate.cycles.first, rate.unit) if rate.cycles else None
    fall = pace.span(rate.fall_end, rate.unit) if rate.fall_end else None
    if _is_positive(end) and _reaches(end, pace.end):
        return (
            f"The warm-up of `{rate.name}` lasts {end}, but the run ends after {pace.end}, so the learning rate never "
            f"reaches its full value. Shorten `warmup`, for instance to 0.05dur."
        )
    if first is not None and first.is_shorter_than(end):
        return (
            f"The warm-up of `{rate.name}` lasts {end}, longer than its first cycle of {first}, so the peak of that "
            f"cycle is never reached. Shorten `warmup` or lengthen the cycle."
        )
    if fall is not None and _reaches(end, fall):
        return (
            f"The warm-up of `{rate.name}` lasts {end}, but its schedule has ended after {fall}, so the learning rate "
            f"is never high. Shorten `warmup`."
        )
    return None


def long_cycle(rate: RatePlan, pace: Pace) -> str | None:
    """Find a run that ends inside the first cycle."""
    end = pace.end_on(rate.unit)
    if rate.cycles is None or end is None or end >= _CUT_OFF * rate.cycles.first:
        return None
    return (
        f"The first cycle of `{rate.name}` lasts {pace.span(rate.cycles.first, rate.unit)}, but the run ends after "
        f"{pace.end}, so it neither restarts nor ends at a low learning rate. Shorten the cycle, or use `CosineDecay`."
    )


def unfinished_fall(rate: RatePlan, pace: Pace) -> str | None:
    """Find a schedule that is so much longer than the run that the learning rate is still high at the end."""
    end = pace.end_on(rate.unit)
    if rate.fall_end is None or rate.multiplier is None or end is None or end >= rate.fall_end:
        return None
    share = rate.last(end) / max(rate.samples(rate.fall_end), default=1.0)
    if share <= _HIGH:
        return None
    return (
        f"`{rate.name}` ends after {pace.span(rate.fall_end, rate.unit)}, but the run after {pace.end}, at {share:.0%} "
        f"of the highest learning rate. Give it the length of the run{rate.whole_run}, or train longer."
    )


def high_end(rate: RatePlan, pace: Pace, keeps_best: bool) -> str | None:
    """Find a run that ends near the peak of a cycle with the weights of that moment."""
    end = pace.end_on(rate.unit)
    if rate.cycles is None or rate.multiplier is None or keeps_best or end is None or end <= rate.cycles.first:
        return None
    since = rate.cycles.since_restart(end)
    peak = max(rate.multiplier(end - since * (1 - moment)) for moment in (0.0, _ROUNDING, 1e-3))
    if peak == 0 or rate.last(end) <= (_HIGH + _ROUNDING) * peak:
        return None
    return (
        f"The run ends after {pace.end}, only {pace.span(since, rate.unit)} after a restart of `{rate.name}`, at "
        f"{rate.last(end) / peak:.0%} of the peak learning rate, and the last weights are kept. End it with a cycle, "
        "or keep the best weights, for instance with `EarlyStopping`."
    )


def idle_end(rate: RatePlan, pace: Pace) -> str | None:
    """Find a schedule that ends long before the run, at a learning rate of practically zero."""
    end = pace.end_on(rate.unit)
    values = rate.samples(end)
    if not values or end is None:
        return None
    alive = last_time_above(values, _NEARLY_ZERO * max(values), end)
    if end - alive <= _IDLE_SHARE * end:
        return None
    return (
        f"`{rate.name}` reduces the learning rate to less than {_NEARLY_ZERO:g} of its peak after about "
        f"{pace.span(alive, rate.unit)}, but the run lasts {pace.end}: its rest changes almost nothing. Give the "
        f"schedule the length of the run{rate.whole_run}, a higher end, or shorten the run."
    )


# -- a rule with patience and a schedule ------------------------------------------------------------------------------


def patience_in_cycle(rule: PatientRule, rate: RatePlan, pace: Pace) -> str | None:
    """Find a patience that is shorter than a cycle after a restart, whose scores improve only near its end."""
    if rate.cycles is None:
        return None
    length = rate.cycles.longest_after_restart(pace.end_on(rate.unit))
    cycle = pace.span(length, rate.unit)
    if not rule.waits.is_shorter_than(cycle):
        return None
    checks = math.ceil((cycle.ratio_to(rule.interval) or 0.0) * (1 - 1e-9))
    harm = "stops the run" if rule.action == "stop" else "reduces the learning rate"
    return (
        f"{rule.name} {harm} after {_wait(rule)} without a better score, but a cycle of `{rate.name}` lasts {cycle} "
        f"({_checks(checks)}): after a restart the score is worse until late in the cycle, so the rule ends or shrinks "
        f"cycles that would still improve it. Give it a `patience` of at least {checks}, or remove one of the two."
    )


def patience_in_warmup(rule: PatientRule, rate: RatePlan, pace: Pace) -> str | None:
    """Find a rule that can act before the warm-up has ended."""
    if not _is_positive(rate.warmup) or not rule.earliest.is_shorter_than(rate.warmup):
        return None
    harm = "stop the run" if rule.action == "stop" else "reduce the learning rate"
    return (
        f"{rule.name} can {harm} after {rule.earliest} ({_wait(rule)} without a better score), but the warm-up of "
        f"`{rate.name}` lasts {rate.warmup}. Give it more `patience`, or shorten the warm-up."
    )


def double_decay(rule: PatientRule, rate: RatePlan, pace: Pace) -> str | None:
    """Find a plateau rule next to a schedule that decays to nearly zero."""
    end = pace.end_on(rate.unit)
    values = rate.samples(end)
    if rule.action != "reduce" or rate.cycles is not None or not values:
        return None
    if values[-1] > _SMALL * max(values) or not rule.earliest.is_shorter_than(pace.end):
        return None
    return (
        f"{rule.name} and `{rate.name}` reduce the same learning rate: the schedule to {values[-1] / max(values):.2g} "
        f"of its peak within {pace.end}, and the rule further after {_wait(rule)} without a better score, which a "
        f"small learning rate causes by itself. Keep one of them."
    )


def stop_before_decay(rule: PatientRule, rate: RatePlan, pace: Pace) -> str | None:
    """Find an early stopping that can end the run while the learning rate of a schedule with an end is still high."""
    end = pace.end_on(rate.unit)
    values = rate.samples(end)
    if rule.action != "stop" or rate.fall_end is None or end is None or not values:
        return None
    high = pace.span(last_time_above(values, _HIGH * max(values), end), rate.unit)
    if values[-1] > _HIGH * max(values) or not rule.earliest.is_shorter_than(high):
        return None
    return (
        f"{rule.name} can stop the run after {rule.earliest} ({_wait(rule)} without a better score), but the learning "
        f"rate of `{rate.name}` is above half its peak until {high} of {pace.end}; the score typically improves as it "
        f"falls. Give it more `patience`, or `start_after=0.5dur`."
    )


# -- two rules with patience ------------------------------------------------------------------------------------------


def two_bests(rule: PatientRule, later: PatientRule) -> str | None:
    """Find two rules that restore the weights that were best by different metrics."""
    if not (rule.restores_best and later.restores_best) or rule.watched[0] == later.watched[0]:
        return None
    return (
        f"{rule.key} and {later.key} both restore their best weights; those of the latter are kept. Set "
        f"`restore_best=False` in one of them."
    )


def two_stops(rule: PatientRule, later: PatientRule) -> str | None:
    """Find an early stopping of Lightning's next to one of ours by the same metric."""
    theirs, ours = (rule, later) if rule.key is None else (later, rule)
    if theirs.key is not None or ours.key is None or ours.action != "stop" or theirs.watched[0] != ours.watched[0]:
        return None
    return (
        f"Lightning's `EarlyStopping(patience={theirs.patience})` and that of lightning-tricks both stop training by "
        f"`{ours.watched[0]}`, and the less patient one decides. Keep one of them."
    )


def stop_before_reduction(stop: PatientRule, rule: PatientRule) -> str | None:
    """Find an early stopping whose patience is not longer than that of a plateau rule.

    Ours with the same metric and patience waits for the reductions. If it is the default of both, the user has not
    chosen a wrong number.
    """
    if (stop.action, rule.action) != ("stop", "reduce") or stop.patience > rule.patience:
        return None
    if stop.key is None or (stop.watched, stop.patience) != (rule.watched, rule.patience):
        return (
            f"{stop.name} stops before {rule.name} has reduced the learning rate. Give it a longer `patience`, several "
            f"times that of the plateau rule."
        )
    if stop.has_usual_patience:
        return None
    return (
        f"{stop.name} has no longer patience than {rule.name}, so it waits until the learning rate cannot be reduced "
        f"further. To stop earlier, give it a `patience` of several times that of the plateau rule."
    )


# -- others -----------------------------------------------------------------------------------------------------------


def patience_in_stage(rule: PatientRule, stage: ThawStages) -> str | None:
    """Find a patience that is shorter than a stage of unfreezing, or than the warm-up after one."""
    if not rule.waits.is_shorter_than(stage.longest):
        return None
    harm = "stops the run" if rule.action == "stop" else "reduces the learning rate"
    return (
        f"{rule.name} {harm} after {_wait(rule)} without a better score, but a stage of `{stage.name}` lasts "
        f"{stage.longest}: a stall before the next layers train would count. Give it more `patience`, or a shorter "
        f"`every`."
    )


def missed_search(search: RateSearch) -> str | None:
    """Find a learning-rate search whose epochs had passed before this fit started."""
    if not search.epochs or search.done or max(search.epochs) >= search.current:
        return None
    listed = ", ".join(map(str, search.epochs))
    return (
        f"`{search.name}` searches at the start of epoch {listed}, but this run continues in epoch {search.current} "
        f"without an earlier search, so it does nothing. Add that epoch to `at_epochs`, or remove it."
    )


def reductions_left(rule: PatientRule, pace: Pace) -> str | None:
    """Describe a plateau rule that cannot reach its floor within the run, so that the end of the run decides."""
    checks = pace.end.ratio_to(rule.interval)
    if rule.reductions is None or checks is None or not pace.end.is_shorter_than(rule.earliest_floor):
        return None
    possible = max(0, math.floor(checks + 1e-9) - 1) // rule.checks
    return (
        f"{rule.name} reaches its floor after {rule.reductions} reductions, which take at least "
        f"{_checks(rule.checks * rule.reductions + 1)}, but the run ends after {pace.end}: at most {possible} of them."
    )


def _wait(rule: PatientRule) -> str:
    return f"{_checks(rule.checks)} ({rule.waits})"


def _checks(number: int) -> str:
    return f"{number} check{'s' * (number != 1)}"


def _is_positive(span: Span) -> bool:
    return bool(span.epochs or span.steps)


def _reaches(span: Span, other: Span) -> bool:
    """Return whether a span is at least as long as another, if they share a clock."""
    ratio = span.ratio_to(other)
    return ratio is not None and ratio > 1 - 1e-9
