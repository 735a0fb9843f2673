"""What keeps the doctor from looking at all."""

from collections.abc import Iterator

from lightning_tricks.doctor.evidence import Evidence
from lightning_tricks.doctor.rule import Symptom, rule


@rule("DOC001", "error", kind="B")
def model_refuses_batch(evidence: Evidence) -> Iterator[Symptom]:
    """The model raises on the batch.

    What it looks at:  an exception of ``training_step`` or ``forward`` on the batch.
    Why it matters:    training would end there, too; rules that need the batch were not checked.
    Try:               the line that is named; the batch's shapes and types are in the evidence.
    False alarms:      a module that needs a running Trainer: use the ``Doctor`` callback.
    References:        none.
    """
    error = evidence.error
    if error is None:
        return
    place = f" ({error.file}:{error.line} in {error.function})" if error.file else ""
    message = f"{error.phase} raised {error.kind}: {error.message}{place}"
    yield Symptom(error.module, message, "mend that line, or give the batch that it expects")
