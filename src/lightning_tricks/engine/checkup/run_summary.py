"""Run summary: read from a run and its tricks what a report contains in addition to the series."""

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import metadata
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import LightningModule

from lightning_tricks.doctor.reading.containers import walk_batch
from lightning_tricks.engine.clip.clipper import Clipper
from lightning_tricks.engine.run.ranks import plain
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.watch.metric_watcher import MetricWatcher
from lightning_tricks.functional.learning_rates import defaults_of
from lightning_tricks.reports.checklist import Role
from lightning_tricks.reports.look_ledger import read_looks
from lightning_tricks.reports.run_data import BestScore, Clipping, Status, Sweep
from lightning_tricks.reports.series import Series, finite, thin

_PACKAGES = ("torch", "lightning", "pytorch-lightning", "lightning-tricks", "numpy")
_TEXT = 300
_ENTRIES = 100
_INPUTS = 16


def read_status(run: Run, has_ended: bool) -> tuple[Status, str | None]:
    """Return the status of a run and why it ended."""
    reasons = [getattr(member, "stopping_reason_message", None) for member in run.members]
    named = [f"{type(m).__name__}: {reason}" for m, reason in zip(run.members, reasons, strict=True) if reason]
    trainer = run.trainer
    if not has_ended:
        return "running", None
    if isinstance(run.error, KeyboardInterrupt):
        return "interrupted", None
    if run.error is not None:
        return "failed", _cut(f"{type(run.error).__name__}: {run.error}")
    if named:
        return "stopped", "; ".join(named)
    if trainer.max_steps >= 0 and trainer.global_step >= trainer.max_steps:
        return "completed", f"max_steps={trainer.max_steps}"
    if trainer.should_stop:
        return "stopped", "another callback or the module requested it"
    return "completed", f"max_epochs={trainer.max_epochs}"


def read_roles(tricks: Sequence[Trick]) -> dict[Role, str]:
    """Return the roles of tricks in the checklist of a report, each with the call that builds its first trick."""
    return {role: repr(trick) for trick in reversed(tricks) for role in trick.checklist_roles}


def read_best(run: Run) -> tuple[BestScore, ...]:
    """Return the best checks, one per metric."""
    found = {}
    for watcher in run.members_of(MetricWatcher):
        if watcher.state.best_score is not None:
            epoch, step = watcher.best_position
            score = BestScore(watcher.monitor, watcher.mode, finite(watcher.best_score), epoch, step)
            found[watcher.monitor, watcher.mode] = score
    return tuple(found.values())


def read_clipping(run: Run) -> tuple[Clipping, ...]:
    """Return the clipping callbacks; synchronizes with the device."""
    found = [Clipping(repr(clipper), _max_norm(clipper), clipper.num_skipped) for clipper in run.members_of(Clipper)]
    value = run.trainer.gradient_clip_val
    if value and run.trainer.gradient_clip_algorithm in (None, "norm"):
        found.append(Clipping(f"Trainer(gradient_clip_val={value})", float(value), 0))
    return tuple(found)


def _max_norm(clipper: Clipper) -> float | None:
    fact = clipper.fixed_limit
    return None if fact is None or fact.by_value else fact.limit


def read_sweep(run: Run) -> Sweep | None:
    """Return the last result of the run's learning-rate finder."""
    results = [getattr(member, "result", None) for member in run.members]
    result = next((found for found in results if found is not None and hasattr(found, "lrs")), None)
    if result is None:
        return None
    curve = thin(Series(tuple(result.lrs), tuple(map(finite, result.losses))), 200)
    return Sweep(tuple(curve.steps), curve.values, result.suggestion, result.reason)


def read_configuration(run: Run) -> dict[str, str]:
    """Return hyper-parameters and settings of Trainer and optimizers, as short text."""
    module, trainer = run.module, run.trainer
    found = {f"hparams.{name}": value for name, value in dict(module.hparams).items()}
    if trainer.datamodule is not None:
        found |= {f"data.{name}": value for name, value in dict(trainer.datamodule.hparams).items()}
    for i, optimizer in enumerate(run.optimizers):
        found[f"optimizer {i}"] = type(optimizer).__name__
        found |= {f"optimizer {i}.{name}": value for name, value in defaults_of(optimizer).items() if value is not None}
    for name in ("max_epochs", "max_steps", "accumulate_grad_batches", "precision", "log_every_n_steps"):
        found[f"trainer.{name}"] = getattr(trainer, name)
    found["seed"] = os.environ.get("PL_GLOBAL_SEED", "not set by seed_everything")
    return {_cut(str(name)): _cut(str(plain(value))) for name, value in list(found.items())[:_ENTRIES]}


def read_versions() -> dict[str, str]:
    """Return the versions of Python and of the relevant packages."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read_hardware(run: Run) -> dict[str, str]:
    """Return devices and processes."""
    trainer = run.trainer
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": f"{device.type} ({name})",
        "processes": str(trainer.world_size),
        "strategy": type(trainer.strategy).__name__,
        "system": platform.system(),
    }


def read_layer_groups(run: Run) -> tuple[str, ...]:
    """Return the names of the layer groups that are unfrozen in stages, from the input to the head."""
    groups = [group for member in run.members if hasattr(member, "thawed") for group in member.layer_groups]
    return tuple(_cut(", ".join(group.patterns)) for group in groups[:_ENTRIES])


def count_parameters(pl_module: LightningModule) -> tuple[int, int]:
    """Return the number of parameters and of trainable parameters, without uninitialized ones."""
    known = [p for p in pl_module.parameters() if not isinstance(p, torch.nn.parameter.UninitializedParameter)]
    return sum(p.numel() for p in known), sum(p.numel() for p in known if p.requires_grad)


def count_layers(pl_module: LightningModule) -> dict[str, int]:
    """Return the number of modules without children, by class."""
    leaves = Counter(type(layer).__name__ for layer in pl_module.modules() if not any(True for _ in layer.children()))
    return dict(leaves.most_common(_ENTRIES))


def read_inputs(batch: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the first tensors of a batch, by place."""
    tensors = ((path, leaf) for path, leaf in walk_batch(batch) if isinstance(leaf, torch.Tensor))
    return {_cut(path): tuple(leaf.shape) for path, leaf in islice(tensors, _INPUTS)}


def count_looks(trainer: Any) -> int | None:
    """Return how many configurations have been tested, ``None`` without a :class:`TestGuard`.

    Raises:
        ValueError: the ledger is damaged.
    """
    guard = next((callback for callback in trainer.callbacks if hasattr(callback, "ledger_path")), None)
    return len({look.fingerprint for look in read_looks(guard.ledger_path(trainer))}) if guard is not None else None


def read_test(trainer: Any) -> dict[str, float | None]:
    """Return the metrics of a test that has just ended."""
    scalars = {name: value for name, value in trainer.callback_metrics.items() if torch.as_tensor(value).numel() == 1}
    return {_cut(name): finite(float(value)) for name, value in list(scalars.items())[:_ENTRIES]}


def part_readers(run: Run) -> dict[str, Callable[[], Any]]:
    """Return how each part of a record that is not a series is read, by the field's name."""
    return {
        "parameters": lambda: count_parameters(run.module),
        "layers": lambda: count_layers(run.module),
        "best": lambda: read_best(run),
        "sweep": lambda: read_sweep(run),
        "clipping": lambda: read_clipping(run),
        "layer_groups": lambda: read_layer_groups(run),
        "configuration": lambda: read_configuration(run),
        "versions": read_versions,
        "hardware": lambda: read_hardware(run),
        "looks": lambda: count_looks(run.trainer),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"
