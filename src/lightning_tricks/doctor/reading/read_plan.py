"""Read the plan: how long the Trainer of a module will train, and on how many devices."""

from collections.abc import Iterator
from typing import Any

from lightning_tricks.doctor.facts.context_facts import MonitorFact, PlanFacts
from lightning_tricks.doctor.facts.evidence import LoaderFact


def read_plan(model: Any, loader: LoaderFact | None) -> PlanFacts | None:
    """Return the plan of the Trainer that a LightningModule is attached to; ``None`` if there is no Trainer."""
    trainer = getattr(model, "_trainer", None)
    if trainer is None or not hasattr(trainer, "max_epochs"):
        return None
    accumulate = int(getattr(trainer, "accumulate_grad_batches", 1) or 1)
    batches = getattr(trainer, "num_training_batches", float("inf"))
    if not 0 < batches < float("inf"):
        batches = loader.batches if loader is not None and loader.batches else None
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs >= 0 else None
    steps = -(-int(batches) // accumulate) * epochs if batches and epochs is not None else None
    if trainer.max_steps is not None and trainer.max_steps >= 0:
        steps = trainer.max_steps if steps is None else min(steps, trainer.max_steps)
    devices, done = int(getattr(trainer, "world_size", 1)), int(getattr(trainer, "global_step", 0))
    return PlanFacts(epochs, steps, accumulate, devices, done, tuple(_monitors(trainer)))


def _monitors(trainer: Any) -> Iterator[MonitorFact]:
    for callback in getattr(trainer, "callbacks", None) or ():
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str):
            yield MonitorFact(type(callback).__name__, monitor, _mode(callback))
    for config in getattr(trainer, "lr_scheduler_configs", None) or ():
        if getattr(config, "reduce_on_plateau", False) and isinstance(config.monitor, str):
            yield MonitorFact(type(config.scheduler).__name__, config.monitor, _mode(config.scheduler))


def _mode(monitoring: Any) -> str:
    mode = getattr(monitoring, "mode", "")
    return mode if isinstance(mode, str) else ""
