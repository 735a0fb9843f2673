"""The figures of `make gpu`: each is printed as soon as it is known, in a line that starts with `figure:`.

On a CPU the sizes are small: the figures then show that the measurement works, not what a GPU does.

Usage: python benchmarks/gpu_figures.py cuda|cpu keeping|clipping|fits|finder|diagnose
"""

import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import AdaptiveGradientClipping, Doctor, GradientClipping, diagnose, find_lr
from lightning_tricks.core.weight_snapshot import WeightSnapshot

DEVICE = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
ON_CUDA = DEVICE.type == "cuda"
BYTES = 2**30 if ON_CUDA else 2**22


def figure(name: str, value: str) -> None:
    print(f"figure: {name:<58} {value:>22}", flush=True)


def synchronize() -> None:
    if ON_CUDA:
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], repeats: int = 7, *, wait: bool = True) -> float:
    """Return the median time of a call; with `wait` until the device has finished, else until the host goes on."""
    found = []
    for turn in range(repeats + 2):
        synchronize()
        start = time.perf_counter()
        work()
        if wait:
            synchronize()
        if turn > 1:
            found.append(time.perf_counter() - start)
    synchronize()
    return statistics.median(found)


def bandwidth() -> float:
    """Return the bytes a second that a copy on the device reads and writes."""
    source = torch.empty(BYTES // 4, device=DEVICE)
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: target.copy_(source))


def keeping() -> None:
    """Keep weights in host memory: how long the host is busy, how long the copy takes, and a step next to it."""
    side = int((BYTES / 4 / 16) ** 0.5)
    model = nn.Sequential(*[nn.Linear(side, side, bias=False) for _ in range(16)]).to(DEVICE)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x = torch.randn(2048 if ON_CUDA else 8, side, device=DEVICE)

    def step() -> None:
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    snapshot = WeightSnapshot()
    size = sum(param.nbytes for param in model.parameters())
    first = time.perf_counter()
    snapshot.take(model)
    snapshot.named_copies()
    figure("the first copy, which pins the memory", f"{1e3 * (time.perf_counter() - first):.1f} ms")
    snapshot = WeightSnapshot()
    snapshot.take(model)
    alone = seconds(step)
    figure(f"a step of a model of {size / 2**30:.2f} GiB", f"{1e3 * alone:.2f} ms")
    figure("keeping it: until the host goes on", f"{1e3 * seconds(lambda: snapshot.take(model), wait=False):.2f} ms")
    copied = seconds(lambda: snapshot.take(model))
    figure("keeping it: until the copy has arrived", f"{1e3 * copied:.2f} ms, {size / copied / 1e9:.1f} GB/s")

    def both() -> None:
        snapshot.take(model)
        step()

    figure("keeping it and a step, over a step", f"{seconds(both) / alone:.2f}")
    kept = [param.detach().clone() for param in model.parameters()]
    snapshot.take(model)
    step()
    snapshot.restore_(model)
    same = all(map(torch.equal, kept, (param.detach() for param in model.parameters())))
    figure("restored bit for bit", "yes" if same else "NO")


def hook_of(callback: Any, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """The callback's hook, with as much of a Trainer as it looks at."""
    trainer = SimpleNamespace(optimizers=[optimizer], precision_plugin=None, global_step=0)
    module = SimpleNamespace(automatic_optimization=True)

    def hook() -> None:
        callback.on_before_optimizer_step(trainer, module, optimizer)
        optimizer.__dict__.pop("found_inf", None)  # as the step does

    return hook


def clipping() -> None:
    """Clip gradients that nothing changes: a threshold that is never reached reads and writes them all the same."""
    speed = bandwidth()
    figure("memory bandwidth of a copy", f"{speed / 1e9:.0f} GB/s")
    for count in (10, 1000):
        rows = max(1, BYTES // 4 // count // 1024)
        params = [nn.Parameter(torch.ones(rows, 1024, device=DEVICE)) for _ in range(count)]
        for param in params:
            param.grad = torch.randn_like(param) * 1e-5
        size = sum(param.grad.nbytes for param in params)
        optimizer = torch.optim.SGD(params, lr=0.1, fused=True)
        theirs = seconds(lambda params=params: nn.utils.clip_grad_norm_(params, 1e9, foreach=True))
        figure(f"{count} tensors: torch's clip_grad_norm_, foreach", f"{1e3 * theirs:.2f} ms")
        their_values = seconds(lambda params=params: nn.utils.clip_grad_value_(params, 1e9, foreach=True))
        # passes over the gradients: one to measure, two (read and write) to scale; for AGC the weights as well
        ways = {
            "norm": (GradientClipping(1e9), theirs, 3),
            "value": (GradientClipping(clip_value=1e9), their_values, 5),
            "AGC": (AdaptiveGradientClipping(1e9), theirs, 4),
        }
        for name, (callback, other, passes) in ways.items():
            ours = seconds(hook_of(callback, optimizer))
            share = passes * size / ours / speed
            figure(f"{count} tensors: {name}", f"{1e3 * ours:.2f} ms, x{ours / other:.2f}, {share:.0%}")


class Timed(L.LightningModule):
    """A step of about so many milliseconds: as many passes through one layer as that takes."""

    def __init__(self, passes: int, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head, self.passes = nn.Linear(width, width), nn.Linear(width, 1), passes

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x = batch[0]
        for _ in range(self.passes):
            x = self.layer(x).tanh()
        return self.head(x).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-4, fused=True)


def rows(count: int, width: int, size: int) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    return DataLoader(TensorDataset(torch.randn(count * size, width, generator=generator)), size, pin_memory=ON_CUDA)


def fit_seconds(net: L.LightningModule, loader: Any, *callbacks: Any, epochs: int = 3) -> float:
    """Return the time of the last epoch of a fit."""
    marks: list[float] = []

    class Clock(L.pytorch.Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            synchronize()
            marks.append(time.perf_counter())

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    accelerator = "gpu" if ON_CUDA else "cpu"
    clock = Clock()
    runner = L.Trainer(
        accelerator=accelerator, devices=1, callbacks=[*callbacks, clock], max_epochs=epochs, **quiet,
        enable_model_summary=False,
    )  # fmt: skip
    runner.fit(net, loader)
    return marks[-1] - marks[-2]


def several() -> list[Any]:
    """One callback of each kind that may act in a step."""
    import lightning_tricks as lt

    return [
        lt.CosineDecay(),
        lt.GradientClipping(1.0),
        lt.Doctor(),
        lt.WeightPenalty(l2=1e-4),
        lt.ReduceLROnPlateau(monitor="train_loss", strict=False),
        lt.EarlyStopping(monitor="train_loss", strict=False),
        lt.BatchAugment(lambda x: x),
        lt.RunReport(tempfile.mkdtemp(), curves=False),
    ]


def fits() -> None:
    """A whole fit with and without the callbacks."""
    width = 2048 if ON_CUDA else 128
    size = 512 if ON_CUDA else 16
    x = torch.randn(size, width, device=DEVICE)
    probe = Timed(16, width).to(DEVICE)
    one = seconds(lambda: probe.training_step([x], 0).backward()) / 16
    for wanted in (5, 50):
        passes = max(1, round(wanted * 1e-3 / one))
        count = 60 if ON_CUDA else 4
        loader = rows(count, width, size)
        bare = fit_seconds(Timed(passes, width), loader)
        ours = fit_seconds(Timed(passes, width), loader, *several())
        figure(f"a step of {1e3 * bare / count:.1f} ms: all callbacks over none", f"x{ours / bare:.3f}")
        for name, callback in {"Doctor": Doctor(), "GradientClipping": GradientClipping(1.0)}.items():
            alone = fit_seconds(Timed(passes, width), loader, callback)
            figure(f"a step of {1e3 * bare / count:.1f} ms: {name} over none", f"x{alone / bare:.3f}")


def finder() -> None:
    """A sweep of 100 steps against a loop of 100 steps."""
    width = 2048 if ON_CUDA else 64
    size = 512 if ON_CUDA else 16
    steps = 100 if ON_CUDA else 20
    loader = rows(30, width, size)
    net = Timed(8, width).to(DEVICE)
    batches = [batch[0].to(DEVICE) for batch in loader]

    def bare() -> None:
        optimizer = net.configure_optimizers()
        for step in range(steps):
            optimizer.zero_grad()
            net.training_step([batches[step % len(batches)]], step).backward()
            optimizer.step()

    alone = seconds(bare, 3)
    figure(f"{steps} steps of a bare loop", f"{alone:.3f} s")
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    runner = L.Trainer(accelerator="gpu" if ON_CUDA else "cpu", devices=1, **quiet, enable_model_summary=False)
    ours = seconds(lambda: find_lr(Timed(8, width), loader, trainer=runner, num_steps=steps, max_lr=1e-3), 1)
    figure(f"find_lr over {steps} steps, set-up included", f"{ours:.3f} s, x{ours / alone:.2f}")


def bottleneck(width_in: int, width: int, stride: int) -> nn.Module:
    """A residual block of a ResNet-50."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            plan = [(width_in, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
            parts: list[nn.Module] = []
            for i, (a, b, kernel, step) in enumerate(plan):
                parts += [nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False), nn.BatchNorm2d(b)]
                parts += [nn.ReLU()] if i < 2 else []
            self.body = nn.Sequential(*parts)
            self.aside: nn.Module = nn.Identity()
            if stride != 1 or width_in != 4 * width:
                cut = nn.Conv2d(width_in, 4 * width, 1, stride, bias=False)
                self.aside = nn.Sequential(cut, nn.BatchNorm2d(4 * width))

        def forward(self, x: Tensor) -> Tensor:
            return (self.body(x) + self.aside(x)).relu()

    return Block()


def resnet(depths: tuple[int, ...] = (3, 4, 6, 3)) -> nn.Module:
    parts: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    before = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for block in range(depth):
            parts.append(bottleneck(before, width, 2 if stage and not block else 1))
            before = 4 * width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1000))


class Transformer(nn.Module):
    """A decoder of the size of GPT-2: 12 layers of width 768, 50,257 tokens."""

    def __init__(self, layers: int = 12, width: int = 768, tokens: int = 50257) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        layer = nn.TransformerEncoderLayer(width, 12, 4 * width, 0.1, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, tokens, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        return self.head(self.body(self.tokens(x), mask=mask, is_causal=True))


def diagnoses() -> None:
    """Diagnose two models of the usual size; against one forward and backward pass of each."""
    whole = ON_CUDA
    programs: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
        "ResNet-50": (
            lambda: resnet() if whole else resnet((1, 1, 1, 1)),
            lambda: torch.randn(32 if whole else 2, 3, 224 if whole else 64, 224 if whole else 64, device=DEVICE),
        ),
        "transformer": (
            lambda: Transformer() if whole else Transformer(1, 48, 500),
            lambda: torch.randint(0, 500, (8 if whole else 2, 512 if whole else 16), device=DEVICE),
        ),
    }
    for name, (build, draw) in programs.items():
        model, batch = build().to(DEVICE), draw()
        size = sum(param.numel() for param in model.parameters())

        def step(model: nn.Module = model, batch: Tensor = batch) -> None:
            model(batch).float().mean().backward()
            model.zero_grad()

        one = seconds(step, 3)
        ours = seconds(lambda model=model, batch=batch: diagnose(model, batch), 1)
        figure(f"diagnose, {name} of {size / 1e6:.0f} M weights", f"{ours:.2f} s, x{ours / one:.1f} of a step")
        if ON_CUDA:
            figure(f"peak memory of diagnose, {name}", f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
            torch.cuda.reset_peak_memory_stats()
        del model, batch


PARTS = {"keeping": keeping, "clipping": clipping, "fits": fits, "finder": finder, "diagnose": diagnoses}


def main(part: str) -> None:
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning_utilities", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    PARTS[part]()


if __name__ == "__main__":
    main(sys.argv[2])
