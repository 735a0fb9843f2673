"""The part of the corpus that needs no other package: neither a crash, nor another fit, nor a false finding."""

import of_demos
import of_transformers
import pytest
from check import check, same
from program import PROGRAMS, Program

SMALL = ("Albert", "PatchTST", "DeiT", "Llama")
CHECKED = [each for each in PROGRAMS if each.package == of_demos.PACKAGE or each.name in SMALL]


@pytest.mark.parametrize("program", CHECKED, ids=lambda program: program.name)
def test_the_doctor_is_right_about_a_program(program: Program) -> None:
    outcome = check(program)
    assert outcome.ok, outcome.lines()


def test_each_true_finding_has_a_reason() -> None:
    assert len([each for each in PROGRAMS if each.package == of_transformers.PACKAGE]) == len(of_transformers.NAMES)
    assert all(reason for program in PROGRAMS for reason in program.known.values())


def test_equal_and_different_states_are_told_apart() -> None:
    assert same(float("inf"), float("inf"))
    assert not same(1.0, 2.0)
