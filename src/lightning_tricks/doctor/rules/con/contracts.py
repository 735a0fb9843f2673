"""Contracts of a model: frozen parts, the shape of the output and its range."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from lightning_tricks.doctor.facts.behaviour_facts import BehaviourFacts
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.trace_facts import TensorFact
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms, rule


@rule("CON001", "error", kind="static", needs=("contracts.frozen",))
def stated_frozen_part_trains(evidence: Evidence) -> Symptoms:
    """A part declared as frozen that trains.

    What it looks at:  parameters whose names match ``frozen`` of the contracts: their ``requires_grad``; with a batch,
                       also batch norms of this part that update their statistics in a training step.
    Why it matters:    a backbone that should stay unchanged changes from the first step on.
    Try:               ``requires_grad_(False)`` and ``eval()`` for this part, after each ``train()`` of the model.
    False alarms:      none known: the contract is explicit.
    References:        none.
    """
    assert evidence.contracts is not None
    for pattern in evidence.contracts.frozen:
        fitting = [each for each in evidence.model.parameters if _fits(each.name, pattern)]
        if not fitting:
            yield Symptom(
                "",
                f"no parameter matches frozen={pattern!r}",
                "correct the pattern: it must match names of named_parameters()",
            )
            continue
        training = [each.name for each in fitting if each.requires_grad]
        if training:
            message = (
                f"{len(training)} of {len(fitting)} parameters of frozen={pattern!r} are trainable ({training[0]}, ...)"
            )
            yield Symptom(_module_of(training[0]), message, "requires_grad_(False) for this part")
        else:
            yield Observed(f"{len(fitting)} parameters of {pattern!r} are frozen")
        yield from _learning_batchnorms(evidence, pattern)


def _learning_batchnorms(evidence: Evidence, pattern: str) -> Iterator[Symptom]:
    for norm in evidence.trace.batchnorms if evidence.trace is not None else ():
        if _fits(norm.module, pattern):
            message = f"a batch norm of frozen={pattern!r} updates its statistics in the training step"
            yield Symptom(norm.module, message, "eval() for this part, after each train() of the model")


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _module_of(parameter: str) -> str:
    return parameter.rpartition(".")[0]


@rule("CON002", "error", kind="batch", needs=("contracts.output_shape", "behaviour"))
def output_shape_not_as_stated(evidence: Evidence) -> Symptoms:
    """An output whose shape violates the contract.

    What it looks at:  the first floating-point output of the model on the batch, in eval mode, and ``output_shape`` of
                       the contracts. Dimensions with the same name must have the same size; ``None`` allows any size.
    Why it matters:    a loss may broadcast an unintended shape, and code that reads the output may misinterpret it.
    Try:               correct the layer that produces the output, or the contract.
    False alarms:      a training step that calls parts of the model: only the largest part is checked.
    References:        none.
    """
    assert evidence.contracts is not None
    assert evidence.behaviour is not None
    output, stated = _first_output(evidence.behaviour), evidence.contracts.output_shape or ()
    if output is None:
        yield _no_output(evidence.behaviour)
    elif not _is_of_shape(output.shape, stated):
        message = f"the output has shape {_shown(output.shape)}, but the contract requires {_shown(stated)}"
        yield Symptom(evidence.behaviour.module, message, "change the layer that produces the output, or the contract")
    else:
        yield Observed(f"shape {_shown(output.shape)}, contract {_shown(stated)}")


@rule("CON003", "error", kind="batch", needs=("contracts.output_range", "behaviour"))
def output_outside_stated_range(evidence: Evidence) -> Symptoms:
    """An output with values outside the range of the contract.

    What it looks at:  the first floating-point output of the model on the batch, in eval mode, and ``output_range`` of
                       the contracts; non-finite values count as outside.
    Why it matters:    code that reads the output, such as a threshold or a metric, expects this range.
    Try:               a sigmoid or softmax for probabilities, a clamp or scale for bounded values.
    False alarms:      a training step that calls parts of the model: only the largest part is checked.
    References:        none.
    """
    assert evidence.contracts is not None
    assert evidence.behaviour is not None
    output, stated = _first_output(evidence.behaviour), evidence.contracts.output_range
    if output is None or output.statistics is None or stated is None:
        yield _no_output(evidence.behaviour)
        return
    seen, (low, high) = output.statistics, stated
    where, remedy = evidence.behaviour.module, "change the layer that produces the output, or the contract"
    if seen.nonfinite:
        yield Symptom(where, f"{seen.nonfinite} of {seen.count} output values are not finite", remedy)
    elif seen.low < low or seen.high > high:
        message = f"the output is in [{seen.low:.3g}, {seen.high:.3g}], but the contract requires [{low:g}, {high:g}]"
        yield Symptom(where, message, remedy)
    else:
        yield Observed(f"from {seen.low:.3g} to {seen.high:.3g}, contract [{low:g}, {high:g}]")


def _first_output(behaviour: BehaviourFacts) -> TensorFact | None:
    return behaviour.outputs[0] if behaviour.outputs else None


def _no_output(behaviour: BehaviourFacts) -> NotChecked:
    return NotChecked(behaviour.reason or "the model returns no floating-point tensor")


def _is_of_shape(shape: Sequence[int], stated: Sequence[int | str | None]) -> bool:
    if len(shape) != len(stated):
        return False
    sizes: dict[str, int] = {}
    for size, wanted in zip(shape, stated, strict=True):
        if isinstance(wanted, str):
            wanted = sizes.setdefault(wanted, size)
        if wanted is not None and wanted != size:
            return False
    return True


def _shown(shape: Sequence[int | str | None]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
