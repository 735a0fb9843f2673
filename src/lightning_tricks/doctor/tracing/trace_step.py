"""Trace a step: record one pass in training mode, with its loss and gradients."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.doctor.facts.evidence import ErrorFact, GradientFact, StepFacts
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.doctor.facts.provenance import find_arrivals
from lightning_tricks.doctor.facts.trace_facts import BatchNormFact, TermFact, TraceFacts
from lightning_tricks.doctor.reading.containers import tensors_in, walk_batch
from lightning_tricks.doctor.tracing.interventions import WithoutDropout
from lightning_tricks.doctor.tracing.loss_terms import measure_terms
from lightning_tricks.doctor.tracing.module_stack import ModuleStack
from lightning_tricks.doctor.tracing.one_pass import Entry, describe_error, find_entry, find_loss, has_training_step
from lightning_tricks.doctor.tracing.recorder import NotFollowedError, Recorder
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn

TECHNIQUES = ("hybrid", "functions")
_FOLLOWED = (*TECHNIQUES, "modules")  # the last technique follows calls of modules but no operations


@dataclass(frozen=True)
class Traced:
    """The result of one traced step.

    Attributes:
        trace: its operations; up to the exception, if there was one.
        step: its loss and gradients.
        error: the model's exception.
        calls: the arguments of the first call of the model, and of the modules that it calls itself, by path.
        targets: the targets of its losses.
        missing: the reason why there is no trace.
    """

    trace: TraceFacts | None = None
    step: StepFacts | None = None
    error: ErrorFact | None = None
    calls: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    targets: Sequence[Tensor] = ()
    missing: str = ""


@dataclass
class StepSetup:
    """A model, its batch, and the function that restores it after each pass.

    Attributes:
        model: any module.
        batch: the batch, on the model's device.
        optimizers: the real optimizers, for manual optimization.
        schedulers: the real schedulers.
        trainer: the object that it uses as its Trainer.
        restore: restores the state from before the first pass.
        context: the context in which a pass runs, such as autocast.
    """

    model: nn.Module
    batch: Any
    optimizers: Sequence[Any]
    schedulers: Sequence[Any]
    trainer: TrainerStandIn
    restore: Callable[[], None]
    context: Callable[[], AbstractContextManager[Any]]


def trace_step(setup: StepSetup, failures: OwnFailures) -> Traced:
    """Run one step with the best technique that works for the model.

    If the step raises under one technique, the next one is tried; if it raises without any, the exception is the
    model's own.
    """
    partial: Traced | None = None
    for technique in _FOLLOWED:
        found = _Pass(setup, failures).run(technique)
        if found.error is None:
            return _with_partial_trace(found, partial, failures)
        partial = partial or found
        setup.restore()
    plain = _Pass(setup, failures).run(None)
    setup.restore()
    if plain.error is None:
        return _with_partial_trace(plain, partial, failures)
    if setup.trainer.unanswered:
        asked = ", ".join(f"`trainer.{name}`" for name in dict.fromkeys(setup.trainer.unanswered))
        return Traced(missing=f"the step asks for {asked}, but no Trainer is attached: use the `Doctor` callback")
    error = replace(plain.error, module=partial.error.module if partial and partial.error else "")
    return replace(plain, trace=partial.trace if partial else None, error=error)


def _with_partial_trace(found: Traced, partial: Traced | None, failures: OwnFailures) -> Traced:
    if found.trace is not None or partial is None or partial.error is None:
        return found
    if partial.error.kind == NotFollowedError.__name__:
        return replace(found, missing=partial.error.message)
    why = f"{partial.error.kind}: {partial.error.message}"
    failures.notes.append(f"The doctor could not follow the operations of the step: {why} Please report this.")
    return replace(found, missing=f"the pass could not be followed: {why}")


class _Pass:
    def __init__(self, setup: StepSetup, failures: OwnFailures) -> None:
        self._setup = setup
        self._failures = failures
        self._gradients: dict[str, GradientFact] = {}
        self._stack = ModuleStack(setup.model)
        self._recorder = Recorder(_leaves(setup.model, setup.batch), self._stack)
        self._step = Step(setup.optimizers, setup.schedulers, self._read_gradients, self._recorder.paused)
        self._phase = ""
        self._terms: tuple[TermFact, ...] = ()

    def run(self, technique: str | None) -> Traced:
        setup = self._setup
        self._prepare_()
        try:
            entry = find_entry(setup.model, setup.batch)
            self._phase = f"`{entry.name}`"
            returned = self._forward(entry, technique)
            loss = find_loss(entry, returned)
            step = self._backward(returned, loss)
        except Exception as error:  # the model's own exception, or one of a technique that it does not support
            described = describe_error(error, self._phase, self._stack.failed or "")
            name = "training_step" if has_training_step(setup.model) else "forward"
            return Traced(trace=self._facts(name, technique, None), error=described)
        return Traced(self._facts(entry.name, technique, loss), step, None, self._stack.calls, self._recorder.targets)

    def _prepare_(self) -> None:
        model = self._setup.model
        for parameter in model.parameters():
            parameter.grad = None
        if not model.training:  # if the model is in training mode, its parts keep their modes: they may be frozen
            model.train()
        stand_in_(model, self._step, self._setup.trainer)

    def _forward(self, entry: Entry, technique: str | None) -> Any:
        with ExitStack() as contexts:
            contexts.enter_context(self._setup.context())
            contexts.enter_context(torch.enable_grad())
            if technique:
                contexts.enter_context(self._stack)
            if technique in TECHNIQUES:
                contexts.enter_context(self._recorder.recording(technique))
            return entry.call()

    def _backward(self, returned: Any, loss: Tensor | None) -> StepFacts:
        manual = self._is_manual
        # without a loss, the sum of the outputs is used for the gradients
        root = loss if loss is not None else _sum(returned)
        self._phase = "the backward pass"
        leads_back = root is not None and root.requires_grad
        if loss is not None and leads_back and not manual:
            self._failures.attempt("measure the terms of the loss", lambda: self._measure_terms(loss), None)
        if root is not None and leads_back and not manual:
            (root if root.dim() == 0 else root.float().mean()).backward()  # type: ignore[no-untyped-call]
        self._read_gradients()
        return StepFacts(
            loss=None if loss is None else float(loss.detach().float().mean()),
            requires_grad=leads_back,
            manual=manual,
            backwards=self._step.backwards,
            gradients=tuple(self._gradients.values()),
            logged=dict(self._step.logged),
            stepped=tuple(sorted(self._step.stepped)),
            cleared=tuple(sorted(self._step.cleared)),
        )

    def _measure_terms(self, loss: Tensor) -> None:
        found = self._recorder.find(loss)
        trace = TraceFacts("", "", tuple(self._recorder.operations), (), None)
        if found and trace.operations[found[0]].op in ("add", "sub"):
            parameters = dict(self._setup.model.named_parameters())
            self._terms = measure_terms(Graph(trace), found[0], self._recorder.scalars, parameters)

    @property
    def _is_manual(self) -> bool:
        return getattr(self._setup.model, "automatic_optimization", True) is False

    def _read_gradients(self) -> None:
        with self._recorder.paused():
            self._failures.attempt("read the gradients of the step", self._note_gradients, None)

    def _note_gradients(self) -> None:
        names, norms = [], []
        for name, value in self._setup.model.named_parameters():
            if not value.requires_grad:
                continue
            if value.grad is None:
                self._gradients.setdefault(name, GradientFact(name, None))
                continue
            grad = value.grad.coalesce().values() if value.grad.is_sparse else value.grad
            names.append(name)
            norms.append(grad.detach().float().norm())
        for name, norm in zip(names, stack_tensors(norms).tolist() if norms else [], strict=True):
            known = self._gradients.get(name)
            finite = norm == norm and norm != float("inf")
            if known is None or not known.norm:
                self._gradients[name] = GradientFact(name, norm, nonfinite=not finite)

    def _facts(self, entry: str, technique: str | None, loss: Tensor | None) -> TraceFacts | None:
        if technique not in TECHNIQUES:
            return None
        return self._failures.attempt(
            "describe the operations of the step", lambda: self._describe(entry, str(technique), loss), None
        )

    def _describe(self, entry: str, technique: str, loss: Tensor | None) -> TraceFacts:
        recorder = self._recorder
        found_loss = recorder.find(loss)[:1] if loss is not None else ()
        results = self._stack.results
        outputs = recorder.find(results[0]) if results else ()
        trace = TraceFacts(
            entry=entry,
            technique=technique,
            operations=tuple(recorder.operations),
            outputs=outputs,
            loss=found_loss[0] if found_loss else None,
            arrivals=tuple(recorder.arrivals.values()),
            masks=tuple(recorder.masks.facts),
            terms=self._terms,
        )
        return replace(trace, batchnorms=self._batchnorms(trace))

    def _batchnorms(self, trace: TraceFacts) -> tuple[BatchNormFact, ...]:
        ratios = self._variance_ratios(trace)
        found: dict[str, BatchNormFact] = {}
        for index, norm in Graph(trace).find("batch_norm"):
            if not norm.settings.get("training", True) or not norm.input_shapes or len(norm.input_shapes[0]) < 2:
                continue
            samples, channels, *positions = norm.input_shapes[0]
            values = samples * int(torch.Size(positions).numel()) if channels else 0
            ratio = ratios.get(index)
            known = found.get(norm.module)
            if known is None or (ratio is not None and (known.variance_ratio is None or ratio < known.variance_ratio)):
                found[norm.module] = BatchNormFact(norm.module, samples, values, ratio)
        return tuple(found.values())

    def _variance_ratios(self, trace: TraceFacts) -> dict[int, float]:
        """Return, for batch norms that dropout reaches, the ratio of input variances without and with dropout."""
        reached = {each.batchnorm for each in find_arrivals(Graph(trace)) if not each.fact.by_rand}
        with_dropout = self._recorder.channel_variances
        without = self._rerun_without_dropout() if reached else []
        found = {}
        if len(without) >= len(with_dropout):
            for (index, train), test in zip(with_dropout.items(), without[-len(with_dropout) :], strict=False):
                alive = train > 1e-12
                if index in reached and train.shape == test.shape and bool(alive.any()):
                    found[index] = float((test[alive] / train[alive]).median())
        return found

    def _rerun_without_dropout(self) -> list[Tensor]:
        """Run the same pass, with the same random numbers, and return the variances at each batch norm."""
        self._setup.restore()
        self._prepare_()
        mode = WithoutDropout()
        try:
            with self._setup.context(), torch.set_grad_enabled(self._is_manual), mode:
                find_entry(self._setup.model, self._setup.batch).call()
        except Exception:  # a model that fails without its dropout is judged without this measurement
            return []
        return mode.channel_variances


def _leaves(model: nn.Module, batch: Any) -> list[tuple[str, str, Tensor]]:
    found: list[tuple[str, str, Tensor]] = [("parameter", name, value) for name, value in model.named_parameters()]
    found += [("buffer", name, value) for name, value in model.named_buffers()]
    return found + [("batch", path, leaf) for path, leaf in walk_batch(batch) if isinstance(leaf, Tensor)]


def _sum(returned: Any) -> Tensor | None:
    parts = [
        tensor.float().sum() for tensor in tensors_in(returned) if tensor.is_floating_point() and tensor.requires_grad
    ]
    return stack_tensors(parts).sum() if parts else None
