"""LR finder: try increasing learning rates, restore the run, and start it from the suggested rate."""

import math
from collections.abc import Sequence
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch import Tensor

from lightning_tricks.core.arguments import check_choice, check_flag, check_list, check_number, check_text, check_whole
from lightning_tricks.core.durations import Duration
from lightning_tricks.engine.lr.base_lr import apply_lr, check_has_rates, publish_result, rate_shares
from lightning_tricks.engine.lr.planned_factors import planned_factors
from lightning_tricks.engine.run.result_logging import log_results
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.switched_hooks import SwitchedHooks
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.trial.lr_refinement import check_refine, refine, steps_per_trial
from lightning_tricks.engine.trial.lr_sweep import LRSweep, sweep
from lightning_tricks.engine.trial.raise_times import LRRaises
from lightning_tricks.engine.trial.trial_progress import progress_of
from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.functional.range_test import METHODS, Method, extend_down, lr_grid, suggest
from lightning_tricks.functional.run_plan import Fact, RateSearch
from lightning_tricks.functional.sweep_curve import begins_too_high, explain_break
from lightning_tricks.reports.curves import new_figure
from lightning_tricks.reports.lr_finder_result import LRFinderResult

_MOST_STEPS = 10_000


class LRFinder(Trick):
    """Find the learning rate before training: a hundred steps at increasing rates, after which all state is restored.

    Use when: the optimizer, the model or the batch size is new, so that a suitable rate is unknown; use it before any
    other tuning.

    Where it acts: when an epoch of ``at_epochs`` or ``raise_at`` starts (``on_train_epoch_start``). The steps are the
    strategy's own, with the module's overrides, accumulation, mixed precision and the callbacks that change a step
    (clipping). Then weights, buffers, optimizers, schedulers, scaler, metrics, attributes, random generators and
    loaders are restored bit by bit.

    Interacts with: every LR callback, in any order: the found rate becomes their new base, and a plateau's factor
    returns to 1. ``"auto"`` suggests a higher rate if their schedules, or a scheduler of the module's own that can be
    stepped ahead, reduce it: twice as high for a decay to zero. The module's own scheduler continues from it. The
    ratios between parameter groups and between optimizers are kept.

    Args:
        min_lr: the first rate, > 0; typically 1e-8 to 1e-4. If the loss is lowest within the first decade and then
            rises, a second sweep starts three decades lower.
        max_lr: the last rate, above ``min_lr``; typically 1 to 10. A sweep that diverges ends earlier.
        num_steps: optimizer steps of the sweep, 10 to 10,000; typically 100.
        mode: ``"exponential"`` for equal ratios between the rates, ``"linear"`` for equal differences.
        suggestion: the rule that chooses the rate: ``"auto"``, ``"valley"``, ``"steep"``, ``"minimum"`` or ``"slide"``.
        smoothing: weight of the previous losses in the moving average, in ``[0, 1)``; typically 0.9 to 0.98.
        stop_factor: the sweep ends when the loss exceeds this multiple of the best loss, > 1; typically 4 to 5;
            ``inf``: only when the loss is not finite.
        refine: length of a short trial training at each of 3 to 7 rates around the suggestion, which is then moved
            towards the best of them, further if the trials are long compared with the training: a number of steps, at
            most ``num_steps``, typically half of it, or a Duration such as ``"0.05dur"``; 0: no trials. They are
            compared by the loss of ``validation_step`` if the run validates and the step logs or returns a loss,
            otherwise by the training loss, which means little after the first pass over the data.
        apply: train with the suggestion; with False, only report it.
        at_epochs: epochs that start with a search, counted from 0. In an epoch that is resumed from a checkpoint, the
            search comes with the start of the next one.
        raise_at: times at which twice and four times the rate are tried for a fortieth of the run (5 to ``num_steps``
            steps), which is then undone. A higher rate is kept if its training loss is clearly lower, or higher by less
            than it will gain until the end of the run according to the fall of the validation loss so far. If the
            training loss is on a plateau (in the last quarter of the run so far, the loss that ``training_step``
            returns fell by less than a tenth), a rate is also kept if its loss is only slightly higher: by at most a
            fifth and two standard errors. The first rate that is not kept ends these trials. Durations > 0, increasing;
            typically ``("0.3dur", "0.4dur")``. Each is moved to the nearest start of an epoch after the first.
        monitor: key of the validation loss for ``raise_at``, which does without it if it is not logged: positive, lower
            is better, roughly proportional to the training loss.
        log_figure: send the curve to the loggers (TensorBoard, W&B, MLflow); if none of them accepts figures, it is
            written to the run's folder.

    Attributes:
        result: the :class:`LRFinderResult` of the last sweep; ``None`` before.
        raises: the comparisons of ``raise_at``: the step, the rate before and after, the rates tried and their losses.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; at run time, the loader is empty, or ``raise_at`` is a share of a run
            of unknown length.
        ModuleNotFoundError: ``log_figure`` without matplotlib, which is part of the extra ``plot``.
        RuntimeError: at run time, the loss has no gradient or is not finite in the first step.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: under DeepSpeed, whose engine cannot be
            restored; a ``training_step`` that fetches its own batches; no optimizer, or one without a learning rate;
            uninitialized parameters, or data that can be read only once (see the page "What is restored, what is
            refused").

    Example:
        >>> from lightning_tricks import LRFinder
        >>> trainer = Trainer(max_epochs=10, callbacks=[LRFinder()])

        With Hydra: ``tricks=[lr_finder] tricks.lr_finder.num_steps=50``

    See :mod:`lightning_tricks.functional.range_test` for the mathematics, :func:`find_lr` for use without a fit.
    """

    goes_first = True

    def __init__(
        self,
        *,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        num_steps: int = 100,
        mode: Literal["exponential", "linear"] = "exponential",
        suggestion: Literal["auto", "valley", "steep", "minimum", "slide"] = "auto",
        smoothing: float = 0.9,
        stop_factor: float = 4.0,
        refine: int | str = 0,
        apply: bool = True,
        at_epochs: Sequence[int] = (0,),
        raise_at: Sequence[Duration] = (),
        monitor: str = "val_loss",
        log_figure: bool = False,
    ) -> None:
        super().__init__()
        self.num_steps = check_whole("num_steps", num_steps, 10, _MOST_STEPS)
        self.refine = check_refine(refine, self.num_steps)
        self.at_epochs = tuple(check_whole("at_epochs", epoch, 0) for epoch in check_list("at_epochs", at_epochs))
        self.raise_at = tuple(check_list("raise_at", raise_at))
        self.monitor = check_text("monitor", monitor)
        self._grid = lr_grid(min_lr, max_lr, self.num_steps, mode)
        self.min_lr, self.max_lr, self.mode = min_lr, max_lr, mode
        check_choice("suggestion", suggestion, METHODS)
        self.suggestion: Method = suggestion
        self.smoothing = check_number("smoothing", smoothing, 0, 1, high_open=True)
        never = isinstance(stop_factor, float) and stop_factor == math.inf
        self.stop_factor = math.inf if never else check_number("stop_factor", stop_factor, 1, low_open=True)
        self.apply = check_flag("apply", apply)
        if self.raise_at and not self.apply:
            raise ValueError("`raise_at` changes the rate, which `apply=False` forbids: leave out one of them.")
        self.log_figure = check_flag("log_figure", log_figure)
        if self.log_figure:
            new_figure((1.0, 1.0))  # without matplotlib this raises an error before the sweep
        self.reset()

    def reset(self) -> None:
        self.result: LRFinderResult | None = None
        self._raises = LRRaises(self.raise_at, self.monitor)
        self.raises = self._raises.found
        self._done: list[int] = []
        self._latest: float | None = None  # suggestion, of a search or of a comparison
        self._untouched = True
        self._first_epoch = 0  # of this process

    def begin_fit(self, run: Run) -> None:
        """Raise an error for an engine that does not expose its state."""
        if run.strategy_is("DeepSpeedStrategy"):
            raise MisconfigurationException(
                "`LRFinder` cannot act under DeepSpeed, whose engine does not expose weights and optimizer state (in "
                "particular with ZeRO), so they cannot be restored. Find the rate with another strategy, with "
                "`find_lr(model, ...)`, and give it to the optimizer; or use the engine's own scheduler `LRRangeTest`."
            )
        check_has_rates(run.trainer)
        run.part(SwitchedHooks).add(self, LRFinder, ["on_train_batch_end"], lambda: not self._raises.are_over)
        if any(type(callback).__name__ == "LearningRateFinder" for callback in run.trainer.callbacks):
            rank_zero_warn(
                "Lightning's `LearningRateFinder` and `LRFinder` both search for a learning rate, and the rate of "
                "`LRFinder` is used. Remove one of them."
            )

    def plan_facts(self, run: Run) -> list[Fact]:
        """Return the epochs of the searches."""
        return [RateSearch(self.state_key, self.at_epochs, tuple(self._done), run.trainer.current_epoch)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where the run starts or continues."""
        self._first_epoch = trainer.current_epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search for a rate, or try to raise it, once in each listed epoch, also across a restart."""
        epoch, first, self._untouched = trainer.current_epoch, self._untouched, False
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        is_due = self._run is not None and self._raises.are_due(self._run)
        passed = range(self._first_epoch, epoch + 1)  # Lightning does not report the start of an epoch that is resumed
        searches = [listed for listed in self.at_epochs if listed in passed and listed not in self._done]
        if not searches:
            if is_due:
                self._try_to_raise(trainer, pl_module)
            return
        self.result = self.search(trainer, pl_module, first)
        self._done += searches
        self._latest = self.result.suggestion
        self._report(trainer, self.result)
        if self.apply and self.result.suggestion is not None:
            apply_lr(trainer, self.result.suggestion)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the training loss, from which a plateau is recognized."""
        self._raises.note_loss(outputs)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what was logged before."""
        self._raises.start_validation(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the validation loss, whose fall shows what a higher rate gains."""
        if self._run is not None and not trainer.sanity_checking:
            self._raises.end_validation(trainer)

    def _try_to_raise(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raised = self._raises.act(trainer, pl_module, self.num_steps)
        if raised is not None:
            self._latest = raised.after
            rank_zero_info(f"LRFinder: {raised}.")
            log_results(trainer, self, {"suggestion": raised.after}, {"reason": str(raised)})

    def search(self, trainer: Trainer, pl_module: LightningModule, first: bool) -> LRFinderResult:
        """Sweep, refine if requested, and return the result; the run is restored.

        Args:
            trainer: a fitting Trainer, between two steps.
            pl_module: its module.
            first: whether the run has not taken a step in this process yet.
        """
        planned = self.planned_steps(trainer)
        factors = planned_factors(trainer, planned)  # the steps of the sweep move the module's schedulers
        with TrialRun(trainer, pl_module, rate_shares(trainer), first, validates=bool(self.refine)) as run:
            lrs, losses, diverged = self._sweep(run)
            rule = (self.suggestion, self.smoothing, planned, factors)
            suggestion, reason = suggest(lrs, losses, *rule)
            reason += explain_break(lrs, losses, self.smoothing) if diverged else ""
            result = LRFinderResult(lrs, losses, diverged, suggestion, reason, *rule)
            steps = steps_per_trial(self.refine, trainer, planned, self.num_steps)
            return result if not steps or suggestion is None else refine(run, result, steps, 3 * self.num_steps)

    def planned_steps(self, trainer: Trainer) -> int | None:
        """Return the number of optimizer steps left in the run; ``None`` if unbounded."""
        left = trainer.estimated_stepping_batches - trainer.global_step
        return int(left) if math.isfinite(left) and left > 0 else None

    def _sweep(self, run: TrialRun) -> LRSweep:
        """Sweep; if the loss rises from the first rates on, sweep again from lower rates."""
        rule = (self.smoothing, self.stop_factor)
        with progress_of(run.trainer, "LR finder", self.num_steps) as show:
            found = sweep(run, self._grid, *rule, show)
        if self.mode == "linear" or not begins_too_high(*found, self.smoothing):
            return found
        run.rewind()
        grid = extend_down(self._grid)
        with progress_of(run.trainer, "LR finder: lower rates", len(grid)) as show:
            return sweep(run, grid, *rule, show)

    def _report(self, trainer: Trainer, result: LRFinderResult) -> None:
        if result.suggestion is not None:
            rank_zero_info(f"LRFinder: learning rate {result.suggestion:.3g}: {result.reason}.")
        else:
            tell = rank_zero_warn if self.apply else rank_zero_info
            tell(f"LRFinder suggests no learning rate: {result.reason}. The rate is not changed.")
        if self.apply and result.suggestion is not None and result.still_falls:
            rank_zero_warn(
                f"LRFinder applies a learning rate of {result.suggestion:.3g} although the loss is still falling at "
                f"the highest rate tried, {result.lrs[-1]:.3g}: the best rate may be higher. Raise `max_lr`."
            )
        numbers = {} if result.suggestion is None else {"suggestion": result.suggestion}
        log_results(trainer, self, numbers, {"reason": result.reason})
        if self.log_figure:
            publish_result(trainer, result)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Pass the last suggestion to the process that started this one."""
        if (self.result or self.raises) and "MultiProcessing" in type(trainer.strategy.launcher).__name__:
            found = math.nan if self._latest is None else self._latest
            trainer.callback_metrics[f"{self.state_key}/suggestion"] = Tensor([found])[0]

    def plain_state(self) -> dict[str, Any]:
        """Return the last result and the epochs already searched."""
        own = {"result": self.result.to_dict() if self.result else None, "latest": self._latest}
        return {**own, "done": list(self._done), "raises": self._raises.plain_state()}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        """Load the results of an interrupted run, so that its searches are not repeated."""
        self._done = list(state["done"])
        self.result = LRFinderResult.from_dict(state["result"]) if state["result"] else None
        if "raises" in state:  # a checkpoint of version 0.2 has none
            self._raises.load(state["raises"])
        self._latest = state.get("latest", self.result.suggestion if self.result else None)
