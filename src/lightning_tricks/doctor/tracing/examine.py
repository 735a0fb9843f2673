"""Examine: measure a model, its loaders and one batch, and leave all of them as they were."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.facts.evidence import (
    CONFIGURE_OPTIMIZERS,
    BatchFacts,
    BehaviourFacts,
    ErrorFact,
    Evidence,
    LoaderFact,
    OverfitFacts,
)
from lightning_tricks.doctor.facts.influence_facts import HeldGraph, InfluenceFacts
from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.facts.numeric_facts import NumericFacts
from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.doctor.reading.read_data import agrees, first_loader, read_batch, read_loader
from lightning_tricks.doctor.reading.read_datasets import read_datasets
from lightning_tricks.doctor.reading.read_model import read_model
from lightning_tricks.doctor.reading.read_optimizers import normalize_optimizer_config, read_optimizers
from lightning_tricks.doctor.reading.read_plan import read_plan
from lightning_tricks.doctor.reading.read_splits import add_split_facts
from lightning_tricks.doctor.reading.read_test_set import test_loaders_of
from lightning_tricks.doctor.tracing.eval_passes import observe_behaviour
from lightning_tricks.doctor.tracing.held_graphs import find_held_graphs
from lightning_tricks.doctor.tracing.input_influence import measure_influence
from lightning_tricks.doctor.tracing.lazy_memory import remember_lazy
from lightning_tricks.doctor.tracing.nonfinite_search import is_suspect, search_nonfinite
from lightning_tricks.doctor.tracing.obtain_batch import bring_to_model, draw, loaders_of
from lightning_tricks.doctor.tracing.one_pass import describe_error, find_entry
from lightning_tricks.doctor.tracing.other_seeds import with_gradients_of_other_seeds
from lightning_tricks.doctor.tracing.overfit_batch import overfit_batch_
from lightning_tricks.doctor.tracing.single_process import single_process
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trace_step import StepSetup, Traced, trace_step
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn
from lightning_tricks.doctor.tracing.without_compile import without_compile

_UNKNOWN = "the doctor could not measure it"


@dataclass(frozen=True)
class _Given:
    """The arguments of :func:`examine`."""

    batch: Any
    train: Any
    val: Any
    test: Any
    datamodule: Any
    optimizers: Any
    peaks: Sequence[Sequence[float]]
    context: Callable[[], AbstractContextManager[Any]]
    not_traced: str
    overfit: bool
    is_drawn: bool


def examine(
    model: nn.Module,
    batch: Any = None,
    *,
    train_dataloaders: Any = None,
    val_dataloaders: Any = None,
    test_dataloaders: Any = None,
    datamodule: Any = None,
    optimizers: Any = None,
    peaks: Sequence[Sequence[float]] = (),
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    not_traced: str = "",
    overfit: bool = False,
    is_drawn: bool = False,
) -> Evidence:
    """Return all evidence that can be had.

    Nothing is raised: exceptions of the user's code are ``errors`` of the evidence, exceptions of the doctor's own are
    its ``own_failures``, and the part that was being measured is missing.

    Args:
        model: any module; of a compiled one what was compiled is looked at.
        batch: what its ``training_step`` takes, else its ``forward``.
        train_dataloaders: what Lightning accepts; the first batch is drawn from the first one if ``batch`` is None.
        val_dataloaders: likewise, for static rules.
        test_dataloaders: likewise; their rows alone are looked at.
        datamodule: in place of all of them; its hooks of the transfer are called, too.
        optimizers: those of a Trainer; None builds them by ``configure_optimizers``.
        peaks: for each of their groups the rate that it is to reach, if callbacks know it.
        context: what passes run in, such as autocast.
        not_traced: a reason not to run the model: it is read alone.
        overfit: train on the batch, too.
        is_drawn: ``batch`` is one that the training loader yielded.

    Example:
        >>> evidence = examine(nn.Linear(2, 1), torch.ones(3, 2))
        >>> [operation.op for operation in evidence.trace.operations]
        ['batch', 'parameter', 'parameter', 'linear']
    """
    given = _Given(
        batch, train_dataloaders, val_dataloaders, test_dataloaders, datamodule, optimizers, peaks, context,
        not_traced, overfit, is_drawn or batch is None,
    )  # fmt: skip
    return _Examination(getattr(model, "_orig_mod", model), given).run()


class _Examination:
    """What is known so far, and why the rest is not."""

    def __init__(self, model: nn.Module, given: _Given) -> None:
        self._model: Any = model
        self._given = given
        self._failures = OwnFailures()
        self._missing: dict[str, str] = {}
        self._held: tuple[HeldGraph, ...] = ()
        self._errors: list[ErrorFact] = []

    def run(self) -> Evidence:
        given = self._given
        empty = Evidence(ModelFacts(type(self._model).__name__, (), ()))
        restore = self._failures.attempt("remember the model's state", self._remember, None)
        if restore is None:  # a model that cannot be restored is not run
            given = self._given = replace(given, not_traced="the model's state could not be remembered")
            restore = _do_nothing
        self._restore = restore
        try:
            evidence = self._failures.attempt("examine the model", self._examine, empty)
        finally:
            self._failures.attempt("restore the model's state", restore, None)
        return replace(evidence, own_failures=tuple(self._failures.notes))

    def _remember(self) -> Callable[[], None]:
        given, memory = self._given, ObjectSnapshot()
        restore_random_state, restore_lazy = remember_random_state(), remember_lazy(self._model)
        memory.remember(self._model, given.batch)
        memory.remember(given.train, given.val, given.test, tensors=False)

        def restore() -> None:
            restore_lazy()
            memory.restore_()
            restore_random_state()

        return restore

    def _examine(self) -> Evidence:
        model = self._attempt("model", lambda: read_model(self._model)) or _bare(self._model)
        train, val, test = self._find_loaders()
        train_facts, val_facts = self._read_loader("train_loader", train), self._read_loader("val_loader", val)
        # before anything stands in for the Trainer
        plan = self._attempt("plan", lambda: read_plan(self._model, train_facts))
        trainer = TrainerStandIn(
            getattr(self._model, "_trainer", None), train_facts.batches if train_facts else None,
            self._model, train, val, self._given.datamodule,
        )  # fmt: skip
        optimizers, schedulers = self._find_optimizers(trainer)
        built = None
        if optimizers is not None:
            trainer.answer(optimizers=optimizers, lr_scheduler_configs=_configs(schedulers))
            peaks = self._given.peaks
            batches = train_facts.batches if train_facts else None
            built = self._attempt(
                "optimizers",
                lambda: read_optimizers(self._model, optimizers, schedulers, peaks, plan, batches),
            )
        facts, traced, behaviour, overfit = None, Traced(missing="no batch was given"), None, None
        numerics, influence = None, None
        batch = self._find_batch(train)
        if batch is not None:
            setup = StepSetup(
                self._model, batch, optimizers or (), schedulers, trainer, self._restore, self._given.context
            )
            facts, traced, behaviour, overfit = self._run(setup)
            numerics = self._attempt("numerics", lambda: self._search(setup, traced))
            influence = self._attempt("influence", lambda: self._find_influence(setup, traced, facts, behaviour))
        elif "batch" in self._missing:
            traced = Traced(missing=self._missing["batch"])
        self._errors += [traced.error] if traced.error is not None else []
        reason = traced.missing or "the model raised on the batch"
        parts = {"batch": facts, "trace": traced.trace, "step": traced.step, "behaviour": behaviour, "overfit": overfit}
        rows = self._attempt("rows", lambda: read_datasets(first_loader(train), first_loader(val)))
        parts["numerics"] = numerics
        if isinstance(influence, str) or influence is None:
            self._missing.setdefault("influence", influence or reason)
        self._missing.update({part: self._missing.get(part, reason) for part, value in parts.items() if value is None})
        self._missing.update({"rows": rows} if isinstance(rows, str) else {})
        if plan is None:
            self._missing.setdefault("plan", "no Trainer is attached, so the length of the run is unknown")
        if self._given.is_drawn and train_facts is not None and facts is not None and not agrees(train_facts, facts):
            train_facts = replace(train_facts, batch_size=None)
        evidence = Evidence(
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
            influence=None if isinstance(influence, str) else influence,
            held=self._held,
            errors=tuple(self._errors),
            missing=self._missing,
        )
        return self._attempt("splits", lambda: add_split_facts(evidence, train, val, test)) or evidence

    def _attempt(self, part: str, measure: Callable[[], Any]) -> Any:
        """Return a part of the evidence; without it, where the doctor fails to measure it."""
        missing = object()
        found = self._failures.attempt(f"measure the {_NAMES.get(part, part)}", measure, missing)
        if found is missing:
            self._missing[part] = _UNKNOWN
            return None
        return found

    # -- what is given ------------------------------------------------------------------------------------------------

    def _find_loaders(self) -> tuple[Any, Any, Any]:
        given = self._given
        if given.datamodule is None:
            return given.train, given.val, given.test
        trainer = TrainerStandIn(model=self._model, datamodule=given.datamodule)
        train, val, error = loaders_of(given.datamodule, trainer)
        if error is not None and not trainer.unanswered:
            self._errors.append(error)
        return train, val, self._attempt("test_loader", lambda: test_loaders_of(given.datamodule))

    def _read_loader(self, part: str, loaders: Any) -> LoaderFact | None:
        loader = first_loader(loaders)
        if loader is None:
            self._missing[part] = f"no {'training' if part == 'train_loader' else 'validation'} loader was given"
            return None
        found: LoaderFact | None = self._attempt(part, lambda: read_loader(loader))
        return found

    def _find_optimizers(self, trainer: TrainerStandIn) -> tuple[list[Any] | None, list[dict[str, Any]]]:
        if self._given.optimizers is not None:
            configs = getattr(getattr(self._model, "_trainer", None), "lr_scheduler_configs", None) or ()
            return list(self._given.optimizers), [vars(config) for config in configs]
        configure = getattr(self._model, "configure_optimizers", None)
        if not callable(configure):
            self._missing["optimizers"] = "the model has no `configure_optimizers`"
            return None, []
        stand_in_(self._model, Step(), trainer)
        try:
            returned = configure()
        except Exception as error:  # the user's own code
            self._missing["optimizers"] = f"`configure_optimizers` raised {type(error).__name__}: {error}"
            if not trainer.unanswered:
                self._errors.append(describe_error(error, CONFIGURE_OPTIMIZERS, ""))
            return None, []
        finally:
            self._restore()
        optimizers, schedulers = self._attempt("optimizers", lambda: normalize_optimizer_config(returned)) or ([], [])
        if not optimizers:
            self._missing.setdefault("optimizers", "`configure_optimizers` returned none")
            return None, []
        return list(optimizers), schedulers

    def _find_batch(self, train: Any) -> Any:
        if self._given.not_traced:
            self._missing["batch"] = self._given.not_traced
            return None
        if self._given.batch is not None or train is None:
            return self._given.batch
        batch, error = draw(train)
        if error is not None:
            self._missing["batch"] = f"{error.phase} {'is empty' if error.kind == 'StopIteration' else 'raised'}"
            self._errors.append(error)
        return batch

    # -- what is run --------------------------------------------------------------------------------------------------

    def _run(self, setup: StepSetup) -> tuple[BatchFacts | None, Traced, BehaviourFacts | None, OverfitFacts | None]:
        try:
            setup.batch = bring_to_model(setup.batch, setup.model, self._given.datamodule)
        except Exception as error:  # a hook of the user's, or a `to` of the batch's own class
            facts = self._attempt("batch", lambda: read_batch(setup.batch))
            return facts, Traced(error=describe_error(error, "the transfer of the batch", "")), None, None
        facts = self._attempt("batch", lambda: read_batch(setup.batch))
        with without_compile(), single_process(), torch.inference_mode(False):
            traced = trace_step(setup, self._failures)
            if traced.step is None:
                return facts, traced, None, None
            find_held = lambda: find_held_graphs(setup.model, setup.batch, setup.context)  # noqa: E731
            self._held = self._attempt("held graphs", find_held) or ()
            traced = replace(traced, step=with_gradients_of_other_seeds(setup, traced.step))
            stand_in_(setup.model, Step(setup.optimizers, setup.schedulers), setup.trainer)
            with setup.context():
                size = facts.size if facts is not None else None
                behaviour = self._attempt("behaviour", lambda: self._observe(setup, traced, size))
                return facts, traced, behaviour, self._overfit(setup) if self._given.overfit else None

    def _search(self, setup: StepSetup, traced: Traced) -> NumericFacts:
        if not is_suspect(traced.step, traced.error):
            return NumericFacts()
        with without_compile(), single_process(), torch.inference_mode(False):
            return search_nonfinite(setup)

    def _find_influence(
        self, setup: StepSetup, traced: Traced, facts: BatchFacts | None, behaviour: BehaviourFacts | None
    ) -> InfluenceFacts | str:
        if behaviour is None or facts is None or behaviour.repeat_change is None or behaviour.always_on:
            return "the model cannot be run in eval mode, or draws random numbers there"
        with without_compile(), single_process(), torch.inference_mode(False), setup.context():
            try:
                return measure_influence(setup.model, traced.calls, setup.batch, facts.size, behaviour.module)
            except Exception as error:  # eval mode, or other values, may not be what the model is made for
                return f"a pass with other inputs raised {type(error).__name__}: {error}"

    def _observe(self, setup: StepSetup, traced: Traced, size: int | None) -> BehaviourFacts:
        try:
            return observe_behaviour(setup.model, traced.calls, size)
        except Exception as error:  # eval mode may ask for more than training does
            return BehaviourFacts(reason=f"a pass in eval mode raised {type(error).__name__}: {error}")

    def _overfit(self, setup: StepSetup) -> OverfitFacts | None:
        self._missing["overfit"] = "there is no loss that Adam could make smaller"
        setup.model.train()
        try:
            return overfit_batch_(setup.model, find_entry(setup.model, setup.batch))
        except Exception as error:  # what a first step bears, a second need not
            self._missing["overfit"] = f"training on the batch raised {type(error).__name__}: {error}"
            return None


_NAMES = {
    "train_loader": "training loader",
    "val_loader": "validation loader",
    "test_loader": "test loader",
    "splits": "validation and test sets",
    "behaviour": "model in eval mode",
}


def _bare(model: nn.Module) -> ModelFacts:
    return ModelFacts(type(model).__name__, (), ())


def _do_nothing() -> None:
    """There is nothing to restore."""


def _configs(schedulers: list[dict[str, Any]]) -> list[Any]:
    """Return schedulers as a Trainer shows them."""
    return [SimpleNamespace(**{"interval": "epoch", "frequency": 1, "name": None, **each}) for each in schedulers]
