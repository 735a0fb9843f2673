"""What manual optimization leaves undone."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("OPT010", "error", kind="run", needs=("run",))
def missing_zero_grad(evidence: Evidence) -> Iterator[Symptom]:
    """Gradients that are not zeroed between steps, under manual optimization.

    What it looks at:  whether a backward pass between two steps of an optimizer finds its gradients gone or zero; told
                       of where two steps of the first epoch had none. Without ``automatic_optimization`` alone.
    Why it matters:    each step goes along the sum of all gradients so far: the loss falls, then breaks.
    Try:               ``optimizer.zero_grad()`` before ``manual_backward``, once a step.
    False alarms:      none known; accumulation, which takes no step between, is none.
    References:        Humbatova et al., Taxonomy of real faults in deep learning systems, 2020.
    """
    for index in evidence.run.not_zeroed if evidence.run is not None else ():
        message = "its gradients still held those of the step before, in two steps at least"
        yield Symptom(f"optimizer {index}", message, "optimizer.zero_grad() before manual_backward")
