"""Live control: change the learning rate, save, validate or stop during a run, through a file."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.core.arguments import check_count, check_flag, check_name, check_text
from lightning_tricks.core.durations import Moment
from lightning_tricks.engine.control.control_file import ControlFile, parse_order
from lightning_tricks.engine.control.run_folder import hydra_job_folder, run_folders
from lightning_tricks.engine.control.run_marker import RunMarker
from lightning_tricks.engine.lr.lr_factor import LRFactor
from lightning_tricks.engine.run.lightning_internals import validate_next
from lightning_tricks.engine.run.result_logging import log_results
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.wrapped_method import call_with
from lightning_tricks.engine.watch.watch_report import publish
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.live_orders import Order, factor_after, write_order


class LiveControl(LRFactor):
    """Change the learning rate, save, validate or stop during training, through a small file.

    Write ``lr: x0.5`` into ``control.yaml`` in the run's folder with any editor, or let ``lightning-tricks control
    RUN lr=x0.5`` do it. The run's folder is that of its first logger with a ``log_dir``, else that of the Hydra job,
    else ``trainer.default_root_dir``; the log contains the file's path, and ``lightning-tricks control`` without
    arguments lists the runs below the current folder. The keys, each optional:

    - ``lr``: ``x0.5`` multiplies the learning rates by another 0.5; a number becomes the learning rate of the group
      with the largest rate, regardless of schedule, warm-up and plateau, and the other groups keep their ratio to it;
    - ``stop: true``: end the run as early stopping would, not before ``min_epochs`` and ``min_steps``; a resumed run
      continues;
    - ``checkpoint: true``: save ``control-{step}.ckpt`` where ``ModelCheckpoint`` saves, else in ``default_root_dir``;
      during gradient accumulation, after the optimizer step; a validation in the same order runs first;
    - ``validate: true``: a validation right after this batch, run by the Trainer itself. It counts as a check for early
      stopping, the plateau rule and ``ModelCheckpoint``, and does not move the regular validations;
    - ``id``: any value; a new value makes the file a new order, so that an order can be repeated.

    Any other key, or a file that is not plain YAML, changes nothing and raises one warning with the line.

    Use when: you watch a run, and the loss stalls, diverges or is good enough before any rule reacts.

    Where it acts: every ``every_n_steps`` optimizer steps (``on_train_batch_end``) and at the end of each validation
    run, if the file has not changed for half a second. A thread of rank 0 reads the file; the other ranks need no
    access to it. At these points, and only there, all ranks take part in one small broadcast. An order that is older
    than the run is ignored, and this is logged. ``fast_dev_run`` reads nothing. No two runs share a file: while another
    run watches it, this one uses ``control-2.yaml``, and so on. A hidden file next to it records which run watches it;
    it is removed when the fit ends.

    Interacts with: every other LR callback, whose factors multiply in any order until a number is ordered; after that
    only the factors by layer apply. A module that returns its own scheduler raises an error, unless
    ``replace_scheduler=True``.

    Args:
        path: the file; a relative path is resolved in the run's folder.
        every_n_steps: optimizer steps between two reads of the file, >= 1; 50 steps take a few seconds in most runs.
            Each read is a broadcast.
        log_factors: log the factor as ``LiveControl/lr_factor``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of raising an error.
        name: distinguishes several callbacks of this class in checkpoints and logs.

    Attributes:
        applied: one ``{"step": 150, "content": {"lr": "x0.5"}}`` per order; saved, so that a resumed run keeps its
            learning rate and does not apply the last order again.
        lr_factor: product of all orders, by which the learning rates are multiplied.
        overrides_others: whether a number was ordered, so that schedules, warm-ups and plateaus no longer apply.
        stopping_reason_message: when the run was ordered to stop; ``None`` if it was not.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at fit start, the module has a scheduler.

    Example:
        >>> from lightning_tricks import LiveControl
        >>> trainer = Trainer(max_epochs=100, callbacks=[LiveControl(every_n_steps=20)])

        With Hydra: ``tricks=[live_control] tricks.live_control.every_n_steps=20``

    See :func:`lightning_tricks.functional.live_orders.factor_after` for the effect of an order on the learning rate.

    References:
        A. Ng, Hyperparameter tuning in practice: pandas vs. caviar, deeplearning.ai course 2, week 3.
    """

    def __init__(
        self,
        path: str | Path = "control.yaml",
        *,
        every_n_steps: int = 50,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.path = check_text("path", os.fspath(path) if isinstance(path, os.PathLike) else path)
        self.every_n_steps = check_count("every_n_steps", every_n_steps, 1)
        self.log_factors = check_flag("log_factors", log_factors)
        self.replace_scheduler = check_flag("replace_scheduler", replace_scheduler)
        self.name = check_name("name", name)
        self._file: ControlFile | None = None
        self._job_folder = hydra_job_folder()  # a process that a strategy spawns has no job
        self._undo: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.applied: list[dict[str, Any]] = []
        self.lr_factor = 1.0
        self.overrides_others = False
        self.stopping_reason_message: str | None = None
        self._handled = self._warned = ""
        self._watches = self._stepped = self._save_due = False
        self._step = 0

    def factors_at(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the combined factor of all orders."""
        return {"lr_factor": self.lr_factor}

    # -- during training --------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to watch the file."""
        self._step = trainer.global_step
        self._watches = not trainer.fast_dev_run  # type: ignore[attr-defined]
        if self._watches and trainer.is_global_zero:
            self._file = self._watch(trainer)

    def _watch(self, trainer: Trainer) -> ControlFile:
        """Claim the file in the run's folder, and log its path."""
        own, *others = run_folders(trainer, hydra_job_folder() or self._job_folder)
        path, marker = os.path.join(own, self.path), None
        try:
            marker = RunMarker(path, [own, *others])
        except OSError as error:
            rank_zero_warn(f"`{self.state_key}`: {path} cannot be distinguished from that of another run: {error}")
        file = ControlFile(marker.path if marker else path, marker)
        old = ", ".join(file.left_over.splitlines())
        old = f" The order in it ({old}) is older than this run and is ignored." if old else ""
        rank_zero_info(f"{self.state_key} watches {file.path}.{old}")
        return file

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        before, self._step = self._step, trainer.global_step
        self._stepped = self._step > before
        if self._save_due and self._stepped:
            self._save_after(trainer, pl_module, "on_train_batch_end")
        if self._watches and self._step // self.every_n_steps > before // self.every_n_steps:
            self._obey_new_order(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._watches and not trainer.sanity_checking:
            self._obey_new_order(trainer, pl_module, validated=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop_watching()
        outcome = {"lr_factor": self.lr_factor, "orders": len(self.applied)}
        publish(trainer, self.state_key, outcome)
        log_results(trainer, self, outcome, {"stop_reason": self.stopping_reason_message or ""})

    def end_fit(self, run: Run) -> None:
        self._stop_watching()

    def _stop_watching(self) -> None:
        self._watches = False
        for undo in self._undo:
            undo()
        self._undo = []
        if self._file is not None:
            self._file.close()
            self._file = None

    # -- orders -------------------------------------------------------------------------------------------------

    def _obey_new_order(self, trainer: Trainer, pl_module: LightningModule, validated: bool = False) -> None:
        """Apply a new order on all ranks."""
        order: Order | None = trainer.strategy.broadcast(self._new_order())
        if order is None:
            return
        self.applied.append({"step": trainer.global_step, "content": order})
        summary = ", ".join(write_order(order).splitlines())
        rank_zero_info(f"{self.state_key} at step {trainer.global_step}: {summary}")
        if "lr" in order:
            self._set_factor(order["lr"])
        validates = bool(order.get("validate")) and not validated and self._validate_next(trainer)
        if order.get("checkpoint") and (self._stepped or order.get("stop")):
            hook = "on_validation_end" if validated or validates else "on_train_batch_end"
            self._save_after(trainer, pl_module, hook)
        elif order.get("checkpoint"):
            self._save_due = True  # checkpoints do not contain partially accumulated gradients
        if order.get("stop"):
            trainer.should_stop = True
            self.stopping_reason_message = f"stop ordered at step {trainer.global_step}"

    def _new_order(self) -> Order | None:
        """Return the order in the file if it is new, on the rank that reads it."""
        if self._file is None:
            return None
        try:
            text = self._file.settled()
            if text is None or text == self._handled:
                return None
            self._handled = text
            order = parse_order(text)
        except ValueError as error:
            self._warn_once(f"{self._file.path} has no effect: {error}")
            return None
        is_new = bool(order) and not (self.applied and self.applied[-1]["content"] == order)
        return order if is_new else None

    def _warn_once(self, message: str) -> None:
        if message != self._warned:
            self._warned = message
            rank_zero_warn(f"`{self.state_key}`: {message}")

    def _set_factor(self, lr: str | float) -> None:
        """Apply the factor from the next step on."""
        if self.product is None:
            return
        largest = max(peak for peaks in self.product.group_base_lrs() for peak in peaks)
        try:
            self.lr_factor = factor_after(self.lr_factor, lr, largest)
        except ValueError as error:
            rank_zero_warn(f"`{self.state_key}`: the learning rate is not changed: {error}")
        else:
            self.overrides_others |= not isinstance(lr, str)
        self.product.rewrite()

    def _validate_next(self, trainer: Trainer) -> bool:
        """Make a validation due after this batch; return whether there is anything to validate.

        The training loop itself runs it, like a regular validation: accumulated gradients are kept, a checkpoint saved
        in between can be resumed, and all counters change as in a regular validation.
        """
        if not trainer.enable_validation:
            rank_zero_warn(
                f"`{self.state_key}`: validation is not possible: there is no `validation_step` or no validation data."
            )
            return False
        self._undo.append(validate_next(trainer))
        return True

    def _save_after(self, trainer: Trainer, pl_module: LightningModule, hook: str) -> None:
        """Save after all callbacks and the module have run the hook, so that nothing is lost on resume."""
        self._save_due = False

        def save() -> None:
            take_off()
            self._save(trainer)

        take_off = call_with(pl_module, hook, save)
        self._undo.append(take_off)

    def _save(self, trainer: Trainer) -> None:
        folders = [getattr(keeper, "dirpath", None) for keeper in trainer.checkpoint_callbacks]
        folder = next((folder for folder in folders if folder), trainer.default_root_dir)
        path = os.path.join(folder, f"control-{trainer.global_step}.ckpt")
        try:
            trainer.save_checkpoint(path)
        except OSError as error:
            trainer.strategy.barrier("Trainer.save_checkpoint")  # where the other ranks would wait
            rank_zero_warn(f"`{self.state_key}`: no checkpoint was saved, training continues: {error}")
        else:
            rank_zero_info(f"{self.state_key} saved {path}.")

    # -- state --------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the orders so far, their combined effect, and the state that all LR callbacks share."""
        live = {"lr_factor": self.lr_factor, "overrides_others": self.overrides_others}
        return {"applied": copy.deepcopy(self.applied), **live, **super().plain_state()}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        super().load_plain_state(state)
        self.applied = copy.deepcopy(state["applied"])
        self.lr_factor, self.overrides_others = state["lr_factor"], state["overrides_others"]
