"""Segmentation nets of segmentation-models-pytorch with its losses."""

from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
from program import Trained, adam, adamw, add, images, loader
from torch import Tensor
from torch.nn import functional as F

_NETS = ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet")


def _masks(x: Tensor) -> Tensor:
    """Return 1 where smoothed images are bright, ``(rows, 1, side, side)``."""
    return (F.avg_pool2d(x.mean(1, keepdim=True), 9, 1, 4) > 0.2).float()


def _many_classes(name: str) -> Any:
    x, _ = images(128 if name == "PAN" else 64, rows=208)
    net = getattr(smp, name)("resnet18", encoder_weights=None, classes=2)
    return Trained(net, tune=adam), loader(x, _masks(x)[:, 0].long(), size=8)


def _binary(name: str) -> Any:
    x, _ = images(64, rows=208)
    net = getattr(smp, name)("mobilenet_v2", encoder_weights=None, classes=1)
    dice, entropy = smp.losses.DiceLoss("binary"), smp.losses.SoftBCEWithLogitsLoss()
    return Trained(net, lambda logits, y: dice(logits, y) + entropy(logits, y), adamw), loader(x, _masks(x), size=8)


_ASPP = {"PLC002": "dropout at the end of its pyramid of dilated convolutions, then a convolution and a batch norm"}
_KNOWN = {
    "PSPNet": {
        "BEH006": "its encoder is used to a depth of 3, and the stages behind get no gradient; DDP refuses that"
    },
    "DeepLabV3": _ASPP,
    "DeepLabV3Plus": _ASPP,
}

for _number, _name in enumerate(_NETS):
    add(
        "segmentation-models-pytorch",
        _name,
        partial((_many_classes, _binary)[_number % 2], _name),
        **_KNOWN.get(_name, {}),
    )
