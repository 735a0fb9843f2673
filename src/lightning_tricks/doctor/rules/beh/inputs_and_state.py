"""Inputs that change nothing, and state that carries a graph from step to step."""

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, Symptoms, rule


@rule("BEH009", "warning", kind="batch", needs=("influence",))
def ignored_features(evidence: Evidence) -> Symptoms:
    """An input, or features of it, that change nothing in the outputs.

    What it looks at:  eval mode: the gradient of the outputs by each feature of float inputs; ids and masks moved by
                       one sample. What seems to be ignored is changed by a lot, also with noise on all weights.
    Why it matters:    a wrong slice, a variable that is used twice, a mask that is never read: the model learns without
                       what it was given.
    Try:               follow the input through ``forward``.
    False alarms:      inputs that samples have in common, zero initialization and random depth are allowed for. An
                       input that an interface asks for and the model does not need is one.
    References:        Karpathy, A Recipe for Training Neural Networks, 2019; Ben Braiek & Khomh, TheDeepChecker, 2023.
    """
    facts = evidence.influence
    assert facts is not None
    counts = [each for each in facts.inputs if len(each.ignored) < each.features]
    for found in facts.inputs:
        if not found.ignored or not counts:  # where nothing counts, BEH001 has it
            continue
        where = f"input {found.path}" if found.path else "input"
        if len(found.ignored) == found.features:
            message = f"the input{f' {found.path!r}' if found.path else ''} changes no output of the model"
        else:
            shown = ", ".join(map(str, found.ignored[:5])) + (" …" if len(found.ignored) > 5 else "")
            message = f"{len(found.ignored)} of {found.features} features change no output of the model: {shown}"
        yield Symptom(where, message, "follow the input through `forward`: a wrong slice, or a variable used twice")


@rule("BEH011", "error", kind="batch", needs=("step",))
def graph_kept_between_steps(evidence: Evidence) -> Symptoms:
    """An attribute that keeps the graph of a step.

    What it looks at:  attributes of modules that hold tensors with their graph after a step, and what the next step
                       does with them: it raises, or keeps more of them (a warning).
    Why it matters:    a hidden state that is carried on makes the second step run backward through the first; losses
                       that are collected keep the memory of every step.
    Try:               ``self.state = state.detach()``; ``self.losses.append(loss.detach())``.
    False alarms:      none known: tensors that are overwritten in the next step are left out.
    References:        PyTorch documentation, FAQ, "My model reports out of memory".
    """
    for held in evidence.held:
        name = f"`{held.attribute}`"
        if held.fails:
            message = f"{name} carries the graph of a step into the next, whose backward pass raises"
            yield Symptom(held.module, message, f"self.{held.attribute} = ….detach()")
        else:
            message = f"{name} keeps {held.growth} more tensors with their graph after each step: memory grows"
            yield Symptom(held.module, message, f"append what is detached to {name}", "warning")
