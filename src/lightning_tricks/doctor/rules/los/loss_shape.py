"""The value that a training step returns: none, or one of more than one number."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("LOS013", "error", kind="batch", needs=("trace", "step"))
def loss_not_scalar(evidence: Evidence) -> Iterator[Symptom]:
    """A loss that is not a scalar.

    What it looks at:  the shape of the value that ``training_step`` returns under automatic optimization.
    Why it matters:    PyTorch computes gradients of scalars only: the backward pass raises an error.
    Try:               ``reduction="mean"``, or ``.mean()`` after the weights are applied.
    False alarms:      none known; manual optimization is left out.
    References:        PyTorch documentation, ``torch.Tensor.backward``.
    """
    trace, step = evidence.trace, evidence.step
    assert trace is not None
    assert step is not None
    if trace.entry != "training_step" or trace.loss is None or step.manual:
        return
    loss = trace.operations[trace.loss]
    if math.prod(loss.shape) > 1:
        message = f"`training_step` returns {math.prod(loss.shape)} numbers of shape {list(loss.shape)}, not a scalar"
        yield Symptom("loss", message, 'reduction="mean", or .mean() of the weighted losses')


@rule("LOS014", "warning", kind="batch", needs=("trace", "step"))
def no_loss(evidence: Evidence) -> Iterator[Symptom]:
    """A training step that returns no loss.

    What it looks at:  whether ``training_step`` returns a loss under automatic optimization. An error if it computes
                       one that nothing uses.
    Why it matters:    Lightning skips the batch without a message: nothing is trained. Typically the ``return`` is
                       missing.
    Try:               ``return loss``, or ``return {"loss": loss, ...}``.
    False alarms:      a step that returns None for a batch that it skips on purpose, if this is the first batch.
    References:        Lightning documentation, ``LightningModule.training_step``.
    """
    trace, step = evidence.trace, evidence.step
    assert trace is not None
    assert step is not None
    if trace.entry != "training_step" or step.loss is not None or step.manual or step.backwards:
        return
    graph = evidence.graph
    dropped = [loss for index, loss in graph.find(*LOSSES) if loss.requires_grad and not graph.users[index]]
    message = "`training_step` returns no loss, so the batch is skipped"
    if dropped:
        message = f"`training_step` computes `{dropped[-1].op}` and does not return it, so the batch is skipped"
    yield Symptom("loss", message, "return the loss", "error" if dropped else None)
