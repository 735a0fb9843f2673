"""Patients of the rules on dropout's rate."""

from typing import Any

import torch
import torch.nn.functional as F
from patient import Calling, healthy, sick
from torch import nn


@sick("PLC005", "Dropout", "p = 0.9", "0.7", severity="warning")
def most_is_dropped() -> dict:
    return {"model": nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9), nn.Linear(4, 1))}


@sick("PLC005", "p = 1", severity="error")
def all_is_dropped() -> dict:
    return {"model": nn.Sequential(nn.Linear(4, 4), nn.Dropout2d(1.0))}


@sick("PLC005", "`dropout` has p = True: a flag was passed", severity="error")
def the_training_flag_as_rate() -> dict:
    net = Calling(lambda net, x: net.fc(F.dropout(x, net.training)), fc=nn.Linear(4, 1))
    return {"model": net, "batch": torch.randn(3, 4)}


@healthy("PLC005")
def a_functional_rate_with_the_flag() -> dict:
    net = Calling(lambda net, x: net.fc(F.dropout(x, 0.3, net.training)), fc=nn.Linear(4, 1))
    return {"model": net, "batch": torch.randn(3, 4)}


@sick("PLC005", "p = 0.1", "[0.2, 0.5]", "3 times", severity="info")
def a_low_rate_in_repeated_blocks_is_mentioned_once() -> dict:
    blocks = [nn.ModuleDict({"layer": nn.Linear(4, 4), "drop": nn.Dropout(0.1)}) for _ in range(3)]
    return {"model": nn.Sequential(*blocks)}


@healthy("PLC005")
def customary_rate() -> dict:
    return {"model": nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3), nn.Dropout(0.0), nn.Linear(4, 1))}


@healthy("PLC005")
def torchs_transformer_layer_at_its_default() -> dict:
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    return {"model": nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)}


@healthy("PLC005")
def a_transformer_of_ones_own_at_the_published_rate() -> dict:
    block = nn.ModuleDict({"mixer": nn.MultiheadAttention(8, 2), "drop": nn.Dropout(0.1)})
    return {"model": nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), block)}


@healthy("PLC005")
def a_transformer_of_functions_at_the_published_rate() -> dict:
    def forward(parts: Any, x: torch.Tensor) -> torch.Tensor:
        return parts.drop(F.scaled_dot_product_attention(*parts.qkv(x).chunk(3, -1)))

    return {"model": Calling(forward, qkv=nn.Linear(8, 24), drop=nn.Dropout(0.1)), "batch": torch.randn(4, 6, 8)}


@sick("PLC005", "p = 0.02", "[0.1, 0.5]", severity="info")
def a_transformer_far_below_the_published_rate() -> dict:
    return {"model": nn.TransformerEncoderLayer(8, 2, 16, dropout=0.02)}


@healthy("PLC005")
def attention_dropout() -> dict:
    return {"model": nn.ModuleDict({"attention_dropout": nn.Dropout(0.1)})}
