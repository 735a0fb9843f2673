"""Non-finite losses and unchanged parameters during training."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ParameterFact
from lightning_tricks.doctor.rules.num.operations import remedy_for
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("RUN003", "error", kind="run", needs=("run",))
def nan_or_inf(evidence: Evidence) -> Iterator[Symptom]:
    """A loss that is NaN or infinite during training.

    What it looks at:  the loss of every step, read every ``log_every_n_steps`` steps and at the end of an epoch. On a
                       CPU, the first step whose loss or gradients are not finite is run again before the optimizer
                       step, which names the first module and operation with a result that is not finite; of several
                       processes, by the one whose loss it is. On other devices this would need a wait in each step.
    Why it matters:    its gradients are NaN, and so are all weights after one step with them.
    Try:               a smaller learning rate; ``tricks=[gradient_clipping]``, which skips such steps;
                       ``Trainer(detect_anomaly=True)`` names the operation.
    False alarms:      the first steps under fp16, which a GradScaler skips.
    References:        Wardat et al., DeepLocalize, 2021.
    """
    if evidence.run is not None and evidence.run.first_bad_step is not None:
        numerics = evidence.run.numerics
        rank = f" on rank {numerics.rank}" if numerics is not None and numerics.rank is not None else ""
        message = f"NaN or infinite at step {evidence.run.first_bad_step}{rank}"
        remedy = "tricks=[gradient_clipping], which skips such steps, or a smaller learning rate"
        fault = numerics.forward or numerics.backward if numerics is not None else None
        if fault is not None:
            source = "" if numerics is not None and numerics.forward else "the backward pass of "
            module = f" in `{fault.module}`" if fault.module else ""
            message = f"{message}: {source}`{fault.op}`{module} produced the first {fault.result} value"
            remedy = remedy_for(fault)
        yield Symptom("loss", message, remedy)


@rule("RUN008", "warning", kind="run", needs=("run",))
def params_not_changing(evidence: Evidence) -> Iterator[Symptom]:
    """A layer that does not change during training.

    What it looks at:  the bits of every trainable parameter before and after the first epoch; only layers in which
                       nothing has changed are reported. Layers whose gradient was nonzero in the first step are
                       reported only if the second epoch has not changed them either.
    Why it matters:    a part of the model does not learn: it gets no gradient, or it is in no optimizer.
    Try:               pass it to the optimizer and use it in the loss, or ``requires_grad_(False)``.
    False alarms:      info for a copy of another part without a gradient, such as a target network, and for parameters
                       outside layers without a gradient, such as a mask token; embeddings whose rows were not used;
                       bf16 weights whose updates are rounded away. Layers with a learning rate of 0 are left out; so is
                       a bias before a BatchNorm, whose weight changes.
    References:        torcheck documentation, "unchanged parameters".
    """
    still = set(evidence.run.unchanged) if evidence.run is not None else set()
    for module in evidence.model.modules:
        own = [
            parameter
            for parameter in evidence.model.parameters
            if parameter.module == module.path and parameter.requires_grad
        ]
        if own and still.issuperset(parameter.name for parameter in own):
            names = ", ".join(parameter.name.rpartition(".")[2] for parameter in own)
            message = f"{module.kind}'s {names} did not change in {_epochs(evidence, own)}"
            remedy = "pass it to the optimizer and use it in the loss, or `requires_grad_(False)`"
            without = evidence.run.start.without_gradient if evidence.run is not None else ()
            is_spare = evidence.model.is_copy(module.path) or not evidence.model.is_layer(module.path)
            by_design = is_spare and all(each.name in without for each in own)
            yield Symptom(module.path, message, remedy, "info" if by_design else None)


@rule("RUN011", "error", kind="run", needs=("run",))
def no_optimizer_step(evidence: Evidence, *, batches: int = 2) -> Iterator[Symptom]:
    """A first epoch without an optimizer step.

    What it looks at:  the first epoch: whether an optimizer has stepped, or any parameter has changed.
    Why it matters:    nothing is trained. Under manual optimization ``optimizer.step()`` is missing; otherwise
                       ``training_step`` returns None, so that Lightning skips every batch.
    Options:           ``batches``: shorter epochs are not judged.
    Try:               ``self.optimizers().step()`` after ``manual_backward``; ``return loss``.
    False alarms:      accumulation over more than an epoch under manual optimization.
    References:        Lightning documentation, "Manual Optimization".
    """
    count = evidence.run.idle_batches if evidence.run is not None else 0
    if count >= batches:
        message = f"no optimizer stepped and no parameter changed in the {count} batches of the first epoch"
        yield Symptom("optimizers", message, "call optimizer.step(), or return the loss from training_step")


def _epochs(evidence: Evidence, own: list[ParameterFact]) -> str:
    without = evidence.run.start.without_gradient if evidence.run is not None else ()
    return "the first epoch" if any(parameter.name in without for parameter in own) else "the first two epochs"
