"""Units that die or saturate during training: the halves of ACT002 and ACT003 that are checked in a run."""

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import ActivationFact, ForwardFacts
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms

_GROWTH = 0.1
"""The minimum growth of the share, because the check of the first batch has judged its initial value."""
_BATCHES, _STEP = 3, 20
_TOO_FEW = f"fewer than {_BATCHES} batches, or {_STEP} steps, were measured during training"


def saturated_units_in_run(evidence: Evidence, *, limit: float = 0.5, samples: int = 8) -> Symptoms:
    """Yield hidden sigmoids and tanhs whose units have saturated."""
    forward, hidden = _settled(evidence), evidence.run.start.hidden if evidence.run is not None else ()
    if forward is None:
        yield NotChecked(_TOO_FEW)
        return
    for each in forward.activations:
        if f"{each.op} {each.module}" in hidden and each.samples >= samples and _has_grown(each, limit):
            message = f"{_share(each, forward)} are saturated, above {limit:.0%}"
            yield Symptom(
                each.module, message, "a smaller learning rate, or a normalization layer before the activation"
            )


def dead_units_in_run(evidence: Evidence, *, limit: float = 0.4, at_start: float = 0.75, samples: int = 32) -> Symptoms:
    """Yield ReLUs whose units have died; ``at_start`` is only for the first batch."""
    forward = _settled(evidence)
    if forward is None:
        yield NotChecked(_TOO_FEW)
        return
    found = [each for each in forward.activations if each.op in ("relu", "relu6")]
    if found:
        most = max(each.share for each in found)
        yield Observed(f"up to {most:.0%} of the units of a ReLU are 0 in {_BATCHES} consecutive batches")
    for each in found:
        if _has_grown(each, limit):
            message = f"{_share(each, forward)} are 0 on all {each.samples} samples, above {limit:.0%}"
            remedy = "a lower learning rate or a warm-up (tricks=[cosine_decay]); nn.LeakyReLU()"
            yield Symptom(each.module, message, remedy, None if each.samples >= samples else "info")


def _settled(evidence: Evidence) -> ForwardFacts | None:
    """Return the facts of forward passes if there are enough of them."""
    forward = evidence.run.forward if evidence.run is not None else None
    enough = forward is not None and forward.batches >= _BATCHES and forward.step >= _STEP
    return forward if enough else None


def _has_grown(each: ActivationFact, limit: float) -> bool:
    return each.share > max(limit, each.first + _GROWTH)


def _share(each: ActivationFact, forward: ForwardFacts) -> str:
    return (
        f"{each.share:.0%} of the {each.units} units of this {each.op} (in the first batch {each.first:.0%}; now, in "
        f"{_BATCHES} measured batches up to step {forward.step})"
    )
