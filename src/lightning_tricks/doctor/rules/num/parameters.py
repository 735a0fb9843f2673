"""Parameters and buffers that are not finite before the first step."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule

_STATISTICS = ("running_mean", "running_var")


@rule("NUM003", "error", kind="static", explains=("NUM001", "NUM002"))
def nonfinite_parameter(evidence: Evidence) -> Iterator[Symptom]:
    """A parameter or buffer that is not finite at the start.

    What it looks at:  all parameters; NaN in buffers, and infinite running statistics.
    Why it matters:    every result that depends on it is NaN from the first batch on.
    Try:               initialize it (``torch.empty`` returns uninitialized memory), or load a checkpoint from before
                       the run diverged.
    False alarms:      buffers that hold masks of ``-inf`` are valid and left out.
    References:        none.
    """
    for parameter in evidence.model.parameters:
        found = parameter.statistics
        if found is not None and found.nonfinite:
            message = f"{found.nonfinite} of {found.count} values are NaN or infinite before the first step"
            yield Symptom(parameter.name, message, "initialize it, or load an earlier checkpoint")
    for buffer in evidence.model.nonfinite_buffers:
        is_statistic = buffer.name.rpartition(".")[2] in _STATISTICS
        if buffer.nan or is_statistic:
            message = (
                f"the buffer contains {buffer.nan} NaN and {buffer.infinite} infinite values before the first step"
            )
            yield Symptom(buffer.name, message, "compute it again, or load an earlier checkpoint")
