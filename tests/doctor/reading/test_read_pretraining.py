"""Parts that were trained before are recognised by what shows, and drawn ones are not taken for them."""

from pathlib import Path

import pytest
import torch
import transformers as hf
from architectures import build
from doctor_inputs import lit, net
from healthy import TASKS, data
from healthy_nets import Block, resnet
from torch import nn

from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.reading.read_pretraining import looks_trained, read_pretraining


def reasons(model: nn.Module) -> dict[str, str]:
    return {part.module: part.reason for part in read_pretraining(model)}


@pytest.mark.parametrize("name", ["Bert", "Albert", "GPT2", "T5", "ViT", "ResNet"])
def test_random_configurations_are_not_taken_for_trained(name: str) -> None:
    torch.manual_seed(0)
    assert not reasons(build(name))


@pytest.mark.parametrize("task", TASKS, ids=lambda item: item[0])
def test_freshly_drawn_nets_are_not_taken_for_trained(task: tuple) -> None:
    torch.manual_seed(0)
    _, make, source, outputs, _ = task
    found = reasons(make(data(source)[0][0].numel(), outputs))
    assert not [value for value in found.values() if "frozen" not in value]


def test_scales_of_norms_that_an_initializer_draws_are_not_taken_for_trained() -> None:
    model = nn.Sequential(*[part for _ in range(4) for part in (nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())])
    for norm in model[1::3]:
        nn.init.normal_(norm.weight, 1.0, 0.02)
    assert not reasons(model)
    for norm in model[1::3]:
        nn.init.normal_(norm.bias, 0.0, 0.1)
    assert reasons(model)


@pytest.mark.parametrize("draw", [nn.init.orthogonal_, nn.init.xavier_uniform_, nn.init.trunc_normal_, nn.init.dirac_])
def test_no_initializer_looks_trained(draw) -> None:
    torch.manual_seed(0)
    weight = torch.empty((64, 64, 3, 3) if draw is nn.init.dirac_ else (64, 96))
    assert looks_trained(draw(weight)) is False


def test_a_loaded_checkpoint_is_named(tmp_path: Path) -> None:
    build("Bert").save_pretrained(tmp_path)
    model = hf.BertForSequenceClassification.from_pretrained(tmp_path)
    assert str(tmp_path) in reasons(lit(model))["net"]


def test_batch_norms_that_have_counted_and_were_trained_tell() -> None:
    torch.manual_seed(0)
    model = resnet(Block)(1, 10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.randn(4, 1, 8, 8)).logsumexp(1).mean().backward()
    assert not reasons(model)
    optimizer.step()
    assert "has counted 1 batches" in " ".join(reasons(model).values())


def test_trained_weights_tell() -> None:
    torch.manual_seed(0)
    x, y = data("digits")
    model = nn.Sequential(net(64, 64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert "no initializer draws" in reasons(model)["0"]


def test_frozen_positions_do_not_make_a_transformer_pretrained() -> None:
    model = nn.Sequential(nn.Embedding(8, 8), net(8))
    model[0].requires_grad_(False)
    assert not reasons(model)


def test_a_loaded_model_is_judged_by_the_ranges_of_fine_tuning(tmp_path: Path) -> None:
    build("Bert").save_pretrained(tmp_path)

    def codes(lr: float) -> set[str]:
        model = hf.BertForSequenceClassification.from_pretrained(tmp_path)
        report = diagnose(lit(model, tuning=lambda params: torch.optim.AdamW(params, lr)), select=["OPT001", "OPT002"])
        return {finding.code for finding in report.at_least("warning")}

    assert codes(1e-3) == {"OPT002"}
    assert codes(5e-4) == codes(2e-5) == set()
    assert codes(1e-7) == {"OPT001"}
