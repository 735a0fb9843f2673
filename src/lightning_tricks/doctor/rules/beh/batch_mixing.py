"""Outputs of a sample that depend on the other samples of the batch."""

from lightning_tricks.doctor.facts.behaviour_facts import BehaviourFacts
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import LOSSES, RECURRENT
from lightning_tricks.doctor.facts.trace_facts import Operation
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms, rule


@rule("BEH002", "error", kind="batch", needs=("behaviour",))
def batch_mixing(evidence: Evidence, *, tolerance: float = 1e-5, order: float = 1e-3) -> Symptoms:
    """A sample's output that depends on the other samples.

    What it looks at:  eval mode: one sample is replaced by a copy of its neighbor, and the largest relative change of
                       the outputs of the other samples is measured; then all samples are shifted by one position, and
                       the outputs must shift with them. If a recurrent layer or attention uses the samples as time
                       steps, it is named.
    Why it matters:    a wrong ``view`` or ``softmax`` mixes samples: training seems to work, but single predictions do
                       not.
    Options:           ``tolerance``: the relative change above which outputs count as changed; ``order``: the same for
                       samples in another order.
    Try:               ``batch_first=True``; ``transpose`` where ``view`` or ``reshape`` swaps dimensions; ``dim=`` of
                       reductions; batch norm with running statistics.
    False alarms:      graph networks and attention over the batch mix samples by design. With ``batch_first=False`` the
                       samples must be known from the loss or the loader; otherwise a finding is info. Outputs that are
                       square in the batch (similarities) are not checked.
    References:        Karpathy, A Recipe for Training Neural Networks, 2019; TheDeepChecker, 2023.
    """
    behaviour = evidence.behaviour
    assert behaviour is not None
    if behaviour.mixing_change is None:
        yield NotChecked(behaviour.reason or "outputs could not be compared")
        return
    message = _mixing(behaviour, tolerance, order)
    if not message:
        yield Observed(f"outputs change by {behaviour.mixing_change:.2g} with another sample, allowed {tolerance:g}")
        return
    first = [module.path for module in evidence.model.modules if module.settings.get("batch_first") is False]
    layer = _sequence_first_layer(evidence) if first else None
    if first and not _rows_are_samples(evidence) and (layer is None or _rows_of_losses(evidence)):
        yield NotChecked(f"{first[0] or 'the model'} expects sequences first, samples second")
        return
    if layer is not None:
        shape = list(layer.input_shapes[0])
        cause = f"`{layer.op}` has batch_first=False and uses the {shape[0]} samples of {shape} as time steps"
        severity: Severity | None = None if _rows_are_samples(evidence) else "info"
        yield Symptom(
            layer.module, f"{cause}: {message}", "batch_first=True, or transpose(0, 1) before and after", severity
        )
    else:
        remedy = "keep dimension 0 in every view, reshape, flatten and softmax; transpose to swap dimensions"
        yield Symptom(behaviour.module, message, remedy)


def _mixing(behaviour: BehaviourFacts, tolerance: float, order: float) -> str:
    """Return a description of how a sample depends on others; empty if it does not."""
    if (behaviour.mixing_change or 0.0) > tolerance:
        change = behaviour.mixing_change
        return f"one sample changes others' outputs by {change:.2g}, above {tolerance:g} (eval mode)"
    if (behaviour.roll_change or 0.0) > order:
        change = behaviour.roll_change
        return f"outputs change by {change:.2g}, above {order:g}, when the samples are in another order (eval mode)"
    return ""


def _sequence_first_layer(evidence: Evidence) -> Operation | None:
    """Return the first layer that uses the samples of the batch as time steps."""
    size = evidence.batch.size if evidence.batch is not None else None
    for _, call in (
        evidence.graph.find(*RECURRENT, "multi_head_attention_forward") if evidence.trace is not None else ()
    ):
        module = evidence.model.module(call.module)
        is_first = module is not None and module.settings.get("batch_first") is False
        shape = call.input_shapes[0] if call.input_shapes else ()
        if is_first and len(shape) == 3 and shape[0] == size != shape[1]:
            return call
    return None


def _rows_are_samples(evidence: Evidence) -> bool:
    """Return whether the loss, or the loader, has as many samples as most inputs have rows."""
    size, loader = evidence.batch.size if evidence.batch is not None else None, evidence.train_loader
    return size in _rows_of_losses(evidence) or (loader is not None and loader.batch_size == size)


def _rows_of_losses(evidence: Evidence) -> set[int]:
    if evidence.trace is None:
        return set()
    shapes = (loss.input_shapes[0] for _, loss in evidence.graph.find(*LOSSES) if loss.input_shapes)
    return {shape[0] for shape in shapes if shape}
