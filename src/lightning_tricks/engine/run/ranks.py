"""Ranks: check once for all tricks that the processes of a run are configured in the same way."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

Settings = dict[str, dict[str, Any]]
SHARDING = ("ModelParallelStrategy", "FSDPStrategy", "DeepSpeedStrategy")
"""Class names of the strategies that divide a model among the processes."""


def check_ranks_agree(trainer: Trainer, tricks: Settings) -> None:
    """Raise an error on every rank if the ranks have different tricks, arguments, optimizer settings or sampled values.

    A sweep that is repeated in each child process silently causes this: rank 0 trains with one rate, rank 1 with
    another.

    Args:
        trainer: a Trainer in ``on_fit_start``.
        tricks: this rank's arguments of each trick, as plain values.

    Raises:
        MisconfigurationException: they differ; the message names the differences with the value of each rank.
    """
    if trainer.world_size == 1 or not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    mine = {**tricks, "optimizers": _optimizer_settings(trainer.optimizers), "hydra": {"overrides": _swept()}}
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, mine)
    differences = find_differences(everyone)
    if differences:
        raise MisconfigurationException(
            f"The processes of this run were configured differently (rank 0 / rank 1 / ...): {'; '.join(differences)}. "
            "Random values, for instance of a sweeper, must be drawn once and passed to every process: add "
            "`hydra/callbacks=lightning_tricks_ddp` to the command, or use `strategy=ddp_spawn` or `ddp_fork`, or fix "
            "the values."
        )


def gather_objects(mine: Any) -> list[Any]:
    """Return the value of each process of a run, in rank order, on all processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [mine]
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, mine)
    return everyone


def _optimizer_settings(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, list[Any]]:
    """Return the settings of each optimizer's groups: the rates under the optimizer's name, others under their own."""
    settings: dict[str, list[Any]] = {}
    for i, optimizer in enumerate(optimizers):
        name = f"{i} ({type(optimizer).__name__})"
        settings[name] = [float(group["lr"]) for group in optimizer.param_groups if group.get("lr")]
        for key in sorted(getattr(optimizer, "defaults", {}).keys() - {"lr", "params"}):  # engines wrap optimizers
            settings[f"{name}.{key}"] = [plain(group.get(key)) for group in optimizer.param_groups]
    return settings


def _swept() -> list[str] | None:
    """Return what a Hydra sweep set for this job."""
    config = _job_config()
    swept = config is not None and getattr(config.mode, "name", None) == "MULTIRUN"
    return list(config.overrides.task) if swept else None


def job_overrides() -> list[str]:
    """Return the overrides of the Hydra job of this process; none outside of a job."""
    config = _job_config()
    return list(config.overrides.task) if config is not None else []


def _job_config() -> Any:
    """Return Hydra's own configuration. Hydra is used only if an application has imported it."""
    module = sys.modules.get("hydra.core.hydra_config")
    return module.HydraConfig.get() if module is not None and module.HydraConfig.initialized() else None


def find_differences(ranks: Sequence[Settings]) -> list[str]:
    """Return what differs between the ranks, as ``"owner.name: value / value"``.

    Example:
        >>> find_differences([{"CosineDecay": {"end_factor": 0.0}}, {"CosineDecay": {"end_factor": 0.5}}])
        ['CosineDecay.end_factor: 0.0 / 0.5']
    """
    found = []
    for owner in dict.fromkeys(owner for settings in ranks for owner in settings):
        owned = [settings.get(owner) for settings in ranks]
        if any(rank_settings is None for rank_settings in owned):
            found.append(
                f"{owner}: " + " / ".join("missing" if rank_settings is None else "there" for rank_settings in owned)
            )
            continue
        for name in dict.fromkeys(name for rank_settings in owned if rank_settings for name in rank_settings):
            values = [rank_settings.get(name) for rank_settings in owned if rank_settings is not None]
            if any(value != values[0] for value in values):
                found.append(f"{owner}.{name}: {' / '.join(map(repr, values))}")
    return found


def plain(value: object) -> object:
    """Return a form of a value that is equal in every process: without addresses and devices."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        return value.tolist()  # its text would contain the device, which differs between ranks
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "__qualname__"):
        return value.__qualname__
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def warn_if_nothing_is_sharded(trainer: Trainer, pl_module: LightningModule) -> None:
    """Warn if a strategy for sharded models shards nothing, so that each process has and updates the whole model."""
    if type(trainer.strategy).__name__ != "ModelParallelStrategy" or trainer.world_size == 1:
        return
    meshes = [getattr(parameter, "device_mesh", None) for parameter in pl_module.parameters()]
    if not any(mesh is not None and mesh.size() > 1 for mesh in meshes):
        rank_zero_warn(
            f"ModelParallelStrategy shards nothing: each of the {trainer.world_size} processes has all parameters of "
            f"{type(pl_module).__name__}. Call `fully_shard(module, mesh=self.device_mesh['data_parallel'])` in its "
            "`configure_model`, and set the strategy's `data_parallel_size`, whose default is 1."
        )
