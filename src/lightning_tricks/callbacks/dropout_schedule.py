"""Dropout schedule: dropout on the inputs of the last layers, with a rate that changes over the run."""

from fnmatch import fnmatchcase
from typing import Any, ClassVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from lightning_tricks.core.arguments import check_count, check_name, check_number, check_words
from lightning_tricks.core.durations import Duration, Unit, measure, parse_duration
from lightning_tricks.engine.layers.input_dropout import InputDropout
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.dropout_rates import find_dropout, ramp
from lightning_tricks.functional.layer_order import plain_name


class DropoutSchedule(Trick):
    """Drop inputs of the last linear layers at a rate that increases during training.

    Use when: a model overfits (RUN006) and has no dropout, or a constant one that slows the start.

    Where it acts: a hook on each chosen layer drops its inputs in training mode; the model's ``state_dict`` does not
    change. If a dropout layer already feeds a chosen layer, its rate is set instead. The rate changes linearly and is
    set before each step. Hooks and rates are restored after fit.

    Interacts with: :class:`GradualUnfreezing`: a frozen layer is in evaluation mode and drops nothing. The masks come
    from a separate generator, which a resumed run continues; those of existing dropout layers come from torch's
    generator. Dropout before BatchNorm shifts its statistics (PLC001): choose layers after the last one. In compiled
    code the hooks break the graph, which ``fullgraph=True`` does not allow; a new rate compiles nothing.

    Args:
        p: the rate at the start, in [0, 1); typically 0.2 (Hinton et al. 2012).
        end: the rate at the end, in [0, 1); typically 0.5.
        over: the time in which the rate moves from ``p`` to ``end``, a Duration; 0 means ``end`` from the start.
        last: number of linear layers, counted from the end in registration order, >= 1.
        include: glob patterns on module names, instead of ``last``.
        seed: seed of the masks, >= 0; each process draws its own masks.
        name: distinguishes several callbacks of this class in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; when fit starts, a pattern that matches no module, or a module without
            linear layers.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import DropoutSchedule
        >>> trainer = Trainer(max_epochs=50, callbacks=[DropoutSchedule(0.2, end=0.5, last=2)])

        With Hydra: ``tricks=[dropout_schedule] tricks.dropout_schedule.last=2``

    See :func:`lightning_tricks.functional.dropout_rates.ramp` for the rate.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)
    checklist_roles = ("dropout",)

    def __init__(
        self,
        p: float = 0.25,
        *,
        end: float = 0.5,
        over: Duration = "1dur",
        last: int = 1,
        include: list[str] | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.p = check_number("p", p, 0, 1, high_open=True)
        self.end = check_number("end", end, 0, 1, high_open=True)
        parse_duration(over, "over")
        self.over = over
        self.last = check_count("last", last, 1, 1_000_000)
        self.include = None if include is None else check_words("include", include, "glob patterns")
        self.seed = check_count("seed", seed, 0, 2**63)
        self.name = check_name("name", name)
        self.reset()

    def reset(self) -> None:
        self.rate = self.p
        """The rate in the next step."""
        self._drops: dict[str, InputDropout] = {}
        self._loaded: dict[str, int] = {}
        self._length: tuple[float, Unit] = (0.0, "ep")

    def begin_fit(self, run: Run) -> None:
        """Hook the chosen layers."""
        layers = choose_layers(run.module, self.last, self.include)
        others = {name for other in run.members_of(DropoutSchedule) if other is not self for name in other._drops}
        twice = sorted(others & layers.keys())
        if twice:
            raise MisconfigurationException(
                f"Two `DropoutSchedule` callbacks would drop the inputs of {', '.join(twice)}. Give each its own "
                f"`include`."
            )
        dropouts = list(find_dropout(run.module).values())
        for name, layer in layers.items():
            mark = f"{self.seed}/{run.trainer.global_rank}/{name}"
            self._drops[name] = drop = InputDropout(layer, dropouts, mark)
            drop.set_rate(self.p if parse_duration(self.over).amount else self.end)  # an LR finder may step first
            run.on_end(drop.remove)
        rank_zero_info(f"`{self.state_key}`: drops the inputs of {', '.join(layers)}.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the length on the run's clock; the checkpoint has been loaded by now."""
        assert self._run is not None
        amount, unit = measure(parse_duration(self.over, "over"), self._run.clock.length, "over")
        self._length = float(amount), unit
        for name, drop in self._drops.items():
            drop.num_masks = self._loaded.get(name, 0)
        self._follow(self._run)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._run is not None:
            self._follow(self._run)

    def _follow(self, run: Run) -> None:
        """Set the rate for this time."""
        length, unit = self._length
        time = run.clock.moment.time(unit)
        self.rate = ramp(self.p, self.end, time / length) if length else self.end
        for drop in self._drops.values():
            drop.set_rate(self.rate)

    def plain_state(self) -> dict[str, Any]:
        """Return the number of masks that each layer has drawn, which determines the next mask."""
        drawn = {name: drop.num_masks for name, drop in self._drops.items()}
        return {"num_masks": self._loaded | drawn}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self._loaded = dict(state["num_masks"])

    def end_fit(self, run: Run) -> None:
        """Keep the counts and release the layers."""
        self._loaded = self.plain_state()["num_masks"]
        self._drops = {}


def choose_layers(model: nn.Module, last: int, include: list[str] | None) -> dict[str, nn.Module]:
    """Return the layers whose inputs are dropped, by name.

    Args:
        model: any module.
        last: number of linear layers, from the end.
        include: glob patterns on module names instead.

    Raises:
        ValueError: a pattern matches nothing, or there are no linear layers.

    Example:
        >>> list(choose_layers(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), 1, None))
        ['2']
    """
    modules = {plain_name(name): module for name, module in model.named_modules() if name}
    if include is None:
        # attention passes the weight of its last layer to a function and never calls the layer
        linear = {
            name: module
            for name, module in modules.items()
            if isinstance(module, nn.Linear) and not isinstance(module, NonDynamicallyQuantizableLinear)
        }
        if not linear:
            raise ValueError(f"`last`={last}: {type(model).__name__} has no linear layers. Give `include` instead.")
        return dict(list(linear.items())[-last:])
    idle = [pattern for pattern in include if not any(fnmatchcase(name, pattern) for name in modules)]
    if idle or not include:
        raise ValueError(
            f"`include`: {', '.join(map(repr, idle)) or 'an empty list'} matches no module of {type(model).__name__}. "
            f"Modules: {', '.join(list(modules)[:12])}."
        )
    return {name: module for name, module in modules.items() if any(fnmatchcase(name, each) for each in include)}
