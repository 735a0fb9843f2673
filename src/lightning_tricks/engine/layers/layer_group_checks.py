"""Layer group checks: what callbacks that work by layer group require of optimizers, schedulers and strategies."""

import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_tricks.core.arguments import check_list, shown
from lightning_tricks.core.class_names import is_instance_of
from lightning_tricks.engine.run.run import Run, strategy_is
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.layer_groups import LayerGroup, describe_groups
from lightning_tricks.functional.param_groups import foreign_shapes, missing_from, split_param_groups_
from lightning_tricks.functional.scheduler_groups import grow_scheduler_

_WAYS_OUT = {
    "DeepSpeedStrategy": (
        "DeepSpeed's engine flattens the parameter groups, and fixes which parameters train, when it is built. Build "
        "the groups in `configure_optimizers`, or set `requires_grad` before `fit` (its own option "
        "`DeepSpeedStrategy(exclude_frozen_parameters=True)` keeps frozen parameters out of checkpoints)."
    ),
    "FSDPStrategy": (
        "It combines several parameters into one. Use `ModelParallelStrategy` with `fully_shard` (FSDP2), which "
        "keeps them separate."
    ),
}


def check_groups(groups: object) -> list[list[str]] | None:
    """Return groups as lists of patterns.

    Raises:
        TypeError: the value is not a list of strings and lists of strings.
        ValueError: a list is empty, or a pattern is given twice.
    """
    if groups is None:
        return None
    patterns = [
        [entry] if isinstance(entry, str) else check_list("groups", entry) for entry in check_list("groups", groups)
    ]
    flat = [pattern for group in patterns for pattern in group]
    wrong = [pattern for pattern in flat if not isinstance(pattern, str)]
    if wrong:
        raise TypeError(f"`groups` must contain glob patterns or lists of glob patterns, got {shown(wrong[0])}.")
    if not patterns or not all(patterns):
        raise ValueError(f"`groups` must not be empty or contain empty groups, got {shown(groups)}.")
    twice = [pattern for pattern in flat if flat.count(pattern) > 1]
    if twice:
        raise ValueError(f"`groups` contains {shown(twice[0])} twice, got {shown(groups)}.")
    return patterns


def refuse_strategies(trainer: Trainer, trick: Trick, *names: str) -> None:
    """Raise an error with the reason for strategies under which a trick cannot work.

    Raises:
        MisconfigurationException: the run uses one of them.
    """
    for name in names:
        if strategy_is(trainer, name):
            raise MisconfigurationException(f"`{type(trick).__name__}` cannot work under {name}. {_WAYS_OUT[name]}")


def refuse_unsplittable(trainer: Trainer, trick: Trick) -> None:
    """Raise an error for an optimizer that supports only one parameter group.

    Raises:
        MisconfigurationException: L-BFGS, which treats all parameters as one vector.
    """
    for optimizer in trainer.optimizers:
        if is_instance_of(optimizer, "LBFGS"):
            raise MisconfigurationException(
                f"`{type(trick).__name__}` needs parameter groups, but {type(optimizer).__name__} supports only one."
            )


def check_optimizers_hold(
    trainer: Trainer, pl_module: LightningModule, trick: Trick, groups: Sequence[LayerGroup]
) -> None:
    """Raise an error for optimizers that do not contain exactly the module's trainable parameters.

    Raises:
        MisconfigurationException: a trainable parameter is in no optimizer, or an optimizer contains foreign
            parameters; the message includes the table of groups.
    """
    missing, foreign = missing_from(trainer.optimizers, pl_module), foreign_shapes(trainer.optimizers, pl_module)
    held = [sum(len(group["params"]) for group in optimizer.param_groups) for optimizer in trainer.optimizers]
    if not any(held) or not (missing or foreign):  # a module without optimizers has the Trainer's empty one
        return
    kind = type(trick).__name__
    if missing:
        some = ", ".join(missing[:12]) + (f" and {len(missing) - 12} more" if len(missing) > 12 else "")
        said = (
            f"no optimizer contains {some}, so `{kind}` would never train them. Pass all trainable parameters to an "
            f"optimizer in `configure_optimizers`, or set `requires_grad=False` for those that should not train"
        )
    else:
        shapes = ", ".join(str(tuple(shape)) for shape in foreign[:12])
        said = (
            f"an optimizer contains parameters (of shape {shapes}) that do not belong to the module, so their layer is "
            f"unknown to `{kind}`. Make their model an attribute of the module"
        )
    raise MisconfigurationException(
        f"{said[0].upper()}{said[1:]}. The {len(held)} optimizer(s) contain {held} of the module's "
        f"{len(list(pl_module.parameters()))} parameters; its groups are:\n{describe_groups(groups)}"
    )


def refuse_idle_under_scaler(
    trainer: Trainer, trick: Trick, held: Sequence[Collection[int]], times: Sequence[float]
) -> None:
    """Raise an error for an optimizer without gradients at first, for which a GradScaler fails.

    Args:
        trainer: a fitting Trainer.
        trick: the callback that freezes.
        held: the layer groups in each optimizer.
        times: when each layer group starts to train.

    Raises:
        MisconfigurationException: there are such an optimizer and a scaler.
    """
    if getattr(trainer.precision_plugin, "scaler", None) is None:
        return
    for i, groups in enumerate(held):
        if groups and all(times[group] > 0 for group in groups):
            raise MisconfigurationException(
                f"`{trick.state_key}` freezes all parameters of optimizer {i} (groups {sorted(groups)}), but a "
                f"GradScaler does not accept a step without gradients. Use `precision='bf16-mixed'`, or give that "
                f"optimizer a part of the head."
            )


def split_optimizers(
    trainer: Trainer, kind: Callable[[Tensor], int], options: Callable[[int], Mapping[str, Any]] | None = None
) -> None:
    """Split the groups of all optimizers, and extend the module's schedulers accordingly."""
    for optimizer in trainer.optimizers:
        origins = split_param_groups_(optimizer, kind, options)
        schedulers = {id(c.scheduler): c.scheduler for c in trainer.lr_scheduler_configs}
        for scheduler in schedulers.values():
            if scheduler.optimizer is optimizer:
                grow_scheduler_(scheduler, origins)


def before_loading(run: Run, before: Callable[[str | Path], None]) -> Callable[[], None]:
    """Call a function with the path of a checkpoint just before the strategy loads it, until the run ends.

    Strategies that restore after ``on_fit_start`` load weights and optimizers before any callback is informed of a
    resume.

    Returns:
        A function that removes the call earlier.
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
    """Return what trained when a checkpoint (a file or a folder of shards) was saved; ``None`` if unknown."""
    file = Path(path)
    try:
        saved = torch.load(file / "meta.pt" if file.is_dir() else file, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError):
        return None
    thawed: list[int] | None = saved.get("callbacks", {}).get(state_key, {}).get("thawed")
    return thawed
