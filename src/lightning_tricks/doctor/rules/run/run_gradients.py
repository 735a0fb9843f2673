"""What the gradients and updates of a run's steps say while it trains."""

import math
import statistics
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import RunFacts, StepFact
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule


@rule("RUN001", "warning", kind="run", needs=("run",), explains=("RUN004", "RUN007"))
def vanishing_gradients(
    evidence: Evidence, *, ratio: float = 1e-4, update: float = 1e-5, checks: int = 5, steps: int = 200
) -> Iterator[Symptom]:
    """Layers that hardly get a gradient, and hardly move.

    What it looks at:  the root mean square of each matrix' and kernel's gradient beside the largest one, and what a
                       step changes of its values, in some steps (one in ``log_every_n_steps``), while the loss is above
                       half of where it started.
    Why it matters:    the layers before the place where the gradient gets lost stay as they were drawn.
    Options:           ``ratio``: gradient beside the largest one; ``update``: relative change in a step, both below
                       which it is said; ``checks``: in how many steps that were looked at, in a row;
                       ``steps``: after so many, for a branch that starts near zero gets its gradient later.
    Try:               ReLU or GELU between layers, He's initialisation, norms, residual connections.
    False alarms:      none known: where an optimizer such as Adam scales small gradients up, layers do move. Gradients
                       that are exactly zero are other rules' (RUN008, ACT003).
    References:        Glorot & Bengio, 2010; Zhang et al., AutoTrainer, ICSE 2021.
    """
    run = evidence.run
    assert run is not None
    last = run.steps[-checks:]
    if len(last) < checks or last[-1].step < steps or not _has_far_to_go(run):
        return
    still = [name for name in last[-1].weights if all(_is_lost(name, step, ratio, update) for step in last)]
    if not still:
        return
    first, largest = still[0], max(gradient for gradient, _ in last[-1].weights.values())
    gradient, moved = last[-1].weights[first]
    message = (
        f"{_named(still)}: a gradient of {gradient:.2g} (root mean square), {gradient / largest:.1g} of the largest "
        f"layer's, below {ratio:g}, and a step moves it by {moved:.1g} of its size, below {update:g}; "
        f"{checks} times in a row"
    )
    yield Symptom(_module(first), message, "nn.ReLU() or nn.GELU(), kaiming_normal_, norms or residual connections")


def _is_lost(name: str, step: StepFact, ratio: float, update: float) -> bool:
    gradient, moved = step.weights.get(name, (math.nan, math.nan))
    largest = max(weight for weight, _ in step.weights.values())
    return 0 < gradient < ratio * largest and moved < update and step.lr > 0


@rule("RUN002", "error", kind="run", needs=("run",))
def exploding_gradients(evidence: Evidence, *, growth: float = 1e3) -> Symptoms:
    """Gradients that are suddenly a thousand times as large.

    What it looks at:  the norm of all gradients in some steps (one in ``log_every_n_steps``), against the median of
                       those before, where the loss is higher than at the start, too; or a norm that is not finite.
    Why it matters:    one such step throws the weights far away; what was learnt is lost.
    Options:           ``growth``: of the norm over the median of those before it.
    Try:               ``tricks=[gradient_clipping]``; a smaller or warmed-up learning rate.
    False alarms:      steps that a GradScaler leaves out are not looked at; a rare hard sample late in training has
                       gradients far above the median, but does not raise the loss above its start.
    References:        Pascanu et al., On the difficulty of training recurrent neural networks, 2013; AutoTrainer, 2021.
    """
    run = evidence.run
    assert run is not None
    if run.steps:
        yield Observed(f"gradient norms up to {max(step.norm for step in run.steps):.3g}")
    for i, step in enumerate(run.steps):
        if not math.isfinite(step.loss):
            continue  # another rule's: NaN or infinite losses
        usual = statistics.median(each.norm for each in run.steps[:i]) if i else math.inf
        if not math.isfinite(step.norm):
            message = f"their norm is {step.norm:g} at step {step.step}, at a loss of {step.loss:.3g}"
        elif run.losses.first and step.norm > growth * usual and step.loss > run.losses.first[0]:
            message = (
                f"their norm is {step.norm:.3g} at step {step.step}, {step.norm / usual:.2g} × the median of the steps "
                f"before, above {growth:g} ×; the loss is up to {step.loss:.3g}, {run.losses.first[0]:.3g} at the start"
            )
        else:
            continue
        yield Symptom("gradients", message, "tricks=[gradient_clipping]; a smaller rate, or one that warms up")
        return


@rule("RUN007", "warning", kind="run", needs=("run",))
def update_ratio_out_of_range(
    evidence: Evidence,
    *,
    severe: float = 1.0,
    high: float = 0.1,
    low: float = 1e-4,
    checks: int = 5,
    warmup: int = 20,
) -> Iterator[Symptom]:
    """Steps that are very large or very small beside the weights.

    What it looks at:  for each matrix and kernel what a step changes, relative to its size (root mean squares): the
                       median of the last steps that were looked at (one in ``log_every_n_steps``).
    Why it matters:    a weight that changes by a tenth at every step keeps nothing of what it has learnt; one that
                       changes by a millionth will not get anywhere. About a thousandth is customary.
    Options:           ``high``, ``low``: the range; ``severe``: above this it is a warning; ``checks``: how many steps
                       must have been looked at; ``warmup``: after so many.
    Try:               a smaller or larger learning rate; ``tricks=[lr_finder]``.
    False alarms:      weights that still grow from zero, or that hardly matter, change by up to a third at the peak of
                       a one-cycle rate: hence info up to ``severe``. Below the range it is info, too, and only while
                       the loss is above half of where it started and the rate has not been turned down; what was
                       trained before is left out.
    References:        Karpathy, 2015 (1e-3); TheDeepChecker, TOSEM 2023 ([1e-4, 1e-1]).
    """
    run = evidence.run
    assert run is not None
    late = [step for step in run.steps[1:] if step.step >= warmup]
    if len(late) < checks:
        return
    measured = {name: [step.weights[name][1] for step in late if name in step.weights] for name in late[-1].weights}
    finite = {name: [value for value in values if math.isfinite(value)] for name, values in measured.items()}
    usual = {name: statistics.median(values) for name, values in finite.items() if len(values) >= checks}
    fast = [name for name, value in usual.items() if value > high]
    if fast:
        fast = [name for name in fast if usual[name] > severe] or fast
        limit = severe if usual[fast[0]] > severe else high
        message = f"a step changes {_named(fast)} by {usual[fast[0]]:.2g} of its size, above {limit:g}, at a rate of "
        remedy = "a smaller learning rate; tricks=[lr_finder]"
        yield Symptom(_module(fast[0]), f"{message}{late[-1].lr:.3g}", remedy, None if limit == severe else "info")
    is_full = late[-1].lr >= 0.5 * max(step.lr for step in run.steps)
    slow = [name for name, value in usual.items() if value < low]
    if slow and is_full and _has_far_to_go(run):
        message = f"a step changes {_named(slow)} by {usual[slow[0]]:.2g} of its size, below {low:g}, at a rate of "
        remedy = "a larger learning rate; tricks=[lr_finder]"
        yield Symptom(_module(slow[0]), f"{message}{late[-1].lr:.3g}", remedy, "info")


def _has_far_to_go(run: RunFacts) -> bool:
    """Say whether the loss is above half of where it started, untrained."""
    curve = run.losses
    return not run.start.trained and bool(curve.first) and curve.recent() > 0.5 * curve.first[0] > 0


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _named(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"
