"""Gradients and updates during training."""

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
    """Layers with vanishing gradients.

    What it looks at:  the root mean square of the gradient of each matrix and kernel relative to the largest one, and
                       the relative change of its values in a step, at some steps (one in ``log_every_n_steps``), while
                       the loss is above half of its initial value.
    Why it matters:    the layers before the point where the gradient vanishes keep their initial weights.
    Options:           ``ratio``: the gradient relative to the largest one; ``update``: the relative change in a step;
                       it is reported if both are below their limit. ``checks``: the number of consecutive measured
                       steps; ``steps``: earlier steps are not judged, because a branch that starts near zero gets its
                       gradient later.
    Try:               ReLU or GELU between layers, He initialization, normalization, residual connections.
    False alarms:      none known: if an optimizer such as Adam scales small gradients up, the layers change. Gradients
                       that are exactly zero are reported by other rules (RUN008, ACT003).
    References:        Glorot & Bengio, 2010; Zhang et al., AutoTrainer, ICSE 2021.
    """
    run = evidence.run
    assert run is not None
    last = run.steps[-checks:]
    if len(last) < checks or last[-1].step < steps or not _loss_is_still_high(run):
        return
    still = [name for name in last[-1].weights if all(_is_lost(name, step, ratio, update) for step in last)]
    if not still:
        return
    first, largest = still[0], max(gradient for gradient, _ in last[-1].weights.values())
    gradient, moved = last[-1].weights[first]
    message = (
        f"{_named(still)}: a gradient of {gradient:.2g} (root mean square), {gradient / largest:.1g} of the largest "
        f"layer's, below {ratio:g}, and a step changes it by {moved:.1g} of its size, below {update:g}, "
        f"at {checks} consecutive measured steps"
    )
    yield Symptom(
        _module(first), message, "nn.ReLU() or nn.GELU(), kaiming_normal_, normalization or residual connections"
    )


def _is_lost(name: str, step: StepFact, ratio: float, update: float) -> bool:
    gradient, moved = step.weights.get(name, (math.nan, math.nan))
    largest = max(weight for weight, _ in step.weights.values())
    return 0 < gradient < ratio * largest and moved < update and step.lr > 0


@rule("RUN002", "error", kind="run", needs=("run",))
def exploding_gradients(evidence: Evidence, *, growth: float = 1e3) -> Symptoms:
    """Exploding gradients.

    What it looks at:  the norm of all gradients at some steps (one in ``log_every_n_steps``) against the median of the
                       earlier ones, if the loss is also higher than at the start; or a norm that is not finite.
    Why it matters:    a single step with such a gradient moves the weights far away and destroys what was learned.
    Options:           ``growth``: the norm over the median of the earlier norms.
    Try:               ``tricks=[gradient_clipping]``; a smaller learning rate, or a warm-up.
    False alarms:      steps that a GradScaler skips are not judged; a rare hard sample late in training has gradients
                       far above the median, but does not raise the loss above its initial value.
    References:        Pascanu et al., On the difficulty of training recurrent neural networks, 2013; AutoTrainer, 2021.
    """
    run = evidence.run
    assert run is not None
    if run.steps:
        yield Observed(f"gradient norms up to {max(step.norm for step in run.steps):.3g}")
    for i, step in enumerate(run.steps):
        if not math.isfinite(step.loss):
            continue  # nan-or-inf reports non-finite losses
        usual = statistics.median(each.norm for each in run.steps[:i]) if i else math.inf
        if not math.isfinite(step.norm):
            message = f"their norm is {step.norm:g} at step {step.step}, at a loss of {step.loss:.3g}"
        elif run.losses.first and step.norm > growth * usual and step.loss > run.losses.first[0]:
            message = (
                f"their norm is {step.norm:.3g} at step {step.step}, {step.norm / usual:.2g} × the median of the steps "
                f"before, above {growth:g} ×; the loss is {step.loss:.3g}, up from "
                f"{run.losses.first[0]:.3g} at the start"
            )
        else:
            continue
        yield Symptom("gradients", message, "tricks=[gradient_clipping]; a smaller learning rate, or a warm-up")
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
    """Steps that are very large or very small relative to the weights.

    What it looks at:  for each matrix and kernel, the relative change in a step (root mean squares): the median of the
                       last measured steps (one in ``log_every_n_steps``).
    Why it matters:    a weight that changes by a tenth in every step retains nothing that it has learned; a weight
                       that changes by a millionth makes no progress. A typical value is about a thousandth.
    Options:           ``high``, ``low``: the range; ``severe``: above this it is a warning; ``checks``: the minimum
                       number of measured steps; ``warmup``: earlier steps are not judged.
    Try:               a smaller or larger learning rate; ``tricks=[lr_finder]``.
    False alarms:      weights that still grow from zero, or that have little effect, change by up to a third at the
                       peak of a one-cycle learning rate: hence info up to ``severe``. Below the range it is also info,
                       and only while the loss is above half of its initial value and the learning rate has not been
                       reduced; pretrained weights are left out.
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
        message = (
            f"a step changes {_named(fast)} by {usual[fast[0]]:.2g} of its size, above {limit:g}, at a "
            "learning rate of "
        )
        remedy = "a smaller learning rate; tricks=[lr_finder]"
        yield Symptom(_module(fast[0]), f"{message}{late[-1].lr:.3g}", remedy, None if limit == severe else "info")
    is_full = late[-1].lr >= 0.5 * max(step.lr for step in run.steps)
    slow = [name for name, value in usual.items() if value < low]
    if slow and is_full and _loss_is_still_high(run):
        message = (
            f"a step changes {_named(slow)} by {usual[slow[0]]:.2g} of its size, below {low:g}, at a learning rate of "
        )
        remedy = "a larger learning rate; tricks=[lr_finder]"
        yield Symptom(_module(slow[0]), f"{message}{late[-1].lr:.3g}", remedy, "info")


def _loss_is_still_high(run: RunFacts) -> bool:
    """Return whether the loss of an untrained model is above half of its initial value."""
    curve = run.losses
    return not run.start.trained and bool(curve.first) and curve.recent() > 0.5 * curve.first[0] > 0


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _named(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"
