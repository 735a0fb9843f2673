"""Non-finite values in the batch."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("DAT006", "error", kind="batch", needs=("batch",))
def nan_in_inputs(evidence: Evidence) -> Iterator[Symptom]:
    """Inputs or targets that are not finite.

    What it looks at:  NaN and infinite values in the tensors of the batch.
    Why it matters:    one such value makes the loss and all gradients NaN, and all weights after one step.
    Try:               drop or fill these rows in the dataset.
    False alarms:      missing values that the model masks: a warning if the loss is finite.
    References:        Humbatova et al., Taxonomy of real faults in deep learning systems, 2020.
    """
    assert evidence.batch is not None
    loss = evidence.step.loss if evidence.step else None
    for leaf in evidence.batch.leaves:
        found = leaf.tensor.statistics if leaf.tensor else None
        if found is not None and found.nonfinite:
            message = (
                f"{leaf.kind} {leaf.path or 'of the batch'} has {found.nonfinite} NaN or Inf of {found.count} values"
            )
            survived = loss is not None and math.isfinite(loss)
            yield Symptom("batch", message, "drop or fill such rows", "warning" if survived else None)
