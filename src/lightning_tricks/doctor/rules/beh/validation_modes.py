"""The modes of modules during validation."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("BEH005", "error", kind="run", needs=("run",))
def train_mode_in_validation(evidence: Evidence) -> Iterator[Symptom]:
    """Modules that are in training mode during validation.

    What it looks at:  batch norms and active dropout after the first batch of each validation run.
    Why it matters:    batch norm normalizes rows with the statistics of their batch and updates its running statistics
                       with validation rows; dropout zeroes activations that are validated.
    Try:               no ``self.train()`` in validation hooks; Lightning's default ``on_validation_model_eval``.
    False alarms:      dropout that stays on to sample predictions: hence info for dropout.
    References:        PyTorch documentation, ``Module.eval``.
    """
    for path in evidence.run.training_modes if evidence.run is not None else ():
        module = evidence.model.module(path)
        if module is not None:
            severity: Severity = "error" if module.isa("_BatchNorm") else "info"
            message = f"{module.kind} is in training mode during validation"
            yield Symptom(path, message, "self.eval() before validation, and no self.train() during it", severity)
