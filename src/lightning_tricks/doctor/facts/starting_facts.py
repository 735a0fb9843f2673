"""Starting facts: facts from the examination before the first step that are needed to judge the run."""

import math

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import DROPOUTS
from lightning_tricks.doctor.facts.run_facts import StartFact

_CLASS_LOSSES = ("cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits")


def starting_facts(evidence: Evidence) -> StartFact:
    """Return the facts of the examination that run-time rules need.

    Example:
        >>> from torch import nn
        >>> from lightning_tricks.doctor.tracing.examine import examine
        >>> starting_facts(examine(nn.Linear(2, 1)))
        StartFact(trained=False, dropout=False, guess=None, without_gradient=())
    """
    called = {operation.op for operation in evidence.trace.operations} if evidence.trace is not None else set()
    has_dropout = any(module.isa("Dropout", "_DropoutNd") for module in evidence.model.modules)
    trained = evidence.model.pretrained_share > 0.5 or (evidence.plan is not None and evidence.plan.done > 0)
    gradients = evidence.step.gradients if evidence.step is not None else ()
    without = tuple(gradient.name for gradient in gradients if not gradient.norm)
    return StartFact(trained, has_dropout or bool(called & DROPOUTS), _loss_of_prior(evidence), without)


def _loss_of_prior(evidence: Evidence) -> float | None:
    """Return the loss of always predicting how frequent the classes are, if it is a plain cross entropy of classes."""
    counts, trace, loader = evidence.rows and evidence.rows.classes, evidence.trace, evidence.train_loader
    if not counts or trace is None or trace.loss is None or loader is None:
        return None
    loss = trace.operations[trace.loss]
    weighted = loss.settings.get("label_smoothing") or {"weight", "pos_weight"} & set(loss.names)
    is_plain = loss.op in _CLASS_LOSSES and loss.settings.get("reduction", "mean") == "mean" and not weighted
    if not is_plain or loader.sampler not in ("RandomSampler", "SequentialSampler"):
        return None
    shape = loss.input_shapes[0] if loss.input_shapes else ()
    if len(shape) > 2 or (loss.op == "cross_entropy") != (len(shape) == 2 and shape[1] > 1):
        return None  # many targets a row
    rows = sum(counts.values())
    return -sum(count / rows * math.log(count / rows) for count in counts.values())
