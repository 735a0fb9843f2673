"""Inputs without effect, and state that keeps a graph from step to step."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.influence_facts import InfluenceFact
from lightning_tricks.doctor.facts.operations import POOLS, words
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, Symptoms, rule

_WINDOWS = POOLS | words("conv1d conv2d conv3d unfold")


@rule("BEH009", "warning", kind="batch", needs=("influence",))
def ignored_features(evidence: Evidence) -> Symptoms:
    """An input, or features or positions of an input, without effect on the outputs.

    What it looks at:  eval mode: the gradient of the outputs with respect to each feature of floating-point inputs; ids
                       and masks are shifted by one sample. Features that seem to have no effect are also changed by a
                       large amount, and with noise on all weights. Of sequences: whether only one position has an
                       effect, as after ``outputs[:, 0]`` of a recurrent layer.
    Why it matters:    a wrong slice, a variable that is used twice, a mask that is never read: the model learns without
                       a part of its input.
    Try:               follow the input through ``forward``.
    False alarms:      inputs that all samples have in common, zero initialization and random depth are accounted for.
                       Info for entries of a dictionary that is passed as a whole, other than masks: a batch may hold
                       more than a model needs. An argument that an interface requires but the model does not need is a
                       false alarm.
    References:        Karpathy, A Recipe for Training Neural Networks, 2019; Ben Braiek & Khomh, TheDeepChecker, 2023.
    """
    facts = evidence.influence
    assert facts is not None
    yield from _single_positions(facts.inputs)
    counts = [each for each in facts.inputs if len(each.ignored) < each.features]
    for found in facts.inputs:
        if not found.ignored or not counts:  # if no input has an effect, BEH001 reports it
            continue
        where = f"input {found.path}" if found.path else "input"
        if len(found.ignored) == found.features:
            message = f"the input{f' {found.path!r}' if found.path else ''} changes no output of the model"
        else:
            shown = ", ".join(map(str, found.ignored[:5])) + (" …" if len(found.ignored) > 5 else "")
            message = f"{len(found.ignored)} of {found.features} features change no output of the model: {shown}"
        spare = (found.offered and "mask" not in found.path.lower()) or _is_remainder(evidence, found)
        severity: Severity | None = "info" if spare else None
        remedy = "follow the input through `forward`: a wrong slice, or a variable used twice"
        yield Symptom(where, message, remedy, severity)


def _is_remainder(evidence: Evidence, found: InfluenceFact, *, share: float = 0.1) -> bool:
    """Return whether the ignored features are the few last ones, which the windows of a convolution do not reach."""
    last = tuple(range(found.features - len(found.ignored), found.features))
    windows = evidence.trace is not None and any(evidence.graph.find(*_WINDOWS))
    return windows and found.ignored == last and len(last) < share * found.features


def _single_positions(inputs: tuple[InfluenceFact, ...]) -> Iterator[Symptom]:
    for found in inputs:
        if found.position is not None:
            message = f"of {found.length} positions of the sequences, only number {found.position} changes an output"
            remedy = "outputs[:, -1], or the state that a recurrent layer returns; a mean over the positions"
            yield Symptom(f"input {found.path}".strip(), message, remedy)


@rule("BEH013", "error", kind="batch", needs=("influence",))
def visible_targets(evidence: Evidence) -> Iterator[Symptom]:
    """A model that sees the targets it is trained to predict.

    What it looks at:  losses whose targets are an input shifted by one step, as in language models and in forecasts of
                       the next value. In eval mode, the second half of the sequences is exchanged among the samples:
                       outputs of the first half must not change.
    Why it matters:    without a causal mask, the answer is among the inputs. The loss falls to almost 0, and the model
                       is useless where the next step is not known.
    Try:               a causal mask: ``nn.Transformer.generate_square_subsequent_mask``, ``is_causal=True``; padding on
                       the left side in convolutions; no bidirectional recurrent layers.
    False alarms:      none known: models that fill in masked tokens have other targets.
    References:        Vaswani et al., Attention Is All You Need, 2017, §3.2.3.
    """
    assert evidence.influence is not None
    seen = evidence.influence.visible
    if seen is not None:
        message = (
            f"the targets are the next steps of input {seen.path}, but later steps change earlier outputs by "
            f"{seen.change:.2g} (eval mode): the model sees its targets"
        )
        yield Symptom(evidence.influence.module, message, "a causal mask over the positions")


@rule("BEH011", "error", kind="batch", needs=("step",))
def graph_kept_between_steps(evidence: Evidence) -> Symptoms:
    """An attribute that keeps the graph of a step.

    What it looks at:  attributes of modules that hold tensors with their graph after a step, and the effect on the next
                       step: it raises an error, or keeps more of them (a warning).
    Why it matters:    a hidden state that is kept makes the second backward pass run through the graph of the first
                       step; collected losses keep the memory of every step.
    Try:               ``self.state = state.detach()``; ``self.losses.append(loss.detach())``.
    False alarms:      none known: tensors that the next step overwrites are left out.
    References:        PyTorch documentation, FAQ, "My model reports out of memory".
    """
    for held in evidence.held:
        name = f"`{held.attribute}`"
        if held.fails:
            message = f"{name} keeps the graph of a step until the next one, whose backward pass raises an error"
            yield Symptom(held.module, message, f"self.{held.attribute} = ….detach()")
        else:
            message = f"{name} keeps {held.growth} more tensors with their graph after each step, so memory grows"
            yield Symptom(held.module, message, f"append detached tensors to {name}", "warning")
