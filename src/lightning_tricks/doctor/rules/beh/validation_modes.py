"""The modes of modules during validation."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("BEH005", "error", kind="run", needs=("run",))
def train_mode_in_validation(evidence: Evidence) -> Iterator[Symptom]:
    """Modules that are in training mode during validation.

    What it looks at:  batch norms and active dropouts after the first batch of each validation run.
    Why it matters:    batch norm scales rows by the batch that they happen to be in, and takes validation rows into its
                       statistics; dropout thins what is validated.
    Try:               no ``self.train()`` in the hooks of validation; ``on_validation_model_eval`` as Lightning has it.
    False alarms:      dropout that is left on to sample predictions: hence info for dropout.
    References:        PyTorch documentation, ``Module.eval``.
    """
    for path in evidence.run.training_modes if evidence.run is not None else ():
        module = evidence.model.module(path)
        if module is not None:
            severity: Severity = "error" if module.isa("_BatchNorm") else "info"
            message = f"{module.kind} is in training mode during validation"
            yield Symptom(path, message, "self.eval() before validation, and no self.train() within it", severity)
