"""Nets, losses and augmentations of kornia."""

from typing import Any

import kornia
import torch
import torch.nn.functional as F
from kornia.models.vit import VisionTransformer
from kornia.models.vit_mobile import MobileViT
from program import Stepping, Trained, adam, adamw, images, loader, program
from torch import Tensor, nn


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3))  # fmt: skip


def pixels() -> tuple[Tensor, Tensor]:
    x, y = images()
    return x.sigmoid(), y


@program("kornia")
def augmented_on_the_batch() -> Any:
    change = kornia.augmentation.AugmentationSequential(
        kornia.augmentation.RandomHorizontalFlip(), kornia.augmentation.ColorJitter(0.1, 0.1, 0.1, 0.1),
        kornia.augmentation.Normalize(torch.full((3,), 0.5), torch.full((3,), 0.25)),
    )  # fmt: skip

    def step(parts: Any, batch: Any) -> Tensor:
        return F.cross_entropy(parts["net"](parts["change"](batch[0])), batch[1])

    return Stepping(step, change=change, net=small()), loader(*pixels())


@program("kornia")
def mixed_up() -> Any:
    mix = kornia.augmentation.RandomMixUpV2(data_keys=["input", "class"])

    def step(parts: Any, batch: Any) -> Tensor:
        x, labels = mix(batch[0] * 4 - 2, batch[1])
        logits = parts["net"](x)
        first, second, share = labels[:, 0].long(), labels[:, 1].long(), labels[:, 2]
        losses = F.cross_entropy(logits, first, reduction="none") * (1 - share)
        return (losses + F.cross_entropy(logits, second, reduction="none") * share).mean()

    return Stepping(step, net=small()), loader(*pixels())


@program("kornia")
def vision_transformer() -> Any:
    body = VisionTransformer(image_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)

    def step(parts: Any, batch: Any) -> Tensor:
        return F.cross_entropy(parts["head"](parts["body"](batch[0])[:, 0]), batch[1])

    return Stepping(step, adamw, body=body, head=nn.Linear(32, 3)), loader(*images())


@program("kornia")
def mobile_vit() -> Any:
    net = nn.Sequential(MobileViT("xxs"), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(320, 3))
    return Trained(net), loader(*images(256, rows=208), size=8)


@program("kornia")
def focal_segmentation() -> Any:
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 2, 1)
    )
    x, _ = images()
    masks = (F.avg_pool2d(x.mean(1), 5, 1, 2) > 0.1).long()
    return Trained(net, lambda out, y: kornia.losses.focal_loss(out, y, alpha=0.5, reduction="mean")), loader(x, masks)


@program("kornia")
def dice_segmentation() -> Any:
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 2, 1)
    )
    x, _ = images()
    masks = (F.avg_pool2d(x.mean(1), 5, 1, 2) > 0.1).long()
    return Trained(net, kornia.losses.dice_loss), loader(x, masks)


@program("kornia")
def tversky_segmentation() -> Any:
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 2, 1))
    x, _ = images()
    masks = (F.avg_pool2d(x.mean(1), 5, 1, 2) > 0.1).long()
    return Trained(net, lambda out, y: kornia.losses.tversky_loss(out, y, 0.5, 0.5)), loader(x, masks)


@program("kornia")
def denoiser_by_structural_similarity() -> Any:
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 3, 3, 1, 1))

    def step(parts: Any, batch: Any) -> Tensor:
        noisy = kornia.augmentation.RandomGaussianNoise(std=0.1, p=1.0)(batch[0])
        return kornia.losses.ssim_loss(parts["net"](noisy), batch[0], 5) + F.l1_loss(parts["net"](noisy), batch[0])

    return Stepping(step, adam, net=net), loader(pixels()[0])


@program("kornia")
def rotation_found_by_warping() -> Any:
    def step(parts: Any, batch: Any) -> Tensor:
        angle = parts["net"](batch[0])[:, 0] * 10
        return F.mse_loss(kornia.geometry.transform.rotate(batch[0], angle), batch[0].flip(3))

    return Stepping(step, adam, net=small()), loader(pixels()[0])


@program("kornia", PLC002="HardNet has dropout before its last convolution, and a batch norm behind that")
def local_descriptors() -> Any:
    net = kornia.feature.HardNet(pretrained=False)

    def step(parts: Any, batch: Any) -> Tensor:
        grey = batch[0].mean(1, keepdim=True)
        first, second = parts["net"](grey), parts["net"](grey + 0.05 * torch.randn_like(grey))
        return F.cross_entropy(first @ second.T / 0.1, torch.arange(len(grey)))

    return Stepping(step, adam, net=net), loader(images()[0])
