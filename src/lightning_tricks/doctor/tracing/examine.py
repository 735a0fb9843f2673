"""Examine: measure a model, its loaders and one batch, and leave all of them as they were."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.facts.evidence import (
    BatchFacts,
    BehaviourFacts,
    ErrorFact,
    Evidence,
    LoaderFact,
    OverfitFacts,
)
from lightning_tricks.doctor.facts.numeric_facts import NumericFacts
from lightning_tricks.doctor.reading.read_data import first_batch, first_loader, read_batch, read_loader
from lightning_tricks.doctor.reading.read_datasets import read_datasets
from lightning_tricks.doctor.reading.read_model import read_model
from lightning_tricks.doctor.reading.read_optimizers import normalize_optimizer_config, read_optimizers
from lightning_tricks.doctor.reading.read_plan import read_plan
from lightning_tricks.doctor.reading.read_splits import add_split_facts
from lightning_tricks.doctor.tracing.eval_passes import observe_behaviour
from lightning_tricks.doctor.tracing.lazy_memory import remember_lazy
from lightning_tricks.doctor.tracing.nonfinite_search import is_suspect, search_nonfinite
from lightning_tricks.doctor.tracing.one_pass import describe_error, find_entry, move
from lightning_tricks.doctor.tracing.overfit_batch import overfit_batch_
from lightning_tricks.doctor.tracing.single_process import single_process
from lightning_tricks.doctor.tracing.stand_in import Step, TrainerStandIn, stand_in_
from lightning_tricks.doctor.tracing.trace_step import Patient, Traced, trace_step
from lightning_tricks.doctor.tracing.without_compile import without_compile


def examine(
    model: nn.Module,
    batch: Any = None,
    *,
    train_dataloaders: Any = None,
    val_dataloaders: Any = None,
    test_dataloaders: Any = None,
    optimizers: Any = None,
    peaks: Sequence[Sequence[float]] = (),
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    not_traced: str = "",
    overfit: bool = False,
) -> Evidence:
    """Return all evidence that can be had.

    Args:
        model: any module; of a compiled one what was compiled is looked at.
        batch: what its ``training_step`` takes, else its ``forward``.
        train_dataloaders: what Lightning accepts; the first batch is drawn from the first one if ``batch`` is None.
        val_dataloaders: likewise, for static rules.
        test_dataloaders: likewise; their rows alone are looked at.
        optimizers: those of a Trainer; None builds them by ``configure_optimizers``.
        peaks: for each of their groups the rate that it is to reach, if callbacks know it.
        context: what passes run in, such as autocast.
        not_traced: a reason not to run the model: it is read alone.
        overfit: train on the batch, too.

    Example:
        >>> evidence = examine(nn.Linear(2, 1), torch.ones(3, 2))
        >>> [operation.op for operation in evidence.trace.operations]
        ['batch', 'parameter', 'parameter', 'linear']
    """
    model = getattr(model, "_orig_mod", model)
    memory, put_back_random_state, put_back_lazy = ObjectSnapshot(), remember_random_state(), remember_lazy(model)
    memory.remember(model, batch)
    memory.remember(train_dataloaders, val_dataloaders, test_dataloaders, tensors=False)

    def put_back() -> None:
        put_back_lazy()
        memory.put_back_()
        put_back_random_state()

    examination = _Examination(model, context, put_back, overfit)
    try:
        evidence = examination.run(batch, train_dataloaders, val_dataloaders, optimizers, peaks, not_traced)
        return add_split_facts(evidence, train_dataloaders, val_dataloaders, test_dataloaders)
    finally:
        put_back()


class _Examination:
    """What is known so far, and why the rest is not."""

    def __init__(
        self,
        model: nn.Module,
        context: Callable[[], AbstractContextManager[Any]],
        put_back: Callable[[], None],
        overfit: bool,
    ) -> None:
        self._model: Any = model
        self._context = context
        self._put_back = put_back
        self._overfit = overfit
        self._missing: dict[str, str] = {}
        self._error: ErrorFact | None = None

    def run(self, batch: Any, train: Any, val: Any, given: Any, peaks: Any, not_traced: str) -> Evidence:
        model = read_model(self._model)
        train_facts, val_facts = self._read_loader("train_loader", train), self._read_loader("val_loader", val)
        plan = read_plan(self._model, train_facts)  # before anything stands in for the Trainer
        trainer = TrainerStandIn(getattr(self._model, "_trainer", None), train_facts.batches if train_facts else None)
        optimizers, schedulers = self._find_optimizers(given, trainer)
        built = (
            None
            if optimizers is None
            else read_optimizers(
                self._model, optimizers, schedulers, peaks, plan, train_facts.batches if train_facts else None
            )
        )
        if not_traced:
            batch, reason = None, not_traced
        elif batch is None and train is not None:
            batch, reason = self._draw(train)
        else:
            reason = "no batch was given"
        facts, traced, behaviour, overfit, numerics = None, Traced(), None, None, NumericFacts()
        if batch is not None:
            facts, batch = read_batch(batch), move(batch, _device_of(self._model))
            patient = Patient(self._model, batch, optimizers or (), schedulers, trainer, self._put_back, self._context)
            traced, behaviour, overfit = self._trace(patient, facts)
            reason = traced.missing or "the model raised on the batch"
            numerics = self._search(patient, traced)
        parts = {"batch": facts, "trace": traced.trace, "step": traced.step, "behaviour": behaviour, "overfit": overfit}
        self._missing.update({part: self._missing.get(part, reason) for part, value in parts.items() if value is None})
        rows = read_datasets(first_loader(train), first_loader(val))
        self._missing.update({"rows": rows} if isinstance(rows, str) else {})
        self._missing.update({"plan": "no Trainer says how long the run is to be"} if plan is None else {})
        return Evidence(
            model=model,
            optimizers=built,
            train_loader=train_facts,
            val_loader=val_facts,
            rows=None if isinstance(rows, str) else rows,
            plan=plan,
            batch=facts,
            trace=traced.trace,
            step=traced.step,
            behaviour=behaviour,
            overfit=overfit,
            numerics=numerics,
            error=self._error or traced.error,
            missing=self._missing,
        )

    def _read_loader(self, part: str, loaders: Any) -> LoaderFact | None:
        loader = first_loader(loaders)
        if loader is None:
            self._missing[part] = f"no {'training' if part == 'train_loader' else 'validation'} loader was given"
            return None
        return read_loader(loader)

    def _find_optimizers(self, given: Any, trainer: TrainerStandIn) -> tuple[list[Any] | None, list[dict[str, Any]]]:
        if given is not None:
            configs = getattr(getattr(self._model, "_trainer", None), "lr_scheduler_configs", None) or ()
            return list(given), [vars(config) for config in configs]
        if not callable(getattr(self._model, "configure_optimizers", None)):
            self._missing["optimizers"] = "the model has no `configure_optimizers`"
            return None, []
        stand_in_(self._model, Step(), trainer)
        try:
            optimizers, schedulers = normalize_optimizer_config(self._model.configure_optimizers())
        except Exception as error:  # the user's own code may want a Trainer in any way
            self._missing["optimizers"] = f"`configure_optimizers` raised {type(error).__name__}: {error}"
            return None, []
        finally:
            self._put_back()
        if not optimizers:
            self._missing["optimizers"] = "`configure_optimizers` returned none"
            return None, []
        return list(optimizers), schedulers

    def _draw(self, loaders: Any) -> tuple[Any, str]:
        try:
            return first_batch(loaders), ""
        except StopIteration:
            described = "the training loader is empty"
            self._error = ErrorFact("the training loader", "StopIteration", "it has no batch", "", "", 0, "")
        except Exception as error:  # a data set's own
            described = "the training loader raised"
            self._error = describe_error(error, "the training loader", "")
        return None, described

    def _trace(self, patient: Patient, facts: BatchFacts) -> tuple[Traced, BehaviourFacts | None, OverfitFacts | None]:
        self._bring_to_the_model(patient)
        with without_compile(), single_process(), torch.inference_mode(False):
            traced = trace_step(patient)
            if traced.error is not None:
                return traced, None, None
            stand_in_(patient.model, Step(patient.optimizers, patient.schedulers), patient.trainer)
            with patient.context():
                behaviour = self._observe(patient, traced, facts)
                return traced, behaviour, self._learn_by_heart(patient) if self._overfit else None

    def _search(self, patient: Patient, traced: Traced) -> NumericFacts:
        if not is_suspect(traced.step, traced.error):
            return NumericFacts()
        with without_compile(), single_process(), torch.inference_mode(False):
            return search_nonfinite(patient)

    def _observe(self, patient: Patient, traced: Traced, facts: BatchFacts) -> BehaviourFacts:
        try:
            return observe_behaviour(patient.model, traced.calls, facts.size)
        except Exception as error:  # eval mode may ask for more than training does
            return BehaviourFacts(reason=f"a pass in eval mode raised {type(error).__name__}: {error}")

    def _learn_by_heart(self, patient: Patient) -> OverfitFacts | None:
        self._missing["overfit"] = "there is no loss that Adam could make smaller"
        patient.model.train()
        try:
            return overfit_batch_(patient.model, find_entry(patient.model, patient.batch))
        except Exception as error:  # what a first step bears, a second need not
            self._missing["overfit"] = f"training on the batch raised {type(error).__name__}: {error}"
            return None

    def _bring_to_the_model(self, patient: Patient) -> None:
        """Let the module's own hooks see the batch, as a Trainer would."""
        for name in ("on_before_batch_transfer", "on_after_batch_transfer"):
            hook = getattr(patient.model, name, None)
            if callable(hook):
                patient.batch = hook(patient.batch, 0)


def _device_of(model: nn.Module) -> torch.device:
    first = next(iter(model.parameters()), None)
    return torch.device("cpu") if first is None else first.device
