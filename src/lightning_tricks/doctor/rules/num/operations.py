"""The first operation that produced a non-finite value, in the step or in its backward pass."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.numeric_facts import ArgumentFact, FaultyOperation, NumericFacts
from lightning_tricks.doctor.rules.rule import Symptom, rule

_REMEDIES = {
    "sqrt": "torch.sqrt(x + 1e-12), or clamp_min(1e-12) first",
    "rsqrt": "torch.rsqrt(x + 1e-12), or clamp_min(1e-12) first",
    "log": "log_softmax or logsigmoid on the logits; else torch.log(x + 1e-12)",
    "log2": "torch.log2(x + 1e-12)",
    "log10": "torch.log10(x + 1e-12)",
    "log1p": "keep its argument above -1: clamp_min(-1 + 1e-6)",
    "div": "add 1e-12 to the denominator, or clamp_min it",
    "reciprocal": "add 1e-12 to the denominator, or clamp_min it",
    "acos": "clamp(-1 + 1e-6, 1 - 1e-6) first",
    "asin": "clamp(-1 + 1e-6, 1 - 1e-6) first",
    "atanh": "clamp(-1 + 1e-6, 1 - 1e-6) first",
    "pow": "clamp_min(1e-12) first: a fractional or negative power needs a positive base",
    "exp": "clamp(max=...) the exponent, or work with logarithms (torch.logsumexp)",
    "softmax": "leave one position of each row unmasked, or mask by a large finite number",
    "log_softmax": "leave one position of each row unmasked, or mask by a large finite number",
    "scaled_dot_product_attention": "leave one key of each query unmasked",
    "multi_head_attention_forward": "leave one key of each query unmasked",
    "std": "torch.sqrt(x.var(unbiased=False) + 1e-12), over more than one value",
    "var": "unbiased=False, over more than one value",
    "norm": "torch.sqrt((x ** 2).sum() + 1e-12)",
    "vector_norm": "torch.sqrt((x ** 2).sum() + 1e-12)",
    "cdist": "torch.sqrt of the squared distances + 1e-12",
    "mean": "skip empty selections",
    "cross_entropy": "pass at least one target that is not `ignore_index`, and finite logits",
    "nll_loss": "pass at least one target that is not `ignore_index`",
    "binary_cross_entropy": "binary_cross_entropy_with_logits on the logits",
}
_OTHERWISE = "check the inputs of the operation: scale them, or bound them"


@rule("NUM001", "error", kind="batch", needs=("numerics",), explains=("LOS003", "NUM002"))
def nonfinite_operation(evidence: Evidence) -> Iterator[Symptom]:
    """An operation that produces NaN or infinity from finite numbers.

    What it looks at:  a step whose loss is not finite is run again: the first operation on the path to the loss that
                       has finite inputs and a result that is not finite. In a fit on a CPU, it is the same step that
                       failed.
    Why it matters:    one optimizer step with such a loss sets every weight to NaN. Gradient clipping does not help:
                       NaN stays NaN.
    Try:               depends on the operation: an epsilon under a root or in a denominator, ``log_softmax``, masks
                       that leave one position, a clamp before ``acos``.
    False alarms:      infinite values that a mask inserts on purpose are left out.
    References:        Wardat et al., DeepLocalize, 2021.
    """
    numerics = evidence.numerics
    assert numerics is not None
    fault = numerics.forward
    if fault is not None:
        end = f"the loss{_step_of(numerics)} is not finite"
        if evidence.errors:
            end = f"then the step raises {evidence.errors[-1].kind}"
        message = f"`{fault.op}`{_place_of(fault)} produces {fault.result} values{_inputs_of(fault)}: {end}"
        yield Symptom(fault.module or "loss", message, remedy_for(fault))


@rule("NUM002", "error", kind="batch", needs=("numerics",))
def nonfinite_gradient(evidence: Evidence) -> Iterator[Symptom]:
    """A non-finite gradient at a finite loss.

    What it looks at:  the gradients of a step. If one of them is not finite, the first operation whose backward pass
                       turned finite gradients into NaN or infinity.
    Why it matters:    the loss looks normal until the first optimizer step, which sets the weights to NaN.
    Try:               keep the argument away from points where the slope is infinite: ``sqrt``, ``norm`` and ``pow`` at
                       0, ``acos`` at 1, ``std`` of equal values. ``torch.where`` after the operation does not help,
                       because 0 times infinity is NaN: replace the argument before the operation.
    False alarms:      the first steps under a GradScaler, which skips them.
    References:        PyTorch documentation, "Autograd mechanics: gradients for non-differentiable functions".
    """
    numerics = evidence.numerics
    assert numerics is not None
    names = numerics.parameters
    if not names:
        return
    shown = names[0] + (" …" if len(names) > 1 else "")
    found, fault = f"{len(names)} gradients are not finite{_step_of(numerics)} ({shown})", numerics.backward
    if fault is None:
        yield Symptom("loss", f"{found} at a finite loss", "Trainer(detect_anomaly=True) names the operation")
        return
    masked = ", though its result is masked out afterwards" if fault.unused else ""
    source = f"the backward pass of `{fault.op}`{_place_of(fault)}"
    message = f"{source} produces {fault.result} gradients{_inputs_of(fault)}{masked}; {found}"
    first = "replace the argument before the operation (torch.where on its input); " if fault.unused else ""
    yield Symptom(fault.module or "loss", message, first + remedy_for(fault))


def remedy_for(fault: FaultyOperation) -> str:
    """Return the remedy for an operation that produces non-finite values."""
    return _REMEDIES.get(fault.op.removeprefix("linalg_"), _OTHERWISE)


def _step_of(numerics: NumericFacts) -> str:
    return "" if numerics.step is None else f" of step {numerics.step}"


def _place_of(fault: FaultyOperation) -> str:
    return f" ({fault.place})" if fault.place else ""


def _inputs_of(fault: FaultyOperation) -> str:
    """Return what is unusual about the inputs of the operation."""
    notes = [note for argument in fault.arguments if (note := _note(fault.op, argument))]
    return f" of {notes[0]}" if notes else ""


def _note(op: str, argument: ArgumentFact) -> str:
    if op == "div" and argument.name not in ("other", "divisor"):
        return ""
    if 0 in argument.shape:
        return "an empty selection"
    if argument.closed_rows:
        return f"{argument.closed_rows} fully masked rows"
    zeros = f", {argument.zeros} of them 0" if argument.zeros else ""
    return f"values in [{argument.low:.3g}, {argument.high:.3g}]{zeros}"
