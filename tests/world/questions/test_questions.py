"""For each question, the doctor names the cause: before training, or in a fit where only that shows it."""

from typing import Any

import lightning.pytorch as L
import of_data
import of_losses
import of_models
import of_numbers
import of_optimizers
import of_shapes
import of_steps
import pytest
import torch
from question import QUESTIONS, Question

from lightning_tricks import Doctor, diagnose

MODULES = (of_data, of_losses, of_models, of_numbers, of_optimizers, of_shapes, of_steps)
pytestmark = pytest.mark.filterwarnings("ignore")


def codes_found(question: Question) -> set[str]:
    """The codes at warning or above."""
    torch.manual_seed(0)
    arguments = question.build()
    settings = arguments.pop("fit", None)
    report = diagnose(**arguments) if settings is None else _fit(settings, **arguments)
    return {finding.code for finding in report.at_least("warning")}


def _fit(
    settings: dict[str, Any], model: L.LightningModule, train_dataloaders: Any, val_dataloaders: Any = None
) -> Any:
    doctor = Doctor()
    settings = {"log_every_n_steps": 5, **settings}
    settings["callbacks"] = [doctor, *settings.get("callbacks", ())]
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, **settings)  # fmt: skip
    trainer.fit(model, train_dataloaders, val_dataloaders)
    return doctor.report


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda item: item.name)
def test_the_cause_of_a_question_is_named(question: Question) -> None:
    assert codes_found(question) & set(question.codes), question.asked


def test_there_are_a_hundred_questions_at_least() -> None:
    assert len(QUESTIONS) >= 100
    assert len({question.asked for question in QUESTIONS}) == len(QUESTIONS)
