"""Steps under manual optimization."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("OPT010", "error", kind="run", needs=("run",))
def missing_zero_grad(evidence: Evidence) -> Iterator[Symptom]:
    """Gradients that are not zeroed between steps under manual optimization.

    What it looks at:  whether the gradients of an optimizer are None or zero before a backward pass between two of its
                       steps; reported if they were not at two steps of the first epoch. Only without
                       ``automatic_optimization``.
    Why it matters:    each step uses the sum of all gradients so far: the loss falls at first, then training breaks.
    Try:               ``optimizer.zero_grad()`` before ``manual_backward``, once per step.
    False alarms:      none known; gradient accumulation takes no step in between and is not reported.
    References:        Humbatova et al., Taxonomy of real faults in deep learning systems, 2020.
    """
    for index in evidence.run.not_zeroed if evidence.run is not None else ():
        message = "its gradients still contained those of the previous step, in at least two steps"
        yield Symptom(f"optimizer {index}", message, "optimizer.zero_grad() before manual_backward")


@rule("OPT019", "error", kind="batch", needs=("step",), explains=("RUN008",))
def gradients_cleared_before_step(evidence: Evidence) -> Iterator[Symptom]:
    """Gradients that are cleared between the backward pass and a manual step.

    What it looks at:  whether an optimizer of which ``manual_backward`` computed gradients has none when it steps.
    Why it matters:    the step changes nothing.
    Try:               ``zero_grad``, ``manual_backward``, ``step``, in this order.
    False alarms:      none known.
    References:        PyTorch documentation, ``Optimizer.zero_grad``.
    """
    for index in evidence.step.cleared if evidence.step is not None else ():
        message = "its gradients are cleared between manual_backward and step, which changes nothing"
        yield Symptom(f"optimizer {index}", message, "zero_grad, manual_backward, step, in this order")
