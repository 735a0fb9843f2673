"""Examine: measure a model, its loaders and one batch without changing them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from torch import nn

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.facts.context_facts import PlanFacts, RowsFacts
from lightning_tricks.doctor.facts.evidence import Evidence, LoaderFact
from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.facts.optimizer_facts import OptimizerFact
from lightning_tricks.doctor.reading.read_data import agrees, first_loader
from lightning_tricks.doctor.reading.read_datasets import read_datasets
from lightning_tricks.doctor.reading.read_model import read_model
from lightning_tricks.doctor.reading.read_optimizers import read_optimizers
from lightning_tricks.doctor.reading.read_plan import read_plan
from lightning_tricks.doctor.reading.read_splits import add_split_facts
from lightning_tricks.doctor.tracing.batch_passes import BatchPasses, run_passes
from lightning_tricks.doctor.tracing.given_parts import (
    Given,
    find_batch,
    find_loaders,
    find_optimizers,
    read_given_loader,
)
from lightning_tricks.doctor.tracing.lazy_memory import remember_lazy
from lightning_tricks.doctor.tracing.partial_evidence import PartialEvidence
from lightning_tricks.doctor.tracing.trace_step import StepSetup, Traced
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn


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
    """Return all evidence that can be measured.

    Nothing is raised: exceptions of the user's code become ``errors`` of the evidence, exceptions of the doctor become
    its ``own_failures``, and the affected part is missing.

    Args:
        model: any module; for a compiled module, the original module is examined.
        batch: the argument of its ``training_step``, or of its ``forward``.
        train_dataloaders: loaders in any form that Lightning accepts; the first batch is taken from them if ``batch``
            is None.
        val_dataloaders: likewise, for static rules.
        test_dataloaders: likewise; only their rows are read.
        datamodule: replaces all loaders; its transfer hooks are also called.
        optimizers: the Trainer's optimizers; None calls ``configure_optimizers``.
        peaks: the highest planned rate of each of their groups, if callbacks know it.
        context: the context in which passes run, such as autocast.
        not_traced: a reason not to run the model, which is then only read.
        overfit: also train on the batch.
        is_drawn: whether the training loader yielded ``batch``.

    Example:
        >>> import torch
        >>> evidence = examine(nn.Linear(2, 1), torch.ones(3, 2))
        >>> [operation.op for operation in evidence.trace.operations]
        ['batch', 'parameter', 'parameter', 'linear']
    """
    given = Given(
        batch, train_dataloaders, val_dataloaders, test_dataloaders, datamodule, optimizers, peaks, context,
        not_traced, overfit, is_drawn or batch is None,
    )  # fmt: skip
    return _Examination(getattr(model, "_orig_mod", model), given).run()


class _Examination:
    """One examination: the parts in their order, what is missing, and the model's state from before."""

    def __init__(self, model: nn.Module, given: Given) -> None:
        self._model: Any = model
        self._given = given
        self._partial = PartialEvidence()

    def run(self) -> Evidence:
        failures = self._partial.failures
        restore = failures.attempt("record the model's state", self._remember, None)
        if restore is None:  # a model that cannot be restored is not run
            self._given = replace(self._given, not_traced="the model's state could not be recorded")
            restore = _do_nothing
        self._restore = restore
        empty = Evidence(ModelFacts(type(self._model).__name__, (), ()))
        try:
            evidence = failures.attempt("examine the model", self._examine, empty)
        finally:
            failures.attempt("restore the model's state", restore, None)
        return replace(evidence, own_failures=tuple(failures.notes))

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
        partial = self._partial
        model = partial.attempt("model", lambda: read_model(self._model)) or _bare(self._model)
        train, val, test = find_loaders(self._model, self._given, partial)
        train_facts = read_given_loader("train_loader", train, partial)
        val_facts = read_given_loader("val_loader", val, partial)
        plan = partial.attempt("plan", lambda: read_plan(self._model, train_facts))  # before a stand-in is attached
        if plan is None:
            partial.missing.setdefault("plan", "no Trainer is attached, so the length of the run is unknown")
        optimizers, passes = self._run(train, val, train_facts, plan)
        rows = self._compare_rows(train, val)
        self._note_missing(passes)
        evidence = Evidence(
            model=model,
            optimizers=optimizers,
            train_loader=self._without_foreign_size(train_facts, passes),
            val_loader=val_facts,
            rows=rows,
            plan=plan,
            batch=passes.batch,
            trace=passes.traced.trace,
            step=passes.traced.step,
            behaviour=passes.behaviour,
            overfit=passes.overfit,
            numerics=passes.numerics,
            influence=None if isinstance(passes.influence, str) else passes.influence,
            held=passes.held,
            errors=tuple(partial.errors),
            missing=partial.missing,
        )
        return partial.attempt("splits", lambda: add_split_facts(evidence, train, val, test)) or evidence

    def _run(
        self, train: Any, val: Any, train_facts: LoaderFact | None, plan: PlanFacts | None
    ) -> tuple[tuple[OptimizerFact, ...] | None, BatchPasses]:
        """Return the facts of the optimizers, and what the passes on the batch show."""
        batches = train_facts.batches if train_facts else None
        attached, given = getattr(self._model, "_trainer", None), self._given
        trainer = TrainerStandIn(attached, batches, self._model, train, val, given.datamodule)
        optimizers, schedulers = find_optimizers(self._model, given, trainer, self._restore, self._partial)
        facts = None
        if optimizers is not None:
            trainer.answer(optimizers=optimizers, lr_scheduler_configs=_configs(schedulers))
            read = lambda: read_optimizers(self._model, optimizers, schedulers, given.peaks, plan, batches)  # noqa: E731
            facts = self._partial.attempt("optimizers", read)
        batch = find_batch(given, train, self._partial)
        if batch is None:
            return facts, BatchPasses(Traced(missing=self._partial.missing.get("batch", "no batch was given")))
        setup = StepSetup(self._model, batch, optimizers or (), schedulers, trainer, self._restore, given.context)
        return facts, run_passes(setup, self._partial, datamodule=given.datamodule, overfit=given.overfit)

    def _compare_rows(self, train: Any, val: Any) -> RowsFacts | None:
        read = lambda: read_datasets(first_loader(train), first_loader(val))  # noqa: E731
        rows: RowsFacts | str | None = self._partial.attempt("rows", read)
        if isinstance(rows, str):
            self._partial.missing["rows"] = rows
            return None
        return rows

    def _note_missing(self, passes: BatchPasses) -> None:
        """Note why parts of the passes are missing."""
        traced, missing = passes.traced, self._partial.missing
        self._partial.errors += [traced.error] if traced.error is not None else []
        reason = traced.missing or "the model raised on the batch"
        parts = {"trace": traced.trace, "step": traced.step, "influence": passes.influence}
        names = ("batch", "behaviour", "overfit", "numerics")
        for part, value in {**parts, **{name: getattr(passes, name) for name in names}}.items():
            if value is None or isinstance(value, str):
                missing.setdefault(part, value or reason)

    def _without_foreign_size(self, loader: LoaderFact | None, passes: BatchPasses) -> LoaderFact | None:
        """Return the facts of the training loader, without a batch size that the batch it yielded does not have."""
        if not self._given.is_drawn or loader is None or passes.batch is None or agrees(loader, passes.batch):
            return loader
        return replace(loader, batch_size=None)


def _bare(model: nn.Module) -> ModelFacts:
    return ModelFacts(type(model).__name__, (), ())


def _do_nothing() -> None:
    """Do nothing, because there is nothing to restore."""


def _configs(schedulers: list[dict[str, Any]]) -> list[Any]:
    """Return schedulers in the form that a Trainer provides."""
    return [SimpleNamespace(**{"interval": "epoch", "frequency": 1, "name": None, **each}) for each in schedulers]
