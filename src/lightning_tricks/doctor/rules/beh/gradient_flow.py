"""Parts of a model that are trained, and parameters that a gradient reaches."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.model_facts import ModuleFact
from lightning_tricks.doctor.facts.naming import call_of
from lightning_tricks.doctor.facts.operations import words
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule

# their derivative is 0
_STEPS = words("round floor ceil sign trunc")


@rule("BEH004", "warning", kind="static")
def eval_mode_in_training(evidence: Evidence) -> Iterator[Symptom]:
    """Parts in eval mode while the model trains.

    What it looks at:  trainable batch norms, and dropout next to trainable parameters, whose ``training`` is False
                       while that of the model is True. Lightning preserves these flags since 2.2. With a batch: batch
                       norms that were switched to eval mode by the step itself.
    Why it matters:    the batch norm never updates its statistics, and the dropout never drops values.
    Try:               ``model.train()`` after loading or freezing parts.
    False alarms:      frozen parts are left out.
    References:        Lightning 2.2 release notes.
    """
    modules = evidence.model.modules
    if not modules or not modules[0].training:
        return
    for module in modules:
        if module.training or not (module.isa("_BatchNorm") or (module.isa("_DropoutNd") and module.settings.get("p"))):
            continue
        if _is_next_to_trainable(evidence, module):
            yield Symptom(
                module.path, f"{module.kind} has training = False while the model trains", "call .train() on it"
            )
    yield from _switched_in_the_step(evidence)


def _switched_in_the_step(evidence: Evidence) -> Iterator[Symptom]:
    """Batch norms in training mode before the step that used their running statistics in it, on a way to the loss."""
    if evidence.trace is None or evidence.trace.loss is None or evidence.trace.entry != "training_step":
        return
    graph = evidence.graph
    used = graph.before(evidence.trace.loss)
    found: dict[str, bool] = {}
    for index, norm in graph.find("batch_norm"):
        module = evidence.model.module(norm.module)
        counts = index in used and norm.requires_grad and module is not None and module.isa("_BatchNorm")
        if counts and module is not None and module.training and module.settings.get("track_running_stats", True):
            found[norm.module] = found.get(norm.module, True) and norm.settings.get("training") is False
    switched = [path for path, never_trained in found.items() if never_trained]
    if switched:
        message = "the step runs it in eval mode: it never updates its statistics, and dropout is off as well"
        yield Symptom(
            switched[0], message, "remove .eval() from the step, or call .train() after it", repeats=len(switched)
        )


def _is_next_to_trainable(evidence: Evidence, module: ModuleFact) -> bool:
    """Return whether the module is trainable or, if it has no parameters, its parent is."""
    root = module.path if module.parameters else module.path.rpartition(".")[0]
    inside = f"{root}." if root else ""
    return any(parameter.requires_grad and parameter.name.startswith(inside) for parameter in evidence.model.parameters)


@rule("BEH006", "warning", kind="batch", needs=("step",), explains=("RUN008",))
def param_without_grad(evidence: Evidence) -> Symptoms:
    """Trainable parameters that get no gradient.

    What it looks at:  one backward pass: parameters with ``requires_grad`` whose gradient is None; as info, those whose
                       gradient is exactly 0.
    Why it matters:    they are not used, or they are cut off from the loss; DDP raises an error unless
                       ``find_unused_parameters`` is set.
    Try:               use or freeze them; ``find_unused_parameters`` with DDP.
    False alarms:      branches that are used only at times. Info for parameters outside layers, such as mask tokens;
                       for target networks that are in no optimizer; under manual optimization, for parameters of an
                       optimizer that did not step on this batch; for layers before one that is zero at the start.
    References:        PyTorch documentation, ``DistributedDataParallel``.
    """
    step = evidence.step
    assert step is not None
    without = [gradient.name for gradient in step.gradients if gradient.norm is None]
    if len(without) == len(step.gradients):
        return  # reported by loss-without-grad
    yield Observed(f"{len(step.gradients) - len(without)} of {len(step.gradients)} parameters have a gradient")
    cut = _cut_off_parameters(evidence)
    waiting = _held_by_waiting_optimizers(evidence)
    remedy = "use it, or requires_grad_(False)"
    for module, names in _by_module([name for name in without if name not in cut]):
        severity: Severity | None = "info" if _may_get_one_later(evidence, module, waiting) else None
        yield Symptom(module, f"{_kind(evidence, module)}'s {names} gets no gradient", remedy, severity)
    for module, names in _by_module([gradient.name for gradient in step.gradients if gradient.norm == 0.0]):
        yield Symptom(module, f"{_kind(evidence, module)}'s {names} has a gradient of exactly 0", remedy, "info")


def _may_get_one_later(evidence: Evidence, module: str, waiting: set[str]) -> bool:
    """Return whether parameters may have no gradient yet.

    They are outside layers, such as a mask token, belong to a target network, or to an optimizer that does not step on
    each batch.
    """
    held = {name for optimizer in evidence.optimizers or () for group in optimizer.groups for name in group.parameters}
    names = {each.name for each in evidence.model.parameters if each.module == module and each.requires_grad}
    is_target = evidence.model.is_copy(module) and held.isdisjoint(names)
    return not evidence.model.is_layer(module) or is_target or names <= waiting


def _held_by_waiting_optimizers(evidence: Evidence) -> set[str]:
    """Return the parameters of the optimizers that did not step, under manual optimization."""
    step = evidence.step
    if step is None or not step.manual:
        return set()
    return {
        name
        for index, optimizer in enumerate(evidence.optimizers or ())
        if index not in step.stepped
        for group in optimizer.groups
        for name in group.parameters
    }


def _by_module(names: list[str]) -> Iterator[tuple[str, str]]:
    for module in dict.fromkeys(name.rpartition(".")[0] for name in names):
        yield module, ", ".join(name.rpartition(".")[2] for name in names if name.rpartition(".")[0] == module)


def _kind(evidence: Evidence, path: str) -> str:
    module = evidence.model.module(path)
    return module.kind if module else "the module"


@rule("BEH003", "warning", kind="batch", needs=("overfit",), preview=True)
def cannot_overfit_one_batch(evidence: Evidence, *, share: float = 0.5, floor: float = 1e-2) -> Symptoms:
    """A model that cannot overfit one batch.

    What it looks at:  up to 200 steps of Adam on this batch only, without dropout: how far the loss decreases. It takes
                       the time of these steps, hence a preview; the model is restored afterwards.
    Why it matters:    a model that cannot learn one batch will not learn the dataset: there is a bug in the model or
                       the loss.
    Options:           ``share``: the loss must decrease below this share of its initial value; ``floor``: a loss below
                       this value is sufficient.
    Try:               check the targets, cut gradients, and the loss itself.
    False alarms:      adversarial and reinforcement learning, noisy targets, losses that cannot reach 0.
    References:        Karpathy, A Recipe for Training Neural Networks, 2019; Ben Braiek & Khomh, TheDeepChecker, 2023.
    """
    found = evidence.overfit
    assert found is not None
    yield Observed(f"the loss falls from {found.first:.3g} to {found.smallest:.3g} in {found.steps} steps on one batch")
    if found.smallest > max(share * found.first, floor):
        message = (
            f"the loss falls from {found.first:.3g} to {found.smallest:.3g} in {found.steps} steps on one batch, not "
            f"below {share:g} of its initial value"
        )
        yield Symptom("loss", message, "check the targets, cut gradients, and the loss itself")


@rule("BEH008", "warning", kind="batch", needs=("trace", "step"), explains=("BEH006", "RUN008"))
def missing_gradient_flow(evidence: Evidence) -> Iterator[Symptom]:
    """A cut between trainable parameters and the loss.

    What it looks at:  parameters without a gradient, or with a gradient of exactly 0, all of whose paths to the loss
                       are cut: the last operation where these paths end (``detach``, ``argmax``, ``round``, anything
                       under ``no_grad``).
    Why it matters:    everything before the cut is not trained.
    Try:               remove the operation, or replace it by a differentiable one (softmax for argmax,
                       straight-through).
    False alarms:      targets that are detached on purpose: freeze the parameters that they depend on. Writes into
                       frozen parameters and buffers, such as moving averages, are not counted as a path to the loss.
    References:        none.
    """
    graph = evidence.graph
    cut = _cut_off_parameters(evidence)
    if not cut or graph.trace.loss is None:
        return
    for index in _last_cuts(graph, graph.trace.loss):
        before = graph.before(index, stops=_writes(graph))
        lost = sorted({graph[each].module for each in before if graph[each].op == "parameter"} & cut)
        if lost:
            operation = graph[index]
            message = f"{call_of(evidence, operation)} cuts {len(lost)} parameters off from the loss ({lost[0]}, ...)"
            yield Symptom(operation.module, message, "remove it, or freeze the parameters before it")


def _last_cuts(graph: Graph, loss: int) -> list[int]:
    """Return the last operations before the loss at which gradients end."""
    cuts = _cuts(graph)
    return sorted(cuts & graph.before(loss, stops=cuts | _writes(graph)))


def _cuts(graph: Graph) -> set[int]:
    found = set()
    for index, operation in enumerate(graph.operations):
        needs = any(graph[each].requires_grad for each in operation.inputs)
        if needs and (not operation.requires_grad or operation.op in _STEPS):
            found.add(index)
    return found


def _writes(graph: Graph) -> set[int]:
    """Return the operations that write into frozen parameters and buffers: their new values get no gradient."""
    kinds = ("parameter", "buffer")
    return {
        i for i, operation in enumerate(graph.operations) if operation.wrote in kinds and not operation.requires_grad
    }


def _cut_off_parameters(evidence: Evidence) -> set[str]:
    """Return the parameters without a gradient that the loss depends on only through a cut."""
    trace, step = evidence.trace, evidence.step
    if trace is None or trace.loss is None or step is None:
        return set()
    graph = evidence.graph
    writes = _writes(graph)
    used = _parameters(graph, graph.before(trace.loss, stops=writes))
    reached = _parameters(graph, graph.before(trace.loss, stops=writes | _cuts(graph)))
    return {gradient.name for gradient in step.gradients if not gradient.norm} & (used - reached)


def _parameters(graph: Graph, indices: set[int]) -> set[str]:
    return {graph[each].module for each in indices if graph[each].op == "parameter"}
