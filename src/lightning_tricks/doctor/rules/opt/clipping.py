"""Gradient clipping compared with the gradients of the run."""

import statistics
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import ClipFact, StepFact
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("OPT013", "warning", kind="run", needs=("run",))
def clip_always(evidence: Evidence, *, factor: float = 100.0, share: float = 0.9, steps: int = 5) -> Iterator[Symptom]:
    """Gradient clipping that applies at every step.

    What it looks at:  the norm of all gradients before clipping over the limit, at the measured steps.
    Why it matters:    every step has the length of the limit: with SGD, the learning rate is in effect divided by this
                       factor.
    Options:           ``factor``: the factor above which a step counts; ``share``: of the measured steps; ``steps``:
                       runs with fewer measured steps are not judged.
    Try:               a limit near the typical norm: ``tricks=[auto_clip]`` finds it.
    False alarms:      recipes that normalize every gradient on purpose.
    References:        Pascanu et al., On the difficulty of training recurrent neural networks, 2013.
    """
    run = evidence.run
    if run is None or run.clip is None or len(run.steps) < steps:
        return
    cuts = [_cut(run.clip, step) for step in run.steps]
    if sum(cut > factor for cut in cuts) > share * len(cuts):
        usual = statistics.median(cuts)
        message = (
            f"{run.clip.setting} divides the gradient by {usual:.3g} (median of {len(cuts)} steps), above {factor:g}"
        )
        yield Symptom("optimizer 0", message, "a limit near the typical norm; tricks=[auto_clip] finds it")


def _cut(clip: ClipFact, step: StepFact) -> float:
    """Return the factor by which clipping divides a gradient; by value, for the RMS of the largest weight gradient."""
    size = max((gradient for gradient, _ in step.weights.values()), default=0.0) if clip.by_value else step.norm
    return size / clip.limit
