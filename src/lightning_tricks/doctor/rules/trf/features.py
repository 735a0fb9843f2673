"""Features of a frozen part that are computed again in every epoch."""

import math

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import DROPOUTS, RANDOM
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, Symptoms, rule


@rule("TRF001", "info", kind="static", needs=("rows",))
def features_could_be_cached(evidence: Evidence, *, share: float = 0.5, parameters: int = 10_000) -> Symptoms:
    """A frozen backbone that computes the same features in every epoch.

    What it looks at:  children of the model whose parameters are all frozen, their share of all parameters, whether a
                       row of the training set is the same each time it is read, and whether the step draws random
                       numbers, or uses parameters that train, before the frozen part.
    Why it matters:    the features of a row never change. If they are computed once and cached, an epoch costs only as
                       much as the head.
    Options:           ``share``, ``parameters``: the minimum size of the frozen part.
    Try:               ``lightning_tricks.cache_features(backbone, loader, folder)`` once, and train the head on the
                       rows that it returns; ``lightning-tricks cache-features`` does the same from a shell.
    False alarms:      augmentation by a callback or a hook; batch norms in training mode, which the frozen part should
                       not contain.
    References:        Kornblith et al., Do Better ImageNet Models Transfer Better?, 2019.
    """
    assert evidence.rows is not None
    sizes: dict[str, list[int]] = {}
    for each in evidence.model.parameters:
        child = ".".join(each.module.split(".")[: 2 if each.module.startswith(("net.", "model.")) else 1])
        known = sizes.setdefault(child, [0, 0])
        known[each.requires_grad] += math.prod(each.shape)
    total = sum(map(sum, sizes.values()))
    frozen = {name: count[0] for name, count in sizes.items() if count[0] >= parameters and not count[1]}
    trains = any(count[1] for count in sizes.values())
    if not frozen or not trains or sum(frozen.values()) < share * total:
        return
    if not evidence.rows.read:
        yield NotChecked(evidence.rows.reasons.get("duplicates", "rows could not be read"))
        return
    constant = {name: count for name, count in frozen.items() if not _inputs_vary(evidence, name)}
    if not constant:
        return
    name, count = max(constant.items(), key=lambda item: item[1])
    message = f"{count:,} of {total:,} parameters are frozen, and rows are the same each time they are read"
    yield Symptom(name, message, "lightning_tricks.cache_features(backbone, loader, folder), and train on its rows")


def _inputs_vary(evidence: Evidence, part: str) -> bool:
    """Return whether random draws, or parameters that train, come before a part in the step."""
    if evidence.trace is None:
        return False
    graph = evidence.graph
    inside = {i for i, each in enumerate(graph.operations) if f"{each.module}.".startswith(f"{part}.")}
    before = [graph[i] for i in graph.before(*inside) - inside]
    return any(each.requires_grad or each.op in RANDOM | DROPOUTS for each in before)
