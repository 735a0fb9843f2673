"""Batch passes: run a model on a batch, in training mode and in eval mode, and measure the passes."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from lightning_tricks.doctor.facts.behaviour_facts import BehaviourFacts
from lightning_tricks.doctor.facts.evidence import BatchFacts, OverfitFacts
from lightning_tricks.doctor.facts.influence_facts import HeldGraph, InfluenceFacts
from lightning_tricks.doctor.facts.numeric_facts import NumericFacts
from lightning_tricks.doctor.reading.read_data import read_batch
from lightning_tricks.doctor.tracing.calibrate_norms import batch_statistics, set_statistics_
from lightning_tricks.doctor.tracing.eval_passes import observe_behaviour
from lightning_tricks.doctor.tracing.held_graphs import find_held_graphs
from lightning_tricks.doctor.tracing.input_influence import InfluencePart, measure_influence, part_with_influence
from lightning_tricks.doctor.tracing.nonfinite_search import is_suspect, search_nonfinite
from lightning_tricks.doctor.tracing.obtain_batch import bring_to_model
from lightning_tricks.doctor.tracing.one_pass import describe_error, find_entry
from lightning_tricks.doctor.tracing.other_seeds import with_gradients_of_other_seeds
from lightning_tricks.doctor.tracing.overfit_batch import overfit_batch_
from lightning_tricks.doctor.tracing.partial_evidence import PartialEvidence
from lightning_tricks.doctor.tracing.single_process import single_process
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trace_step import StepSetup, Traced, trace_step
from lightning_tricks.doctor.tracing.without_compile import without_compile


@dataclass
class BatchPasses:
    """The results of the passes; each attribute is the part of the evidence with the same name.

    Attributes:
        traced: the training step.
        batch: the batch.
        behaviour: the passes in eval mode.
        overfit: the short training on the batch.
        numerics: where the first non-finite value was produced.
        influence: which inputs the output depends on, or why this could not be measured.
        held: graphs that the model keeps between steps.
        part: the part of the model that runs in eval mode, if its inputs are to be changed.
    """

    traced: Traced
    batch: BatchFacts | None = None
    behaviour: BehaviourFacts | None = None
    overfit: OverfitFacts | None = None
    numerics: NumericFacts | None = None
    influence: InfluenceFacts | str | None = None
    held: tuple[HeldGraph, ...] = ()
    part: InfluencePart | None = None


def run_passes(setup: StepSetup, partial: PartialEvidence, *, datamodule: Any, overfit: bool) -> BatchPasses:
    """Run all passes on a batch.

    Args:
        setup: the model and the batch, which is moved to the model's device.
        partial: collects the reasons for missing parts.
        datamodule: the data module whose transfer hooks are called.
        overfit: whether to also train on the batch.
    """
    error = _bring_batch(setup, datamodule)
    passes = BatchPasses(error or Traced(), batch=partial.attempt("batch", lambda: read_batch(setup.batch)))
    if error is None:
        _run_steps(setup, passes, partial, overfit)
    passes.numerics = partial.attempt("numerics", lambda: _search_nonfinite(setup, passes.traced))
    passes.influence = partial.attempt("influence", lambda: _find_influence(setup, passes))
    return passes


def _bring_batch(setup: StepSetup, datamodule: Any) -> Traced | None:
    try:
        setup.batch = bring_to_model(setup.batch, setup.model, datamodule)
    except Exception as error:  # a user-defined hook, or the `to` method of the batch's class
        return Traced(error=describe_error(error, "the transfer of the batch", ""))
    return None


def _run_steps(setup: StepSetup, passes: BatchPasses, partial: PartialEvidence, overfit: bool) -> None:
    with without_compile(), single_process(), torch.inference_mode(False):
        traced = passes.traced = trace_step(setup, partial.failures)
        if traced.step is None:
            return
        statistics = partial.attempt("behaviour", lambda: batch_statistics(setup.model))
        find_held = lambda: find_held_graphs(setup.model, setup.batch, setup.context)  # noqa: E731
        passes.held = partial.attempt("held graphs", find_held) or ()
        passes.traced = replace(traced, step=with_gradients_of_other_seeds(setup, traced.step))
        setup.restore()
        set_statistics_(setup.model, statistics or {})  # eval passes need norms that have seen a batch
        stand_in_(setup.model, Step(setup.optimizers, setup.schedulers), setup.trainer)
        with setup.context():
            passes.behaviour = partial.attempt("behaviour", lambda: _observe(setup, passes))
            passes.overfit = _overfit(setup, partial) if overfit else None


def _search_nonfinite(setup: StepSetup, traced: Traced) -> NumericFacts:
    if not is_suspect(traced.step, traced.error):
        return NumericFacts()
    with without_compile(), single_process(), torch.inference_mode(False):
        return search_nonfinite(setup)


def _find_influence(setup: StepSetup, passes: BatchPasses) -> InfluenceFacts | str:
    part, behaviour = passes.part, passes.behaviour
    if behaviour is None or behaviour.repeat_change is None or behaviour.always_on:
        return "the model cannot be run in eval mode, or draws random numbers there"
    if part is None:
        return "fewer than four samples, or a step that calls no module"
    with without_compile(), single_process(), torch.inference_mode(False), setup.context():
        try:
            return measure_influence(
                setup.model,
                part,
                behaviour.module,
                setup.batch,
                targets=passes.traced.targets,
                is_deterministic=behaviour.repeat_change == 0 and not behaviour.random,
            )
        except Exception as error:  # the model may not support eval mode or other values
            return f"a pass with other inputs raised {type(error).__name__}: {error}"


def _observe(setup: StepSetup, passes: BatchPasses) -> BehaviourFacts:
    size = passes.batch.size if passes.batch is not None else None
    passes.part = part_with_influence(setup.model, passes.traced.calls, size)
    try:
        return observe_behaviour(setup.model, passes.traced.calls, size, passes.part)
    except Exception as error:  # eval mode may require more than training does
        return BehaviourFacts(reason=f"a pass in eval mode raised {type(error).__name__}: {error}")


def _overfit(setup: StepSetup, partial: PartialEvidence) -> OverfitFacts | None:
    partial.missing["overfit"] = "there is no loss that Adam could minimize"
    setup.model.train()
    try:
        return overfit_batch_(setup.model, find_entry(setup.model, setup.batch))
    except Exception as error:  # a second step may fail although the first one did not
        partial.missing["overfit"] = f"training on the batch raised {type(error).__name__}: {error}"
        return None
