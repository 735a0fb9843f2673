"""Dropout rates."""

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import DROPOUTS
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule

_OR_SCHEDULE = " or tricks=[dropout_schedule]"
_ATTENTION_CALLS = frozenset({"scaled_dot_product_attention", "multi_head_attention_forward"})


@rule("PLC005", "warning", kind="static")
def dropout_p_out_of_range(
    evidence: Evidence,
    *,
    low: float = 0.2,
    high: float = 0.5,
    limit: float = 0.7,
    low_with_attention: float = 0.1,
) -> Symptoms:
    """Dropout with an unusual rate.

    What it looks at:  ``p`` of each dropout module, unless it is 0, and calls of ``F.dropout`` with p = 1, such as
                       ``F.dropout(x, self.training)``.
    Why it matters:    above 0.7 little of the signal remains, at 1 nothing; far below 0.2 it hardly regularizes.
    Options:           ``low``, ``high``: info outside this range; ``limit``: a warning above it;
                       ``low_with_attention``: replaces ``low`` in models with attention.
    Try:               0.1 in Transformers, 0.2 in small nets, 0.5 in wide hidden layers, set by
                       ``lightning_tricks.set_dropout_``; ``tricks=[dropout_schedule]`` begins low and ends high.
    False alarms:      dropout on attention weights is left out.
    References:        Srivastava et al., Dropout, 2014, §7.3; Vaswani et al., Attention Is All You Need, 2017, §5.4.
    """
    if _has_attention(evidence):
        low = min(low, low_with_attention)
    yield from _calls_that_drop_everything(evidence)
    rates: list[float] = []
    for module in evidence.model.modules:
        p = module.settings.get("p")
        if not module.isa("_DropoutNd") or not isinstance(p, (int, float)) or not p or "att" in module.path.lower():
            continue
        rates.append(p)
        if p >= 1:
            yield Symptom(
                module.path, f"{module.kind} has p = {p:g}: all activations are zero", f"p=0.5{_OR_SCHEDULE}", "error"
            )
        elif p > limit:
            message = f"{module.kind} has p = {p:g}, above {limit:g}"
            yield Symptom(module.path, message, f"p={high:g}{_OR_SCHEDULE}")
        elif not low <= p <= high:
            message = f"{module.kind} has p = {p:g}, outside [{low:g}, {high:g}]"
            yield Symptom(module.path, message, f"p={low:g} to p={high:g}{_OR_SCHEDULE}", "info")
    if rates:
        yield Observed(f"p from {min(rates):g} to {max(rates):g}, allowed {low:g} to {high:g}")


def _calls_that_drop_everything(evidence: Evidence) -> Symptoms:
    """Yield functional calls with a rate of 1, which is also the value of the flag ``training``."""
    for _, call in evidence.graph.find(*DROPOUTS) if evidence.trace is not None else ():
        owner, p = evidence.model.module(call.module), call.settings.get("p")
        is_module = owner is not None and owner.isa("_DropoutNd")
        if not is_module and call.settings.get("training", True) and isinstance(p, (bool, int, float)) and p >= 1:
            how = "p = True: a flag was passed as its second argument" if p is True else f"p = {p:g}"
            message = f"`{call.op}` has {how}, so all activations are zero"
            yield Symptom(call.module, message, "F.dropout(x, p=0.5, training=self.training)", "error")


def _has_attention(evidence: Evidence) -> bool:
    """Return whether a module is named after attention or Transformers, or the traced step calls torch's attention."""
    if any(
        "attention" in module.kind.lower() or "transformer" in module.kind.lower() for module in evidence.model.modules
    ):
        return True
    trace = evidence.trace
    return trace is not None and any(operation.op in _ATTENTION_CALLS for operation in trace.operations)
