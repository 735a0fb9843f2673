"""Parameters of the optimizers."""

from collections import Counter
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import WEIGHTS
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule


@rule("OPT004", "error", kind="static", needs=("optimizers",), explains=("RUN008",))
def params_not_in_optimizer(evidence: Evidence) -> Symptoms:
    """Trainable parameters that are in no optimizer.

    What it looks at:  parameters with ``requires_grad`` that are in no parameter group of any optimizer.
    Why it matters:    they get gradients but never change: a part of the model keeps its initial weights.
    Try:               ``self.parameters()``, or a parameter group for the missing module.
    False alarms:      info for a copy of another part that gets no gradient, such as a target network or a moving
                       average. Parameters that are added in a later stage of training: freeze them until then
                       (``tricks=[gradual_unfreezing]``).
    References:        Humbatova et al., Taxonomy of real faults in deep learning systems, 2020.
    """
    optimizers = evidence.optimizers or ()
    if not any(group.parameters for optimizer in optimizers for group in optimizer.groups):
        return  # no optimizer at all, or an optimizer of other tensors: intended
    held = {name for optimizer in optimizers for group in optimizer.groups for name in group.parameters}
    missing = [
        parameter for parameter in evidence.model.parameters if parameter.requires_grad and parameter.name not in held
    ]
    yield Observed(f"{len(held)} parameters in optimizers, {len(missing)} trainable parameters in none")
    for module in dict.fromkeys(parameter.module for parameter in missing):
        names = [parameter.name for parameter in missing if parameter.module == module]
        found = evidence.model.module(module)
        kind = found.kind if found else "module"
        message = f"{kind}'s {', '.join(name.rpartition('.')[2] for name in names)} is in no optimizer"
        severity: Severity | None = "info" if _is_target(evidence, module) else None
        yield Symptom(
            module, message, "pass `self.parameters()` to the optimizer, or `requires_grad_(False)`", severity
        )


def _is_target(evidence: Evidence, module: str) -> bool:
    """Return whether a module belongs to a copy of another part that gets no gradient, as far as is known."""
    if not evidence.model.is_copy(module):
        return False
    gradients = evidence.step.gradients if evidence.step is not None else ()
    return all(each.norm is None for each in gradients if each.name.rpartition(".")[0] == module)


@rule("OPT009", "error", kind="static")
def layers_not_registered(evidence: Evidence) -> Iterator[Symptom]:
    """Layers in a plain list, dict or tuple.

    What it looks at:  attributes that contain modules or parameters which are not in ``parameters()``.
    Why it matters:    PyTorch does not see them: no optimizer trains them, no checkpoint contains them, and
                       ``to(device)`` does not move them.
    Try:               ``nn.ModuleList``, ``nn.ModuleDict``, ``nn.ParameterList``.
    False alarms:      a teacher that is hidden on purpose: info if it is frozen.
    References:        PyTorch documentation, ``torch.nn.ModuleList``.
    """
    for hidden in evidence.model.hidden:
        owner = evidence.model.module(hidden.module)
        kind = owner.kind if owner else "module"
        message = f"{kind}.{hidden.attribute} contains {hidden.count} × {hidden.kind} that PyTorch does not see"
        remedy = f"self.{hidden.attribute} = nn.ModuleList(...) (nn.ModuleDict, nn.ParameterList)"
        yield Symptom(hidden.module, message, remedy, None if hidden.trainable else "info")


@rule("OPT011", "warning", kind="static", needs=("optimizers",))
def duplicate_parameters(evidence: Evidence) -> Iterator[Symptom]:
    """A parameter that is updated twice.

    What it looks at:  parameters in two parameter groups, or in two optimizers.
    Why it matters:    each step updates them twice, with two learning rates.
    Try:               keep each parameter in one group.
    False alarms:      adversarial training with a shared trunk.
    References:        PyTorch documentation, ``torch.optim.Optimizer``.
    """
    holders = Counter(
        name for optimizer in evidence.optimizers or () for group in optimizer.groups for name in set(group.parameters)
    )
    for name, count in holders.items():
        if count > 1:
            yield Symptom(name.rpartition(".")[0], f"{name} is in {count} parameter groups", "keep it in one of them")


@rule("OPT015", "error", kind="batch", needs=("trace",), explains=("BEH007",))
def unregistered_weights(evidence: Evidence) -> Iterator[Symptom]:
    """Weights that are not parameters of the model.

    What it looks at:  layers that the step calls with trainable weights that are neither parameters of the model nor
                       computed from them.
    Why it matters:    a layer that is made in ``forward`` has new random weights in every step and is in no optimizer.
    Try:               make the layer in ``__init__`` and keep it in an attribute.
    False alarms:      weights that an optimizer holds although the model does not are left out; layers in a plain list
                       are reported by layers-not-registered.
    References:        PyTorch documentation, ``nn.Module``.
    """
    is_hidden = any(found.trainable for found in evidence.model.hidden)
    if is_hidden or any(group.foreign for optimizer in evidence.optimizers or () for group in optimizer.groups):
        return
    graph = evidence.graph
    for _, layer in graph.find(*WEIGHTS):
        weight = layer.fed_by("weight")
        if weight is not None and graph[weight].requires_grad and _is_made_of_nothing(graph, weight):
            message = (
                f"`{layer.op}` has trainable weights of shape {list(graph[weight].shape)} that are not the model's"
            )
            yield Symptom(layer.module, message, "make the layer in `__init__`: self.head = nn.Linear(...)")
            return


@rule("OPT017", "warning", kind="static", needs=("optimizers",))
def no_optimizer(evidence: Evidence) -> Iterator[Symptom]:
    """A model with trainable parameters and no optimizer.

    What it looks at:  whether ``configure_optimizers`` returns an optimizer. Manual optimization is left out.
    Why it matters:    Lightning trains without one, and no parameter changes. Typically the ``return`` is missing.
    Try:               ``return torch.optim.Adam(self.parameters())``.
    False alarms:      a fit that only fills buffers or memories.
    References:        Lightning documentation, ``configure_optimizers``.
    """
    is_manual = evidence.step is not None and evidence.step.manual
    trainable = sum(parameter.requires_grad for parameter in evidence.model.parameters)
    if evidence.optimizers == () and trainable and evidence.model.is_lightning and not is_manual:
        message = f"`configure_optimizers` returns no optimizer for {trainable} trainable parameters"
        yield Symptom("the model", message, "return the optimizer")


def _is_made_of_nothing(graph: Graph, index: int) -> bool:
    """Return whether a tensor is not computed from the model or the batch: it may be drawn at random."""
    return not any(graph[each].op in ("parameter", "buffer", "batch") for each in (index, *graph.before(index)))
