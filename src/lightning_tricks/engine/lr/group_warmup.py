"""Group warm-up: a learning-rate factor that warms up each layer group when it starts to train."""

from typing import Any, Protocol

from lightning_tricks.core.durations import Moment, RunLength
from lightning_tricks.engine.lr.lr_contributor import LRContributor
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.thaw_times import ThawPlan


class Thawing(Protocol):
    """What the factor needs from the callback that unfreezes."""

    replace_scheduler: bool
    plan: ThawPlan

    @property
    def state_key(self) -> str: ...
    def split_by_layer(self, run: Run) -> None: ...
    def make_plan(self, run: RunLength, steps_per_epoch: int | None) -> None: ...
    def layer_of(self, parameter: Any) -> int | None: ...


class GroupWarmup(LRContributor):
    """Multiply the learning rate of each layer group by a linear warm-up after it is unfrozen.

    Args:
        owner: the callback that unfreezes.
        run: the run of the callback.
    """

    follows_clock = True

    def __init__(self, owner: Thawing, run: Run) -> None:
        self._owner, self._run = owner, run
        self.replace_scheduler = owner.replace_scheduler

    @property
    def state_key(self) -> str:
        """The callback's."""
        return self._owner.state_key

    def split_groups(self, run: Run) -> None:
        """Split the optimizers' groups by layer, because each layer group warms up separately."""
        self._owner.split_by_layer(run)

    def prepare(self, run: RunLength, steps_per_epoch: int | None) -> None:
        """Measure the unfreezing times and the warm-up after them."""
        self._owner.make_plan(run, steps_per_epoch)

    def factors_at(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the warm-up of each parameter group; 1 for a group whose layer is unknown."""
        warmups = self._owner.plan.warmups(moment)
        groups = self._run.optimizers[optimizer].param_groups
        layers = [self._owner.layer_of(group["params"][0]) if group["params"] else None for group in groups]
        return {"rewarmup": [1.0 if layer is None else warmups[layer] for layer in layers]}
