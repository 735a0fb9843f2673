"""LR contributor: the factors of an LR callback, and the state that all LR callbacks of a run share."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

from torch.optim import Optimizer

from lightning_tricks.core.durations import Moment, RunLength
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.lr_path import describe_path


@dataclass
class LRState:
    """The state that does not follow from the clock; every LR callback of a run saves the same one.

    Attributes:
        base: the learning rates that the factors multiply, by optimizer and group.
        built: the rates that the optimizers were built with; a different rate in a resumed run causes a warning.
        path: the first, the highest and the last rate used by a step, in the group with the largest rate.
    """

    base: list[list[float]] = field(default_factory=list)
    built: list[list[float]] = field(default_factory=list)
    path: list[float] = field(default_factory=list)


class Product(Protocol):
    """The attributes of the product that a contributor uses."""

    state: LRState
    defers_to_scheduler: bool

    def group_base_lrs(self) -> list[list[float]]: ...
    def rewrite(self) -> None: ...


class LRContributor:
    """A contributor of named factors to ``lr = base × factor × ...`` that never writes the rate.

    A contributor joins with ``run.part(LRProduct).join(self)`` in ``begin_fit`` and returns its factors at a moment.
    Factors that do not follow the clock may change at any time; :meth:`LRProduct.rewrite` applies them.
    """

    follows_clock: ClassVar[bool] = False
    """Whether the factors are known before the run, from ``prepare`` and the time, and so part of a preview."""

    writes_each_step: ClassVar[bool] = True
    """Whether the factors change during a run, so that the module's own scheduler would be a second writer."""

    overrides_others: bool = False
    """Whether only the group-specific factors of other callbacks still apply."""

    replace_scheduler: bool = False
    log_factors: bool = False
    loaded: LRState | None = None
    """The state from a checkpoint."""

    product: Product | None = None
    """The product that writes the learning rates during the run."""

    @property
    def state_key(self) -> str:
        """Its name in messages, logs and checkpoints."""
        raise NotImplementedError

    def split_groups(self, run: Run) -> None:
        """Split the optimizers' parameter groups if a group needs more than one factor.

        Called for all contributors before any learning rate is read. A checkpoint of the run contains the split groups
        and is restored afterwards.
        """

    def rates_read(self, run: Run) -> None:
        """Act in ``on_fit_start``, when the rates that the optimizers were built with are known."""

    def prepare(self, run: RunLength, steps_per_epoch: int | None) -> None:
        """Measure lengths, when those of the run are known.

        Args:
            run: what bounds the run.
            steps_per_epoch: optimizer steps per epoch; ``None`` for a loader without a length before the end of the
                first epoch.
        """

    def factors_at(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the multipliers by name, for the step after ``moment`` of the optimizer with this index."""
        raise NotImplementedError

    def write_along(self, optimizer: Optimizer, index: int, moment: Moment) -> None:
        """Write values that change together with the rates of the step after ``moment``, such as a momentum."""

    def reset_factor(self) -> None:
        """Reset a factor that was learned during the run to 1, because the base has changed."""

    def lr_sentences(self) -> list[str]:
        """Return the path of the learning rate as a sentence, if there is one."""
        state = self.product.state if self.product is not None else self.loaded
        return [describe_path(state.path)] if state is not None and state.path else []

    def lr_state(self) -> dict[str, Any]:
        """Return the state shared by all contributors of a run, as plain values."""
        return asdict(self.product.state if self.product is not None else self.loaded or LRState())

    def load_lr_state(self, state: dict[str, Any]) -> None:
        """Keep the state from a checkpoint until training starts."""
        self.loaded = LRState(**state)


def contributor_of(callback: object) -> LRContributor | None:
    """Return the contributor of a callback: the callback itself, or the factor that it contains."""
    if isinstance(callback, LRContributor):
        return callback
    found = getattr(callback, "lr_contributor", None)
    return found if isinstance(found, LRContributor) else None
