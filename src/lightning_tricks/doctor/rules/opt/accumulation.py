"""The number of accumulated batches compared with those of an epoch."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("OPT018", "warning", kind="static", needs=("plan", "train_loader"))
def accumulation_beyond_epoch(evidence: Evidence) -> Iterator[Symptom]:
    """More accumulated batches than an epoch has.

    What it looks at:  ``accumulate_grad_batches`` of the Trainer, and the number of batches in an epoch.
    Why it matters:    an epoch ends with a step in any case, so it takes one step only, and the gradient is divided by
                       batches that do not exist: it is smaller than the mean over the epoch.
    Try:               fewer accumulated batches; 1 if memory allows for the batch.
    False alarms:      as many batches as an epoch has, one gradient over all rows, are left out; so is an epoch of one
                       batch.
    References:        Lightning documentation, "Accumulate gradients".
    """
    plan, loader = evidence.plan, evidence.train_loader
    batches = loader.batches if loader is not None else None
    if plan is not None and batches is not None and 1 < batches < plan.accumulate:
        message = f"{plan.accumulate} batches are accumulated, but an epoch has {batches}: it takes one step"
        yield Symptom("train loader", message, "accumulate_grad_batches=1")
