"""Patients of the rule on schedules against the length of the run."""

from typing import Any

import torch
from doctor_inputs import with_optimizer
from patient import healthy, sick
from torch.optim import lr_scheduler


class Run:
    """What the plan is read from: five epochs of four batches."""

    max_epochs, max_steps, accumulate_grad_batches, num_training_batches, world_size = 5, -1, 1, 4, 1


def in_a_run(patient: dict[str, Any]) -> dict[str, Any]:
    patient["model"]._trainer = Run()
    return patient


def scheduled(make: Any, interval: str = "step", **settings: Any) -> dict[str, Any]:
    def tuned(params: list) -> Any:
        sgd = torch.optim.SGD(params, 0.1)
        return [sgd], [{"scheduler": make(sgd), "interval": interval, **settings}]

    return with_optimizer(tuned)


def one_cycle(steps: int, interval: str = "step") -> dict[str, Any]:
    return scheduled(lambda sgd: lr_scheduler.OneCycleLR(sgd, max_lr=0.1, total_steps=steps), interval)


def cosine(epochs: int) -> dict[str, Any]:
    return scheduled(lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, epochs), "epoch")


def warm_up(length: int) -> Any:
    return lambda sgd: lr_scheduler.LambdaLR(sgd, lambda step: min(1.0, (step + 1) / length))


@sick("OPT012", "ends after 400 calls, but the run has 20")
def one_cycle_longer_than_the_run() -> dict:
    return in_a_run(one_cycle(400))


@sick("OPT012", "ends after 20 calls, but the run has 5 (once an epoch)")
def one_cycle_in_steps_called_by_epoch() -> dict:
    return in_a_run(one_cycle(20, "epoch"))


@sick("OPT012", "more than 1000 epochs")
def horizon_in_steps_without_a_trainer() -> dict:
    return one_cycle(5000, "epoch")


@sick("OPT012", "StepLR reduces the learning rate from", "of 20 steps", severity="warning")
def a_schedule_in_epochs_stepped_after_each_batch() -> dict:
    return in_a_run(scheduled(lambda sgd: lr_scheduler.StepLR(sgd, 1, gamma=0.1)))


@sick("OPT012", "PolynomialLR reduces", "to 0 after")
def a_polynomial_over_five_calls() -> dict:
    return in_a_run(scheduled(lr_scheduler.PolynomialLR))


@sick("OPT012", "still warms up", "after 20 steps")
def a_warm_up_longer_than_the_run() -> dict:
    return in_a_run(scheduled(warm_up(1000)))


@sick("OPT012", "SequentialLR still warms up")
def a_warm_up_in_a_sequence_longer_than_the_run() -> dict:
    def make(sgd: Any) -> Any:
        parts = [lr_scheduler.LinearLR(sgd, 0.01, total_iters=80), lr_scheduler.CosineAnnealingLR(sgd, 20)]
        return lr_scheduler.SequentialLR(sgd, parts, milestones=[80])

    return in_a_run(scheduled(make))


@healthy("OPT012")
def horizons_that_fit() -> dict:
    return in_a_run(one_cycle(20))


@healthy("OPT012")
def cosine_over_all_epochs() -> dict:
    return in_a_run(cosine(5))


@healthy("OPT012")
def a_warm_up_of_a_few_steps() -> dict:
    return in_a_run(scheduled(warm_up(5)))


@healthy("OPT012")
def a_step_in_epochs_called_by_epoch() -> dict:
    return in_a_run(scheduled(lambda sgd: lr_scheduler.StepLR(sgd, 2, gamma=0.1), "epoch"))


@healthy("OPT012")
def a_plateau_scheduler() -> dict:
    return in_a_run(scheduled(lr_scheduler.ReduceLROnPlateau, "epoch", monitor="val_loss"))


@healthy("OPT012")
def cycles() -> dict:
    return in_a_run(scheduled(lambda sgd: lr_scheduler.CyclicLR(sgd, 0.01, 0.1, step_size_up=4)))


@sick("OPT012", "a learning rate of 0 in the first epoch", severity="warning")
def a_warm_up_that_begins_at_zero_for_an_epoch() -> dict:
    return in_a_run(scheduled(lambda sgd: lr_scheduler.LambdaLR(sgd, lambda epoch: min(1.0, epoch / 3)), "epoch"))


@healthy("OPT012")
def a_warm_up_that_begins_at_zero_for_a_step() -> dict:
    return in_a_run(scheduled(lambda sgd: lr_scheduler.LambdaLR(sgd, lambda step: min(1.0, step / 3))))
