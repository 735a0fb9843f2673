"""Stand-ins: what a ``training_step`` finds in place of a Trainer, so that it can run once and leave no trace.

Nothing is logged, no optimizer steps; what the step asks of a real Trainer, where there is one, it is told.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class Silence:
    """Answers every call and attribute with itself, and does nothing: a logger, its experiment."""

    def __getattr__(self, name: str) -> "Silence":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: object, **kwargs: object) -> "Silence":
        """Return itself."""
        return self

    def __getitem__(self, key: object) -> "Silence":
        return self

    def __bool__(self) -> bool:
        return False


class OptimizerStandIn:
    """An optimizer that shows the real one's groups and never steps.

    Args:
        optimizer: the real one.
        before_step: called in place of a step.
    """

    def __init__(self, optimizer: Any, before_step: Callable[[], None]) -> None:
        self.optimizer = optimizer
        self._before_step = before_step

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["optimizer"], name)

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: object) -> Any:
        """Run the closure alone."""
        with torch.enable_grad():
            result = closure() if closure is not None else None
        self._before_step()
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of its parameters."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @contextmanager
    def toggle_model(self, sync_grad: bool = True) -> Iterator[None]:
        """Do nothing: Lightning's optimizers have it."""
        yield


class _SchedulerStandIn:
    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_scheduler"], name)

    def step(self, *args: object, **kwargs: object) -> None:
        """Do nothing."""


class TrainerStandIn:
    """What modules ask of ``self.trainer``, as on the first step of a run; a real Trainer's answers where there is one.

    Args:
        trainer: the real one, or None.
        batches: of the training loader, where that is known.
    """

    def __init__(self, trainer: Any = None, batches: int | None = None) -> None:
        batches = batches or 100
        self._real = trainer
        self._answers: dict[str, Any] = {
            "global_step": 0, "current_epoch": 0, "max_epochs": 10, "min_epochs": None, "max_steps": -1,
            "num_training_batches": batches, "estimated_stepping_batches": 10 * batches, "accumulate_grad_batches": 1,
            "world_size": 1, "num_nodes": 1, "num_devices": 1, "global_rank": 0, "local_rank": 0, "node_rank": 0,
            "is_global_zero": True, "training": True, "validating": False, "testing": False, "predicting": False,
            "sanity_checking": False, "fast_dev_run": False, "is_last_batch": False, "should_stop": False,
            "callbacks": [], "callback_metrics": {}, "logged_metrics": {}, "progress_bar_metrics": {},
            "datamodule": None, "log_dir": None, "default_root_dir": ".", "precision": "32-true", "ckpt_path": None,
            "checkpoint_callback": None, "gradient_clip_val": None, "log_every_n_steps": 50, "strategy": Silence(),
        }  # fmt: skip

    logger = Silence()
    loggers: Sequence[Any] = ()

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_real") is not None:
            return getattr(self._real, name)
        answers = self.__dict__.get("_answers", {})
        if name in answers:
            return answers[name]
        raise AttributeError(
            f"the step reads `trainer.{name}`, and there is no Trainer: use the `Doctor` callback, which has one"
        )


class Step:
    """The methods that a LightningModule calls in its ``training_step``, and what they were given.

    Args:
        optimizers: the real ones.
        schedulers: the real ones.
        on_step: called where an optimizer would step.
        unseen: a context for what the step itself would not do.

    Attributes:
        logged: values by name.
        backwards: how often ``manual_backward`` was called.
    """

    def __init__(
        self,
        optimizers: Sequence[Any] = (),
        schedulers: Sequence[Any] = (),
        on_step: Callable[[], None] = lambda: None,
        unseen: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._optimizers = [OptimizerStandIn(optimizer, on_step) for optimizer in optimizers]
        self._schedulers = [_SchedulerStandIn(scheduler) for scheduler in schedulers]
        self._unseen = unseen
        self.logged: dict[str, float] = {}
        self.backwards = 0

    def log(self, name: str, value: Any, *args: object, **kwargs: object) -> None:
        """Keep a value that is a number."""
        if isinstance(value, Tensor) and value.numel() == 1:
            with self._unseen():
                value = value.detach().item()
        if isinstance(value, (int, float)):
            self.logged[name] = float(value)

    def log_dict(self, dictionary: Any, *args: object, **kwargs: object) -> None:
        """Keep values that are numbers."""
        for name, value in dictionary.items():
            self.log(name, value)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass."""
        self.backwards += 1
        with self._unseen():
            loss.backward(*args, **kwargs)  # type: ignore[no-untyped-call]

    def optimizers(self, *args: object, **kwargs: object) -> Any:
        """Return what Lightning would: one, or a list."""
        return self._optimizers[0] if len(self._optimizers) == 1 else self._optimizers

    def lr_schedulers(self) -> Any:
        """Return what Lightning would: none, one, or a list."""
        if not self._schedulers:
            return None
        return self._schedulers[0] if len(self._schedulers) == 1 else self._schedulers

    def all_gather(self, data: Any, *args: object, **kwargs: object) -> Any:
        """Return what it would on one process."""
        return data

    def nothing(self, *args: object, **kwargs: object) -> None:
        """Do nothing."""


def stand_in_(model: nn.Module, step: Step, trainer: TrainerStandIn) -> None:
    """Put stand-ins on a model and the LightningModules in it; whoever calls this takes them off again."""
    for module in model.modules():
        if not hasattr(type(module), "manual_backward"):
            continue
        # straight into the dict: instance attributes come before the class's methods, and no setter is asked
        vars(module).update(
            _trainer=trainer,
            log=step.log,
            log_dict=step.log_dict,
            manual_backward=step.manual_backward,
            optimizers=step.optimizers,
            lr_schedulers=step.lr_schedulers,
            clip_gradients=step.nothing,
            toggle_optimizer=step.nothing,
            untoggle_optimizer=step.nothing,
            print=step.nothing,
            all_gather=step.all_gather,
        )
