"""Backward passes that are written by hand."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("GRD001", "error", kind="batch", needs=("influence",))
def wrong_gradient(evidence: Evidence) -> Iterator[Symptom]:
    """An ``autograd.Function`` whose backward pass is wrong.

    What it looks at:  the first call of each function of the user's: its derivative along three directions in double
                       precision, by ``backward`` and by central differences.
    Why it matters:    the model trains, only worse: nothing raises.
    Try:               ``torch.autograd.gradcheck``; derive ``backward`` anew.
    False alarms:      steps and identities, whose gradient is another one on purpose (straight-through estimators,
                       gradient reversal), are info; functions that draw random numbers are left out.
    References:        PyTorch documentation, "Gradcheck mechanics".
    """
    for found in evidence.influence.gradients if evidence.influence is not None else ():
        message = f"the gradient of `{found.function}` is off by {found.error:.0%} of its size"
        yield Symptom(
            "", message, "torch.autograd.gradcheck, and derive `backward` anew", "info" if found.designed else None
        )
