"""For each question, the doctor names the cause: before training, or in a fit where only that shows it."""

import of_data
import of_forum
import of_losses
import of_models
import of_numbers
import of_optimizers
import of_shapes
import of_steps
import of_surprises
import pytest
import torch
from ask import ask
from question import QUESTIONS, Question

MODULES = (of_data, of_forum, of_losses, of_models, of_numbers, of_optimizers, of_shapes, of_steps, of_surprises)
pytestmark = pytest.mark.filterwarnings("ignore")


def codes_found(question: Question) -> set[str]:
    """The codes at warning or above."""
    torch.manual_seed(0)
    return {finding.code for finding in ask(question.build()).at_least("warning")}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda item: item.name)
def test_the_cause_of_a_question_is_named(question: Question) -> None:
    assert codes_found(question) & set(question.codes), question.asked


def test_there_are_a_hundred_questions_at_least() -> None:
    assert len(QUESTIONS) >= 100
    assert len({question.asked for question in QUESTIONS}) == len(QUESTIONS)
