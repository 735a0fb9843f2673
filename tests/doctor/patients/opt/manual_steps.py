"""Patients of the rule on gradients that are not zeroed between the steps of a run."""

from patient import healthy, sick
from runs import ran


@sick("OPT010", "still contained those of the previous step", severity="error")
def gradients_that_pile_up() -> dict:
    return ran(not_zeroed=(0,))


@healthy("OPT010")
def gradients_that_are_zeroed() -> dict:
    return ran()
