"""Patients of the rules on the numbers of a run: what a run has shown is written down here."""

from patient import healthy, sick
from runs import ran


@sick("RUN003", "NaN or infinite at step 17", severity="error")
def a_loss_that_broke() -> dict:
    return ran(first_bad_step=17)


@healthy("RUN003")
def finite_losses() -> dict:
    return ran()


@sick("RUN008", "Linear's weight, bias", severity="warning")
def a_head_that_stays() -> dict:
    return ran(unchanged=("2.weight", "2.bias"))


@healthy("RUN008")
def a_bias_before_batch_norm_that_stays() -> dict:
    return ran(unchanged=("0.bias",))


@sick("RUN011", "no optimizer stepped", "20 batches", severity="error")
def manual_optimization_without_a_step() -> dict:
    return ran(idle_batches=20)


@healthy("RUN011")
def steps_that_were_taken() -> dict:
    return ran()
