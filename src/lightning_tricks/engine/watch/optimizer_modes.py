"""Optimizer modes: flags of parameter groups that state which weights the module has, as ``train_mode`` does.

A schedule-free optimizer holds one set of weights for training and one for evaluation. When one set is restored, the
flag that states which set the module has must be restored with it.
"""

from lightning.pytorch import Trainer

Modes = list[list[dict[str, bool]]]
"""The flags of each parameter group of each optimizer."""


def read_modes(trainer: Trainer) -> Modes:
    """Return the flags of all parameter groups."""
    return [
        [{key: value for key, value in group.items() if isinstance(value, bool)} for group in optimizer.param_groups]
        for optimizer in trainer.optimizers
    ]


def restore_modes_(trainer: Trainer, modes: Modes) -> None:
    """Write flags into the parameter groups that they were read from."""
    for optimizer, groups in zip(trainer.optimizers, modes, strict=False):
        for group, flags in zip(optimizer.param_groups, groups, strict=False):
            group.update({key: value for key, value in flags.items() if key in group and group[key] is not value})
