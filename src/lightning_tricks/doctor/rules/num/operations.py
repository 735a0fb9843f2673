"""Where the first value that is not finite was made, in the step and in its backward pass."""

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
    "mean": "leave out selections that are empty",
    "cross_entropy": "give it at least one target that is not `ignore_index`, and finite logits",
    "nll_loss": "give it at least one target that is not `ignore_index`",
    "binary_cross_entropy": "binary_cross_entropy_with_logits on the logits",
}
_OTHERWISE = "look at the values that it is given: scale them, or bound them"


@rule("NUM001", "error", kind="batch", needs=("numerics",), explains=("LOS003", "NUM002"))
def nonfinite_operation(evidence: Evidence) -> Iterator[Symptom]:
    """An operation that makes NaN or infinity of finite numbers.

    What it looks at:  a step whose loss is not finite, once more: the first operation on the way to the loss with
                       finite inputs and a result that is not. In a fit on a CPU, the very step that went wrong.
    Why it matters:    one step with such a loss makes every weight NaN. Clipping the gradient does not help: NaN stays.
    Try:               what fits the operation: an epsilon under a root or in a denominator, ``log_softmax``, masks that
                       leave one position, a clamp before ``acos``.
    False alarms:      infinite values that masks put in on purpose are left out.
    References:        Wardat et al., DeepLocalize, 2021.
    """
    numerics = evidence.numerics
    assert numerics is not None
    fault = numerics.forward
    if fault is not None:
        end = f"the loss{_when(numerics)} is not finite"
        if evidence.errors:
            end = f"then the step raises {evidence.errors[-1].kind}"
        message = f"`{fault.op}`{_at(fault)} makes {fault.result} values{_of(fault)}: {end}"
        yield Symptom(fault.module or "loss", message, remedy_for(fault))


@rule("NUM002", "error", kind="batch", needs=("numerics",))
def nonfinite_gradient(evidence: Evidence) -> Iterator[Symptom]:
    """A gradient that is not finite at a finite loss.

    What it looks at:  the gradients of a step; if one is not finite, the first operation whose backward pass turned
                       finite gradients into NaN or infinity.
    Why it matters:    the loss looks fine until the optimizer's first step, which makes the weights NaN.
    Try:               keep the argument away from where the slope is infinite: ``sqrt``, ``norm`` and ``pow`` at 0,
                       ``acos`` at 1, ``std`` of equal values. ``torch.where`` after the operation does not help, for
                       0 times infinity is NaN: change the argument before it.
    False alarms:      the first steps under a GradScaler, which skips them.
    References:        PyTorch documentation, "Autograd mechanics: gradients for non-differentiable functions".
    """
    numerics = evidence.numerics
    assert numerics is not None
    names = numerics.parameters
    if not names:
        return
    shown = names[0] + (" …" if len(names) > 1 else "")
    found, fault = f"{len(names)} gradients are not finite{_when(numerics)} ({shown})", numerics.backward
    if fault is None:
        yield Symptom("loss", f"{found} at a finite loss", "Trainer(detect_anomaly=True) names the operation")
        return
    masked = ", though its result is masked out afterwards" if fault.unused else ""
    message = (
        f"the backward pass of `{fault.op}`{_at(fault)} makes {fault.result} gradients{_of(fault)}{masked}; {found}"
    )
    first = "replace the argument before the operation (torch.where on its input); " if fault.unused else ""
    yield Symptom(fault.module or "loss", message, first + remedy_for(fault))


def remedy_for(fault: FaultyOperation) -> str:
    """Return what to try for an operation that makes values that are not finite."""
    return _REMEDIES.get(fault.op.removeprefix("linalg_"), _OTHERWISE)


def _when(numerics: NumericFacts) -> str:
    return "" if numerics.step is None else f" of step {numerics.step}"


def _at(fault: FaultyOperation) -> str:
    return f" ({fault.place})" if fault.place else ""


def _of(fault: FaultyOperation) -> str:
    """Return what is remarkable in what the operation was given."""
    notes = [note for argument in fault.arguments if (note := _note(fault.op, argument))]
    return f" of {notes[0]}" if notes else ""


def _note(op: str, argument: ArgumentFact) -> str:
    if op == "div" and argument.name not in ("other", "divisor"):
        return ""
    if 0 in argument.shape:
        return "an empty selection"
    if argument.closed_rows:
        return f"{argument.closed_rows} rows that are masked throughout"
    zeros = f", {argument.zeros} of them 0" if argument.zeros else ""
    return f"values in [{argument.low:.3g}, {argument.high:.3g}]{zeros}"
