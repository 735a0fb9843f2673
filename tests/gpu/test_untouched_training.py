"""The finder and the doctor leave a training bit-identical, and the device's memory as it was."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from coarse_momentum import CoarseMomentum
from gpu_device import ASKED, DEVICE, ON_CUDA, synchronize, trainer_settings
from stateful_net import DATA, StatefulNet, end_state, fit_stateful
from tiny import same
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_tricks import Doctor, LRFinder, diagnose

LOOKING: dict[str, Callable[[], Any]] = {
    "finder": lambda: LRFinder(num_steps=20, max_lr=1e3, apply=False, log_figure=False),
    "doctor": Doctor,
}


class DeviceNet(StatefulNet):
    """Convolutions, noise drawn on the device, and work on a second stream, in addition to all of `StatefulNet`."""

    def __init__(self, optimizer: str = "adam", scheduler: str | None = None) -> None:
        super().__init__(optimizer, scheduler)
        self.conv = nn.Conv1d(1, 2, 3, padding=1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        x = self.aside(lambda: self.conv(x.unsqueeze(1)).mean(1) + torch.randn(4, device=x.device))
        return super().training_step((x, y), batch_idx)

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        if not ON_CUDA:
            return work()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            found = work()
        torch.cuda.current_stream().wait_stream(stream)
        return found

    def configure_optimizers(self) -> Any:
        if self.optimizer == "coarse":
            return CoarseMomentum(self.parameters())
        return (
            torch.optim.AdamW(self.parameters(), fused=True)
            if self.optimizer == "fused"
            else super().configure_optimizers()
        )


def pinned() -> DataLoader:
    generator = torch.Generator().manual_seed(5)
    return DataLoader(DATA, 20, shuffle=True, generator=generator, num_workers=1, pin_memory=ON_CUDA)


def ended(callback: Any, optimizer: str, precision: str) -> dict[str, Any]:
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = True
    runner, net = fit_stateful(
        callback, "large batches", net=DeviceNet(optimizer), **trainer_settings(precision=precision, max_epochs=2)
    )
    found = end_state(runner, net)
    return found | ({"cuda": torch.cuda.get_rng_state_all()} if ON_CUDA else {})


WAYS = [("adam", "32-true"), ("fused", "bf16-mixed"), ("coarse", "32-true")]
if ASKED:
    WAYS += [("sgd", "bf16-mixed"), ("tensor", "32-true"), ("lbfgs", "32-true")]


@pytest.mark.parametrize(("optimizer", "precision"), WAYS)
@pytest.mark.parametrize("looking", LOOKING)
def test_a_training_with_it_ends_as_one_without_it(looking: str, optimizer: str, precision: str) -> None:
    assert same(ended(LOOKING[looking](), optimizer, precision), ended(None, optimizer, precision))


if ASKED:

    @pytest.mark.parametrize("looking", LOOKING)
    def test_with_workers_and_pinned_memory_too(looking: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(fit_stateful.__globals__["LOADERS"], "large batches", pinned)
        assert same(ended(LOOKING[looking](), "adam", "32-true"), ended(None, "adam", "32-true"))


def test_diagnosing_a_model_leaves_it_and_the_generators_as_they_were() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)).to(DEVICE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state(), torch.rand(3, device=DEVICE)
    torch.manual_seed(3)
    model2 = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)).to(DEVICE)
    diagnose(model2, torch.randn(16, 4, device=DEVICE, generator=torch.Generator(DEVICE).manual_seed(1)))
    assert same((torch.get_rng_state(), torch.rand(3, device=DEVICE)), state)
    assert same(dict(model2.state_dict()), before)


if ON_CUDA:

    class Wide(StatefulNet):
        """Forty million weights: 160 MB, a thousand times what a batch and its activations need."""

        def __init__(self) -> None:
            super().__init__("sgd")
            self.wide = nn.Linear(6400, 6400, bias=False)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return super().training_step(batch, batch_idx) + self.wide(batch[0].repeat(1, 1600)).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    @pytest.mark.parametrize("looking", LOOKING)
    def test_memory_afterwards_is_as_before_and_the_peak_is_one_copy(looking: str) -> None:
        found = {}
        for name, callback in {"with": LOOKING[looking](), "without": None}.items():
            synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            start = torch.cuda.memory_allocated()
            runner, net = fit_stateful(callback, "large batches", net=Wide(), **trainer_settings(max_epochs=1))
            size = sum(param.nbytes for param in net.parameters())
            found[name] = torch.cuda.max_memory_allocated() - start
            del runner, net, callback
            assert torch.cuda.memory_allocated() - start < 1 << 20
        assert found["with"] - found["without"] < 1.1 * size + (8 << 20)
