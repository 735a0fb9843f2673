"""Patients of the rule on clipping that cuts every step; what a run has shown is written down here."""

from patient import healthy, sick
from runs import ran, steps

from lightning_tricks.doctor.facts.run_facts import ClipFact


@sick("OPT013", "gradient_clip_val=1e-05 divides the gradient by 2e+05", severity="warning")
def a_limit_of_next_to_nothing() -> dict:
    return ran(clip=ClipFact("gradient_clip_val=1e-05", 1e-5), steps=steps([2.0] * 10))


@sick("OPT013", "GradientClipping(clip_value=0.0001)")
def values_cut_by_a_thousand() -> dict:
    return ran(
        clip=ClipFact("GradientClipping(clip_value=0.0001)", 1e-4, True), steps=steps([2.0] * 10, net_0=(0.1, 1e-3))
    )


@healthy("OPT013")
def a_limit_near_the_norm() -> dict:
    return ran(clip=ClipFact("gradient_clip_val=1", 1.0), steps=steps([2.0] * 10))


@healthy("OPT013")
def single_steps_that_are_cut() -> dict:
    return ran(clip=ClipFact("gradient_clip_val=1", 1.0), steps=steps([0.5] * 8 + [500.0] * 2))


@healthy("OPT013")
def no_clipping() -> dict:
    return ran(steps=steps([2.0] * 10))
