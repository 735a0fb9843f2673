"""Stand-ins: replacements of the methods that a ``training_step`` calls, so that it can run once without side effects.

Nothing is logged, and no optimizer steps.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn


class OptimizerStandIn:
    """An optimizer with the groups of the real one that never steps.

    Args:
        optimizer: the real optimizer.
        before_step: called instead of a step.
    """

    def __init__(self, optimizer: Any, before_step: Callable[[], None]) -> None:
        self.optimizer = optimizer
        self._before_step = before_step

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["optimizer"], name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class for ``isinstance``, which behaves like Lightning's wrapper and the optimizer in it."""
        return type("OptimizerStandIn", (*_lightning_optimizers(), type(self.__dict__["optimizer"])), {})

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: object) -> Any:
        """Run only the closure."""
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
        """Do nothing; Lightning's optimizers have this method."""
        yield


def _lightning_optimizers() -> tuple[type, ...]:
    """Return the optimizer wrappers of the imported Lightning packages."""
    packages = ("lightning.pytorch", "pytorch_lightning")
    modules: list[Any] = [sys.modules.get(f"{package}.core.optimizer") for package in packages]
    return tuple(module.LightningOptimizer for module in modules if module is not None)


class _SchedulerStandIn:
    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_scheduler"], name)

    def step(self, *args: object, **kwargs: object) -> None:
        """Do nothing."""


class Step:
    """The methods that a LightningModule calls in its ``training_step``, and a record of their arguments.

    Args:
        optimizers: the real optimizers.
        schedulers: the real schedulers, in Lightning's dicts.
        on_step: called when an optimizer would step.
        unseen: a context for work that is not part of the step.

    Attributes:
        logged: the logged values, by name.
        backwards: how often ``manual_backward`` was called.
        stepped: the stepped optimizers, by index.
        cleared: those that had gradients after ``manual_backward`` and none at their step.
    """

    def __init__(
        self,
        optimizers: Sequence[Any] = (),
        schedulers: Sequence[Any] = (),
        on_step: Callable[[], None] = lambda: None,
        unseen: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.stepped: set[int] = set()
        self.cleared: set[int] = set()
        self._fed: set[int] = set()

        def note(index: int) -> Callable[[], None]:
            def before_step() -> None:
                self.stepped.add(index)
                if index in self._fed and not _has_gradient(optimizers[index]):
                    self.cleared.add(index)
                self._fed.discard(index)
                on_step()

            return before_step

        self._optimizers = [OptimizerStandIn(optimizer, note(i)) for i, optimizer in enumerate(optimizers)]
        self._schedulers = [_SchedulerStandIn(scheduler["scheduler"]) for scheduler in schedulers]
        self._unseen = unseen
        self.logged: dict[str, float] = {}
        self.backwards = 0

    @property
    def has_optimizers(self) -> bool:
        """Whether there are optimizers; if not, they could not be built."""
        return bool(self._optimizers)

    def log(self, name: str, value: Any, *args: object, **kwargs: object) -> None:
        """Record a value if it is a number."""
        if isinstance(value, Tensor) and value.numel() == 1:
            with self._unseen():
                value = value.detach().item()
        if isinstance(value, (int, float)):
            self.logged[name] = float(value)

    def log_dict(self, dictionary: Any, *args: object, **kwargs: object) -> None:
        """Record values that are numbers."""
        for name, value in dictionary.items():
            self.log(name, value)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass."""
        self.backwards += 1
        with self._unseen():
            loss.backward(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._fed |= {index for index, each in enumerate(self._optimizers) if _has_gradient(each.optimizer)}

    def optimizers(self, *args: object, **kwargs: object) -> Any:
        """Return one optimizer or a list, as Lightning does."""
        return self._optimizers[0] if len(self._optimizers) == 1 else self._optimizers

    def lr_schedulers(self) -> Any:
        """Return None, one scheduler or a list, as Lightning does."""
        if not self._schedulers:
            return None
        return self._schedulers[0] if len(self._schedulers) == 1 else self._schedulers

    def all_gather(self, data: Any, *args: object, **kwargs: object) -> Any:
        """Return the result for one process."""
        return data

    def nothing(self, *args: object, **kwargs: object) -> None:
        """Do nothing."""


def _has_gradient(optimizer: Any) -> bool:
    return any(parameter.grad is not None for group in optimizer.param_groups for parameter in group["params"])


def stand_in_(model: nn.Module, step: Step, trainer: TrainerStandIn) -> None:
    """Install stand-ins on a model and its LightningModules; the caller removes them."""
    for module in model.modules():
        if not hasattr(type(module), "manual_backward"):
            continue
        # directly into `__dict__`: instance attributes precede the class's methods, and no setter is called
        vars(module).update(
            _trainer=trainer,
            log=step.log,
            log_dict=step.log_dict,
            manual_backward=step.manual_backward,
            optimizers=step.optimizers if step.has_optimizers else lambda *_, **__: trainer.refuse("optimizers"),
            lr_schedulers=step.lr_schedulers,
            clip_gradients=step.nothing,
            toggle_optimizer=step.nothing,
            untoggle_optimizer=step.nothing,
            print=step.nothing,
            all_gather=step.all_gather,
        )
