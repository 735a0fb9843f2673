"""Patients of the rules on the gradients and updates of a run's steps."""

import math
from dataclasses import replace

from patient import healthy, sick
from runs import curve, ran, steps

from lightning_tricks.doctor.facts.run_facts import StartFact

FLAT = curve([2.3] * 300)
LEARNT = curve([2.3] * 30 + [0.1] * 270)


@sick(
    "RUN001", "net.0.weight (and 1 more)", "1e-07 of the largest", "at 5 consecutive measured steps", severity="warning"
)
def sigmoids_that_let_no_gradient_through() -> dict:
    seen = steps([0.3] * 6, net_0=(1e-9, 1e-9), net_2=(1e-8, 1e-8), net_4=(1e-2, 1e-3))
    return ran(losses=FLAT, steps=seen)


@healthy("RUN001")
def a_scaled_branch_in_its_first_steps() -> dict:
    seen = steps([0.3] * 6, net_0=(1e-9, 1e-9), net_4=(1e-2, 1e-3))
    return ran(losses=FLAT, steps=tuple(replace(step_fact, step=step_fact.step // 50) for step_fact in seen))


@healthy("RUN001")
def small_gradients_that_adam_scales_up() -> dict:
    return ran(losses=FLAT, steps=steps([0.3] * 6, net_0=(1e-9, 2e-4), net_4=(1e-2, 2e-4)))


@healthy("RUN001")
def small_gradients_of_what_is_learnt() -> dict:
    return ran(losses=LEARNT, steps=steps([1e-4] * 6, net_0=(1e-9, 1e-9), net_4=(1e-2, 1e-3)))


@healthy("RUN001")
def a_branch_that_starts_at_zero() -> dict:
    first = steps([0.3], lora_a=(0.0, 0.0), net_4=(1e-2, 1e-3))
    return ran(losses=FLAT, steps=first + steps([0.3] * 5, lora_a=(1e-3, 1e-4), net_4=(1e-2, 1e-3)))


@sick("RUN002", "their norm is 5e+04 at step 200", "at the start", severity="error")
def gradients_that_explode() -> dict:
    return ran(losses=curve([2.3] * 60), steps=steps([1.0, 2.0, 1.5, 1.2]) + steps_at(200, 5e4, loss=90.0))


@sick("RUN002", "their norm is inf", severity="error")
def gradients_that_are_infinite_at_a_finite_loss() -> dict:
    return ran(losses=curve([2.3] * 60), steps=steps([1.0, 2.0, 1.5, 1.2]) + steps_at(200, math.inf, loss=1.0))


@healthy("RUN002")
def a_hard_sample_late_in_training() -> dict:
    return ran(losses=LEARNT, steps=steps([1.0] + [1e-4] * 19) + steps_at(1000, 3.0, loss=1.5))


@healthy("RUN002")
def targets_that_are_large_from_the_start() -> dict:
    return ran(losses=curve([1e9] * 60), steps=steps([2e7, 3e7, 4e7, 1e7], loss=2e9))


@healthy("RUN002")
def a_loss_that_is_no_number_any_more() -> dict:
    return ran(first_bad_step=3, steps=steps([1.0]) + steps_at(50, math.nan, loss=math.nan))


@sick("RUN007", "changes net.2.weight by 1.4 of its size, above 1", "at a learning rate of 0.1", severity="warning")
def a_rate_that_is_far_too_large() -> dict:
    return ran(losses=FLAT, steps=steps([1.0] * 8, net_0=(1.0, 0.3), net_2=(1.0, 1.4)))


@sick("RUN007", "above 0.1", severity="info")
def a_rate_that_is_large() -> dict:
    return ran(losses=FLAT, steps=steps([1.0] * 8, net_0=(1.0, 0.3), net_2=(1.0, 0.01)))


@sick("RUN007", "below 0.0001", severity="info")
def a_rate_that_is_far_too_small() -> dict:
    return ran(losses=FLAT, steps=steps([1.0] * 8, lr=1e-8, net_0=(1.0, 1e-9)))


@healthy("RUN007")
def weights_that_have_just_left_zero() -> dict:
    return ran(losses=FLAT, steps=steps([1.0] * 2, net_0=(1.0, 0.5)) + steps([1.0] * 6, net_0=(1.0, 0.01)))


@healthy("RUN007")
def steps_that_shrink_as_the_loss_does() -> dict:
    return ran(losses=LEARNT, steps=steps([1e-3] * 20, net_0=(1e-6, 1e-6)))


@healthy("RUN007")
def a_schedule_that_ends_near_zero() -> dict:
    big, small = steps([1.0] * 8, net_0=(1.0, 1e-3)), steps([1.0] * 12, lr=1e-5, net_0=(1.0, 1e-7))
    return ran(losses=FLAT, steps=big + small)


@healthy("RUN007")
def fine_tuning_at_a_small_rate() -> dict:
    seen = steps([1.0] * 8, lr=1e-6, net_0=(1.0, 1e-5))
    return ran(losses=FLAT, steps=seen, start=StartFact(trained=True))


def steps_at(step: int, norm: float, loss: float) -> tuple:
    return tuple(replace(step_fact, step=step) for step_fact in steps([norm], loss=loss))
