"""Reduce on plateau: reduce the learning rate after n checks without improvement, and stop at the floor."""

import math
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_info

from lightning_tricks.core.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_name,
    check_number,
    check_text,
)
from lightning_tricks.core.durations import Moment
from lightning_tricks.engine.lr.lr_contributor import LRContributor
from lightning_tricks.engine.lr.lr_product import LRProduct
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.watch.metric_reader import Reading
from lightning_tricks.engine.watch.metric_watcher import MetricWatcher
from lightning_tricks.engine.watch.watch_plan import plan_rule
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.plateau import at_floor, count_lucky_bests, observe, score_noise
from lightning_tricks.functional.run_plan import Fact

_ROUNDING = 1e-9
_FEWEST_LUCKY = 4


class PlateauCheck(NamedTuple):
    """One check of a run: optimizer steps before it, its score, and the factor that applies after it."""

    step: int
    score: float
    lr_factor: float


class ReduceLROnPlateau(MetricWatcher, LRContributor):
    """Halve the learning rate after n checks without a better score, down to 1/1024, then stop.

    Use when: the length of the run is not known beforehand; the guides' no-improvement-in-n rule.

    Where it acts: one check per validation run (``on_validation_end``), at any interval; without validation, or for
    a metric that training logs, one per training epoch, after the module's own ``on_train_epoch_end``. The score is
    averaged over all ranks first. The reduction is a factor of the learning-rate product and applies from the next step
    on.

    Interacts with: every other LR callback, whose factors multiply in any order; ``LRFinder``,
    whose result resets the factor to 1; ``min_epochs`` and ``min_steps``, which delay the stop. An
    ``EarlyStopping`` with the same monitor and patience (for instance both defaults) waits until no reduction is left;
    one with less patience stops before the first reduction, with a warning. A module that returns its own scheduler
    raises an error, unless ``replace_scheduler=True``.

    Args:
        monitor: key of a logged metric.
        mode: whether a lower (``"min"``) or a higher (``"max"``) score is better.
        patience: consecutive checks without a new best before a reduction, >= 1; typically 5 to 20 (Nielsen 2015: 10).
        factor: multiplier of each reduction, in ``(0, 1)``; typically 0.5 or 0.1.
        min_factor: the floor, as a fraction of the initial learning rate, in ``(0, 1)``; 1/1024 is ten halvings.
        min_delta: a new best must be better by more than this, >= 0; NaN never is.
        cooldown: checks after a reduction that do not count towards ``patience``, >= 0.
        stop_at_min: stop when the rate reaches the floor; with False, training continues at the floor.
        restore_best: restore the weights and buffers of the best check after each reduction, before the next batch, and
            when training ends; the optimizer's moments are not changed. The weights are kept in host memory and in
            checkpoints.
        strict: raise if the metric is not logged; False: warn once.
        verbose: log each reduction.
        log_factors: log the factor as ``<callback>/lr_factor``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of raising an error.
        name: distinguishes several callbacks with the same ``monitor`` and ``mode`` in checkpoints and logs.

    Attributes:
        best_score: the best score so far.
        wait_count: checks without a new best since the last best or the last reduction.
        lr_factor: product of all reductions.
        num_reductions: number of reductions so far.
        history: one :class:`PlateauCheck` per check, for :func:`lightning_tricks.reports.plateau.plot_plateau`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at fit start, another callback uses the same
            monitor with the other mode, or the module has a scheduler, or ``restore_best`` is used under DeepSpeed.
        RuntimeError: at the first check, the metric is not logged or not a single number.

    Example:
        >>> from lightning_tricks import ReduceLROnPlateau
        >>> trainer = Trainer(max_epochs=1000, callbacks=[ReduceLROnPlateau("val_loss", patience=5)])

        With Hydra: ``tricks=[reduce_lr_on_plateau] tricks.reduce_lr_on_plateau.patience=5``

    See :func:`lightning_tricks.functional.plateau.observe` for the rule.
    """

    identity: ClassVar[tuple[str, ...]] = ("monitor", "mode", "name")
    checklist_roles = ("schedule",)

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        mode: Literal["min", "max"] = "min",
        patience: int = 10,
        factor: float = 0.5,
        min_factor: float = 1 / 1024,
        min_delta: float = 0.0,
        cooldown: int = 0,
        stop_at_min: bool = True,
        restore_best: bool = False,
        strict: bool = True,
        verbose: bool = False,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.monitor = check_text("monitor", monitor)
        check_choice("mode", mode, ("min", "max"))
        self.mode = mode
        self.patience = check_count("patience", patience, 0)
        self.factor = check_number("factor", factor, 0, 1, low_open=True, high_open=True)
        self.min_factor = check_number("min_factor", min_factor, 0, 1, low_open=True, high_open=True)
        self.min_delta = check_number("min_delta", min_delta, 0)
        self.cooldown = check_count("cooldown", cooldown, 0)
        self.stop_at_min = check_flag("stop_at_min", stop_at_min)
        self.restore_best = check_flag("restore_best", restore_best)
        self.strict = check_flag("strict", strict)
        self.verbose = check_flag("verbose", verbose)
        self.log_factors = check_flag("log_factors", log_factors)
        self.replace_scheduler = check_flag("replace_scheduler", replace_scheduler)
        self.name = check_name("name", name)
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.loaded = None
        self.history: list[PlateauCheck] = []
        self._before = self.state

    @property
    def lr_factor(self) -> float:
        """Product of all reductions, by which the learning rate is multiplied."""
        return self.state.lr_factor

    @property
    def num_reductions(self) -> int:
        """Number of reductions so far."""
        return self.state.num_reductions

    def factors_at(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the product of all reductions."""
        return {"lr_factor": self.state.lr_factor}

    def reset_factor(self) -> None:
        """Reset the factor to 1 and the count to 0, because the base has changed; the best score is kept."""
        self.state = replace(self.state, wait_count=0, lr_factor=1.0, num_reductions=0, cooldown_left=0)
        if self.product is not None:
            self.product.rewrite()

    def begin_fit(self, run: Run) -> None:
        """Contribute the reductions to the learning rate."""
        super().begin_fit(run)
        run.part(LRProduct).join(self)
        if self.restore_best and run.strategy_is("DeepSpeedStrategy"):
            raise MisconfigurationException(
                "`ReduceLROnPlateau(restore_best=True)` restores weights during a run, but DeepSpeed's engine "
                "continues from its own master weights. Set `restore_best=False`."
            )

    def observe(self, trainer: Trainer, reading: Reading) -> None:
        """Count the check, and reduce the rate if patience has run out."""
        self._before = self.state
        self.state = observe(
            self.state,
            reading.value,
            mode=self.mode,
            min_delta=self.min_delta,
            patience=max(self.patience, 1),
            factor=self.factor,
            min_factor=self.min_factor,
            cooldown=self.cooldown,
            precision=reading.precision,
        )
        self.history.append(PlateauCheck(trainer.global_step, reading.value, self.lr_factor))
        if self.num_reductions > self._before.num_reductions:
            self._cut(trainer)

    def plan_facts(self, run: Run) -> list[Fact]:
        """Return how long the rule waits, and how often it reduces."""
        needed = max(1, math.ceil(math.log(self.min_factor) / math.log(self.factor) - _ROUNDING))
        return [plan_rule(self, run, "reduce", reductions=needed if self.stop_at_min else None)]

    def could_cut(self, position: int) -> bool:
        """Return whether a reduction was left before the check at that position, whatever the order of callbacks."""
        state = self._before if self._record.position == position else self.state
        return not at_floor(state, self.min_factor)

    def _cut(self, trainer: Trainer) -> None:
        self.rewind(trainer.lightning_module)
        if self.product is not None:
            self.product.rewrite()
        if self.verbose:
            rank_zero_info(
                f"{self.monitor} has not improved in {self.patience} checks (best {self.best_score:.4g}): "
                f"learning rate x {self.lr_factor:.3g}, reduction number {self.num_reductions}."
            )

    def reason(self, value: float) -> str | None:
        """Stop at the floor, if requested."""
        if not self.stop_at_min or not at_floor(self.state, self.min_factor):
            return None
        return (
            f"no better {self.monitor} in {self.patience} checks after {self.num_reductions} reductions of the "
            f"learning rate"
        )

    def outcome(self) -> dict[str, float]:
        """Return the best score, the factor and the number of reductions."""
        return {
            "best_score": self.best_score,
            "lr_factor": self.lr_factor,
            "num_reductions": self.num_reductions,
        }

    def summary_sentences(self) -> list[str]:
        """Return the path of the learning rate, the number of reductions, and whether chance decided about them."""
        reductions = f"{self.num_reductions} reduction{'s' * (self.num_reductions != 1)}."
        return [*self.lr_sentences(), reductions, *self._noise_sentences()]

    def _noise_sentences(self) -> list[str]:
        """Return a sentence if most new bests, each of which restarts the count, are smaller than the noise."""
        scores = [check.score for check in self.history]
        noise = score_noise(scores)
        if noise is None or noise <= self.min_delta:
            return []
        lucky, bests = count_lucky_bests(scores, noise, self.mode)
        if lucky < _FEWEST_LUCKY or 2 * lucky < bests:
            return []
        gained = f"{lucky} of {bests} new bests gained less than the noise of {self.monitor}, about {noise:.2g}"
        return [f"{gained}, and each restarted the count: `min_delta={noise:.1g}` ignores them."]

    def plain_state(self) -> dict[str, Any]:
        """Return the state of the watch and the state that all LR callbacks share."""
        history = [list(check) for check in self.history]
        return {**super().plain_state(), "lr": self.lr_state(), "history": history}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        super().load_plain_state(state)
        self.load_lr_state(state["lr"])
        self.history = [PlateauCheck(*check) for check in state["history"]]
