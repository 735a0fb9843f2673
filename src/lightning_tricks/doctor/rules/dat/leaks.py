"""Targets among the inputs."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.roles import inputs, targets
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("DAT019", "warning", kind="batch", needs=("batch",))
def target_among_inputs(evidence: Evidence) -> Iterator[Symptom]:
    """A column of the inputs that contains the target.

    What it looks at:  tables of at least 32 rows: columns that are an exact linear function of the class indices or
                       other whole numbers that are the target.
    Why it matters:    the model learns to copy the column. The scores are perfect until it is used on rows whose target
                       is unknown.
    Try:               drop the column before the table is made into tensors.
    False alarms:      a feature that determines the target by definition, in an exercise.
    References:        Kaufman et al., Leakage in Data Mining, 2012; Kapoor & Narayanan, 2023.
    """
    assert evidence.batch is not None
    given, wanted = {leaf.path for leaf in inputs(evidence)}, {leaf.path for leaf in targets(evidence)}
    for found in evidence.batch.repeats:
        if found.path in given and found.of in wanted:
            where = f"batch {found.path}".strip()
            message = f"column {found.column} is a linear function of the target, in every row of the batch"
            yield Symptom(where, message, "drop the column")
