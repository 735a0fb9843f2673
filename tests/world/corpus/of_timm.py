"""Image classifiers of timm."""

from functools import partial
from typing import Any

import timm
from program import Trained, adam, adamw, add, images, loader, momentum

_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
_MLP = {"img_size": 64}
_TUNES = (adam, adamw, momentum)

# side of the images and the arguments of each model
_MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "resnet10t": (32, {}), "test_resnet": (64, {}), "test_byobnet": (64, {}), "test_convnext": (64, {}),
    "test_convnext2": (64, {}), "test_efficientnet": (64, {}), "test_efficientnet_gn": (64, {}),
    "test_mambaout": (64, {}), "test_nfnet": (64, {}), "test_maxvit": (96, {"img_size": 96}),
    "test_vit": (32, {"img_size": 32, "patch_size": 8}), "test_vit4": (32, {"img_size": 32, "patch_size": 8}),
    "vit_tiny_patch16_224": (32, _VIT), "deit_tiny_distilled_patch16_224": (32, _VIT),
    "beit_base_patch16_224": (32, _VIT), "eva02_tiny_patch14_224": (32, _VIT), "mixer_s16_224": (64, _MLP),
    "resmlp_12_224": (64, _MLP), "gmlp_ti16_224": (64, _MLP), "cait_xxs24_224": (32, _VIT),
    "mobilenetv3_small_050": (64, {}), "lcnet_050": (64, {}), "repvgg_a0": (32, {}), "ghostnet_050": (64, {}),
    "edgenext_xx_small": (64, {}), "mobilevit_xxs": (64, {}),
    "swin_tiny_patch4_window7_224": (
        32, {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 2)}
    ),
}  # fmt: skip


_KNOWN = {"lcnet_050": {"INI005": "its head draws weights that are large for so few classes"}}


def _build(name: str, side: int, arguments: dict[str, Any], tune: Any) -> Any:
    net = timm.create_model(name, pretrained=False, num_classes=3, **arguments)
    rows = 256 if side < 100 else 208
    return Trained(net, tune=tune), loader(*images(side, rows=rows))


for _number, (_name, (_side, _arguments)) in enumerate(_MODELS.items()):
    add("timm", _name, partial(_build, _name, _side, _arguments, _TUNES[_number % 3]), **_KNOWN.get(_name, {}))
