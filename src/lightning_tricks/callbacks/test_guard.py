"""Test guard: record every use of the test set, and warn when it is used to choose settings."""

import hashlib
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.core.arguments import check_count, check_text
from lightning_tricks.core.devices import precise_dtype
from lightning_tricks.engine.run.ranks import job_overrides, plain
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.reports.look_ledger import Look, add_look, fingerprint, finite_or_none

_NOT_A_CHOICE = re.compile(r"ckpt|checkpoint|seed|_dir$|(^|[._])dir$")
"""Names of settings that may differ between runs that train in the same way."""


class TestGuard(Trick):
    """Record every use of the test set, and warn when several configurations have been tested.

    Use when: a test set is held back. If settings are chosen by the test score, it becomes another validation score;
    used once, at the end, it estimates performance on new data (Hastie et al. 2009, section 7.2).

    Where it acts: ``on_test_end``: each ``trainer.test`` adds an entry with the time, the origin and a digest of the
    weights, a fingerprint of configuration and hyper-parameters, and the metrics. Only process 0 writes. A dry
    run (``fast_dev_run``) does not count.

    Interacts with: every callback and scheduler with a ``monitor``: a name that begins with ``test`` raises when the
    fit starts. The fingerprint covers the class of the module, its ``hparams``, the shapes of its parameters, the data
    module's class and ``hparams`` and the overrides of a Hydra job, all without seeds, folders and checkpoints; a
    change of the code is not detected. The ledger belongs to a folder: give runs that share a test set the same
    ``default_root_dir``, or ``ledger`` an absolute path.

    Args:
        ledger: the file; a relative path is resolved in ``trainer.default_root_dir``. A file that is not a readable
            ledger is kept under another name.
        max_looks: configurations that may be tested, >= 1; each further one raises a warning. Testing the same
            configuration again does not warn.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at fit start, a ``monitor`` is a metric of the
            test set.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import TestGuard
        >>> trainer = Trainer(callbacks=[TestGuard()])

        With Hydra: ``tricks=[test_guard] tricks.test_guard.ledger=/data/mnist/test_looks.json``

    See :func:`lightning_tricks.reports.look_ledger.read_looks` for reading a ledger.
    """

    __test__ = False  # test runners would collect a class with this name as a test
    checklist_roles = ("looks",)

    def __init__(self, ledger: str = "test_looks.json", *, max_looks: int = 1) -> None:
        super().__init__()
        self.ledger = check_text("ledger", ledger)
        self.max_looks = check_count("max_looks", max_looks, 1)

    def begin_fit(self, run: Run) -> None:
        """Raise an error for callbacks and schedulers that follow a metric of the test set."""
        configs = [(type(config.scheduler).__name__, config.monitor) for config in run.trainer.lr_scheduler_configs]
        watched = [(type(callback).__name__, getattr(callback, "monitor", None)) for callback in run.trainer.callbacks]
        for name, monitor in (*watched, *configs):
            if isinstance(monitor, str) and monitor.startswith("test"):
                raise MisconfigurationException(
                    f"`{name}(monitor={monitor!r})` follows a metric of the test set, so its score would no longer be "
                    "that of unseen data. Monitor a metric of the validation set."
                )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add this use of the test set to the ledger."""
        if trainer.fast_dev_run or not trainer.is_global_zero:  # type: ignore[attr-defined]
            return
        path = self.ledger_path(trainer)
        try:
            self._add(path, _describe_look(trainer, pl_module))
        except OSError as error:
            rank_zero_warn(f"`TestGuard` could not record this use of the test set in {path}: {error}")

    def ledger_path(self, trainer: Trainer) -> Path:
        """Return the file of the ledger under a Trainer."""
        root = str(trainer.default_root_dir)
        return Path(os.getcwd() if "://" in root else root, self.ledger)

    def _add(self, path: Path, look: Look) -> None:
        looks, moved = add_look(path, look)
        if moved is not None:
            rank_zero_warn(
                f"`TestGuard` could not read {path} as a ledger. The file is kept as {moved}, and a new "
                f"ledger is started."
            )
        tested = {entry.fingerprint for entry in looks}
        is_new = all(entry.fingerprint != look.fingerprint for entry in looks[:-1])
        if is_new and len(tested) > self.max_looks:
            rank_zero_warn(
                f"{len(tested)} different configurations have been tested on the test set, more than "
                f"`max_looks={self.max_looks}` ({len(looks)} looks in {path}). If its scores decide which "
                f"configuration is kept, the best score is too optimistic: choose by the validation set, or test the "
                f"choice on new data."
            )


def _describe_look(trainer: Any, pl_module: LightningModule) -> Look:
    settings = _settings(trainer, pl_module)
    scalars = {name: value for name, value in trainer.callback_metrics.items() if torch.as_tensor(value).numel() == 1}
    return Look(
        when=datetime.now().astimezone().isoformat(timespec="seconds"),
        fingerprint=fingerprint(settings),
        weights={"ckpt_path": trainer.ckpt_path and str(trainer.ckpt_path), "digest": _digest(pl_module)},
        metrics=finite_or_none({name: float(value) for name, value in scalars.items()}),
        settings={name: text[:200] for name, text in settings.items()},
    )


def _settings(trainer: Any, pl_module: LightningModule) -> dict[str, str]:
    """Return what distinguishes configurations, as text, without seeds and paths of files."""
    found = {"module": type(pl_module).__qualname__, **_hparams("hparams", pl_module)}
    if trainer.datamodule is not None:
        found |= {"datamodule": type(trainer.datamodule).__qualname__, **_hparams("data", trainer.datamodule)}
    shapes = {name: list(parameter.shape) for name, parameter in pl_module.named_parameters()}
    chosen = [override for override in job_overrides() if not _NOT_A_CHOICE.search(override.partition("=")[0])]
    return {**found, "shapes": fingerprint(shapes), "overrides": " ".join(chosen)}


def _hparams(prefix: str, owner: Any) -> dict[str, str]:
    """Return saved hyper-parameters as text, without seeds and paths."""
    saved = {str(name): value for name, value in dict(owner.hparams).items()}
    return {f"{prefix}.{name}": str(plain(saved[name])) for name in saved if not _NOT_A_CHOICE.search(name)}


@torch.no_grad()
def _digest(pl_module: LightningModule) -> str:
    """Return a digest of this process's weights, computed from two sums of each tensor."""
    digest = hashlib.sha256()
    for name, parameter in pl_module.named_parameters():
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        values = local.to(precise_dtype(local.device))
        sums = torch.stack([values.sum(), values.square().sum()]).tolist() if local.is_floating_point() else []
        digest.update(f"{name} {sums}".encode())
    return digest.hexdigest()[:16]
