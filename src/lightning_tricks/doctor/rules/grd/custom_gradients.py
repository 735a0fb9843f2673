"""Custom backward passes."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("GRD001", "error", kind="batch", needs=("influence",))
def wrong_gradient(evidence: Evidence) -> Iterator[Symptom]:
    """An ``autograd.Function`` whose backward pass is wrong.

    What it looks at:  the first call of each user-defined function: its derivative in three directions in double
                       precision, computed by ``backward`` and by central differences.
    Why it matters:    the model still trains, but worse, and no error is raised.
    Try:               ``torch.autograd.gradcheck``; derive ``backward`` again.
    False alarms:      step functions and identities whose gradient differs on purpose (straight-through estimators,
                       gradient reversal) are info; functions that draw random numbers are left out.
    References:        PyTorch documentation, "Gradcheck mechanics".
    """
    for found in evidence.influence.gradients if evidence.influence is not None else ():
        message = f"the gradient of `{found.function}` has a relative error of {found.error:.0%}"
        yield Symptom(
            "", message, "torch.autograd.gradcheck, and derive `backward` again", "info" if found.designed else None
        )
