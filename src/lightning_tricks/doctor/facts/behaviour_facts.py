"""Behaviour facts: what the outputs of a model do in eval mode when its inputs change."""

from dataclasses import dataclass

from lightning_tricks.doctor.facts.trace_facts import TensorFact


@dataclass(frozen=True)
class DropoutCall:
    """A dropout that was active in eval mode.

    Attributes:
        module: the path of the module that called it.
        function: its name.
        p: its rate.
        written: whether the calling line contains ``True``.
    """

    module: str
    function: str
    p: float
    written: bool = False


@dataclass(frozen=True)
class BehaviourFacts:
    """Changes of the outputs in eval mode, relative to the size of the outputs; ``None``: not measured.

    Attributes:
        module: the path of the module that was run: the model, or its largest part if the step calls parts.
        repeat_change: two passes over the same batch.
        input_change: one sample is replaced by another; if that changes nothing, all samples in another order.
        input_gradient: whether the gradient of the outputs for an input was measured and is not zero.
        mixing_change: the largest change of any other sample's output when one sample is replaced.
        roll_change: the difference from the first pass's outputs, shifted by one sample, if the inputs are shifted
            likewise.
        always_on: active dropout calls.
        random: functions that draw random numbers in eval mode (such as ``randn_like``).
        outputs: the returned floating-point tensors, with exact extremes.
        reason: why something was not measured.
    """

    module: str = ""
    repeat_change: float | None = None
    input_change: float | None = None
    input_gradient: bool = False
    mixing_change: float | None = None
    roll_change: float | None = None
    always_on: tuple[DropoutCall, ...] = ()
    random: tuple[str, ...] = ()
    outputs: tuple[TensorFact, ...] = ()
    reason: str | None = None
