"""Single units that start at zero."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.roles import weights
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("INI006", "info", kind="static")
def zero_unit(evidence: Evidence) -> Iterator[Symptom]:
    """Units or filters whose weights are all zero, in a layer with nonzero weights.

    What it looks at:  the rows of each weight.
    Why it matters:    such a unit ignores its inputs until the gradient changes it; before a ReLU this may never
                       happen.
    Try:               initialize the whole layer again.
    False alarms:      pruned layers; a layer whose weights are all zero is reported by constant-init-weights.
    References:        He et al., Delving Deep into Rectifiers, 2015.
    """
    for weight in weights(evidence):
        if 0 < weight.zero_rows < weight.shape[0]:
            message = f"{weight.zero_rows} of {weight.shape[0]} units have weights of exactly 0"
            yield Symptom(weight.name, message, "initialize the whole layer")
