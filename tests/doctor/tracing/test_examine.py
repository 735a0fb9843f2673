"""An examination learns what one step shows and leaves everything as it was."""

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import pytest
import pytorch_lightning
import torch
import torch.nn.functional as F
from patient import Calling, Step, classes
from tiny import trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.judging.judge import judge
from lightning_tricks.doctor.rules.registry import choose_rules
from lightning_tricks.doctor.tracing.examine import examine


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


class Untidy(Step):
    """A step that changes all it can reach."""

    def __init__(self) -> None:
        super().__init__(net())
        self.seen: list[int] = []
        self.net[1].momentum = 0.5

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        batch[0].mul_(2)
        self.seen.append(batch_idx)
        self.count = len(self.seen)
        random.random(), np.random.rand(), torch.rand(1)
        with torch.no_grad():
            self.net[0].weight.add_(1)
        self.net[3].eval()
        self.net[0].register_forward_hook(lambda *_: None)
        return super().training_step(batch, batch_idx)


def test_everything_is_put_back() -> None:
    model, (x, y) = Untidy(), classes()
    model.net[3].eval()
    grad = model.net[0].weight.grad = torch.ones(8, 8)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags, copy = [module.training for module in model.modules()], x.clone()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    attributes = set(vars(model))
    assert examine(model, (x, y)).error is None
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    assert [module.training for module in model.modules()] == flags
    assert model.net[0].weight.grad is grad
    assert torch.equal(grad, torch.ones(8, 8))
    assert torch.equal(x, copy)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    assert set(vars(model)) == attributes
    assert model.seen == []
    assert not model.net[0]._forward_hooks
    assert not torch.nn.modules.module._global_forward_hooks


def test_everything_is_put_back_after_an_exception() -> None:
    model = Untidy()
    before = model.net[0].weight.clone()
    evidence = examine(model, (torch.ones(4, 7), torch.zeros(4, dtype=torch.long)))
    assert evidence.error is not None
    assert evidence.error.module == "net.0"
    assert torch.equal(model.net[0].weight, before)
    assert model.seen == []
    assert "log" not in vars(model)


def test_evidence_goes_to_json_and_is_judged_there_as_here() -> None:
    loader = DataLoader(TensorDataset(*classes(64)), batch_size=16, shuffle=True)
    evidence = examine(Step(net()), train_dataloaders=loader)
    again = Evidence.from_json(evidence.to_json())
    assert again == evidence
    assert judge(again, choose_rules()) == judge(evidence, choose_rules())


class Adversaries(pl.LightningModule):
    """Two optimizers, stepped by hand, as in Lightning's own example."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.critic = nn.Linear(4, 8), nn.Linear(8, 1)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        first, second = self.optimizers()
        noise = torch.randn(len(batch), 4)
        self.toggle_optimizer(first)
        loss = F.softplus(-self.critic(self.generator(noise))).mean()
        self.log_dict({"generator": loss, "epoch": self.current_epoch}, prog_bar=True)
        first.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(first, gradient_clip_val=0.5)
        first.step()
        self.untoggle_optimizer(first)
        loss = F.softplus(self.critic(self.generator(noise).detach())).mean() + F.softplus(-self.critic(batch)).mean()
        second.zero_grad()
        self.manual_backward(loss)
        second.step(closure=lambda: loss)
        self.lr_schedulers()[0].step()
        self.logger.experiment.add_scalar("critic", loss, self.trainer.global_step)

    def configure_optimizers(self) -> Any:
        optimizers = [torch.optim.Adam(part.parameters(), 1e-3) for part in (self.generator, self.critic)]
        steps = int(self.trainer.estimated_stepping_batches)
        return optimizers, [torch.optim.lr_scheduler.StepLR(optimizer, steps) for optimizer in optimizers]


def test_manual_optimization_with_several_optimizers_is_survived() -> None:
    model = Adversaries()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    evidence = examine(model, torch.randn(16, 8))
    assert evidence.error is None
    assert evidence.step is not None
    assert evidence.optimizers is not None
    assert (evidence.step.manual, evidence.step.backwards, len(evidence.optimizers)) == (True, 2, 2)
    assert all(gradient.norm for gradient in evidence.step.gradients)
    assert set(evidence.step.logged) == {"generator", "epoch"}
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    assert not diagnose(model, torch.randn(16, 8)).at_least("warning")


class Scheduled(Step):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fit(callbacks: list[Any]) -> tuple[dict[str, torch.Tensor], Any]:
    pl.seed_everything(0, verbose=False)
    model, loader = Scheduled(net()), DataLoader(TensorDataset(*classes(64)), batch_size=16, shuffle=True)
    runner = trainer(*callbacks, max_epochs=1)
    runner.fit(model, loader)
    return dict(model.state_dict()), runner.logged_metrics


def test_a_fit_goes_on_as_if_nobody_had_looked() -> None:
    class Look(pl.Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            report = diagnose(pl_module, classes(), train_dataloaders=trainer.train_dataloader)
            assert not report.errors, str(report)
            evidence = examine(pl_module, classes(), optimizers=trainer.optimizers)
            assert evidence.optimizers is not None
            assert evidence.optimizers[0].schedulers[0].interval == "step"
            assert not trainer.logged_metrics

    looked, logged = fit([Look()])
    plain, expected = fit([])
    assert all(torch.equal(value, looked[key]) for key, value in plain.items())
    assert logged == expected


def test_the_other_package_s_modules_are_known_too() -> None:
    class Other(pytorch_lightning.LightningModule):
        training_step = Step.training_step
        configure_optimizers = Step.configure_optimizers
        forward = Step.forward

        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss, self.lr = nn.Sequential(nn.Linear(8, 3), nn.Softmax(1)), F.cross_entropy, 0.1

    assert [finding.code for finding in diagnose(Other(), classes()).errors] == ["LOS001"]


@dataclass
class Rows:
    x: torch.Tensor
    name: str = "a"


class Pair(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


X, Y = classes()


@pytest.mark.parametrize(
    ("batch", "read", "leaves"),
    [
        ((X, Y), lambda batch: batch[0], ["0", "1"]),
        ([X, {"y": Y}], lambda batch: batch[0], ["0", "1.y"]),
        ({"x": X, "y": Y}, lambda batch: batch["x"], ["x", "y"]),
        (Rows(X), lambda batch: batch.x, ["x", "name"]),
        (Pair(X, Y), lambda batch: batch.x, ["x", "y"]),
        (X, lambda batch: batch, [""]),
    ],
    ids=["tuple", "list", "dict", "dataclass", "namedtuple", "tensor"],
)
def test_a_batch_may_have_any_shape(batch: Any, read: Any, leaves: list[str]) -> None:
    class Reading(Step):
        def training_step(self, batch: Any) -> torch.Tensor:
            return self(read(batch)).mean()

    evidence = examine(Reading(net()), batch)
    assert evidence.error is None
    assert evidence.batch is not None
    assert evidence.trace is not None
    assert ([leaf.path for leaf in evidence.batch.leaves], evidence.batch.size) == (leaves, 16)
    assert any(operation.op == "batch" and operation.module == leaves[0] for operation in evidence.trace.operations)


def test_tokens_are_traced() -> None:
    model = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 3))
    evidence = examine(model, torch.randint(0, 20, (4, 5)))
    assert evidence.behaviour is not None
    assert evidence.behaviour.input_change
    assert evidence.behaviour.mixing_change == 0


@pytest.mark.parametrize("kind", ["whole", "part", "function"])
def test_what_was_compiled_is_run_as_it_was_written(kind: str) -> None:
    model: Any = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(8))
    if kind == "whole":
        model = torch.compile(model, backend="eager")
    elif kind == "part":
        model[0] = torch.compile(model[0], backend="eager")
    else:
        dropout = torch.compile(lambda x: F.dropout(x, 0.5), backend="eager")
        model = Calling(lambda net, x: net.norm(dropout(x)), norm=nn.BatchNorm1d(8))
    report = diagnose(model, torch.randn(16, 8), select=["PLC"])
    assert "dropout-before-batchnorm" in [finding.name for finding in report.at_least("warning")]


def test_torchscript_and_shared_modules_are_followed_through() -> None:
    shared = nn.Linear(8, 8)
    scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.Tanh()))
    model = nn.Sequential(nn.Dropout(0.5), scripted, shared, nn.ReLU(), shared, nn.BatchNorm1d(8))
    report = diagnose(model, torch.randn(16, 8), select=["PLC"])
    assert [finding.code for finding in report.at_least("warning")] == ["PLC002", "PLC019"]


def test_autocast_is_a_context_of_the_passes() -> None:
    evidence = examine(net(), X, context=lambda: torch.autocast("cpu", torch.bfloat16))
    assert evidence.trace is not None
    assert "torch.bfloat16" in {operation.dtype for operation in evidence.trace.operations if operation.op == "linear"}


class Shy(nn.Module):
    """Raises while some mode is watching."""

    def __init__(self, bears_functions: bool) -> None:
        super().__init__()
        self.drop, self.norm, self.bears_functions = nn.Dropout(0.5), nn.BatchNorm1d(8), bears_functions

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch._C._len_torch_dispatch_stack() or (not self.bears_functions and torch._C._len_torch_function_stack()):
            raise RuntimeError("I am being watched")
        return self.norm(self.drop(x))


def test_functions_alone_are_followed_where_the_dispatch_mode_is_not_borne() -> None:
    report = diagnose(Shy(bears_functions=True), X, select=["PLC001"])
    assert report.evidence is not None
    assert report.evidence.trace is not None
    assert report.evidence.trace.technique == "functions"
    assert [finding.severity for finding in report.findings] == ["warning"]


def test_registration_order_is_used_where_nothing_is_borne() -> None:
    report = diagnose(Shy(bears_functions=False), X, select=["PLC001", "LOS"])
    assert report.evidence is not None
    assert report.evidence.step is not None
    assert [(finding.code, finding.severity) for finding in report.findings] == [("PLC001", "info")]
    reason = "the pass could not be followed: RuntimeError: I am being watched"
    assert f"not verified ({reason})" in report.findings[0].message
    assert any("LOS001" in note and "I am being watched" in note for note in report.notes)


def test_without_a_batch_static_rules_are_checked_and_the_rest_is_said() -> None:
    report = diagnose(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.9)))
    assert [finding.code for finding in report.findings] == ["PLC005"]
    assert any("PLC002" in note and "(no batch was given)" in note for note in report.notes)


def test_a_model_that_must_not_be_run_is_read_alone() -> None:
    loader = DataLoader(TensorDataset(*classes(64)), batch_size=2)
    evidence = examine(Step(net()), train_dataloaders=loader, not_traced="not traced under FSDP")
    report = judge(evidence, choose_rules())
    assert [finding.message for finding in report.findings if finding.code == "PLC011"] == [
        "BatchNorm1d over 2 samples per batch, fewer than 8"
    ]
    assert any("not traced under FSDP" in note for note in report.notes)


def test_the_training_loader_gives_the_batch_and_is_left_as_it_was() -> None:
    loader = DataLoader(TensorDataset(*classes(64)), 16, shuffle=True, generator=torch.Generator().manual_seed(3))
    state = loader.generator.get_state()
    report = diagnose(Step(net()), train_dataloaders=loader)
    assert report.evidence is not None
    assert report.evidence.step is not None
    assert report.evidence.batch is not None
    assert report.evidence.batch.size == 16
    assert torch.equal(loader.generator.get_state(), state)


def test_of_several_loaders_a_step_is_given_a_batch_of_each() -> None:
    class Two(Step):
        def training_step(self, batch: Any) -> torch.Tensor:
            return self(batch["a"][0]).mean() + self(batch["b"][0]).mean()

    loader = DataLoader(TensorDataset(*classes(64)), 16)
    evidence = examine(Two(net()), train_dataloaders={"a": loader, "b": loader})
    assert evidence.error is None
    assert evidence.batch is not None
    assert [leaf.path for leaf in evidence.batch.leaves] == ["a.0", "a.1", "b.0", "b.1"]


@pytest.mark.parametrize("loader", [[], DataLoader(TensorDataset(torch.zeros(0, 8)))], ids=["list", "loader"])
def test_an_empty_loader_is_a_finding(loader: Any) -> None:
    report = diagnose(Step(net()), train_dataloaders=loader)
    assert [finding.code for finding in report.errors] == ["DOC001"]
    assert any("the training loader is empty" in note for note in report.notes)


def test_a_datamodule_stands_for_both_loaders() -> None:
    class Data(pl.LightningDataModule):
        def setup(self, stage: str) -> None:
            self.rows = TensorDataset(*classes(64))

        def train_dataloader(self) -> Any:
            return DataLoader(self.rows, 16)

        def val_dataloader(self) -> Any:
            return {"a": DataLoader(self.rows, 8)}

    evidence = diagnose(Step(net()), datamodule=Data()).evidence
    assert evidence is not None
    assert evidence.train_loader is not None
    assert evidence.val_loader is not None
    assert (evidence.train_loader.rows, evidence.val_loader.batch_size) == (64, 8)


def test_optimizers_that_cannot_be_built_are_said_not_to_be_checked() -> None:
    class Late(Step):
        def configure_optimizers(self) -> Any:
            raise RuntimeError("ask me later")

    report = diagnose(Late(net()), classes())
    assert any("OPT004" in note and "RuntimeError: ask me later" in note for note in report.notes)


def test_lazy_parameters_stay_lazy() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.Dropout(0.5), nn.LazyBatchNorm1d())
    report = diagnose(model, X, select=["PLC001"])
    assert [finding.severity for finding in report.findings] == ["warning"]
    assert all(nn.parameter.is_lazy(tensor) for tensor in [*model.parameters(), model[2].running_mean])
    assert [type(layer).__name__ for layer in model] == ["LazyLinear", "Dropout", "LazyBatchNorm1d"]
    assert model(X).shape == (16, 4)


def test_a_process_group_is_not_seen_by_a_step_and_is_left_intact(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 2)  # of one alone nothing need be hidden

    class Asking(Step):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            seen.append(torch.distributed.is_initialized())
            return self(self.all_gather(batch[0])).mean()

    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert examine(Asking(net()), classes()).error is None
        assert torch.distributed.is_initialized()
    finally:
        torch.distributed.destroy_process_group()
    assert seen
    assert not any(seen)
