"""Given parts: find the loaders, the optimizers and the batch of an examination in its arguments."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from lightning_tricks.doctor.facts.evidence import CONFIGURE_OPTIMIZERS, LoaderFact
from lightning_tricks.doctor.reading.read_data import first_loader, read_loader
from lightning_tricks.doctor.reading.read_optimizers import normalize_optimizer_config
from lightning_tricks.doctor.reading.read_test_set import test_loaders_of
from lightning_tricks.doctor.tracing.obtain_batch import draw, loaders_of
from lightning_tricks.doctor.tracing.one_pass import describe_error, is_lightning_default
from lightning_tricks.doctor.tracing.partial_evidence import PartialEvidence
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn


@dataclass(frozen=True)
class Given:
    """The arguments of :func:`lightning_tricks.doctor.tracing.examine.examine`."""

    batch: Any
    train: Any
    val: Any
    test: Any
    datamodule: Any
    optimizers: Any
    peaks: Sequence[Sequence[float]]
    context: Callable[[], AbstractContextManager[Any]]
    not_traced: str
    overfit: bool
    is_drawn: bool


def find_loaders(model: Any, given: Given, partial: PartialEvidence) -> tuple[Any, Any, Any]:
    """Return the loaders for training, validation and test, from the data module if necessary."""
    if given.datamodule is None:
        return given.train, given.val, given.test
    trainer = TrainerStandIn(model=model, datamodule=given.datamodule)
    train, val, error = loaders_of(given.datamodule, trainer)
    if error is not None and not trainer.unanswered:
        partial.errors.append(error)
    return train, val, partial.attempt("test_loader", lambda: test_loaders_of(given.datamodule))


def read_given_loader(part: str, loaders: Any, partial: PartialEvidence) -> LoaderFact | None:
    """Return the facts of the first of some loaders."""
    loader = first_loader(loaders)
    if loader is None:
        partial.missing[part] = f"no {'training' if part == 'train_loader' else 'validation'} loader was given"
        return None
    found: LoaderFact | None = partial.attempt(part, lambda: read_loader(loader))
    return found


def find_optimizers(
    model: Any, given: Given, trainer: TrainerStandIn, restore: Callable[[], None], partial: PartialEvidence
) -> tuple[list[Any] | None, list[dict[str, Any]]]:
    """Return the optimizers and the configurations of their schedulers, of the Trainer or newly built.

    Args:
        model: the module.
        given: the arguments of the examination.
        trainer: the object that the module uses as its Trainer.
        restore: called after ``configure_optimizers``.
        partial: collects the reasons for missing parts.
    """
    if given.optimizers is not None:
        configs = getattr(getattr(model, "_trainer", None), "lr_scheduler_configs", None) or ()
        return list(given.optimizers), [vars(config) for config in configs]
    configure = getattr(model, "configure_optimizers", None)
    if not callable(configure):
        partial.missing["optimizers"] = "the model has no `configure_optimizers`"
        return None, []
    stand_in_(model, Step(), trainer)
    try:
        returned = configure()
    except Exception as error:  # user code
        partial.missing["optimizers"] = f"`configure_optimizers` raised {type(error).__name__}: {error}"
        if not trainer.unanswered:
            partial.errors.append(describe_error(error, CONFIGURE_OPTIMIZERS, ""))
        return None, []
    finally:
        restore()
    optimizers, schedulers = partial.attempt("optimizers", lambda: normalize_optimizer_config(returned)) or ([], [])
    if not optimizers and (is_lightning_default(configure) or returned is not None):
        partial.missing.setdefault("optimizers", "`configure_optimizers` returned none")
        return None, []
    return list(optimizers), schedulers


def find_batch(given: Given, train: Any, partial: PartialEvidence) -> Any:
    """Return the batch to run the model on, drawn from the training loader if none was given."""
    if given.not_traced:
        partial.missing["batch"] = given.not_traced
        return None
    if given.batch is not None or train is None:
        return given.batch
    batch, error = draw(train)
    if error is not None:
        partial.missing["batch"] = f"{error.phase} {'is empty' if error.kind == 'StopIteration' else 'raised'}"
        partial.errors.append(error)
    return batch
