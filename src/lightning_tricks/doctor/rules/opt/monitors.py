"""Monitored metrics and the direction in which they improve."""

import re
from collections.abc import Iterator

from lightning_tricks.doctor.facts.context_facts import MonitorFact
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import words
from lightning_tricks.doctor.rules.rule import Symptom, rule

_FALLING = words("loss losses error err mse mae rmse mape smape nll ppl perplexity wer cer fid lpips eer")
_RISING = words("""
    acc accuracy f1 auc auroc auprc iou miou jaccard dice precision recall map bleu rouge psnr ssim r2 kappa mcc ndcg
    reward
""")
_NEGATED = words("neg negative minus")


@rule("OPT016", "warning", kind="static")
def monitor_in_the_wrong_direction(evidence: Evidence) -> Iterator[Symptom]:
    """A monitored metric whose mode contradicts its name.

    What it looks at:  ``monitor`` and ``mode`` of the callbacks of the Trainer and of plateau schedulers: losses and
                       errors with ``max``, accuracies and similar scores with ``min``, the default.
    Why it matters:    early stopping ends a run that improves, a plateau schedule reduces its learning rate, and the
                       worst checkpoint is kept as the best.
    Try:               ``mode="min"`` for losses, ``mode="max"`` for scores.
    False alarms:      names with several such words, or with "neg", are not judged.
    References:        Lightning documentation, ``EarlyStopping``.
    """
    for found in dict.fromkeys(_monitors(evidence)):
        expected = _direction(found.monitor)
        if expected and found.mode in ("min", "max") and found.mode != expected:
            message = f"{found.kind} monitors {found.monitor!r} with mode={found.mode!r}"
            yield Symptom(found.kind, message, f"mode={expected!r}")


def _monitors(evidence: Evidence) -> Iterator[MonitorFact]:
    yield from evidence.plan.monitors if evidence.plan is not None else ()
    for optimizer in evidence.optimizers or ():
        for scheduler in optimizer.schedulers:
            yield MonitorFact(scheduler.kind, scheduler.monitor, str(scheduler.settings.get("mode", "")))


def _direction(name: str) -> str:
    """Return the mode that fits the name of a metric, or an empty text if its words do not tell.

    Example:
        >>> _direction("val/top1_acc"), _direction("valLoss"), _direction("val_score")
        ('max', 'min', '')
    """
    parts = {part.lower() for part in re.findall(r"[A-Z]?[a-z]+\d?|[A-Z]+\d?(?![a-z])", name)}
    rises, falls = bool(parts & _RISING), bool(parts & _FALLING)
    if rises == falls or parts & _NEGATED:
        return ""
    return "max" if rises else "min"
