"""Gradual unfreezing: train the head first, then more and more of the layers below it."""

import math
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch import nn
from torch.optim import Optimizer

from lightning_tricks.core.arguments import check_choice, check_flag, check_list, check_name, shown
from lightning_tricks.core.durations import Duration, Moment, RunLength, Unit, measure, parse_duration
from lightning_tricks.engine.layers.frozen_layers import FrozenLayers
from lightning_tricks.engine.layers.layer_group_checks import (
    LoadHook,
    check_groups,
    check_optimizers_hold,
    refuse_idle_under_scaler,
    refuse_strategies,
    refuse_unsplittable,
    split_optimizers,
    thawed_in,
    wrap_anew,
)
from lightning_tricks.engine.lr.lr_factor import LRFactor
from lightning_tricks.engine.run.clock import parts_per_epoch, resumed_batches, run_length
from lightning_tricks.functional.layer_groups import LayerGroup, describe_groups, group_layers
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.schedules import linear_warmup
from lightning_tricks.functional.thaw_times import plan_thaw, run_end


class GradualUnfreezing(LRFactor):
    """Freeze all but the head of a pretrained model, and thaw the layers below it in stages.

    Use when: a model is fine-tuned on little data, and a new head's first, wild gradients would spoil what the layers
    below it know.

    Where it acts: everything is as the module built it until ``on_train_start``, where the stage is taken from the
    clock, in a resumed run too; later stages begin in ``on_train_epoch_start`` and ``on_train_batch_start``, before the
    first batch of a step. A frozen parameter has no gradient and no optimizer state; modules that belong to frozen
    groups alone are in ``eval()``, so that BatchNorm and Dropout rest. What was frozen before ``fit`` stays frozen.

    Interacts with: :class:`DiscriminativeLR`, given the same ``groups``. Under DDP the module is wrapped anew at each
    stage, so that frozen parameters are neither waited for nor reduced; communication hooks with a state are refused.
    FSDP2 works, FSDP1 and DeepSpeed are refused.

    Args:
        schedule: ``"halves"``: the last group from the start, the upper half of all groups (rounded up) after
            ``every``, all after twice that; ``"one_per_epoch"``: one more group, downwards, per ``every`` (ULMFiT); or
            a list of Durations, one a group from the head downwards, the first 0; ``null`` for one that never thaws.
        groups: from input to head, each a glob pattern on parameter names or a list of them; the first match counts;
            ``null``: found from the model, each numbered block a group.
        every: length of a stage, a Duration > 0; customary 1 epoch or more.
        rewarmup: length of a linear warm-up of each group's learning rate after its thaw, a Duration on the clock of
            the stages; 0 for none.
        replace_scheduler: with a ``rewarmup``, drop the scheduler that the module returns instead of refusing the
            module.
        name: tells two callbacks of this class apart, in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; when fit starts, a pattern that is left with no parameter, a trainable
            parameter in no group, or a ``schedule`` with another number of groups.

    Example:
        >>> from lightning_tricks import GradualUnfreezing
        >>> trainer = Trainer(max_epochs=10, callbacks=[GradualUnfreezing("halves", every="2ep")])

        With Hydra: ``tricks=[gradual_unfreezing] tricks.gradual_unfreezing.every=2ep``

    See :func:`lightning_tricks.functional.thaw_times.plan_thaw` for the times, and ``describe`` for a table of what is
    frozen.
    """

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
                raise ValueError(f"`schedule` must begin with 0, the head's time, got {shown(list(schedule))}.")
        parse_duration(every, "every", positive=True)
        parse_duration(rewarmup, "rewarmup")
        self.schedule = schedule
        self.groups = groups
        self.every = every
        self.rewarmup = rewarmup
        self.replace_scheduler = check_flag("replace_scheduler", replace_scheduler)
        self.name = check_name("name", name)
        self._patterns = check_groups(groups)
        self.layer_groups: list[LayerGroup] = []
        self._layers: FrozenLayers | None = None
        self._loader: LoadHook | None = None
        self._forget()

    @property
    def is_active(self) -> bool:
        """Whether it multiplies learning rates, which only a ``rewarmup`` does."""
        return parse_duration(self.rewarmup).amount > 0

    def _forget(self) -> None:
        self.thawed: list[int] = []
        """The groups that train, by number: 0 is nearest the input."""
        self._steps: list[int] = []
        self._counted_at: int | None = None
        self._times: list[float] = []
        self._unit: Unit = "ep"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier fit."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._forget()

    def describe(self, model: nn.Module | None = None) -> str:
        """Return a table of the groups: patterns, parameters, and whether they train at the moment.

        Args:
            model: the module that will be fitted; once fit has started, ``None`` for that one.
        """
        groups = self.layer_groups if model is None else group_layers(model, self._patterns)
        return describe_groups(groups, thawed=self.thawed or [len(groups) - 1])

    def split_groups(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Split the optimizers' groups by layer group: each warms up by itself."""
        refuse_strategies(trainer, self, "DeepSpeedStrategy", "FSDPStrategy")
        refuse_unsplittable(trainer, self)
        layers = self._layers_of(pl_module)
        split_optimizers(trainer, lambda value: layers.get(id(value), len(layers)))

    def _layers_of(self, pl_module: LightningModule) -> dict[int, int]:
        values = dict(pl_module.named_parameters())
        groups = group_layers(pl_module, self._patterns)
        return {id(values[name]): i for i, group in enumerate(groups) for name in group.names}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the groups; nothing is frozen yet, for the optimizers and DDP are to know all parameters."""
        super().on_fit_start(trainer, pl_module)
        refuse_strategies(trainer, self, "DeepSpeedStrategy", "FSDPStrategy")
        if getattr(trainer.strategy, "_ddp_comm_state", None) is not None:
            raise MisconfigurationException(
                "`GradualUnfreezing` wraps the module anew at each stage, and a communication hook with a state "
                f"({type(trainer.strategy._ddp_comm_state).__name__}) is tied to one wrapping. Leave one of them out."  # type: ignore[attr-defined]
            )
        self.layer_groups = group_layers(pl_module, self._patterns)
        check_optimizers_hold(trainer, pl_module, self, self.layer_groups)
        plan_thaw(self.schedule, "1ep", len(self.layer_groups), RunLength(1, 1))
        layers = self._layers = FrozenLayers(pl_module, self.layer_groups)
        if trainer.strategy.restore_checkpoint_after_setup:
            # torch expects an optimizer state in a sharded checkpoint for whatever trains when it is loaded
            self._loader = LoadHook(
                trainer.strategy, lambda path: layers.set_gradients(thawed_in(path, self.state_key))
            )
        layer_of = self._layers_of(pl_module)
        self._layer_in = [
            [layer_of.get(id(group["params"][0]), -1) if group["params"] else -1 for group in optimizer.param_groups]
            for optimizer in trainer.optimizers
        ]
        in_optimizers = [
            [id(v) for g in optimizer.param_groups for v in g["params"]] for optimizer in trainer.optimizers
        ]
        self._held = [{layer_of[key] for key in held if key in layer_of} for held in in_optimizers]
        self._optimizer_of = [
            next((i for i, held in enumerate(self._held) if group in held), 0)
            for group in range(len(self.layer_groups))
        ]

    def prepare(self, run: RunLength, parts: int | None) -> None:
        """Measure the times of the thaw and the warm-up after it."""
        times, self._unit = plan_thaw(self.schedule, self.every, len(self.layer_groups), run)
        self._times = [math.inf if time is None else float(time) for time in times]
        length, unit = measure(parse_duration(self.rewarmup), run, "rewarmup")
        if length and unit != self._unit and any(self._times):
            raise ValueError(
                f"`rewarmup`={self.rewarmup!r} (in {unit}) must share the clock of the thaw (in {self._unit})."
            )
        self._warmup = linear_warmup(float(length))
        if parts is None and self._unit == "ep" and any(time % 1 for time in self._times if time < math.inf):
            raise MisconfigurationException(
                f"`{self.state_key}` thaws inside an epoch, but the training loader has no length, so that the time "
                'there is not known. Give times in whole epochs or in optimizer steps ("500st").'
            )

    def _refuse_late(self, run: RunLength, parts: int | None) -> None:
        """Refuse a thaw after the run's end."""
        end, last = run_end(self._unit, run, parts), max(time for time in self._times if time < math.inf)
        if end is None or last < end:
            return
        times = ", ".join(f"group {i} at {time:g}{self._unit}" for i, time in enumerate(self._times))
        message = (
            f"`{self.state_key}` thaws its last group at {last:g}{self._unit}, but the run ends at {float(end):g}"
            f"{self._unit}: {times}. Train longer, give fewer `groups`, or a shorter `every` (now {self.every!r})."
        )
        if last > end:
            raise MisconfigurationException(message)
        rank_zero_warn(message)

    def factors(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the warm-up of each parameter group since its thaw; 1 for what trains from the start."""
        now = moment.time(self._unit)
        by_layer = [self._warmup(max(now - time, 0.0)) if time > 0 else 1.0 for time in self._times]
        return {"rewarmup": [1.0 if layer < 0 else by_layer[layer] for layer in self._layer_in[optimizer]]}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze what is frozen at this time; everything is restored now, under every strategy."""
        self._unhook()
        parts = parts_per_epoch(trainer)
        run = run_length(trainer, parts)
        self._manual = not pl_module.automatic_optimization
        if self._manual and not self._steps:
            self._steps = [trainer.global_step // max(len(trainer.optimizers), 1)] * len(trainer.optimizers)
        self.prepare(run, parts)
        refuse_idle_under_scaler(trainer, self, self._held, self._times)
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._refuse_late(run, None if self._manual else parts)
        super().on_train_start(trainer, pl_module)
        batches, self._batches_before = resumed_batches(trainer)
        self.thawed = []
        self._thaw(trainer, batches)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        if not trainer.fit_loop.restarting:
            self._batches_before = 0
            self._thaw(trainer, 0)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._thaw(trainer, batch_idx - self._batches_before)
        if self._layers:
            self._layers.rest()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Under manual optimization, count the steps of each optimizer."""
        super().on_before_optimizer_step(trainer, pl_module, optimizer)
        if self._manual and trainer.global_step != self._counted_at:
            self._counted_at = trainer.global_step
            self._steps[next(i for i, other in enumerate(trainer.optimizers) if other is optimizer)] += 1

    def _thaw(self, trainer: Trainer, batches: int) -> None:
        """Let train what is to train at this time, if that has changed."""
        if len(self.thawed) == len(self._times):
            return
        part, parts = batches // trainer.accumulate_grad_batches, parts_per_epoch(trainer)
        moment = Moment(trainer.current_epoch, part, parts, trainer.global_step)
        thawed = [i for i, time in enumerate(self._times) if self._now(moment, i) >= time]
        if thawed != self.thawed:
            self.thawed = thawed
            if self._layers and self._layers.thaw(thawed):
                wrap_anew(trainer)
            rank_zero_info(f"`{self.state_key}`: groups {thawed} of {len(self._times)} train.")

    def _now(self, moment: Moment, group: int) -> float:
        if self._manual:
            moment = moment._replace(step=self._steps[self._optimizer_of[group]])
        return moment.time(self._unit)

    def _unhook(self) -> None:
        if self._loader is not None:
            self._loader.remove()
            self._loader = None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        self._restore()

    def _restore(self) -> None:
        """Put ``requires_grad`` and the modes back as they were before fit."""
        self._unhook()
        if self._layers:
            self._layers.put_back()
            self._layers = None

    def plain_state(self) -> dict[str, Any]:
        """Return what trains, and the counted steps, beside the state that all LR callbacks share."""
        return {**super().plain_state(), "thawed": list(self.thawed), "optimizer_steps": list(self._steps)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        shared = dict(state_dict)
        self.thawed, self._steps = list(shared.pop("thawed")), list(shared.pop("optimizer_steps"))
        super().load_state_dict(shared)
