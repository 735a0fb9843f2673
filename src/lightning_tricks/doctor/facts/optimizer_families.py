"""Optimizer families: the typical ranges of an optimizer, found by its class and the keys of its defaults.

The keys also identify optimizers of other libraries (``transformers``, ``timm``, bitsandbytes): an optimizer with
``betas`` and ``eps`` steps like Adam, independent of its name. Optimizers with other update rules (LBFGS, Rprop, LARS,
Prodigy, D-Adaptation) have no typical range of learning rates and are not judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.optimizer_facts import GroupFact, OptimizerFact


@dataclass(frozen=True)
class Family:
    """A family: its typical range of learning rates for training from scratch, and its kind of weight decay.

    Attributes:
        name: ``SGD``, ``Adam``, ...
        low: the lower end of the typical range.
        high: the upper end of the range.
        decoupled: the decay is not added to the gradient; ``None`` if unknown.
    """

    name: str
    low: float
    high: float
    decoupled: bool | None


_RANGES = {
    "SGD": (1e-2, 1e-1),
    "Adam": (1e-3, 1e-2),
    "Adadelta": (1e-2, 1e-1),
    "Adagrad": (1e-3, 1e-1),
    "Lion": (1e-4, 1e-3),
    "Muon": (1e-3, 1e-1),
}
_OF_THEIR_OWN = ("lbfgs", "rprop", "lars", "prodigy", "dadapt", "dog", "adafactor")
_DECOUPLED = ("adamw", "lion", "lamb", "nadamw", "muon", "adan", "adopt", "adabelief", "schedulefree", "sophia")


def family_of(optimizer: OptimizerFact) -> Family | None:
    """Return the family of an optimizer, ``None`` for an unknown one.

    Example:
        >>> family_of(OptimizerFact("AdamW8bit", "bitsandbytes.optim", (), {"betas.0": 0.9, "eps": 1e-8}, ()))
        Family(name='Adam', low=0.001, high=0.01, decoupled=True)
        >>> family_of(OptimizerFact("Magic", "some.where", (), {"lr": 0.1}, ())) is None
        True
    """
    name = _name(optimizer)
    if name is None:
        return None
    return Family(name, *_RANGES[name], decoupled=_decoupled(optimizer))


def groups_of(evidence: Evidence) -> Iterator[tuple[str, GroupFact, OptimizerFact, Family | None]]:
    """Yield every parameter group with its place, optimizer and family."""
    for i, optimizer in enumerate(evidence.optimizers or ()):
        family = family_of(optimizer)
        for j, group in enumerate(optimizer.groups):
            place = f"optimizer {i}, group {j}" if len(optimizer.groups) > 1 else f"optimizer {i}"
            yield place, group, optimizer, family


def _name(optimizer: OptimizerFact) -> str | None:
    kind, keys = optimizer.kind.lower(), optimizer.defaults.keys()
    if any(word in kind for word in _OF_THEIR_OWN) or {"d0", "d_coef"} & keys:
        return None
    for name in ("Adadelta", "Adagrad", "Lion", "Muon"):
        if name.lower() in kind:
            return name
    if "eps" in keys and ("betas.0" in keys or "alpha" in keys):
        return "Adam"  # RMSprop's steps are as long as Adam's
    if "betas.0" in keys:
        return "Adam" if "adam" in kind else None
    if {"momentum", "nesterov"} <= keys or {"lambd", "t0"} <= keys:
        return "SGD"
    return None


def _decoupled(optimizer: OptimizerFact) -> bool | None:
    kind = optimizer.kind.lower()
    setting = optimizer.defaults.get("decoupled_weight_decay", optimizer.defaults.get("weight_decouple"))
    if isinstance(setting, bool):
        return setting or any(word in kind for word in _DECOUPLED)
    if any(word in kind for word in _DECOUPLED):
        return True
    return False if optimizer.home.startswith("torch.") else None
