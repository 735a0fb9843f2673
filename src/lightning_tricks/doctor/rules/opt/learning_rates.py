"""Learning rates: typical ranges by optimizer, and lower ones for pretrained weights."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.optimizer_facts import GroupFact, OptimizerFact
from lightning_tricks.doctor.facts.optimizer_families import groups_of
from lightning_tricks.doctor.facts.roles import output_weights
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms, rule

_ROUNDING = 1 + 1e-6


@rule("OPT001", "warning", kind="static", needs=("optimizers",))
def lr_out_of_range(evidence: Evidence, *, widen: float = 10.0, large: float = 50e6) -> Symptoms:
    """A learning rate far from the typical range.

    What it looks at:  the peak learning rate of each parameter group, over the run if a schedule could be simulated,
                       against the typical range of its optimizer: SGD
                       [1e-2, 1e-1], the Adam family [1e-3, 1e-2], Adadelta [1e-2, 1e-1], Adagrad [1e-3, 1e-1], Lion
                       [1e-4, 1e-3], Muon [1e-3, 1e-1].
    Why it matters:    training diverges if it is too high; if it is too low, the model seems unable to learn.
    Options:           ``widen``: outside the range widened by this factor it is a warning, otherwise info; ``large``:
                       the number of parameters from which a model is judged like one that is fine-tuned.
    Try:               ``tricks=[lr_finder]``.
    False alarms:      for pretrained weights, transformers and models of more than 50 million parameters, the lower end
                       is a hundred times lower; unknown optimizers are not judged. A learning rate that ``LRFinder``
                       measured in the same run is better evidence than a typical range, so it is not judged either.
    References:        Smith, A disciplined approach to hyper-parameters, 2018; Bengio, Practical recommendations, 2012.
    """
    if evidence.rates_measured_by:
        yield NotChecked(f"the learning rates were measured by {evidence.rates_measured_by} in this run")
        return
    gentle = _is_large(evidence, large) or _is_transformer(evidence)
    for where, group, optimizer, family in groups_of(evidence):
        if family is None:
            yield NotChecked(f"{optimizer.kind} belongs to no optimizer family with a known range")
            continue
        lr = _reached(optimizer, peak(group))
        if lr is None:
            continue
        low = family.low / (100 if gentle or _pretrained_share(evidence, group) > 0 else 1)
        typical = f"{family.name}'s typical range [{low:g}, {family.high:g}]"
        yield Observed(f"{where}: lr = {lr:.3g}, {family.name} [{low:g}, {family.high:g}]")
        if lr == 0:
            yield Symptom(where, "lr = 0: no parameter changes", f"lr={family.low:g}; tricks=[lr_finder] finds one")
        elif not low / widen <= lr * _ROUNDING or not lr <= family.high * widen * _ROUNDING:
            yield Symptom(
                where, f"lr = {lr:.3g}, more than {widen:g} × outside {typical}", "tricks=[lr_finder] finds one"
            )
        elif not low <= lr * _ROUNDING or not lr <= family.high * _ROUNDING:
            yield Symptom(where, f"lr = {lr:.3g}, outside {typical}", "tricks=[lr_finder] finds one", "info")


@rule("OPT002", "warning", kind="static", needs=("optimizers",))
def finetune_lr_high(evidence: Evidence) -> Iterator[Symptom | NotChecked]:
    """A learning rate for training from scratch on pretrained weights.

    What it looks at:  groups with trainable pretrained parts (a named checkpoint, frozen neighbors, batch norms that
                       have counted batches, weights that match no initializer).
    Why it matters:    the first steps destroy what was learned.
    Try:               a learning rate that is one or two orders of magnitude lower;
                       ``tricks=[discriminative_lr,gradual_unfreezing]``.
    False alarms:      a group that contains only the new output layer or adapters, and a model that its Trainer has
                       already trained, are left out; training that continues under another Trainer looks like
                       fine-tuning.
    References:        Howard & Ruder, ULMFiT, 2018.
    """
    if evidence.plan is not None and evidence.plan.done:
        yield NotChecked("the Trainer has trained the model itself")
        return
    for where, group, _, family in groups_of(evidence):
        lr = peak(group)
        if family is None or lr is None or lr * _ROUNDING < family.low or _pretrained_share(evidence, group) < 0.5:
            continue
        held = {name.rpartition(".")[0] for name in group.parameters}
        fact = next(part for part in evidence.model.pretrained if any(_is_in(path, part.module) for path in held))
        message = (
            f"lr = {lr:.3g} for pretrained weights ({fact.module or 'the model'}: {fact.reason}), "
            f"but {family.low:g} is already a rate for training from scratch with {family.name}"
        )
        remedy = f"lr={family.low / 10:g} to {family.low / 100:g}; tricks=[discriminative_lr,gradual_unfreezing]"
        yield Symptom(where, message, remedy)


def _reached(optimizer: OptimizerFact, rate: float | None) -> float | None:
    """Return the peak of a schedule that never reaches the rate of its group, else that rate.

    A schedule that is a factor of the rate may be far below it: ``LambdaLR`` of a function that returns a rate.
    """
    curves = [scheduler.curve for scheduler in optimizer.schedulers if scheduler.curve is not None]
    if rate is None or len(optimizer.groups) > 1 or len(curves) != 1 or len(optimizer.schedulers) != 1:
        return rate
    highest = max(value for _, value in curves[0].rates)
    still_rises = curves[0].rates[-1][1] >= highest
    return rate if still_rises else min(rate, highest)


def peak(group: GroupFact) -> float | None:
    """Return the highest learning rate of a group: the end of a warm-up, not its start."""
    for key in ("max_lr", "initial_lr", "lr"):
        value = group.settings.get(key)
        if isinstance(value, (int, float)):
            return float(value)
    return None


def _is_large(evidence: Evidence, large: float) -> bool:
    counts = (parameter.statistics.count for parameter in evidence.model.parameters if parameter.statistics is not None)
    return sum(counts) > large


def _is_transformer(evidence: Evidence) -> bool:
    return any(
        module.home.startswith("transformers.") or module.isa("MultiheadAttention") for module in evidence.model.modules
    )


def _pretrained_share(evidence: Evidence, group: GroupFact) -> float:
    """Return the pretrained share of a group's trainable numbers.

    The output layer is always new, and so are parameters of a module around a frozen layer, such as an adapter.
    """
    frozen = {each.module for each in evidence.model.parameters if not each.requires_grad and len(each.shape) > 1}
    known = tuple(part.module for part in evidence.model.pretrained)
    last = {name.rpartition(".")[0] for name in output_weights(evidence)}
    sizes = {True: 0, False: 0}
    for name in group.parameters:
        parameter = evidence.model.parameter(name)
        if parameter is not None and parameter.requires_grad and parameter.statistics is not None:
            adapts = any(module.startswith(f"{parameter.module}.") for module in frozen)
            is_new = adapts or parameter.module in last
            old = not is_new and any(_is_in(parameter.module, module) for module in known)
            sizes[old] += parameter.statistics.count
    return sizes[True] / max(1, sum(sizes.values()))


def _is_in(path: str, module: str) -> bool:
    return not module or path == module or path.startswith(f"{module}.")
