"""Weight decay, epsilon, momentum: an optimizer's settings beside its learning rate."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence, GroupFact
from lightning_tricks.doctor.facts.model_facts import ParameterFact
from lightning_tricks.doctor.facts.optimizer_families import groups_of
from lightning_tricks.doctor.facts.roles import is_norm
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule


@rule("OPT003", "warning", kind="static", needs=("optimizers",))
def weight_decay_out_of_range(
    evidence: Evidence, *, coupled: float = 1e-2, usual: float = 1e-3, decoupled: float = 0.5, customary: float = 0.1
) -> Symptoms:
    """Weight decay far from what is customary.

    What it looks at:  ``weight_decay`` of each group of a known optimizer, coupled (a part of the gradient: SGD, Adam)
                       apart from decoupled (AdamW), where it is multiplied by the rate.
    Why it matters:    too much decay is all that the weights follow.
    Options:           ``coupled``, ``decoupled``: a warning above it; ``usual``, ``customary``: info above it.
    Try:               1e-4 to 5e-4 with SGD; 1e-2 to 0.1 with AdamW.
    False alarms:      Lion's decay, three to ten times larger, has ten times the room; where coupling is unknown the
                       wider limits hold.
    References:        Loshchilov & Hutter, Decoupled weight decay regularization, 2019.
    """
    for where, group, optimizer, family in groups_of(evidence):
        decay = group.settings.get("weight_decay")
        if family is None or not isinstance(decay, (int, float)):
            continue
        tight = family.decoupled is False
        room = 10 if family.name == "Lion" else 1
        limit, high = (coupled, usual) if tight else (decoupled * room, customary * room)
        if decay <= high * (1 + 1e-6):
            yield Observed(f"{where}: weight_decay = {decay:g}, at most {high:g}")
            continue
        how = "coupled" if tight else "decoupled"
        message = f"{optimizer.kind} has {how} weight_decay = {decay:g}, above {limit if decay > limit else high:g}"
        remedy = "weight_decay=5e-4, or AdamW" if tight else "weight_decay=0.01 to 0.1"
        yield Symptom(where, message, remedy, None if decay > limit else "info")


@rule("OPT005", "info", kind="static", needs=("optimizers",))
def frozen_params_in_optimizer(evidence: Evidence) -> Iterator[Symptom]:
    """Frozen parameters in an optimizer.

    What it looks at:  parameters without ``requires_grad`` in a group, and whether they still hold a gradient.
    Why it matters:    PyTorch's optimizers pass over parameters without a gradient; one that has kept a gradient from
                       before it was frozen is still moved, by momentum and by weight decay: a warning then.
    Try:               ``[p for p in self.parameters() if p.requires_grad]``; ``zero_grad(set_to_none=True)``.
    False alarms:      gradual unfreezing keeps them there on purpose, hence info.
    References:        PyTorch documentation, ``torch.optim``.
    """
    for where, group, _, _ in groups_of(evidence):
        frozen = [parameter for parameter in _parameters(evidence, group) if not parameter.requires_grad]
        if not frozen:
            continue
        decay = group.settings.get("weight_decay")
        stale = [parameter.name for parameter in frozen if parameter.has_grad]
        message = f"{len(frozen)} of {len(group.parameters)} parameters are frozen, {frozen[0].name} for one"
        if stale and decay:
            message = f"{message}, and {len(stale)} still have a gradient: weight_decay = {decay:g} shrinks them"
        remedy = "[p for p in self.parameters() if p.requires_grad]"
        yield Symptom(where, message, remedy, "warning" if stale and decay else None)


@rule("OPT006", "info", kind="static", needs=("optimizers",))
def weight_decay_on_norm_bias(evidence: Evidence) -> Iterator[Symptom]:
    """Weight decay on norms and biases.

    What it looks at:  groups with weight decay that hold parameters of norms, or biases.
    Why it matters:    they are few and do not overfit; decay only holds them where they are of no use.
    Try:               ``tricks=[discriminative_lr]`` with ``no_decay``, or a group of their own.
    False alarms:      plain recipes decay everything and train well, hence info.
    References:        He et al., Bag of tricks, 2019, §3.1.
    """
    for where, group, _, _ in groups_of(evidence):
        decay = group.settings.get("weight_decay")
        if not decay:
            continue
        norms = {module.path for module in evidence.model.modules if is_norm(module)}
        small = [
            parameter
            for parameter in _parameters(evidence, group)
            if parameter.requires_grad and (parameter.module in norms or "bias" in parameter.name.rpartition(".")[2])
        ]
        if small:
            message = (
                f"weight_decay = {decay:g} on {len(small)} biases and parameters of norms, {small[0].name} for one"
            )
            yield Symptom(
                where, message, "tricks=[discriminative_lr] with no_decay, or weight_decay=0 in a group of theirs"
            )


@rule("OPT007", "warning", kind="static", needs=("optimizers",))
def optimizer_epsilon_out_of_range(
    evidence: Evidence, *, low: float = 1e-10, high: float = 1e-3, half: float = 1e-7
) -> Iterator[Symptom]:
    """An epsilon that is lost in rounding, or drowns the step.

    What it looks at:  Adam's ``eps``; with parameters in float16 against what that type can hold.
    Why it matters:    too small it is zero in half precision and 0/0 follows; too large all steps are plain momentum.
    Options:           ``low``, ``high``: the range; ``half``: the lower end for float16 parameters.
    Try:               1e-8; 1e-6 or more with float16 parameters.
    False alarms:      recipes that were tuned with 1e-3 pass; AdaBelief's 1e-16 is another quantity.
    References:        Kingma & Ba, Adam, 2015; PyTorch documentation, ``torch.optim.Adam``.
    """
    for where, group, optimizer, family in groups_of(evidence):
        eps = group.settings.get("eps")
        adam = family is not None and family.name == "Adam" and "betas.0" in optimizer.defaults
        if not adam or not isinstance(eps, float) or optimizer.kind.lower() == "adabelief":
            continue
        is_half = any(parameter.dtype == "torch.float16" for parameter in _parameters(evidence, group))
        least = half if is_half else low
        if not least <= eps <= high:
            message = f"{optimizer.kind} has eps = {eps:g}, outside of [{least:g}, {high:g}]"
            yield Symptom(where, message + (" for float16" if is_half else ""), "eps=1e-6" if is_half else "eps=1e-8")


@rule("OPT008", "warning", kind="static", needs=("optimizers",))
def momentum_out_of_range(
    evidence: Evidence, *, low: float = 0.5, high: float = 1.0, beta2: float = 0.9
) -> Iterator[Symptom]:
    """Momentum that is hardly any, or never forgets.

    What it looks at:  SGD's ``momentum``, where it is not 0, and Adam's ``betas``; the peak where it is cycled.
    Why it matters:    1 and above sums up all gradients for ever; a second moment over a few steps is noise.
    Options:           ``low``, ``high``: SGD's range; ``beta2``: the smallest second beta.
    Try:               ``momentum=0.9``; ``betas=(0.9, 0.999)``.
    False alarms:      a first beta of 0 or 0.5 is customary in adversarial training and passes.
    References:        Sutskever et al., 2013; Kingma & Ba, 2015.
    """
    for where, group, optimizer, family in groups_of(evidence):
        if family is None:
            continue
        momentum = group.settings.get("momentum")
        is_sgd = family.name == "SGD" and isinstance(momentum, (int, float))
        if is_sgd and momentum and not low <= float(momentum) < high:
            message = f"{optimizer.kind} has momentum = {momentum:g}, outside of [{low:g}, {high:g})"
            yield Symptom(where, message, "momentum=0.9")
        first, second = (group.settings.get(key) for key in ("betas.0", "betas.1"))
        if family.name != "Adam" or not isinstance(first, (int, float)) or not isinstance(second, (int, float)):
            continue
        if first >= 1 or not beta2 <= second < 1:
            message = f"{optimizer.kind} has betas = ({first:g}, {second:g}), outside of β1 < 1, {beta2:g} ≤ β2 < 1"
            yield Symptom(where, message, "betas=(0.9, 0.999)")


def _parameters(evidence: Evidence, group: GroupFact) -> list[ParameterFact]:
    held = set(group.parameters)
    return [parameter for parameter in evidence.model.parameters if parameter.name in held]
