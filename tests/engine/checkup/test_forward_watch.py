"""Forward watch: what forward passes of a run show of units, loss terms and classes, and that nothing stays behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from tiny import Net, fit, same, trainer, weights
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_tricks import Doctor, RunReport
from lightning_tricks.doctor.facts.run_facts import ForwardFacts
from lightning_tricks.doctor.reading.containers import tensors_in
from lightning_tricks.engine.checkup import nonfinite_rerun
from lightning_tricks.engine.checkup.forward_watch import ForwardWatch
from lightning_tricks.engine.checkup.host_copy import to_host


class Rows(Net):
    """A net on 8 features and three classes, in batches of 32."""

    def __init__(self, net: nn.Module, lr: float = 0.01) -> None:
        super().__init__()
        self.net, self.lr = net, lr
        del self.body, self.head

    def loss(self, batch: Any) -> torch.Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def train_dataloader(self) -> Any:
        x = torch.randn(640, 8, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, x[:, :3].argmax(1)), 32, shuffle=True)

    val_dataloader = None

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), self.lr)


def dense(act: type[nn.Module], width: int = 32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, width), act(), nn.Linear(width, width), act(), nn.Linear(width, 3))


def run(net: Any, select: tuple[str, ...] = ("ACT", "LOS009", "DAT008"), **arguments: Any) -> Doctor:
    torch.manual_seed(0)
    doctor = Doctor(select=select)
    fit(doctor, net=net, log_every_n_steps=10, **arguments)
    return doctor


def found(doctor: Doctor) -> list[tuple[str, str, str]]:
    return [(each.code, each.severity, each.where) for each in doctor.report.findings]


def facts(doctor: Doctor) -> ForwardFacts:
    forward = doctor._watch.facts.forward
    assert forward is not None
    return forward


def test_relus_that_die_during_training_are_reported() -> None:
    doctor = run(Rows(dense(nn.ReLU), lr=0.3))
    assert ("ACT003", "warning", "net.3") in found(doctor)
    message = next(each.message for each in doctor.report.findings if each.where == "net.3")
    assert "of the 32 units of this relu (in the first batch " in message
    assert "are 0 on all 96 samples, above 40%" in message


def test_tanhs_that_saturate_during_training_are_reported() -> None:
    assert ("ACT002", "warning", "net.3") in found(run(Rows(dense(nn.Tanh), lr=0.3)))


@pytest.mark.parametrize("act", [nn.ReLU, nn.Tanh])
def test_a_healthy_run_is_measured_and_not_reported(act: type[nn.Module]) -> None:
    doctor = run(Rows(dense(act)))
    assert found(doctor) == []
    forward = facts(doctor)
    assert (forward.step, forward.batches) == (50, 6)
    assert [(each.module, each.units, each.samples) for each in forward.activations] == [
        ("net.1", 32, 96),
        ("net.3", 32, 96),
    ]
    assert sum(forward.classes) == 6 * 32


def test_units_are_channels_after_a_convolution_and_calls_of_functions_count() -> None:
    class Images(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv1d(1, 5, 3), nn.Linear(30, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(F.relu(self.conv(x[:, None])).flatten(1))

    forward = facts(run(Rows(Images())))
    assert [(each.op, each.module, each.units) for each in forward.activations] == [("relu", "net", 5)]


def test_a_term_that_grows_beyond_the_others_is_reported_and_one_that_is_learned_is_not() -> None:
    class Terms(Rows):
        growth = 1.5

        def loss(self, batch: Any) -> torch.Tensor:
            squares = sum(each.square().sum() for each in self.parameters())  # a sum within a term
            self.scale = self.scale * self.growth if hasattr(self, "scale") else 1e-3
            return super().loss(batch) + self.scale * squares

    grown = run(Terms(dense(nn.ReLU)), accumulate_grad_batches=2)
    assert found(grown)[0][:2] == ("LOS009", "info")
    assert "the larger one was " in grown.report.findings[0].message
    assert len(facts(grown).terms) == 2
    Terms.growth = 0.8
    assert found(run(Terms(dense(nn.ReLU)))) == []


class Stream(IterableDataset):
    """Classes of which the second is rare."""

    def __iter__(self) -> Any:
        generator = torch.Generator().manual_seed(0)
        for _ in range(1280):
            x = torch.randn(8, generator=generator)
            yield x, (torch.rand((), generator=generator) > 0.96).long()


def test_classes_of_a_stream_are_counted_unless_the_loss_has_weights() -> None:
    class Streamed(Rows):
        given: torch.Tensor | None = None

        def loss(self, batch: Any) -> torch.Tensor:
            return F.cross_entropy(self.net(batch[0])[:, :2], batch[1], self.given)

        def train_dataloader(self) -> Any:
            return DataLoader(Stream(), 64)

    rare = run(Streamed(dense(nn.ReLU)), ("DAT008",), max_epochs=8)
    assert found(rare) == [("DAT008", "warning", "train loader")]
    assert "class 0 has " in rare.report.findings[0].message
    Streamed.given = torch.tensor([1.0, 24.0])
    assert found(run(Streamed(dense(nn.ReLU)), ("DAT008",), max_epochs=8)) == []


class Modes(Callback):
    """Count the function modes that are active at the ends of batches and of the fit."""

    def __init__(self) -> None:
        self.active: list[int] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.active.append(torch._C._len_torch_function_stack())

    on_fit_end = on_exception = on_train_batch_end


@pytest.mark.parametrize("manual", [False, True])
def test_no_mode_is_left_and_training_is_bit_identical(manual: bool) -> None:
    modes = Modes()
    watched, bare = fit(Doctor(), modes, net=Net(manual), log_every_n_steps=2), fit(net=Net(manual))
    assert set(modes.active) == {0}
    assert same(weights(watched), weights(bare))


def test_an_exception_in_a_watched_step_leaves_no_mode_behind() -> None:
    class Raises(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.trainer.global_step == 2:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    with pytest.raises(ZeroDivisionError):
        fit(Doctor(), net=Raises(), log_every_n_steps=2)
    assert torch._C._len_torch_function_stack() == 0
    assert not torch.nn.modules.module._global_forward_hooks


def test_a_part_that_fails_is_a_note_and_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_tricks.engine.checkup.forward_watch.name_of", lambda _: 1 / 0)
    doctor = Doctor()
    net = fit(doctor, log_every_n_steps=1)
    assert len(net.trace) == 18
    assert any("follow a forward pass" in note for note in doctor.report.notes)


def test_a_pass_under_vmap_is_left_alone() -> None:
    class Mapped(Rows):
        def loss(self, batch: Any) -> torch.Tensor:
            logits = torch.func.vmap(lambda row: torch.relu(self.net(row[None]))[0])(batch[0])
            return F.cross_entropy(logits, batch[1])

    doctor = run(Mapped(nn.Linear(8, 3)))
    assert facts(doctor).activations == ()
    assert not any("Not watched" in note for note in doctor.report.notes)


def test_compiled_modules_are_left_alone() -> None:
    net = Net()
    net._compiled_call_impl = lambda *_: None
    watch = ForwardWatch(lambda see: see())
    watch.start(trainer(), net)
    assert torch._C._len_torch_function_stack() == 0
    assert watch.take().batches == 0


def test_a_step_that_may_call_a_compiled_function_is_left_alone() -> None:
    """Under a mode the function would be compiled again, and its graph would break at the watch's own work."""
    net, watch = Net(), ForwardWatch(lambda see: see())
    torch.compile(lambda x: x + 1, backend="eager")
    watch.start(trainer(), net)
    assert torch._C._len_torch_function_stack() == 0
    torch._dynamo.reset()
    watch.start(trainer(), net)
    assert watch.is_active
    watch.stop()


class Waits(TorchFunctionMode):
    """Count the calls that would wait for a device: reading what is not yet a copy in host memory."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._copies: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in ("item", "tolist", "cpu", "__bool__", "__float__", "numpy", "nonzero"):
            places = {each.untyped_storage().data_ptr() for each in self._copies}
            given = [each for each in tensors_in(args) if each.untyped_storage().data_ptr() not in places]
            self.calls += [name] * bool(given)
        if name == "cpu":
            self._copies.append(result)
        return result


class WaitsByBatch(Callback):
    """Count the waits of each batch, from the end of the batch before."""

    def __init__(self, waits: Waits) -> None:
        self.waits, self.counts, self.last = waits, [], 0

    def on_train_start(self, *_: Any) -> None:
        self.last = len(self.waits.calls)

    def on_train_batch_end(self, *_: Any) -> None:
        self.counts.append(len(self.waits.calls) - self.last)
        self.last = len(self.waits.calls)


def waits_of_batches(*callbacks: Any) -> list[int]:
    with Waits() as waits:
        counter = WaitsByBatch(waits)
        fit(*callbacks, counter, net=Rows(dense(nn.ReLU)), log_every_n_steps=5, max_epochs=1)
    return counter.counts


def test_a_step_waits_for_the_device_once_where_it_is_read_and_never_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonfinite_rerun, "_can_rerun", lambda *_: False)  # as on a device whose numbers take a wait
    bare = waits_of_batches()
    ours = waits_of_batches(Doctor(), RunReport(str(tmp_path), curves=False))
    added = [count - without for count, without in zip(ours, bare, strict=True)][1:]  # the first look is before batch 0
    assert [batch for batch, count in enumerate(added, 1) if count] == [4, 9, 14, 19]
    assert set(added) == {0, 1}


def test_tensors_are_copied_to_the_host_with_one_wait() -> None:
    with Waits() as waits:
        copies = to_host([torch.ones(2, 2), torch.tensor(3), torch.zeros(0)])
    assert waits.calls == ["cpu"]
    assert [each.tolist() for each in copies] == [[[1, 1], [1, 1]], 3, []]
