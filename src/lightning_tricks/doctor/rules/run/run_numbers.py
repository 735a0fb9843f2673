"""What the numbers of a run say while it trains."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("RUN003", "error", kind="R", needs=("run",))
def nan_or_inf(evidence: Evidence) -> Iterator[Symptom]:
    """A loss that is NaN or infinite during training.

    What it looks at:  the loss of every step, read each ``log_every_n_steps`` and at the end of an epoch.
    Why it matters:    its gradients are NaN, and after one step with them all weights are.
    Try:               ``tricks/gradient_clipping``, which leaves out such steps; a smaller learning rate;
                       ``Trainer(detect_anomaly=True)`` names the operation.
    False alarms:      steps that a GradScaler skips, in the first steps under fp16.
    References:        Wardat et al., DeepLocalize, 2021.
    """
    if evidence.run is not None and evidence.run.first_bad_step is not None:
        message = f"NaN or infinite at step {evidence.run.first_bad_step}"
        remedy = "tricks/gradient_clipping, which leaves out such steps, or a smaller learning rate"
        yield Symptom("loss", message, remedy)


@rule("OPT010", "error", kind="R", needs=("run",))
def missing_zero_grad(evidence: Evidence) -> Iterator[Symptom]:
    """Gradients that are not zeroed between steps, under manual optimization.

    What it looks at:  whether a backward pass between two steps of an optimizer finds its gradients gone or zero; told
                       of where two steps of the first epoch had none. Without ``automatic_optimization`` alone.
    Why it matters:    each step goes along the sum of all gradients so far: the loss falls, then breaks.
    Try:               ``optimizer.zero_grad()`` before ``manual_backward``, once a step.
    False alarms:      none known; accumulation, which takes no step between, is none.
    References:        Humbatova et al., Taxonomy of real faults in deep learning systems, 2020.
    """
    for index in evidence.run.not_zeroed if evidence.run is not None else ():
        message = "its gradients still held those of the step before, in two steps at least"
        yield Symptom(f"optimizer {index}", message, "optimizer.zero_grad() before manual_backward")


@rule("BEH005", "error", kind="R", needs=("run",))
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


@rule("RUN008", "warning", kind="R", needs=("run",))
def params_not_changing(evidence: Evidence) -> Iterator[Symptom]:
    """A layer that an epoch of training left as it was.

    What it looks at:  the bits of every trainable parameter before and after the first epoch; only layers of which
                       nothing has changed are spoken of.
    Why it matters:    a part of the model does not learn: no gradient reaches it, or no optimizer holds it.
    Try:               give it to the optimizer and use it in the loss; else ``requires_grad_(False)``.
    False alarms:      embeddings of which no row was used; bf16 weights whose updates are rounded away. A bias before
                       a BatchNorm, whose gradient is rounding noise, is none: its weight changes.
    References:        torcheck documentation, "unchanged parameters".
    """
    still = set(evidence.run.unchanged) if evidence.run is not None else set()
    for module in evidence.model.modules:
        own = [one for one in evidence.model.parameters if one.module == module.path and one.requires_grad]
        if own and still.issuperset(one.name for one in own):
            names = ", ".join(one.name.rpartition(".")[2] for one in own)
            message = f"{module.kind}'s {names} did not change in the first epoch"
            remedy = "give it to the optimizer and use it in the loss, or `requires_grad_(False)`"
            yield Symptom(module.path, message, remedy)
