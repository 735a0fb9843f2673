"""Single units that start at zero."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.roles import weights
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("INI006", "info", kind="static")
def zero_unit(evidence: Evidence) -> Iterator[Symptom]:
    """Units or filters whose weights are all zero, in a layer where others are not.

    What it looks at:  the rows of each weight.
    Why it matters:    such a unit ignores its inputs until the gradient moves it; behind a ReLU it may never be.
    Try:               initialize the whole layer again.
    False alarms:      pruned layers; a layer that is zero as a whole is another rule's.
    References:        He et al., Delving Deep into Rectifiers, 2015.
    """
    for weight in weights(evidence):
        if 0 < weight.zero_rows < weight.shape[0]:
            message = f"{weight.zero_rows} of {weight.shape[0]} units have weights of exactly 0"
            yield Symptom(weight.name, message, "initialize the whole layer")
