"""Naming: what to call an operation in a message."""

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.trace_facts import Operation


def rate_of(made: Operation) -> float | None:
    """Return the rate of a dropout call; unknown for a manually computed mask."""
    for key in ("p", "dropout_p", "dropout"):
        value = made.settings.get(key)
        if isinstance(value, (int, float)):
            return float(value)
    return None


def kind_of(evidence: Evidence, operation: Operation) -> str:
    """Return the class of the module that made a call, or the function if the module does more than this call."""
    module = evidence.model.module(operation.module)
    if module is not None and evidence.model.is_layer(operation.module):
        return module.kind
    return "a manually computed mask" if operation.op in ("mul", "div", "where", "masked_fill") else f"`{operation.op}`"


def call_of(evidence: Evidence, operation: Operation) -> str:
    """Return the class and path of the module that made a call, or the function and its module.

    For example ``Dropout drop`` or ```softmax` in head``.
    """
    kind = kind_of(evidence, operation)
    if kind.startswith("`"):
        return f"{kind} in {operation.module or evidence.model.kind}"
    return f"{kind} {operation.module}" if operation.module else kind
