"""Layer company: what callbacks that work by layer group need of a run's optimizers, schedulers and strategy."""

import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_tricks.core.arguments import check_list, shown
from lightning_tricks.engine.run.run import Run, strategy_is
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.layer_groups import LayerGroup, describe_groups
from lightning_tricks.functional.param_groups import foreign_shapes, missing_from, split_param_groups_
from lightning_tricks.functional.scheduler_groups import grow_scheduler_

_WAYS_OUT = {
    "DeepSpeedStrategy": (
        "DeepSpeed's engine flattens the parameter groups, and fixes which parameters train, when it is built. Build "
        "the groups in `configure_optimizers`, or set `requires_grad` before `fit` (its own option "
        "`DeepSpeedStrategy(exclude_frozen_parameters=True)` keeps what is frozen out of checkpoints)."
    ),
    "FSDPStrategy": (
        "It keeps several parameters in one flat one. Use `ModelParallelStrategy` with `fully_shard` (FSDP2), which "
        "keeps them apart."
    ),
}


def check_groups(groups: object) -> list[list[str]] | None:
    """Return groups as lists of patterns.

    Raises:
        TypeError: not a list of strings and lists of strings.
        ValueError: an empty list, or a pattern that is given twice.
    """
    if groups is None:
        return None
    patterns = [
        [entry] if isinstance(entry, str) else check_list("groups", entry) for entry in check_list("groups", groups)
    ]
    flat = [pattern for group in patterns for pattern in group]
    wrong = [pattern for pattern in flat if not isinstance(pattern, str)]
    if wrong:
        raise TypeError(f"`groups` must hold glob patterns or lists of them, got {shown(wrong[0])}.")
    if not patterns or not all(patterns):
        raise ValueError(f"`groups` must not be empty, and none of its groups may be, got {shown(groups)}.")
    twice = [pattern for pattern in flat if flat.count(pattern) > 1]
    if twice:
        raise ValueError(f"`groups` holds {shown(twice[0])} twice, got {shown(groups)}.")
    return patterns


def refuse_strategies(trainer: Trainer, trick: Trick, *names: str) -> None:
    """Refuse strategies under which a trick cannot work, with the reason.

    Raises:
        MisconfigurationException: the run has one of them.
    """
    for name in names:
        if strategy_is(trainer, name):
            raise MisconfigurationException(f"`{type(trick).__name__}` cannot work under {name}. {_WAYS_OUT[name]}")


def refuse_unsplittable(trainer: Trainer, trick: Trick) -> None:
    """Refuse an optimizer that allows only one parameter group.

    Raises:
        MisconfigurationException: L-BFGS, which takes all parameters for one vector.
    """
    for optimizer in trainer.optimizers:
        if any(kind.__name__ == "LBFGS" for kind in type(optimizer).__mro__):
            raise MisconfigurationException(
                f"`{type(trick).__name__}` needs parameter groups, but {type(optimizer).__name__} allows only one."
            )


def check_optimizers_hold(
    trainer: Trainer, pl_module: LightningModule, trick: Trick, groups: Sequence[LayerGroup]
) -> None:
    """Refuse optimizers that do not hold just the module's trainable parameters.

    Raises:
        MisconfigurationException: a trainable parameter is in none of them, or one holds another's; with the table.
    """
    missing, foreign = missing_from(trainer.optimizers, pl_module), foreign_shapes(trainer.optimizers, pl_module)
    held = [sum(len(group["params"]) for group in optimizer.param_groups) for optimizer in trainer.optimizers]
    if not any(held) or not (missing or foreign):  # a module without optimizers has a Trainer's empty one
        return
    kind = type(trick).__name__
    if missing:
        some = ", ".join(missing[:12]) + (f" and {len(missing) - 12} more" if len(missing) > 12 else "")
        said = (
            f"no optimizer holds {some}, and `{kind}` would never train them. Give all trainable parameters to "
            "an optimizer in `configure_optimizers`, or set `requires_grad=False` for those that are not to train"
        )
    else:
        shapes = ", ".join(str(tuple(shape)) for shape in foreign[:12])
        said = (
            f"an optimizer holds parameters (of shape {shapes}) that do not belong to the module, so that `{kind}` "
            "does not know their layer. Make the model they belong to an attribute of the module"
        )
    raise MisconfigurationException(
        f"{said[0].upper()}{said[1:]}. The {len(held)} optimizer(s) hold {held} of the module's "
        f"{len(list(pl_module.parameters()))} parameters; its groups are:\n{describe_groups(groups)}"
    )


def refuse_idle_under_scaler(
    trainer: Trainer, trick: Trick, held: Sequence[Collection[int]], times: Sequence[float]
) -> None:
    """Refuse an optimizer without any gradient at first: a GradScaler fails at it, and does not say why.

    Args:
        trainer: a Trainer that fits.
        trick: who freezes.
        held: the layer groups of which each optimizer has parameters.
        times: when each layer group begins to train.

    Raises:
        MisconfigurationException: there is such an optimizer, and a scaler.
    """
    if getattr(trainer.precision_plugin, "scaler", None) is None:
        return
    for i, groups in enumerate(held):
        if groups and all(times[group] > 0 for group in groups):
            raise MisconfigurationException(
                f"`{trick.state_key}` freezes all that optimizer {i} holds (groups {sorted(groups)}), and a "
                "GradScaler refuses a step without gradients. Use `precision='bf16-mixed'`, or give that "
                "optimizer a part of the head."
            )


def split_optimizers(
    trainer: Trainer, kind: Callable[[Tensor], int], options: Callable[[int], Mapping[str, Any]] | None = None
) -> None:
    """Split the groups of all optimizers, and let the module's schedulers grow with them."""
    for optimizer in trainer.optimizers:
        origins = split_param_groups_(optimizer, kind, options)
        schedulers = {id(c.scheduler): c.scheduler for c in trainer.lr_scheduler_configs}
        for scheduler in schedulers.values():
            if scheduler.optimizer is optimizer:
                grow_scheduler_(scheduler, origins)


def before_loading(run: Run, before: Callable[[str | Path], None]) -> Callable[[], None]:
    """Have a function called with the path of a checkpoint just before the strategy loads it, until the run ends.

    Strategies that restore after ``on_fit_start`` load weights and optimizers before any callback learns of a resume.

    Returns:
        A function that takes it off earlier.
    """
    strategy = run.trainer.strategy
    load = strategy.load_checkpoint

    def load_checkpoint(checkpoint_path: str | Path, *arguments: Any, **named: Any) -> Any:
        before(checkpoint_path)
        return load(checkpoint_path, *arguments, **named)

    def take_off() -> None:
        vars(strategy).pop("load_checkpoint", None)

    strategy.load_checkpoint = load_checkpoint
    run.on_end(take_off)
    return take_off


def thawed_in(path: str | Path, state_key: str) -> list[int] | None:
    """Return what trained when a checkpoint was saved, a file or a sharded one's folder; ``None``: it does not say."""
    file = Path(path)
    try:
        saved = torch.load(file / "meta.pt" if file.is_dir() else file, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError):
        return None
    thawed: list[int] | None = saved.get("callbacks", {}).get(state_key, {}).get("thawed")
    return thawed
