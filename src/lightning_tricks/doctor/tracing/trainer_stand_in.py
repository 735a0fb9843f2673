"""Trainer stand-in: the object in ``self.trainer`` of a module without a Trainer, as in the first step of a run."""

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

import torch
from torch import nn

_EPOCHS, _BATCHES = 10, 100


class NullObject:
    """Returns itself for every call and attribute and does nothing, like a disabled logger."""

    def __getattr__(self, name: str) -> "NullObject":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: object, **kwargs: object) -> "NullObject":
        """Return itself."""
        return self

    def __getitem__(self, key: object) -> "NullObject":
        return self

    def __bool__(self) -> bool:
        return False


class TrainerStandIn:
    """The attributes that modules read from ``self.trainer``; those of the real Trainer if there is one.

    Args:
        trainer: the real Trainer, or None.
        batches: the length of the training loader, if known.
        model: the module.
        train_dataloaders: as for ``Trainer.fit``.
        val_dataloaders: as for ``Trainer.fit``.
        datamodule: as for ``Trainer.fit``.

    Attributes:
        unanswered: attributes that were requested but are unknown here. An exception after such a request is not
            attributed to the module.
    """

    logger = NullObject()
    loggers: Sequence[Any] = ()

    def __init__(
        self,
        trainer: Any = None,
        batches: int | None = None,
        model: nn.Module | None = None,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: Any = None,
    ) -> None:
        self._real = trainer
        self.unanswered: list[str] = []
        self._answers: dict[str, Any] = {
            **_length_answers(batches or _BATCHES),
            **_device_answers(model),
            **_ANSWERS,
            "model": model,
            "lightning_module": model,
            "train_dataloader": train_dataloaders,
            "val_dataloaders": val_dataloaders,
            "datamodule": datamodule,
            "state": _state(),
        }
        self._answers["fit_loop"] = self._fit_loop()

    def _fit_loop(self) -> "_Loop":
        """Return the loop through which modules access the loaders and the length of the run."""
        answers = self._answers
        source, val_source = (_source(answers[name]) for name in ("train_dataloader", "val_dataloaders"))
        val_loop = _Loop(self, "fit_loop.epoch_loop.val_loop", _data_source=val_source, num_val_batches=[])
        epoch_loop = _Loop(
            self, "fit_loop.epoch_loop", val_loop=val_loop, batch_idx=0, global_step=0, max_steps=-1, total_batch_idx=0
        )
        return _Loop(
            self, "fit_loop", setup_data=lambda *_, **__: None, _data_source=source,
            _combined_loader=answers["train_dataloader"], epoch_loop=epoch_loop, max_epochs=_EPOCHS, min_epochs=None,
            max_steps=-1,
            max_batches=answers["num_training_batches"], current_epoch=0, is_last_batch=False,
            epoch_progress=NullObject(), total_batch_idx=0,
        )  # fmt: skip

    def is_overridden(self, *args: object) -> bool:
        """Return False: there is no hook to call."""
        return False

    def print(self, *args: object, **kwargs: object) -> None:
        """Print nothing."""

    def answer(self, **answers: Any) -> None:
        """Add attributes, such as optimizers once they are built."""
        self._answers.update(answers)

    def refuse(self, name: str) -> NoReturn:
        """Record that an unknown attribute was requested, and raise.

        Raises:
            AttributeError: always.
        """
        self.unanswered.append(name)
        raise AttributeError(
            f"the module uses `{name}` of its Trainer, but no Trainer is attached: use the `Doctor` callback"
        )

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_real") is not None:
            return getattr(self._real, name)
        answers = self.__dict__.get("_answers", {})
        if name in answers:
            return answers[name]
        if name.startswith("_") or "unanswered" not in self.__dict__:
            raise AttributeError(name)
        self.refuse(name)


class _Loop:
    """A loop of the Trainer: what is not known of it is refused by the stand-in."""

    def __init__(self, trainer: TrainerStandIn, name: str, **answers: Any) -> None:
        self._trainer, self._name = trainer, name
        vars(self).update(answers)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_trainer" not in vars(self):
            raise AttributeError(name)
        self._trainer.refuse(f"{self._name}.{name}")


def _source(loader: Any) -> SimpleNamespace:
    return SimpleNamespace(dataloader=lambda: loader, instance=loader, is_defined=lambda: loader is not None)


_ANSWERS: dict[str, Any] = {
    "global_step": 0, "current_epoch": 0, "is_last_batch": False, "should_stop": False, "interrupted": False,
    "received_sigterm": False, "training": True, "validating": False, "testing": False, "predicting": False,
    "evaluating": False, "sanity_checking": False, "fast_dev_run": False, "barebones": False,
    "world_size": 1, "num_nodes": 1, "num_devices": 1, "device_ids": [0], "global_rank": 0, "local_rank": 0,
    "node_rank": 0, "is_global_zero": True, "distributed_sampler_kwargs": None, "use_distributed_sampler": True,
    "callbacks": [], "callback_metrics": {}, "logged_metrics": {}, "progress_bar_metrics": {}, "_results": None,
    "log_dir": None, "default_root_dir": ".", "weights_save_path": ".", "ckpt_path": None, "checkpoint_callback": None,
    "checkpoint_callbacks": [], "early_stopping_callback": None, "early_stopping_callbacks": [],
    "progress_bar_callback": None, "precision": "32-true", "gradient_clip_val": None, "gradient_clip_algorithm": None,
    "log_every_n_steps": 50, "check_val_every_n_epoch": 1, "val_check_interval": 1.0, "num_sanity_val_steps": 2,
    "reload_dataloaders_every_n_epochs": 0, "overfit_batches": 0.0, "limit_train_batches": 1.0,
    "limit_val_batches": 1.0, "limit_test_batches": 1.0, "limit_predict_batches": 1.0, "enable_validation": True,
    "num_sanity_val_batches": [], "num_test_batches": [], "num_predict_batches": [], "test_dataloaders": None,
    "predict_dataloaders": None, "optimizers": [], "lr_scheduler_configs": [], "scaler": None,
    "accumulate_grad_batches": 1, "min_epochs": None, "max_epochs": _EPOCHS, "min_steps": None, "max_steps": -1,
    "max_time": None,
    "profiler": None, "precision_plugin": NullObject(), "accelerator": NullObject(),
    "distributed_backend": None, "detect_anomaly": False, "inference_mode": True,
}  # fmt: skip


def _length_answers(batches: int) -> dict[str, Any]:
    return {
        "num_training_batches": batches,
        "estimated_stepping_batches": _EPOCHS * batches,
        "val_check_batch": batches,
        "num_val_batches": [],
    }


def _device_answers(model: nn.Module | None) -> dict[str, Any]:
    first = next(model.parameters(), None) if model is not None else None
    device = torch.device("cpu") if first is None else first.device
    strategy = _Strategy(device)
    return {"strategy": strategy, "training_type_plugin": strategy, "root_device": device}


class _Strategy(NullObject):
    """The strategy of one process."""

    def __init__(self, device: torch.device) -> None:
        self.root_device, self.world_size, self.global_rank, self.local_rank = device, 1, 0, 0
        self.is_global_zero = True

    def reduce(self, value: Any, *args: object, **kwargs: object) -> Any:
        """Return the value."""
        return value

    def broadcast(self, value: Any, *args: object, **kwargs: object) -> Any:
        """Return the value."""
        return value

    def all_gather(self, value: Any, *args: object, **kwargs: object) -> Any:
        """Return the value."""
        return value


def _state() -> Any:
    """Return ``trainer.state`` as it is during a fit, of Lightning's own class if that is imported."""
    for package in ("lightning.pytorch", "pytorch_lightning"):
        states: Any = sys.modules.get(f"{package}.trainer.states")
        if states is not None:
            stage = states.RunningStage.TRAINING
            return states.TrainerState(status=states.TrainerStatus.RUNNING, fn=states.TrainerFn.FITTING, stage=stage)
    return SimpleNamespace(fn="fit", status="running", stage="train", finished=False, stopped=False)
