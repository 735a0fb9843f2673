"""Frozen parts that change, and parts that are only thought to be frozen."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ModuleFact
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("BEH010", "warning", kind="batch", needs=("trace",))
def frozen_part_moves(evidence: Evidence) -> Iterator[Symptom]:
    """A frozen part that changes in a step.

    What it looks at:  batch norms without trainable parameters, in a part of the model without trainable parameters,
                       that update their statistics in the traced step; frozen parameters that the step modifies.
    Why it matters:    ``requires_grad_(False)`` stops gradients but not running statistics: the features of the frozen
                       part drift, and in eval mode they differ from those that the head was trained on.
    Try:               ``part.eval()`` in ``on_train_epoch_start``, because Lightning puts the model in training mode
                       once.
    False alarms:      teachers that follow a trainable part are left out.
    References:        Lightning documentation, "Transfer learning".
    """
    learning = {norm.module for norm in evidence.trace.batchnorms} if evidence.trace is not None else set()
    frozen = [each for each in evidence.model.modules if each.path in learning and _is_frozen_part(evidence, each)]
    if frozen:
        count = f" ({len(frozen)} of them)" if len(frozen) > 1 else ""
        message = f"{frozen[0].kind} of a frozen part updates its running statistics{count}"
        yield Symptom(frozen[0].path, message, "put the frozen part in eval mode: part.eval()")
    graph = evidence.graph
    for _, operation in graph.find("add", "sub", "mul", "div", "copy", "lerp", "zero", "fill", "setitem"):
        target = graph[operation.inputs[0]] if operation.inplace and operation.inputs else None
        parameter = evidence.model.parameter(target.module) if target and target.op == "parameter" else None
        follows = any(graph[each].op == "parameter" for each in graph.before(*operation.inputs[1:]))
        if (
            parameter is not None
            and not parameter.requires_grad
            and not (follows or _has_twin(evidence, parameter.name))
        ):
            message = f"the step modifies {parameter.name}, which is frozen, with `{operation.op}`"
            yield Symptom(parameter.module, message, "do not modify it, or register it as a buffer")


@rule("BEH012", "warning", kind="static")
def frozen_by_attribute(evidence: Evidence) -> Iterator[Symptom]:
    """A module whose ``requires_grad`` was set to False, which freezes nothing.

    What it looks at:  modules with an attribute ``requires_grad`` that is False while some of their parameters are
                       trainable.
    Why it matters:    a module has no such property: the assignment creates an attribute that nothing reads, and the
                       part is trained.
    Try:               ``module.requires_grad_(False)``, which reaches its parameters.
    False alarms:      modules that define an attribute of this name for their own use.
    References:        PyTorch documentation, ``nn.Module.requires_grad_``.
    """
    for module in evidence.model.modules:
        inside = f"{module.path}." if module.path else ""
        parameters = [each for each in evidence.model.parameters if each.name.startswith(inside)]
        trainable = sum(each.requires_grad for each in parameters)
        if module.settings.get("requires_grad") is False and trainable:
            message = f"`requires_grad` of the {module.kind} is False, but {trainable} of its parameters are trainable"
            yield Symptom(module.path, message, "call requires_grad_(False) instead of setting requires_grad")


def _is_frozen_part(evidence: Evidence, norm: ModuleFact) -> bool:
    """Return whether a norm belongs to a part with other weights, all frozen, that is not a teacher."""
    parent = norm.path.rpartition(".")[0]
    inside = [each for each in evidence.model.parameters if each.module.startswith(f"{parent}." if parent else "")]
    weights = [each for each in inside if len(each.shape) > 1]
    own = [each for each in inside if each.module == norm.path]
    is_frozen = bool(weights) and bool(own) and not any(each.requires_grad for each in inside)
    return is_frozen and not any(_has_twin(evidence, each.name) for each in own)


def _has_twin(evidence: Evidence, name: str) -> bool:
    """Return whether a trainable parameter has the same end of its name and the same shape: a teacher's student."""
    known = evidence.model.parameter(name)
    end = ".".join(name.split(".")[-2:])
    return known is not None and any(
        each.requires_grad and each.shape == known.shape and each.name != name and f".{each.name}".endswith(f".{end}")
        for each in evidence.model.parameters
    )
