"""Weight decay, epsilon and momentum of optimizers."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ParameterFact
from lightning_tricks.doctor.facts.optimizer_facts import GroupFact
from lightning_tricks.doctor.facts.optimizer_families import groups_of
from lightning_tricks.doctor.facts.roles import is_norm
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule


@rule("OPT003", "warning", kind="static", needs=("optimizers",))
def weight_decay_out_of_range(
    evidence: Evidence,
    *,
    coupled: float = 1e-2,
    coupled_info: float = 1e-3,
    decoupled: float = 0.5,
    decoupled_info: float = 0.1,
) -> Symptoms:
    """Weight decay far from the typical range.

    What it looks at:  ``weight_decay`` of each group of a known optimizer. Coupled decay (added to the gradient: SGD,
                       Adam) is judged separately from decoupled decay (AdamW), which is multiplied by the learning
                       rate.
    Why it matters:    with too much decay, the weights follow the decay rather than the loss.
    Options:           ``coupled``, ``decoupled``: a warning above it; ``coupled_info``, ``decoupled_info``: info above
    it.
    Try:               1e-4 to 5e-4 with SGD; 1e-2 to 0.1 with AdamW.
    False alarms:      the limits are ten times higher for Lion, whose decay is three to ten times larger; if the kind
                       of decay is unknown, the wider limits apply.
    References:        Loshchilov & Hutter, Decoupled weight decay regularization, 2019.
    """
    for where, group, optimizer, family in groups_of(evidence):
        decay = group.settings.get("weight_decay")
        if family is None or not isinstance(decay, (int, float)):
            continue
        tight = family.decoupled is False
        room = 10 if family.name == "Lion" else 1
        limit, high = (coupled, coupled_info) if tight else (decoupled * room, decoupled_info * room)
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
    Why it matters:    PyTorch's optimizers skip parameters without a gradient. A parameter that kept a gradient from
                       before it was frozen is still updated by momentum and weight decay: a warning.
    Try:               ``[p for p in self.parameters() if p.requires_grad]``; ``zero_grad(set_to_none=True)``.
    False alarms:      gradual unfreezing keeps frozen parameters in the optimizer on purpose, hence info.
    References:        PyTorch documentation, ``torch.optim``.
    """
    for where, group, _, _ in groups_of(evidence):
        frozen = [parameter for parameter in _parameters(evidence, group) if not parameter.requires_grad]
        if not frozen:
            continue
        decay = group.settings.get("weight_decay")
        stale = [parameter.name for parameter in frozen if parameter.has_grad]
        message = f"{len(frozen)} of {len(group.parameters)} parameters are frozen, for example {frozen[0].name}"
        if stale and decay:
            message = f"{message}, and {len(stale)} still have a gradient: weight_decay = {decay:g} shrinks them"
        remedy = "[p for p in self.parameters() if p.requires_grad]"
        yield Symptom(where, message, remedy, "warning" if stale and decay else None)


@rule("OPT006", "info", kind="static", needs=("optimizers",))
def weight_decay_on_norm_bias(evidence: Evidence) -> Iterator[Symptom]:
    """Weight decay on norms and biases.

    What it looks at:  groups with weight decay that hold parameters of norms, or biases.
    Why it matters:    they are few and do not overfit; decay only keeps them away from their best values.
    Try:               ``tricks=[discriminative_lr]`` with ``no_decay``, or a separate group with ``weight_decay=0``.
    False alarms:      simple recipes decay everything and train well, hence info.
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
                f"weight_decay = {decay:g} on {len(small)} biases and parameters of norms, for example {small[0].name}"
            )
            yield Symptom(
                where, message, "tricks=[discriminative_lr] with no_decay, or weight_decay=0 in a separate group"
            )


@rule("OPT007", "warning", kind="static", needs=("optimizers",))
def optimizer_epsilon_out_of_range(
    evidence: Evidence, *, low: float = 1e-10, high: float = 1e-3, half: float = 1e-7
) -> Iterator[Symptom]:
    """An epsilon that is too small for its dtype, or too large.

    What it looks at:  ``eps`` of Adam; with float16 parameters, against the range of that type.
    Why it matters:    if it is too small, it is zero in half precision, which leads to 0/0; if it is too large, all
                       steps become plain momentum.
    Options:           ``low``, ``high``: the range; ``half``: the lower end for float16 parameters.
    Try:               1e-8; 1e-6 or more with float16 parameters.
    False alarms:      recipes that were tuned with 1e-3 pass; the 1e-16 of AdaBelief is another quantity.
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
            message = f"{optimizer.kind} has eps = {eps:g}, outside [{least:g}, {high:g}]"
            yield Symptom(where, message + (" for float16" if is_half else ""), "eps=1e-6" if is_half else "eps=1e-8")


@rule("OPT008", "warning", kind="static", needs=("optimizers",))
def momentum_out_of_range(
    evidence: Evidence, *, low: float = 0.5, high: float = 1.0, beta2: float = 0.9
) -> Iterator[Symptom]:
    """Momentum that has almost no effect, or that never decays.

    What it looks at:  ``momentum`` of SGD, unless it is 0, and ``betas`` of Adam; the peak value if the momentum is
                       cycled.
    Why it matters:    with 1 or more, all gradients are summed forever; a second moment over a few steps is noise.
    Options:           ``low``, ``high``: the range for SGD; ``beta2``: the smallest second beta.
    Try:               ``momentum=0.9``; ``betas=(0.9, 0.999)``.
    False alarms:      a first beta of 0 or 0.5 is typical in adversarial training and passes.
    References:        Sutskever et al., 2013; Kingma & Ba, 2015.
    """
    for where, group, optimizer, family in groups_of(evidence):
        if family is None:
            continue
        momentum = group.settings.get("momentum")
        is_sgd = family.name == "SGD" and isinstance(momentum, (int, float))
        if is_sgd and momentum and not low <= float(momentum) < high:
            message = f"{optimizer.kind} has momentum = {momentum:g}, outside [{low:g}, {high:g})"
            yield Symptom(where, message, "momentum=0.9")
        first, second = (group.settings.get(key) for key in ("betas.0", "betas.1"))
        if family.name != "Adam" or not isinstance(first, (int, float)) or not isinstance(second, (int, float)):
            continue
        if first >= 1 or not beta2 <= second < 1:
            message = f"{optimizer.kind} has betas = ({first:g}, {second:g}), outside β1 < 1, {beta2:g} ≤ β2 < 1"
            yield Symptom(where, message, "betas=(0.9, 0.999)")


def _parameters(evidence: Evidence, group: GroupFact) -> list[ParameterFact]:
    held = set(group.parameters)
    return [parameter for parameter in evidence.model.parameters if parameter.name in held]
