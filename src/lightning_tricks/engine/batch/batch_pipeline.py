"""Batch pipeline: process a batch after its transfer, in an order independent of the list of callbacks."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lightning_tricks.engine.run.lightning_internals import owner_of_batch_hook
from lightning_tricks.engine.run.run import Run, RunPart

_HOOK = "on_after_batch_transfer"
Step = Callable[[Any], Any]
"""A function that takes a batch and returns the batch for the next step."""


class Stage(IntEnum):
    """The order in which steps act on a batch."""

    NORMALIZE = 0
    AUGMENT = 1
    MIX = 2


class BatchHook:
    """The ``on_after_batch_transfer`` of one object, followed by steps in the order of their stages.

    Args:
        method: the object's own hook.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self.__wrapped__ = method  # Lightning follows this to check whether the hook is overridden
        self.steps: list[tuple[Stage, Step]] = []
        self.paused_from: Stage | None = None

    def __call__(self, batch: Any, dataloader_idx: int = 0) -> Any:
        batch = self.__wrapped__(batch, dataloader_idx)
        for stage, step in tuple(self.steps):
            if self.paused_from is None or stage < self.paused_from:
                batch = step(batch)
        return batch

    def __reduce__(self) -> Any:
        """Copy and pickle as the original method, because a copied module is independent of our callbacks."""
        return self.__wrapped__.__reduce__()


def add_step(owner: object, stage: Stage, step: Step) -> Callable[[], None]:
    """Add a step that acts on each batch after an object's ``on_after_batch_transfer``.

    Args:
        owner: the module or data module whose hook Lightning calls.
        stage: its position among other steps; within a stage, the first one added acts first.
        step: takes a batch and returns one.

    Returns:
        A function that removes the step; after the last removal the object is restored.
    """
    found = vars(owner).get(_HOOK)
    hook = found if isinstance(found, BatchHook) else BatchHook(getattr(owner, _HOOK))
    object.__setattr__(owner, _HOOK, hook)
    entry = (stage, step)
    hook.steps = sorted([*hook.steps, entry], key=lambda known: known[0])

    def detach() -> None:
        hook.steps = [known for known in hook.steps if known is not entry]
        if hook.steps or vars(owner).get(_HOOK) is not hook:
            return
        object.__delattr__(owner, _HOOK)
        if getattr(owner, _HOOK) != hook.__wrapped__:  # the object had its own attribute
            object.__setattr__(owner, _HOOK, hook.__wrapped__)

    return detach


def objects_acting_on(owner: object) -> list[object]:
    """Return the objects whose methods are batch steps of an object."""
    hook = vars(owner).get(_HOOK)
    steps = hook.steps if isinstance(hook, BatchHook) else []
    return [step.__self__ for _, step in steps if hasattr(step, "__self__")]


class BatchPipeline(RunPart):
    """The steps that the tricks of a run apply to its batches."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        if "dataloader_iter" in inspect.signature(run.module.training_step).parameters:
            raise MisconfigurationException(
                f"`{type(run.module).__name__}.training_step` takes `dataloader_iter` and fetches its own batches, "
                "so callbacks cannot normalize or augment them. Take `batch` instead."
            )
        self._owner = owner_of_batch_hook(run.trainer)
        self._preparations: list[Callable[[], None]] = []

    def join(self, stage: Stage, step: Step, prepare: Callable[[], None] | None = None) -> None:
        """Add a step that acts on every batch until the run ends.

        Args:
            stage: its position among the steps.
            step: takes a batch and returns one.
            prepare: called in ``on_train_start``, before any callback's hook.
        """
        self.run.on_end(add_step(self._owner, stage, step))
        if prepare is not None:
            self._preparations.append(prepare)

    def start(self) -> None:
        for prepare in self._preparations:
            prepare()

    @contextmanager
    def paused(self, first: Stage = Stage.NORMALIZE) -> Iterator[None]:
        """Let batches pass the steps from one stage on unchanged; by default, all steps."""
        hook = vars(self._owner).get(_HOOK)
        if not isinstance(hook, BatchHook):
            yield
            return
        hook.paused_from = first
        try:
            yield
        finally:
            hook.paused_from = None
