"""All rules together keep quiet on healthy programs, and on transformers that are about to be fine-tuned."""

from typing import Any

import lightning as L
import pytest
import torch
from healthy import programs
from transformers_batches import NAMES, model_and_batch

from lightning_tricks.doctor.judging.diagnose import diagnose

# norms behind dropout, a momentum in TensorFlow's convention, and a token for masking that classification never uses
KNOWN = {"PatchTST": {"PLC001"}, "SpeechT5": {"PLC002"}, "MobileNetV2": {"PLC017"}, "Dinov2": {"BEH006"}}


class FineTuned(L.LightningModule):
    def __init__(self, model: Any, lr: float) -> None:
        super().__init__()
        self.model, self.lr = model, lr

    def training_step(self, batch: dict[str, Any], index: int) -> Any:
        return self.model(**batch).loss

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), self.lr, weight_decay=0.01)


def test_healthy_programs_get_fewer_than_one_false_alarm_in_fifty() -> None:
    alarms = {program.name: diagnose(**program.build()).at_least("warning") for program in programs(tunings_each=2)}
    assert len(alarms) >= 50
    wrong = {name: [str(finding) for finding in found] for name, found in alarms.items() if found}
    assert len(wrong) < len(alarms) / 50, wrong


@pytest.mark.parametrize("name", NAMES)
def test_a_transformer_at_a_customary_rate_of_fine_tuning_is_healthy(name: str) -> None:
    model, batch = model_and_batch(name)
    rate = (2e-5, 5e-5, 1e-4)[len(name) % 3]
    report = diagnose(FineTuned(model, rate), batch)
    assert {finding.code for finding in report.at_least("warning")} <= KNOWN.get(name, set()), str(report)
