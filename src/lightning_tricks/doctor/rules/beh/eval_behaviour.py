"""Outputs in eval mode when the inputs change and when they do not."""

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ParameterFact
from lightning_tricks.doctor.facts.roles import output_weights
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms, rule

# draws of values, times and positions: a mask of dropout compares `rand` with a rate
_SAMPLING = frozenset(("randn", "normal", "randint", "randint_like", "randperm", "multinomial", "argsort", "topk"))


@rule("BEH001", "error", kind="batch", needs=("behaviour",), explains=("BEH009",))
def ignores_inputs(evidence: Evidence, *, tolerance: float = 1e-7) -> Symptoms:
    """Outputs that do not depend on the inputs.

    What it looks at:  eval mode, with the samples of the batch in another order: the relative change of the outputs.
    Why it matters:    the model has learned a constant, or can only learn a constant.
    Options:           ``tolerance``: the relative change below which outputs count as unchanged; deep networks with
                       batch norm may change by only 1e-6 before training.
    Try:               look for a layer of zeros, dead units, or an input that is overwritten.
    False alarms:      an output layer that is zero at the start: info, "at initialization". Info, too, if the outputs
                       have a gradient for the inputs all the same: spikes or rounded values, with the gradient of
                       something smooth.
    References:        Ben Braiek & Khomh, TheDeepChecker, 2023.
    """
    behaviour = evidence.behaviour
    assert behaviour is not None
    if behaviour.input_change is None:
        yield NotChecked(behaviour.reason or "outputs could not be compared")
    elif behaviour.input_change < tolerance:
        zero = _zero_output_layer(evidence)
        when = f" at initialization: {zero.name} is zero" if zero else ""
        when = when or (", although their gradient is not zero" if behaviour.input_gradient else "")
        message = f"outputs change by {behaviour.input_change:.1g} (below {tolerance:g}) when the inputs change{when}"
        remedy = (
            "train a few steps and check again" if zero else "look for a layer of zeros, or an input that is not used"
        )
        yield Symptom(behaviour.module, message, remedy, "info" if zero or behaviour.input_gradient else None)
    else:
        yield Observed(f"outputs change by {behaviour.input_change:.2g} when the inputs change")


def _zero_output_layer(evidence: Evidence) -> ParameterFact | None:
    """Return the weight of the last layer if it is zero."""
    last = (evidence.model.parameter(name) for name in output_weights(evidence))
    return next(
        (
            weight
            for weight in last
            if weight and weight.statistics and weight.statistics.low == weight.statistics.high == 0
        ),
        None,
    )


@rule("BEH007", "warning", kind="batch", needs=("behaviour",))
def nondeterministic_eval(evidence: Evidence, *, tolerance: float = 1e-6) -> Symptoms:
    """Outputs that differ from call to call in eval mode.

    What it looks at:  two passes over the same batch in eval mode.
    Why it matters:    validation is noisy, and predictions are not reproducible.
    Options:           ``tolerance``: the relative change below which outputs count as equal.
    Try:               draw random numbers only ``if self.training``.
    False alarms:      models that sample on purpose: info if they draw normal numbers or whole numbers, or choose
                       positions at random, as masked autoencoders do. Dropout is reported by dropout-always-on.
    References:        none.
    """
    behaviour = evidence.behaviour
    assert behaviour is not None
    change = behaviour.repeat_change
    if change is not None:
        yield Observed(f"two passes in eval mode differ by {change:.2g}, allowed {tolerance:g}")
    if change is None or change <= tolerance or behaviour.always_on or "bernoulli" in behaviour.random:
        return
    drawn = f" ({', '.join(behaviour.random)} is called)" if behaviour.random else ""
    message = f"two passes in eval mode differ by {change:.2g}, above {tolerance:g}{drawn}"
    by_design = not _SAMPLING.isdisjoint(behaviour.random)
    yield Symptom("", message, "draw random numbers only `if self.training:`", "info" if by_design else None)
