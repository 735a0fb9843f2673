"""LR contributor: what an LR callback says of its factors, and the state that all of a run share."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

from torch.optim import Optimizer

from lightning_tricks.core.durations import Moment, RunLength
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.lr_path import describe_path


@dataclass
class LRState:
    """What the clock cannot tell: every LR callback of a run saves the same one.

    Attributes:
        base: the learning rates that the factors multiply, by optimizer and group.
        built: what the optimizers were built with; another number in the code of a resumed run is warned about.
        path: the first, the highest and the last rate that a step used, of the group whose rate was largest.
    """

    base: list[list[float]] = field(default_factory=list)
    built: list[list[float]] = field(default_factory=list)
    path: list[float] = field(default_factory=list)


class Product(Protocol):
    """What a contributor asks of the product that it is a factor of."""

    state: LRState
    defers_to_scheduler: bool

    def group_base_lrs(self) -> list[list[float]]: ...
    def rewrite(self) -> None: ...


class LRContributor:
    """What contributes named factors to ``lr = base × factor × factor …`` and never writes it.

    A contributor joins with ``run.part(LRProduct).join(self)`` in ``begin_fit``, and says what its factors are at a
    moment. Factors that do not follow the clock may change at any time; :meth:`LRProduct.rewrite` puts them into force.
    """

    follows_clock: ClassVar[bool] = False
    """The factors are known before the run, from ``prepare`` and the time alone; a preview shows them."""

    writes_each_step: ClassVar[bool] = True
    """Its factors change in a run, so that a scheduler of the module's own would be a second writer."""

    overrides_others: bool = False
    """Whether, of the other callbacks' factors, only what is a group's own still counts."""

    replace_scheduler: bool = False
    log_factors: bool = False
    loaded: LRState | None = None
    """What a checkpoint holds."""

    product: Product | None = None
    """What writes the learning rates of the run, from its start to its end."""

    @property
    def state_key(self) -> str:
        """Its name in messages, logs and checkpoints."""
        raise NotImplementedError

    def split_groups(self, run: Run) -> None:
        """Split the optimizers' parameter groups, where one factor for each of them is not fine enough.

        Called for all contributors before any learning rate is read: a checkpoint of the run holds the split groups,
        and is restored after it.
        """

    def rates_read(self, run: Run) -> None:
        """Act in ``on_fit_start`` once the rates that the optimizers were built with are known."""

    def prepare(self, run: RunLength, steps_per_epoch: int | None) -> None:
        """Measure lengths, once the run's are known.

        Args:
            run: what bounds the run.
            steps_per_epoch: optimizer steps in an epoch; ``None`` if the loader has no length and no epoch was seen.
        """

    def factors_at(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the multipliers for the step after ``moment`` of the optimizer of that index, by name."""
        raise NotImplementedError

    def write_along(self, optimizer: Optimizer, index: int, moment: Moment) -> None:
        """Write what moves together with the rates of the step after ``moment``, a momentum for instance."""

    def reset_factor(self) -> None:
        """Return to 1 if the factor was learnt in the run, because the base it was learnt under has changed."""

    def lr_sentences(self) -> list[str]:
        """Return the path of the learning rate as a sentence, once there is one."""
        state = self.product.state if self.product is not None else self.loaded
        return [describe_path(state.path)] if state is not None and state.path else []

    def lr_state(self) -> dict[str, Any]:
        """Return the state that all contributors of a run share, as plain values."""
        return asdict(self.product.state if self.product is not None else self.loaded or LRState())

    def load_lr_state(self, state: dict[str, Any]) -> None:
        """Keep what the checkpoint holds until training starts."""
        self.loaded = LRState(**state)


def contributor_of(callback: object) -> LRContributor | None:
    """Return what a callback contributes to learning rates: itself, or the factor that it is composed of."""
    if isinstance(callback, LRContributor):
        return callback
    found = getattr(callback, "lr_contributor", None)
    return found if isinstance(found, LRContributor) else None
