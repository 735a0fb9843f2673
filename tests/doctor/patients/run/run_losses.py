"""Patients of the rules on the losses of a run: curves that mean something, and curves that only look like it."""

import math
import random
from dataclasses import replace

from patient import healthy, sick
from runs import curve, evaluations, ran

from lightning_tricks.doctor.facts.run_facts import StartFact


def noisy(level: float, count: int, noise: float = 0.05, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [level * (1 + draw.gauss(0, noise)) for _ in range(count)]


def falling(start: float, end: float, count: int, over: float = 40.0) -> list[float]:
    return [end + (start - end) * math.exp(-i / over) for i in range(count)]


@sick(
    "RUN004", "2.3 at the start, 2.3 over the last third of 1000 batches", "a learning rate of 0.1", severity="warning"
)
def a_flat_loss() -> dict:
    return ran(losses=curve([2.3] * 1000))


@sick("RUN004", "of 300 batches", severity="warning")
def a_flat_loss_of_a_run_that_is_over() -> dict:
    return ran(losses=curve([2.3] * 300), ended=True)


@sick("RUN004", "rose by", severity="warning")
def a_loss_that_goes_up_and_stays_there() -> dict:
    return ran(losses=curve(noisy(2.3, 20) + noisy(40.0, 300)), ended=True)


@sick("RUN004", severity="info")
def a_flat_loss_of_a_model_that_was_trained_before() -> dict:
    return ran(losses=curve([0.4] * 300), ended=True, start=StartFact(trained=True))


@healthy("RUN004")
def a_loss_that_falls_at_once_and_stays_above_half() -> dict:
    return ran(losses=curve(falling(1.0, 0.8, 400, over=5)), ended=True)


@healthy("RUN004")
def a_little_to_be_learnt_under_noise() -> dict:
    return ran(losses=curve(noisy(0.69, 5, 0.3) + noisy(0.66, 400, 0.3)), ended=True)


@healthy("RUN004")
def a_warm_up_that_has_only_begun() -> dict:
    return ran(losses=curve([6.9] * 300, lr=lambda i: 1e-6 * i), ended=True)


@healthy("RUN004")
def a_likelihood_that_is_negative() -> dict:
    return ran(losses=curve([-1.0] * 300), ended=True)


@healthy("RUN004")
def too_few_batches() -> dict:
    return ran(losses=curve([2.3] * 150), ended=True)


@healthy("RUN004")
def a_deep_net_that_has_not_set_off_yet() -> dict:
    return ran(losses=curve([2.3] * 600))


@healthy("RUN004")
def no_loss_at_all() -> dict:
    return ran()


@sick("RUN005", "above 30%", "lr = 0.1", severity="info")
def a_loss_that_jumps_over_its_minimum() -> dict:
    return ran(losses=curve([3.0 if i // 10 % 2 else 1.0 for i in range(400)]))


@healthy("RUN005")
def noisy_batches_around_a_floor() -> dict:
    return ran(losses=curve(noisy(1.0, 400, 0.4)))


@healthy("RUN005")
def a_converged_loss_with_spikes() -> dict:
    return ran(losses=curve([2.0] * 20 + [0.01 if i % 37 else 1.0 for i in range(400)]))


@healthy("RUN005")
def warm_restarts() -> dict:
    def lr(i: int) -> float:
        return 0.1 * (1 + math.cos(math.pi * (i % 30) / 30)) / 2 + 1e-4

    return ran(losses=curve([1.0 + (30 - i % 30) / 15 for i in range(400)], lr=lr))


@sick("RUN006", "0.4 in epoch 3 and is 1.2 in epoch 11", "the 0.8 that it began with", severity="warning")
def validation_that_loses_all_it_had_gained() -> dict:
    val = [0.8, 0.6, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    return ran(evaluations=evaluations(falling(0.9, 0.0, 12, over=3), val))


@sick("RUN006", severity="info")
def validation_that_loses_some_of_it() -> dict:
    val = [2.0, 0.6, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    return ran(evaluations=evaluations(falling(0.9, 0.0, 12, over=3), val))


@sick("RUN006", severity="info")
def validation_that_is_still_better_than_before_the_first_step() -> dict:
    val = [0.8, 0.6, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    return ran(evaluations=evaluations(falling(0.9, 0.0, 12, over=3), val), losses=curve([2.3] * 20))


@healthy("RUN006")
def one_bad_evaluation_of_few_rows() -> dict:
    val = [0.8, 0.5, 0.4, 0.9, 0.45, 0.9, 0.42, 1.3, 0.41, 1.2]
    return ran(evaluations=evaluations(falling(0.9, 0.0, 10, over=3), val))


@healthy("RUN006")
def validation_that_stays_while_training_falls_to_nothing() -> dict:
    return ran(evaluations=evaluations(falling(0.9, 0.0, 30, over=3), [0.5, 0.3] + [0.31] * 28))


@healthy("RUN006")
def both_that_rise() -> dict:
    return ran(evaluations=evaluations([0.5, 0.4, 0.6, 0.8, 1.0, 1.2], [0.5, 0.4, 0.7, 0.9, 1.1, 1.3]))


@sick("RUN009", "1.12 at best, in epoch 1 of 4", "has 1.099", severity="warning")
def worse_than_the_class_frequencies() -> dict:
    seen = evaluations([1.1, 0.9, 0.7, 0.5], [1.15, 1.12, 1.2, 1.4])
    return ran(evaluations=seen, start=StartFact(guess=math.log(3)))


@sick("RUN009", "always predicting the mean target has 2", severity="warning")
def a_regression_that_starts_far_from_targets_with_a_large_mean() -> dict:
    seen = evaluations([900.0, 90.0, 9.0, 4.0], [800.0, 80.0, 8.0, 3.0])
    return ran(evaluations=seen, start=StartFact(guess=2.0, guess_is="the mean target"))


@healthy("RUN009")
def better_once_and_overfitted_since() -> dict:
    seen = evaluations([1.1, 0.9, 0.7, 0.5], [0.9, 1.12, 1.2, 1.4])
    return ran(evaluations=seen, start=StartFact(guess=math.log(3)))


@healthy("RUN009")
def the_first_two_epochs() -> dict:
    return ran(evaluations=evaluations([1.1, 1.1], [1.15, 1.12]), start=StartFact(guess=math.log(3)))


@healthy("RUN009")
def a_deep_net_in_its_first_steps() -> dict:
    seen = tuple(
        replace(evaluation, step=evaluation.step // 10) for evaluation in evaluations([2.35, 2.31, 2.3], [2.304] * 3)
    )
    return ran(evaluations=seen, start=StartFact(guess=2.302))


@healthy("RUN009")
def a_validation_loss_that_is_a_sum() -> dict:
    return ran(evaluations=evaluations([1.0] * 5, [300.0] * 5), start=StartFact(guess=math.log(3)))


@sick("RUN010", "0.1, against 0.5 in the training epoch after it", severity="info")
def validation_rows_that_are_known() -> dict:
    return ran(evaluations=evaluations([0.5] * 6, [0.1] * 6))


@healthy("RUN010")
def an_epoch_in_which_all_is_learnt() -> dict:
    return ran(evaluations=evaluations(falling(2.0, 0.05, 8, over=1), falling(0.8, 0.05, 8, over=1)))


@healthy("RUN010")
def a_training_loss_under_dropout() -> dict:
    return ran(evaluations=evaluations([0.5] * 6, [0.1] * 6), start=StartFact(dropout=True))
