"""LR product: collect the factors of all LR callbacks of a run and write their product, in one place."""

from collections.abc import Sequence
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.engine.lr.lr_contributor import LRContributor, LRState
from lightning_tricks.engine.run.lightning_internals import logs_now
from lightning_tricks.engine.run.run import Run, RunPart, run_of
from lightning_tricks.functional.learning_rates import Factor, LearningRates, multiply, unshare_lrs_
from lightning_tricks.functional.lr_path import extend_path
from lightning_tricks.functional.scheduler_groups import built_lrs, drop_momentum_cycle_


class LRProduct(RunPart):
    """The learning rates of one run, ``base × factor × ...``, for all optimizers and all contributors.

    It writes as soon as the clock moves, after the batch that took a step and not before the next one, so that a
    monitor anywhere in the list reads the rate that the next step uses.

    Attributes:
        contributors: the contributors, in the Trainer's order, which has no effect.
        state: the state that must survive a restart.
        defers_to_scheduler: whether the module's own scheduler writes the rates. Then no callback writes at each step,
            nor does the product; each callback has scaled the scheduler's start values once.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.contributors: list[LRContributor] = []
        self.state = LRState()
        self.defers_to_scheduler = False
        self._scheduler_stays = self._warned = self._has_written = False
        self._rates: list[LearningRates] = []
        self._now: list[list[dict[str, Factor]]] = []
        self._ruler: LRContributor | None = None
        self._logged: list[int] = []
        self._along: list[LRContributor] = []
        run.on_end(self._release)

    def join(self, contributor: LRContributor) -> None:
        """Add a contributor, in ``begin_fit``."""
        self.contributors.append(contributor)
        contributor.product = self

    def _release(self) -> None:
        """Keep the state in each contributor, which a checkpoint may still need, and release the optimizers."""
        for contributor in self.contributors:
            contributor.loaded, contributor.product = self.state, None

    def begin(self) -> None:
        """Split groups, handle the module's schedulers, and read the rates that the optimizers were built with."""
        for contributor in self.contributors:
            contributor.split_groups(self.run)
        writes = any(contributor.writes_each_step for contributor in self.contributors)
        self.defers_to_scheduler = bool(self.run.trainer.lr_scheduler_configs) and not writes
        schedulers = [config.scheduler for config in self.run.trainer.lr_scheduler_configs]
        self._scheduler_stays = self._settle_schedulers()
        self._rates = self._read_rates(schedulers)
        built = [list(rates.base) for rates in self._rates]
        self.state = LRState(base=[rates.base for rates in self._rates], built=built)
        for contributor in self.contributors:
            contributor.rates_read(self.run)

    def _read_rates(self, schedulers: Sequence[Any] = ()) -> list[LearningRates]:
        """Return the rates that the optimizers were built with, even if these schedulers have changed them."""
        try:
            return [LearningRates(optimizer, built_lrs(optimizer, schedulers)) for optimizer in self.run.optimizers]
        except ValueError as error:
            raise MisconfigurationException(str(error)) from error

    def _settle_schedulers(self) -> bool:
        """Raise an error for a scheduler of the module, or drop it; return whether the module still steps one."""
        trainer = self.run.trainer
        names = ", ".join(type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs)
        if not names or self.defers_to_scheduler:
            return self.defers_to_scheduler
        ours = ", ".join(contributor.state_key for contributor in self.contributors if contributor.writes_each_step)
        if not any(contributor.replace_scheduler for contributor in self.contributors):
            raise MisconfigurationException(
                f"The module's `configure_optimizers` returns a scheduler ({names}), and {ours} would write the same "
                "learning rates. Return the optimizer alone, or pass `replace_scheduler=True` to drop the module's."
            )
        rank_zero_info(f"{ours} replaces the module's {names}.")
        if self.run.is_manual:  # `training_step` may still call it manually; its rates are overwritten
            return True
        trainer.strategy.lr_scheduler_configs = []
        for optimizer in trainer.optimizers:
            drop_momentum_cycle_(optimizer)
        return False

    def start(self) -> None:
        """Load the state of a checkpoint, measure all lengths, and write the rates of the first step."""
        for optimizer in self.run.optimizers:
            unshare_lrs_(optimizer)  # a checkpoint may contain a single tensor for all groups
        loaded = next((c.loaded for c in self.contributors if c.loaded and c.loaded.base), None)
        if loaded is not None:
            self._resume(loaded)
        clock = self.run.clock
        for contributor in self.contributors:
            contributor.prepare(clock.length_of(len(self._rates)), clock.steps_per_epoch)
        self._logged = [i for i, contributor in enumerate(self.contributors) if contributor.log_factors]
        self._along = [c for c in self.contributors if type(c).write_along is not LRContributor.write_along]
        self.rewrite()

    def _resume(self, loaded: LRState) -> None:
        self.state.path = list(loaded.path)
        for i, (rates, base, built) in enumerate(zip(self._rates, loaded.base, loaded.built, strict=False)):
            for j, (then, now) in enumerate(zip(built, self.state.built[i], strict=False)):
                if then != now:
                    rank_zero_warn(
                        f"Group {j} of optimizer {i} ({type(rates.optimizer).__name__}) is built with a learning rate "
                        f"of {now:g}, but the resumed run was built with {then:g}. The rate of the checkpoint is used. "
                        f"To train with the new one, start a run from the checkpoint's weights alone."
                    )
            known = min(len(base), len(rates.base))
            rates.base[:known] = base[:known]
            self.state.built[i][:known] = built[:known]

    def before_batch(self) -> None:
        """Record the rate of the coming step, and log its factors if requested."""
        if self._has_written:
            self._has_written = False
            self.state.path = extend_path(self.state.path, max(rates.highest for rates in self._rates))
        if not self._logged or not logs_now(self.run.trainer):
            return
        module: Any = self.run.module
        for i in self._logged:
            key, factors = self.contributors[i].state_key, self._now[0][i].items()
            module.log_dict({f"{key}/{name}": multiply([factor]) for name, factor in factors})

    def before_step(self, optimizer: int) -> None:
        """Under manual optimization, where a batch may contain several steps, write the rates of the coming one."""
        self._ask(optimizer)
        self._write(optimizer)

    def clock_moved(self) -> None:
        """Write the rates of the next step; factors that do not follow the clock keep their values."""
        for i, rates in enumerate(self._rates):
            self._ask(i, clock_only=len(rates.base) == len(rates.optimizer.param_groups))
            self._write(i)

    def rewrite(self) -> None:
        """Write again at the same moment, because a factor that does not follow the clock has changed."""
        self._now = [[{} for _ in self.contributors] for _ in self._rates]
        self._ruler = next((contributor for contributor in self.contributors if contributor.overrides_others), None)
        for i in range(len(self._rates)):
            self._ask(i)
            self._write(i)

    def optimizers_replaced(self) -> None:
        """Continue in optimizers that the module has rebuilt.

        A group that is built with the same rate as the group it replaces keeps that group's base, for instance a found
        rate; a different rate becomes the new base.
        """
        for contributor in self.contributors:
            contributor.split_groups(self.run)
        before, was_built = [list(base) for base in self.state.base], self.state.built
        self._rates = self._read_rates()
        built = [list(rates.base) for rates in self._rates]
        for i, rates in enumerate(self._rates):
            if i < len(was_built) and was_built[i] == built[i]:
                rates.base[:] = before[i][: len(built[i])]
        self.state = LRState(base=[rates.base for rates in self._rates], built=built, path=self.state.path)
        self.rewrite()

    @property
    def has_started(self) -> bool:
        """Whether training began; a fit with nothing left to train does not start the clock."""
        return bool(self._now)

    def group_base_lrs(self) -> list[list[float]]:
        """Return the base of each group times its group-specific factors, such as a layer multiplier.

        Factors shared by all groups depend on the clock or on what was learned, not on the group.
        """
        own: list[list[float]] = []
        for i, rates in enumerate(self._rates):
            moment = self.run.clock.moment_of(i)
            found = [factor for c in self.contributors for factor in c.factors_at(moment, i).values()]
            shares = [factor for factor in found if not isinstance(factor, (int, float))]
            own.append([base * multiply(shares, group) for group, base in enumerate(rates.base)])
        return own

    def shared_factors(self) -> dict[str, float]:
        """Return the current factors that all groups of the first optimizer share, by callback and name."""
        asked = zip(self.contributors, self._now[0] if self._now else [], strict=False)
        named = [(f"{c.state_key}/{name}", factor) for c, factors in asked for name, factor in factors.items()]
        return {name: float(factor) for name, factor in named if isinstance(factor, (int, float))}

    def learned_factor(self) -> float:
        """Return the product of the current factors that do not follow the clock, of the first optimizer."""
        asked = zip(self.contributors, self._now[0] if self._now else [], strict=False)
        learned = [factor for c, factors in asked if not c.follows_clock for factor in factors.values()]
        return multiply([factor for factor in learned if isinstance(factor, (int, float))])

    def rebase(self, lr: float) -> None:
        """Make a found rate the new base; factors learned under the old one (plateau reductions) return to 1.

        The original rates of the optimizers are still recorded, so that a resumed run can compare them.

        Args:
            lr: the rate of the group with the largest rate; the others keep their ratio to it.
        """
        top = max(peak for peaks in self.group_base_lrs() for peak in peaks)
        for rates in self._rates:
            rates.base[:] = [base / top * lr for base in rates.base]
        for contributor in self.contributors:
            contributor.reset_factor()
        self.rewrite()

    def _ask(self, index: int, *, clock_only: bool = False) -> None:
        """Update the factors of the contributors; those that do not follow the clock only if all are requested."""
        moment = self.run.clock.moment_of(index)
        now = self._now[index]
        for i, contributor in enumerate(self.contributors):
            if not clock_only or contributor.follows_clock:
                now[i] = contributor.factors_at(moment, index)

    def _factors(self, index: int) -> list[Factor]:
        """Return the factors of the base: all or, if one overrides the others, that one and the group-specific ones."""
        if self._ruler is None:
            return [factor for named in self._now[index] for factor in named.values()]
        found = zip(self.contributors, self._now[index], strict=True)
        factors = [(c, factor) for c, named in found for factor in named.values()]
        return [factor for c, factor in factors if c is self._ruler or not isinstance(factor, (int, float))]

    def _write(self, index: int) -> None:
        if self.defers_to_scheduler:
            return
        rates = self._rates[index]
        stranger = rates.write_(self._factors(index))
        self._has_written = True
        for contributor in self._along:
            contributor.write_along(rates.optimizer, index, self.run.clock.moment_of(index))
        if stranger is not None and not self._warned and not self._scheduler_stays:
            self._warned = True
            rank_zero_warn(
                f"The learning rate of group {stranger.group} of optimizer {index} ({type(rates.optimizer).__name__}) "
                f"is {stranger.found:g}, but {', '.join(c.state_key for c in self.contributors)} wrote "
                f"{stranger.expected:g}. A scheduler, another callback or the training step also writes it. It is "
                f"overwritten from now on; remove one of the two writers."
            )


def product_of(trainer: Trainer) -> LRProduct | None:
    """Return the product that writes the rates of the run, unless the module's own scheduler does."""
    run = run_of(trainer)
    product = run.find_part(LRProduct) if run is not None else None
    return product if product is not None and product.contributors and not product.defers_to_scheduler else None
