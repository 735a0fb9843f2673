"""Discriminative LR: a multiplier for each layer group, a factor of the learning-rate product."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer

from lightning_tricks.core.arguments import check_flag, check_list, check_name, check_number, shown
from lightning_tricks.core.durations import Moment
from lightning_tricks.engine.layers.layer_group_checks import (
    check_groups,
    check_optimizers_hold,
    refuse_strategies,
    refuse_unsplittable,
    split_optimizers,
)
from lightning_tricks.engine.lr.lr_factor import LRFactor
from lightning_tricks.engine.lr.scheduler_scaling import scale_rates_
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.layer_groups import (
    LayerGroup,
    describe_groups,
    group_layers,
    layer_multipliers,
    spread_multipliers,
)
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.param_groups import find_undecayed


class DiscriminativeLR(LRFactor):
    """Train lower layers with smaller learning rates than the head.

    Use when: a pretrained model is fine-tuned: its lower layers are already general and need small steps, its head is
    new and needs large ones.

    Where it acts: the optimizers' parameter groups are split in ``on_fit_start``, and all their options are kept;
    after that, the multipliers are factors of the learning-rate product, before each optimizer step.

    Interacts with: every other LR callback, whose factors multiply and keep the ratios. If the module returns a
    scheduler, its start values (``initial_lr``, ``base_lrs``, ``max_lr``, ...) are scaled once; a scheduler with one
    floor for all groups (``eta_min``) causes a warning. DeepSpeed and FSDP1, which flatten the groups, are not
    supported.

    Args:
        decay: group i of n is multiplied by ``decay ** (i - (n - 1))``, > 0; ULMFiT uses 2.6, typically 1.1 to
            3. (A factor of 0.75 per layer in other libraries corresponds to 1 / 0.75.)
        groups: from input to head, each a glob pattern on parameter names or a list of them; the first match counts;
            ``null``: found from the model, each numbered block a group.
        multipliers: the multipliers of the groups instead, >= 0; or a mapping from patterns to multipliers, which also
            defines the groups.
        low_high: two numbers; the multipliers are then spaced geometrically from the first to the second.
        no_decay: disable weight decay for biases, norms and other vectors.
        name: distinguishes several callbacks of this class in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range or contradicts another; when fit starts, a pattern matches no remaining
            parameter, or a trainable parameter is in no group.

    Example:
        >>> from lightning_tricks import CosineDecay, DiscriminativeLR
        >>> layerwise = DiscriminativeLR(groups=["body.*", "head.*"], multipliers=[0.1, 1.0])
        >>> trainer = Trainer(max_epochs=10, callbacks=[layerwise, CosineDecay()])

        With Hydra: ``tricks=[discriminative_lr,cosine_decay] tricks.discriminative_lr.decay=2``

    See :mod:`lightning_tricks.functional.layer_groups` for how groups are found, and ``describe`` for a table of the
    groups.
    """

    writes_each_step = False
    replace_scheduler = False
    checklist_roles = ("differential_lrs",)

    def __init__(
        self,
        decay: float = 2.6,
        *,
        groups: list[str | list[str]] | None = None,
        multipliers: list[float] | dict[str, float] | None = None,
        low_high: list[float] | None = None,
        no_decay: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.decay = check_number("decay", decay, 0, low_open=True)
        self.groups = groups
        self.multipliers = multipliers
        self.low_high = low_high
        self.no_decay = check_flag("no_decay", no_decay)
        self.name = check_name("name", name)
        self._patterns = check_groups(groups)
        self._check_multipliers()
        self.layer_groups: list[LayerGroup] = []
        self.reset()

    def _check_multipliers(self) -> None:
        if self.multipliers is not None and self.low_high is not None:
            raise ValueError(
                f"`multipliers` and `low_high`={self.low_high} both give the multipliers; give one of them."
            )
        if isinstance(self.multipliers, Mapping):
            if self._patterns is not None:
                raise ValueError("`multipliers` is a mapping whose patterns define the groups; omit `groups`.")
            self._patterns = check_groups(list(self.multipliers))
        if self.multipliers is not None:
            given = list(self.multipliers.values()) if isinstance(self.multipliers, Mapping) else self.multipliers
            values = check_list("multipliers", given)
            for value in values:
                check_number("multipliers", value, 0)
            if self._patterns is not None and len(values) != len(self._patterns):
                raise ValueError(f"`multipliers` has {len(values)} entries for {len(self._patterns)} `groups`.")
        if self.low_high is not None:
            ends = check_list("low_high", self.low_high)
            if len(ends) != 2:
                raise ValueError(f"`low_high` must hold two numbers, got {shown(ends)}.")
            for end in ends:
                check_number("low_high", end, 0, low_open=True)

    def reset(self) -> None:
        super().reset()
        self._optimizers: list[Optimizer] = []
        self._layers: dict[int, int] = {}
        self._by_layer: list[float] = []
        self._by_group: list[list[float]] = []
        self._then: list[list[float]] | None = None

    def multipliers_of(self, num_groups: int) -> list[float]:
        """Return the multipliers for this number of groups, from input to head.

        Raises:
            ValueError: ``multipliers`` has a different number of entries.
        """
        if self.multipliers is not None:
            given = self.multipliers.values() if isinstance(self.multipliers, Mapping) else self.multipliers
            values = [float(value) for value in given]
            if len(values) != num_groups:
                raise ValueError(f"`multipliers` has {len(values)} entries, but the model has {num_groups} groups.")
            return values
        if self.low_high is not None:
            return spread_multipliers(num_groups, float(self.low_high[0]), float(self.low_high[1]))
        return layer_multipliers(num_groups, self.decay)

    def describe(self, model: nn.Module | None = None) -> str:
        """Return a table of the groups: patterns, parameters, multipliers.

        Args:
            model: the module to be fitted; ``None`` for the current module once fit has started.
        """
        groups = self.layer_groups if model is None else group_layers(model, self._patterns)
        return describe_groups(groups, self.multipliers_of(len(groups)))

    def split_groups(self, run: Run) -> None:
        """Split the optimizers' groups by layer group and, if requested, by weight decay."""
        trainer, module = run.trainer, run.module
        refuse_strategies(trainer, self, "DeepSpeedStrategy", "FSDPStrategy")
        self.layer_groups = group_layers(module, self._patterns)
        self._by_layer = self.multipliers_of(len(self.layer_groups))
        check_optimizers_hold(trainer, module, self, self.layer_groups)
        refuse_unsplittable(trainer, self)
        values = dict(module.named_parameters())
        self._layers = {id(values[name]): i for i, group in enumerate(self.layer_groups) for name in group.names}
        spared = find_undecayed(module) if self.no_decay else set()
        split_optimizers(
            trainer,
            lambda value: 2 * self._layers.get(id(value), len(self.layer_groups)) + (id(value) in spared),
            lambda kind: {"weight_decay": 0.0} if kind % 2 else {},
        )
        self._optimizers = list(run.optimizers)
        self._by_group = [[] for _ in self._optimizers]

    def factors_at(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the multiplier of each parameter group."""
        return {"multiplier": self._multipliers_in(optimizer)}

    def _multipliers_in(self, index: int) -> list[float]:
        groups, known = self._optimizers[index].param_groups, self._by_group[index]
        for group in groups[len(known) :]:  # after all callbacks have split the groups; a module may add groups later
            layer = self._layers.get(id(group["params"][0])) if group["params"] else None
            known.append(1.0 if layer is None else self._by_layer[layer])
        return known

    def rates_read(self, run: Run) -> None:
        """If the module has its own scheduler, scale its start values."""
        now = [self._multipliers_in(i) for i in range(len(self._optimizers))]
        if self.product is not None and self.product.defers_to_scheduler:
            scale_rates_(run.trainer, now, self.state_key)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """In a resumed run, let multipliers changed in the code take precedence over the checkpoint's."""
        defers = self.product is not None and self.product.defers_to_scheduler
        if not defers or not self._then or self._then == self._by_group:
            return
        ratios = [
            [new / old if old else 1.0 for new, old in zip(now, then, strict=True)]
            for now, then in zip(self._by_group, self._then, strict=True)
        ]
        scale_rates_(trainer, ratios, self.state_key)

    def end_fit(self, run: Run) -> None:
        self._optimizers = []

    def plain_state(self) -> dict[str, Any]:
        """Return the multipliers and the state that all LR callbacks share."""
        return {**super().plain_state(), "multipliers": [list(values) for values in self._by_group]}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        super().load_plain_state(state)
        self._then = [list(values) for values in state["multipliers"]]
        if not self._optimizers:
            self._by_group = self._then
