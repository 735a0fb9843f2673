"""The shape of the value that a training step returns."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
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
