"""Self-supervised methods of lightly: heads, losses, momentum copies and memory banks over a small backbone."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from lightly.loss import (
    BarlowTwinsLoss,
    DCLLoss,
    DINOLoss,
    NegativeCosineSimilarity,
    NTXentLoss,
    SwaVLoss,
    TiCoLoss,
    VICRegLoss,
)  # fmt: skip
from lightly.models.modules import heads
from lightly.models.utils import deactivate_requires_grad, update_momentum
from program import Stepping, adam, adamw, images, loader, momentum, program
from torch import Tensor, nn


def backbone() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def views(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the images with noise, and mirrored with noise."""
    return x + 0.2 * torch.randn_like(x), x.flip(3) + 0.2 * torch.randn_like(x)


def pictures() -> Any:
    return loader(images()[0], size=32)


def _pair(parts: Any, batch: Any) -> Tensor:
    first, second = (parts["head"](parts["backbone"](view)) for view in views(batch[0]))
    return parts["loss"](first, second)


def _method(head: nn.Module, loss: Any, tune: Any = adam) -> Any:
    return Stepping(_pair, tune, backbone=backbone(), head=head, loss=loss), pictures()


@program("lightly")
def simclr() -> Any:
    return _method(heads.SimCLRProjectionHead(32, 32, 16), NTXentLoss(0.5), momentum)


@program("lightly")
def simclr_with_a_memory_bank() -> Any:
    return _method(heads.SimCLRProjectionHead(32, 32, 16), NTXentLoss(0.5, memory_bank_size=(64, 16)))


@program("lightly")
def decoupled_contrast() -> Any:
    return _method(heads.SimCLRProjectionHead(32, 32, 16), DCLLoss(0.1))


@program("lightly")
def barlow_twins() -> Any:
    return _method(heads.BarlowTwinsProjectionHead(32, 64, 64), BarlowTwinsLoss())


@program("lightly")
def vicreg() -> Any:
    return _method(heads.VICRegProjectionHead(32, 64, 64), VICRegLoss(), adamw)


@program("lightly")
def tico() -> Any:
    return _method(heads.TiCoProjectionHead(32, 32, 16), TiCoLoss())


@program("lightly")
def simsiam() -> Any:
    criterion = NegativeCosineSimilarity()

    def step(parts: Any, batch: Any) -> Tensor:
        first, second = (parts["head"](parts["backbone"](view)) for view in views(batch[0]))
        forth, back = parts["predictor"](first), parts["predictor"](second)
        return (criterion(forth, second.detach()) + criterion(back, first.detach())) / 2

    model = Stepping(step, momentum, backbone=backbone(), head=heads.SimSiamProjectionHead(32, 32, 32),
                     predictor=heads.SimSiamPredictionHead(32, 8, 32))  # fmt: skip
    return model, pictures()


def _with_copies(step: Any, tune: Any = adam, **parts: nn.Module) -> Stepping:
    copies = {f"{name}_momentum": copy.deepcopy(part) for name, part in parts.items() if name != "predictor"}
    for part in copies.values():
        deactivate_requires_grad(part)
    return Stepping(step, tune, **parts, **copies)


def _follow(parts: Any) -> None:
    for name in ("backbone", "head"):
        update_momentum(parts[name], parts[f"{name}_momentum"], 0.99)


@program("lightly")
def byol() -> Any:
    criterion = NegativeCosineSimilarity()

    def step(parts: Any, batch: Any) -> Tensor:
        _follow(parts)
        first, second = views(batch[0])
        predictions = [parts["predictor"](parts["head"](parts["backbone"](view))) for view in (first, second)]
        with torch.no_grad():
            targets = [parts["head_momentum"](parts["backbone_momentum"](view)) for view in (second, first)]
        return sum(criterion(p, t) for p, t in zip(predictions, targets, strict=True)) / 2

    model = _with_copies(step, momentum, backbone=backbone(), head=heads.BYOLProjectionHead(32, 64, 16),
                         predictor=heads.BYOLPredictionHead(16, 64, 16))  # fmt: skip
    return model, pictures()


@program("lightly")
def momentum_contrast() -> Any:
    def step(parts: Any, batch: Any) -> Tensor:
        _follow(parts)
        first, second = views(batch[0])
        query = parts["head"](parts["backbone"](first))
        key = parts["head_momentum"](parts["backbone_momentum"](second)).detach()
        return parts["loss"](query, key)

    model = _with_copies(step, momentum, backbone=backbone(), head=heads.MoCoProjectionHead(32, 32, 16))
    model.net["loss"] = NTXentLoss(0.1, memory_bank_size=(128, 16))
    return model, pictures()


@program("lightly")
def dino() -> Any:
    class Distilled(Stepping):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            parts = self.net
            _follow(parts)
            seen = views(batch[0])
            teacher = [parts["head_momentum"](parts["backbone_momentum"](view)) for view in seen]
            student = [parts["head"](parts["backbone"](view)) for view in seen]
            return self.criterion(teacher, student, epoch=self.current_epoch)

        def on_after_backward(self) -> None:
            self.net["head"].cancel_last_layer_gradients(current_epoch=self.current_epoch)

    student, head = backbone(), heads.DINOProjectionHead(32, 64, 16, 64, freeze_last_layer=1)
    following, head_of_teacher = copy.deepcopy(student), heads.DINOProjectionHead(32, 64, 16, 64)
    for part in (following, head_of_teacher):
        deactivate_requires_grad(part)
    model = Distilled(lambda *_: torch.zeros(()), adamw, backbone=student, head=head, backbone_momentum=following,
                      head_momentum=head_of_teacher)  # fmt: skip
    model.criterion = DINOLoss(output_dim=64, warmup_teacher_temp_epochs=2)
    return model, pictures()


@program("lightly")
def swav() -> Any:
    criterion = SwaVLoss()

    def step(parts: Any, batch: Any) -> Tensor:
        parts["prototypes"].normalize()
        first, second = views(batch[0])
        scores = [
            parts["prototypes"](F.normalize(parts["head"](parts["backbone"](view)), dim=1)) for view in (first, second)
        ]
        return criterion(scores, [])

    model = Stepping(step, adam, backbone=backbone(), head=heads.SwaVProjectionHead(32, 32, 16),
                     prototypes=heads.SwaVPrototypes(16, n_prototypes=24))  # fmt: skip
    return model, pictures()
