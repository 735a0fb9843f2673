"""Weight decay compared with the gradient that it is added to."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ParameterFact
from lightning_tricks.doctor.facts.optimizer_families import groups_of
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("OPT014", "warning", kind="batch", needs=("optimizers", "step"))
def weight_decay_above_gradient(evidence: Evidence, *, ratio: float = 10.0) -> Iterator[Symptom]:
    """Weight decay that is larger than the gradient.

    What it looks at:  for optimizers that add ``weight_decay * weight`` to the gradient: the norm of this term and the
                       norm of the gradient of the traced step, over all weights of a group.
    Why it matters:    the weights shrink towards zero regardless of the loss.
    Options:           ``ratio``: the largest ratio of decay to gradient.
    Try:               ``weight_decay=1e-4`` or less, or AdamW, whose decay is not added to the gradient.
    False alarms:      a model whose loss is already at its minimum.
    References:        Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, §2.
    """
    assert evidence.step is not None
    gradients = {fact.name: fact.norm for fact in evidence.step.gradients if fact.norm and not fact.nonfinite}
    for where, group, optimizer, family in groups_of(evidence):
        decay = group.settings.get("weight_decay")
        if family is None or family.decoupled is not False or not isinstance(decay, (int, float)):
            continue
        names = [name for name in group.parameters if name in gradients]
        gradient = math.hypot(*(gradients[name] or 0.0 for name in names))
        added = decay * math.hypot(*(_norm(evidence.model.parameter(name)) for name in names))
        if gradient and added > ratio * gradient:
            message = (
                f"{optimizer.kind}'s weight_decay = {decay:g} adds {added:.2g} to a gradient of norm {gradient:.2g}: "
                f"{added / gradient:.0f} times as much, above {ratio:g}"
            )
            yield Symptom(where, message, "weight_decay=1e-4 or less")


def _norm(parameter: ParameterFact | None) -> float:
    found = parameter.statistics if parameter is not None else None
    return 0.0 if found is None else math.sqrt(found.count * (found.mean**2 + found.std**2))
