"""Gradual unfreezing: train the head first, then more and more of the layers below it."""

import math
from itertools import pairwise
from typing import Any, ClassVar, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch import nn

from lightning_tricks.core.arguments import check_choice, check_flag, check_list, check_name, shown
from lightning_tricks.core.durations import Duration, RunLength, measure, parse_duration
from lightning_tricks.engine.layers.frozen_layers import FrozenLayers
from lightning_tricks.engine.layers.layer_group_checks import (
    before_loading,
    check_groups,
    check_optimizers_hold,
    refuse_idle_under_scaler,
    refuse_strategies,
    refuse_unsplittable,
    split_optimizers,
    thawed_in,
)
from lightning_tricks.engine.lr.group_warmup import GroupWarmup
from lightning_tricks.engine.lr.lr_product import LRProduct
from lightning_tricks.engine.run.combinations import pace_of
from lightning_tricks.engine.run.lightning_internals import ddp_comm_state, rebuild_ddp_wrapper
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.layer_groups import LayerGroup, describe_groups, group_layers
from lightning_tricks.functional.run_plan import Fact, ThawStages
from lightning_tricks.functional.thaw_times import ThawPlan, plan_thaw, run_end


class GradualUnfreezing(Trick):
    """Freeze all but the head of a pretrained model, and unfreeze the layers below it in stages.

    Use when: a model is fine-tuned on little data, and the large first gradients of a new head would damage the
    pretrained layers below it.

    Where it acts: nothing changes until ``on_train_start``, which derives the stage from the clock, also in a resumed
    run; later stages begin in ``on_train_epoch_start`` and ``on_train_batch_start``, before the first batch of a step.
    A frozen parameter has no gradient and no optimizer state; modules whose parameters are all frozen are in
    ``eval()``, so that BatchNorm and Dropout are inactive. Parameters that were frozen before ``fit`` stay frozen.

    Interacts with: :class:`DiscriminativeLR`, given the same ``groups``. Under DDP the module is wrapped again at each
    stage, so that frozen parameters are neither awaited nor reduced; communication hooks with a state raise an error.
    FSDP2 is supported; FSDP1 and DeepSpeed raise an error.

    Args:
        schedule: ``"halves"``: the last group from the start, the upper half of all groups (rounded up) after
            ``every``, all after twice that; ``"one_per_epoch"``: one more group, downwards, per ``every`` (ULMFiT); or
            a list of Durations, one per group from the head downwards, the first 0; ``null`` for a group that stays
            frozen.
        groups: from input to head, each a glob pattern on parameter names or a list of them; the first match counts;
            ``null``: found from the model, each numbered block a group.
        every: length of a stage, a Duration > 0; typically 1 epoch or more.
        rewarmup: length of a linear warm-up of each group's learning rate after it is unfrozen, a Duration in the unit
            of the stages; 0: none.
        replace_scheduler: with a ``rewarmup``, drop the scheduler that the module returns instead of raising an error.
        name: distinguishes several callbacks of this class in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; when fit starts, a pattern that matches no remaining parameter, a
            trainable parameter in no group, or a ``schedule`` with another number of groups.

    Example:
        >>> from lightning_tricks import GradualUnfreezing
        >>> trainer = Trainer(max_epochs=10, callbacks=[GradualUnfreezing("halves", every="2ep")])

        With Hydra: ``tricks=[gradual_unfreezing] tricks.gradual_unfreezing.every=2ep``

    See :func:`lightning_tricks.functional.thaw_times.plan_thaw` for the times, and ``describe`` for a table of the
    frozen groups.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(
        self,
        schedule: Literal["halves", "one_per_epoch"] | list[Duration | None] = "halves",
        *,
        groups: list[str | list[str]] | None = None,
        every: Duration = "1ep",
        rewarmup: Duration = 0,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__()
        if isinstance(schedule, str):
            check_choice("schedule", schedule, ("halves", "one_per_epoch"))
        else:
            times = check_list("schedule", schedule)
            lengths = [None if time is None else parse_duration(time, "schedule") for time in times]
            if not lengths or lengths[0] is None or lengths[0].amount != 0:
                raise ValueError(f"`schedule` must begin with 0, the time of the head, got {shown(list(schedule))}.")
        parse_duration(every, "every", positive=True)
        parse_duration(rewarmup, "rewarmup")
        self.schedule = schedule
        self.groups = groups
        self.every = every
        self.rewarmup = rewarmup
        self.replace_scheduler = check_flag("replace_scheduler", replace_scheduler)
        self.name = check_name("name", name)
        self._patterns = check_groups(groups)
        self.reset()

    def reset(self) -> None:
        self.layer_groups: list[LayerGroup] = []
        self.thawed: list[int] = []
        """The numbers of the groups that train; 0 is nearest the input."""
        self.plan = ThawPlan((0.0,), "ep")
        self._layers: FrozenLayers | None = None
        self._optimizer_of: list[int] = []
        self.lr_contributor: GroupWarmup | None = None
        """The multipliers of the learning rates; used only with ``rewarmup``."""
        self._loaded_lr: dict[str, Any] | None = None

    def describe(self, model: nn.Module | None = None) -> str:
        """Return a table of the groups: patterns, parameters, and whether they currently train.

        Args:
            model: the module to be fitted; ``None`` for the current module once fit has started.
        """
        groups = self.layer_groups if model is None else group_layers(model, self._patterns)
        return describe_groups(groups, thawed=self.thawed or [len(groups) - 1])

    # -- fit start ----------------------------------------------------------------------------------------------------

    def begin_fit(self, run: Run) -> None:
        """Find the groups. Nothing is frozen yet, because the optimizers and DDP must see all parameters."""
        refuse_strategies(run.trainer, self, "DeepSpeedStrategy", "FSDPStrategy")
        comm_state = ddp_comm_state(run.trainer)
        if comm_state is not None:
            raise MisconfigurationException(
                f"`GradualUnfreezing` wraps the module again at each stage, but a communication hook with a state "
                f"({type(comm_state).__name__}) is tied to one wrapper. Remove one of them."
            )
        self.layer_groups = group_layers(run.module, self._patterns)
        check_optimizers_hold(run.trainer, run.module, self, self.layer_groups)
        plan_thaw(self.schedule, "1ep", len(self.layer_groups), RunLength(1, 1))
        layers = self._layers = FrozenLayers(run.module, self.layer_groups)
        run.on_end(layers.restore)
        if run.trainer.strategy.restore_checkpoint_after_setup:
            # in a sharded checkpoint, torch expects an optimizer state for each parameter that trains when it is loaded
            before_loading(run, lambda path: layers.set_gradients(thawed_in(path, self.state_key)))
        if parse_duration(self.rewarmup).amount > 0:
            self.lr_contributor = GroupWarmup(self, run)
            run.part(LRProduct).join(self.lr_contributor)
            if self._loaded_lr is not None:
                self.lr_contributor.load_lr_state(self._loaded_lr)

    def split_by_layer(self, run: Run) -> None:
        """Split the optimizers' parameter groups by layer group."""
        refuse_unsplittable(run.trainer, self)
        count = len(self.layer_groups)
        split_optimizers(run.trainer, lambda value: count if (layer := self.layer_of(value)) is None else layer)

    def layer_of(self, parameter: Any) -> int | None:
        """Return the number of the layer group that a parameter belongs to."""
        return self._layers.layer_of(parameter) if self._layers is not None else None

    def make_plan(self, run: RunLength, steps_per_epoch: int | None) -> None:
        """Measure the times of the stages and the warm-up after each."""
        fractions, unit = plan_thaw(self.schedule, self.every, len(self.layer_groups), run)
        times = tuple(math.inf if time is None else float(time) for time in fractions)
        length, of_warmup = measure(parse_duration(self.rewarmup), run, "rewarmup")
        if length and of_warmup != unit and any(times):
            raise ValueError(
                f"`rewarmup`={self.rewarmup!r} (in {of_warmup}) must have the same unit as the stages (in {unit})."
            )
        if steps_per_epoch is None and unit == "ep" and any(time % 1 for time in times if time < math.inf):
            raise MisconfigurationException(
                f"`{self.state_key}` unfreezes a group inside an epoch, but the training loader has no length, so "
                'that time is unknown. Give times in whole epochs or in optimizer steps ("500st").'
            )
        self.plan = ThawPlan(times, unit, float(length))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze the groups that are frozen at this time. Checkpoints have been loaded by now under every strategy."""
        run = self._run
        assert run is not None
        steps_per_epoch = run.clock.steps_per_epoch
        self.make_plan(run.clock.length, steps_per_epoch)
        held = self._layers_by_optimizer(run)
        refuse_idle_under_scaler(trainer, self, held, self.plan.times)
        if not run.is_dry:
            self._refuse_late(run.clock.length, None if run.is_manual else steps_per_epoch)
        self.thawed = []
        self._follow(run)

    def optimizers_replaced(self, run: Run) -> None:
        self._layers_by_optimizer(run)

    def plan_facts(self, run: Run) -> list[Fact]:
        """Return the longest stage, or the warm-up after one if that is longer."""
        times = sorted({time for time in self.plan.times if time < math.inf} | {0.0})
        stages = [later - earlier for earlier, later in pairwise(times)]
        longest = max([*stages, self.plan.rewarmup if stages else 0.0])
        return [ThawStages(self.state_key, pace_of(run).span(longest, self.plan.unit))] if stages else []

    def _layers_by_optimizer(self, run: Run) -> list[set[int]]:
        """Return the layer groups in each optimizer, and record which optimizer steps which group."""
        found = [
            {self.layer_of(value) for group in optimizer.param_groups for value in group["params"]}
            for optimizer in run.optimizers
        ]
        held = [{layer for layer in layers if layer is not None} for layers in found]
        count = len(self.layer_groups)
        self._optimizer_of = [next((i for i, own in enumerate(held) if layer in own), 0) for layer in range(count)]
        return held

    def _refuse_late(self, run: RunLength, steps_per_epoch: int | None) -> None:
        """Raise an error for a stage after the end of the run."""
        unit, end, last = self.plan.unit, run_end(self.plan.unit, run, steps_per_epoch), self.plan.last
        if end is None or last < end:
            return
        times = ", ".join(f"group {i} at {time:g}{unit}" for i, time in enumerate(self.plan.times))
        message = (
            f"`{self.state_key}` unfreezes its last group at {last:g}{unit}, but the run ends at {float(end):g}{unit}: "
            f"{times}. Train longer, give fewer `groups`, or a shorter `every` (now {self.every!r})."
        )
        if last > end:
            raise MisconfigurationException(message)
        rank_zero_warn(message)

    # -- during training ----------------------------------------------------------------------------------------------

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the clock, and include parameters that were registered later."""
        if self._run is None or self._layers is None:
            return
        if self._layers.adopt_new():
            self._layers.thaw(self.thawed)
        self._follow(self._run)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._run is None or self._layers is None:
            return
        if len(self.thawed) < len(self.plan.times):
            self._follow(self._run)
        self._layers.set_eval()

    def _follow(self, run: Run) -> None:
        """Set which groups train at this time, if that has changed."""
        unit, clock = self.plan.unit, run.clock
        now = [clock.moment_of(optimizer).time(unit) for optimizer in self._optimizer_of]
        thawed = [i for i, time in enumerate(self.plan.times) if now[i] >= time]
        if thawed == self.thawed:
            return
        self.thawed = thawed
        if self._layers is not None and self._layers.thaw(thawed):
            rebuild_ddp_wrapper(run.trainer)
        rank_zero_info(f"`{self.state_key}`: groups {thawed} of {len(self.plan.times)} train.")

    # -- state ----------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return which groups train and, with ``rewarmup``, the state that all LR callbacks share."""
        lr = self.lr_contributor.lr_state() if self.lr_contributor is not None else self._loaded_lr
        return {"thawed": list(self.thawed), "lr": lr}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.thawed, self._loaded_lr = list(state["thawed"]), state["lr"]
        if self.lr_contributor is not None and self._loaded_lr is not None:
            self.lr_contributor.load_lr_state(self._loaded_lr)
