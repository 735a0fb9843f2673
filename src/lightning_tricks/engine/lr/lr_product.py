"""LR product: ask every LR callback of a run for its factors and write the product, from one place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch.optim import Optimizer

from lightning_tricks.core.durations import Moment, RunLength
from lightning_tricks.engine.run.clock import (
    epoch_is_over,
    parts_per_epoch,
    resumed_batches,
    run_length,
    warn_if_a_batch_is_repeated,
)
from lightning_tricks.functional.learning_rates import Factor, LearningRates, multiply, part_shared_lrs_
from lightning_tricks.functional.lr_path import extend_path
from lightning_tricks.functional.scheduler_groups import built_lrs, drop_momentum_cycle_


@dataclass
class LRState:
    """What the clock cannot tell: every LR callback of a run saves the same one.

    Attributes:
        base: the learning rates that the factors multiply, by optimizer and group.
        built: what the optimizers were built with; another number in the code of a resumed run is warned about.
        steps: under manual optimization, the steps taken by each optimizer.
        batches_per_epoch: batches of the last full epoch, for loaders without length.
        path: the first, the highest and the last rate that a step used, of the group whose rate was largest.
    """

    base: list[list[float]] = field(default_factory=list)
    built: list[list[float]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    batches_per_epoch: int | None = None
    path: list[float] = field(default_factory=list)


class Contributor(Protocol):
    """What the product needs of a callback."""

    replace_scheduler: bool
    writes_each_step: ClassVar[bool]
    overrides_others: bool
    loaded: LRState | None

    @property
    def state_key(self) -> str: ...

    def prepare(self, run: RunLength, parts: int | None) -> None: ...

    def factors(self, moment: Moment, optimizer: int) -> dict[str, Factor]: ...

    def write_along(self, optimizer: Optimizer, index: int, moment: Moment) -> None: ...

    def reset_factor(self) -> None: ...


class LRProduct:
    """The learning rates of one run: base × factor × factor …, of all optimizers and all LR callbacks.

    Args:
        trainer: a Trainer in ``on_fit_start``: the optimizers are as the module built them.
        contributors: the LR callbacks, in any order.

    Attributes:
        defers_to_scheduler: the module's own scheduler goes on and none of the callbacks writes at each step: neither
            does the product, and each of them has scaled once what the scheduler starts from.
    """

    def __init__(self, trainer: Trainer, pl_module: LightningModule, contributors: Sequence[Contributor]) -> None:
        self.contributors = contributors
        self._manual = not pl_module.automatic_optimization
        self.defers_to_scheduler = bool(trainer.lr_scheduler_configs) and not any(
            c.writes_each_step for c in contributors
        )
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self._scheduler_stays = self._settle_schedulers(trainer)
        self._warned = False
        self._position: tuple[object, ...] | None = None
        self._counted_at: int | None = None
        self._batches_before = 0
        try:
            self._rates = [LearningRates(o, built_lrs(o, schedulers)) for o in trainer.optimizers]
        except ValueError as error:
            raise MisconfigurationException(str(error)) from error
        built = [list(rates.base) for rates in self._rates]
        self.state = LRState(base=[rates.base for rates in self._rates], built=built)

    def _settle_schedulers(self, trainer: Trainer) -> bool:
        """Refuse a scheduler of the module's own or drop it; return whether the module goes on stepping one."""
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
        if self._manual:  # training_step calls it by hand: it may go on, what it writes is overwritten before each step
            return True
        trainer.strategy.lr_scheduler_configs = []
        for optimizer in trainer.optimizers:
            drop_momentum_cycle_(optimizer)
        return False

    def start(self, trainer: Trainer) -> None:
        """Take over what a checkpoint holds, measure all lengths, and write the rates of the first step."""
        for optimizer in trainer.optimizers:
            part_shared_lrs_(optimizer)  # a checkpoint may have brought one tensor for all groups
        loaded = next((c.loaded for c in self.contributors if c.loaded and c.loaded.base), None)
        if loaded is not None:
            self._resume(loaded)
        if self._manual and not self.state.steps:
            self.state.steps = [trainer.global_step // len(self._rates)] * len(self._rates)
        parts = parts_per_epoch(trainer, self.state.batches_per_epoch)
        run = run_length(trainer, parts)
        if self._manual and run.epochs is None and len(self._rates) > 1:
            run = RunLength(None, None)  # max_steps counts the steps of all optimizers together, a schedule its own's
        for contributor in self.contributors:
            contributor.prepare(run, parts)
        batches, self._batches_before = resumed_batches(trainer)
        warn_if_a_batch_is_repeated(batches)
        self._move(trainer, trainer.current_epoch, batches)

    def _resume(self, loaded: LRState) -> None:
        self.state.steps = list(loaded.steps)
        self.state.path = list(loaded.path)
        self.state.batches_per_epoch = loaded.batches_per_epoch
        for i, (rates, base, built) in enumerate(zip(self._rates, loaded.base, loaded.built, strict=False)):
            for j, (then, now) in enumerate(zip(built, self.state.built[i], strict=False)):
                if then != now:
                    rank_zero_warn(
                        f"Group {j} of optimizer {i} ({type(rates.optimizer).__name__}) is built with a learning rate "
                        f"of {now:g}, but the run that is resumed was built with {then:g}. The checkpoint's is kept. "
                        "To train with the new one, start a run from the checkpoint's weights alone."
                    )
            known = min(len(base), len(rates.base))
            rates.base[:known] = base[:known]
            self.state.built[i][:known] = built[:known]

    def before_batch(self, trainer: Trainer, batch_idx: int) -> None:
        """Write the rates of the step that the coming batch belongs to."""
        self._move(trainer, trainer.current_epoch, batch_idx - self._batches_before)
        if self._rates and not self.defers_to_scheduler:
            self.state.path = extend_path(self.state.path, max(rates.highest for rates in self._rates))

    def before_step(self, trainer: Trainer, optimizer: Optimizer) -> None:
        """Under manual optimization, write the rates of the coming step of one optimizer and count it.

        A batch may hold several steps. An optimizer that evaluates its closure several times comes here as often
        before the Trainer counts one step.
        """
        if not self._manual or trainer.global_step == self._counted_at:
            return
        self._counted_at = trainer.global_step
        for i, rates in enumerate(self._rates):
            if rates.optimizer is optimizer:
                self._write(i, self._moment)
                self.state.steps[i] += 1

    def after_batch(self, trainer: Trainer, batch_idx: int) -> None:
        """Write the rates of the next step, so that whoever looks before it sees what it will use."""
        batches = batch_idx + 1 - self._batches_before
        if epoch_is_over(trainer, batches):
            self.state.batches_per_epoch, self._batches_before = batches, 0
            self._move(trainer, trainer.current_epoch + 1, 0)
        else:
            self._move(trainer, trainer.current_epoch, batches)

    def start_epoch(self, trainer: Trainer) -> None:
        """Write the rates of an epoch's first step."""
        self._move(trainer, trainer.current_epoch, 0)

    def end_epoch(self, trainer: Trainer) -> None:
        """Write the rates of the next epoch's first step, also where the module left the rest of this one out."""
        if trainer.is_last_batch:
            self._move(trainer, trainer.current_epoch + 1, 0)

    def rewrite(self) -> None:
        """Write again at the same moment, because a factor changed that does not follow the clock."""
        for i in range(len(self._rates)):
            self._write(i, self._moment)

    def group_base_lrs(self) -> list[list[float]]:
        """Return the base of each group times what is a group's own, a layer multiplier for instance.

        Factors that all groups share follow the clock or what was learnt, and say nothing about a group.
        """
        own: list[list[float]] = []
        for i, rates in enumerate(self._rates):
            found = [factor for c in self.contributors for factor in c.factors(self._moment, i).values()]
            shares = [factor for factor in found if not isinstance(factor, (int, float))]
            own.append([base * multiply(shares, group) for group, base in enumerate(rates.base)])
        return own

    def rebase(self, lr: float) -> None:
        """Make a rate that was found the new base; what was learnt under the old one (a plateau's cuts) returns to 1.

        What the optimizers were built with stays on record, so that a run that resumes compares like with like.

        Args:
            lr: of the group whose rate is the largest; the others keep their ratio to it.
        """
        top = max(peak for peaks in self.group_base_lrs() for peak in peaks)
        for rates in self._rates:
            rates.base[:] = [base / top * lr for base in rates.base]
        for contributor in self.contributors:
            contributor.reset_factor()
        self.rewrite()

    @property
    def has_started(self) -> bool:
        """Whether training began: a fit that has nothing left to train starts no clock."""
        return self._position is not None

    def _move(self, trainer: Trainer, epoch: int, batches: int) -> None:
        """Move the clock, and write if that moved the time of the next step."""
        part, step = batches // trainer.accumulate_grad_batches, trainer.global_step
        position = (epoch, part, *self.state.steps) if self._manual else (epoch, part, step)
        if position == self._position:
            return
        self._position = position
        parts = parts_per_epoch(trainer, self.state.batches_per_epoch)
        self._moment = Moment(epoch, part, parts, step)
        self.rewrite()

    def _factors(self, moment: Moment, index: int) -> list[Factor]:
        """Return what multiplies the base, all of it or, where one takes over, that and what is a group's own."""
        found: list[Factor] = []
        for contributor in self.contributors:
            if contributor.overrides_others:
                return self._factors_under(contributor, moment, index)
            found += contributor.factors(moment, index).values()
        return found

    def _factors_under(self, ruler: Contributor, moment: Moment, index: int) -> list[Factor]:
        found = [(c, factor) for c in self.contributors for factor in c.factors(moment, index).values()]
        return [factor for c, factor in found if c is ruler or not isinstance(factor, (int, float))]

    def _write(self, index: int, moment: Moment) -> None:
        if self.defers_to_scheduler:
            return
        if self._manual:
            moment = moment._replace(step=self.state.steps[index])
        found = self._factors(moment, index)
        stranger = self._rates[index].write_(found)
        for contributor in self.contributors:
            contributor.write_along(self._rates[index].optimizer, index, moment)
        if stranger is not None and not self._warned and not self._scheduler_stays:
            self._warned = True
            name = type(self._rates[index].optimizer).__name__
            rank_zero_warn(
                f"The learning rate of group {stranger.group} of optimizer {index} ({name}) is {stranger.found:g}, "
                f"but {', '.join(c.state_key for c in self.contributors)} wrote {stranger.expected:g}. Something else "
                "writes it too: a scheduler, another callback or the training step. It is overwritten from here on; "
                "remove one of the two writers."
            )
