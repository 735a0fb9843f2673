"""Nets and losses of MONAI: segmentation in two and three dimensions, autoencoders, classifiers, diffusion."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss
from monai.networks import nets
from program import Stepping, Trained, adam, adamw, add, images, loader, program
from torch import Tensor, nn


def _masks(x: Tensor) -> Tensor:
    blur = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
    return (blur(x.mean(1, keepdim=True), 5, 1, 2) > 0.1).float()


_FLAT = {
    "unet": lambda: nets.UNet(2, 1, 2, (8, 16, 32), (2, 2), num_res_units=1, dropout=0.1),
    "unet_with_batch_norm": lambda: nets.UNet(2, 1, 2, (8, 16, 32), (2, 2), norm="batch"),
    "attention_unet": lambda: nets.AttentionUnet(2, 1, 2, (8, 16, 32), (2, 2)),
    "basic_unet": lambda: nets.BasicUNet(2, 1, 2, (8, 8, 16, 16, 32, 8)),
    "basic_unet_plus_plus": lambda: _First(nets.BasicUNetPlusPlus(2, 1, 2, (8, 8, 16, 16, 32, 8))),
    "segresnet": lambda: nets.SegResNet(2, 8, 1, 2, blocks_down=(1, 1), blocks_up=(1,)),
    "dynunet": lambda: nets.DynUNet(2, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), filters=(8, 16, 32)),
    "unetr": lambda: nets.UNETR(1, 2, 32, feature_size=8, hidden_size=48, mlp_dim=64, num_heads=4, spatial_dims=2),
    "swin_unetr": lambda: nets.SwinUNETR(
        1, 2, feature_size=12, spatial_dims=2, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 4)
    ),
    "flexible_unet": lambda: nets.FlexibleUNet(1, 2, "efficientnet-b0", spatial_dims=2),
    "highresnet": lambda: nets.HighResNet(2, 1, 2, layer_params=(
        {"name": "conv_0", "n_features": 8, "kernel_size": 3},
        {"name": "res_1", "n_features": 8, "kernels": (3, 3), "repeat": 1},
        {"name": "conv_1", "n_features": 8, "kernel_size": 1}, {"name": "conv_2", "kernel_size": 1})),
}  # fmt: skip
_DEEP = {
    "vnet": lambda: nets.VNet(3, 1, 2),
    "segresnet_3d": lambda: nets.SegResNet(3, 8, 1, 2, blocks_down=(1, 1), blocks_up=(1,)),
    "unet_3d": lambda: nets.UNet(3, 1, 2, (4, 8, 16), (2, 2), num_res_units=1),
}
_CLASSIFIERS = {
    "densenet": lambda: nets.DenseNet(2, 1, 3, init_features=8, growth_rate=4, block_config=(2, 2)),
    "resnet": lambda: nets.ResNet(
        "basic", [1, 1, 1, 1], [8, 8, 16, 16], spatial_dims=2, n_input_channels=1, num_classes=3
    ),
    "se_resnet": lambda: nets.SEResNet50(spatial_dims=2, in_channels=1, num_classes=3, layers=(1, 1, 1, 1)),
    "efficientnet": lambda: nets.EfficientNetBN(
        "efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=3
    ),
    "classifier": lambda: nets.Classifier((1, 32, 32), 3, (4, 8), (2, 2), dropout=0.1),
    "vit": lambda: _First(nets.ViT(1, 32, 8, hidden_size=32, mlp_dim=64, num_layers=2, num_heads=2, classification=True,
                                   num_classes=3, spatial_dims=2, post_activation="none")),
}  # fmt: skip


_KNOWN = {
    "unet": {"PLC008": "the last residual unit adds its input, which dropout thinned, to the logits"},
    "basic_unet_plus_plus": {"BEH006": "without deep supervision the heads of the inner levels are never used"},
    "flexible_unet": {"BEH006": "the classifier of its encoder is built and never used"},
    "vnet": {"PLC002": "its blocks have dropout before the next block's batch norm"},
    "unetr": {"BEH006": "the norm of cross attention is built in each block, and only some use it"},
    "classes_efficientnet": {"INI005": "the head's weights are drawn by its outputs, so that logits begin far from 0"},
    "classes_vit": {"BEH006": "the norm of cross attention is built in each block, and only some use it"},
}


class _First(nn.Module):
    """The first of a net's outputs."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Any) -> Any:
        return self.net(*inputs)[0]


def _segmentation(make: Any, dims: int, tune: Any, side: int = 32) -> Any:
    x, _ = images(side, 1, dims=dims, rows=256)
    return Trained(make(), DiceCELoss(to_onehot_y=True, softmax=True), tune), loader(x, _masks(x), size=8)


def _classifier(make: Any, tune: Any) -> Any:
    return Trained(make(), tune=tune), loader(*images(32, 1))


for _number, (_name, _make) in enumerate(_FLAT.items()):
    _side = 64 if _name == "swin_unetr" else 32
    add("monai", _name, partial(_segmentation, _make, 2, (adam, adamw)[_number % 2], _side), **_KNOWN.get(_name, {}))
for _name, _make in _DEEP.items():
    add("monai", _name, partial(_segmentation, _make, 3, adam, 16), **_KNOWN.get(_name, {}))
for _number, (_name, _make) in enumerate(_CLASSIFIERS.items()):
    add(
        "monai",
        f"classes_{_name}",
        partial(_classifier, _make, (adam, adamw)[_number % 2]),
        **_KNOWN.get(f"classes_{_name}", {}),
    )


@program("monai")
def autoencoder() -> Any:
    net = nets.AutoEncoder(2, 1, 1, (8, 16), (2, 2))
    x, _ = images(32, 1)
    return Trained(net, F.mse_loss), loader(x, x)


@program("monai")
def variational_autoencoder() -> Any:
    net = nets.VarAutoEncoder(2, (1, 32, 32), 1, 8, (8, 16), (2, 2))

    def step(parts: Any, batch: Any) -> Tensor:
        rebuilt, mean, logvar, _ = parts["vae"](batch[0])
        return F.mse_loss(rebuilt, batch[0]) - 0.01 * (1 + logvar - mean**2 - logvar.exp()).mean()

    return Stepping(step, vae=net), loader(images(32, 1)[0].sigmoid())


@program("monai")
def diffusion() -> Any:
    net = nets.DiffusionModelUNet(2, 1, 1, num_res_blocks=(1, 1), channels=(8, 16), attention_levels=(False, True),
                                  norm_num_groups=4, num_head_channels=8)  # fmt: skip

    def step(parts: Any, batch: Any) -> Tensor:
        noise, time = torch.randn_like(batch[0]), torch.randint(100, (len(batch[0]),))
        share = (1 - time / 100).view(-1, 1, 1, 1)
        return F.mse_loss(parts["unet"](share.sqrt() * batch[0] + (1 - share).sqrt() * noise, time), noise)

    return Stepping(step, unet=net), loader(images(16, 1)[0])


@program("monai")
def regressor() -> Any:
    net = nets.Regressor((1, 32, 32), (1,), (4, 8), (2, 2))
    x, y = images(32, 1)
    return Trained(net, F.mse_loss), loader(x, y[:, None].float() - 1)
