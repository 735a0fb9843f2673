"""Tensors of every layout, from a value, and as dense ones."""

import torch

EXOTIC = {
    "sparse": lambda value: (value * torch.eye(4)).to_sparse(),
    "csr": lambda value: (torch.eye(4) * value if value == 1 else torch.full((4, 4), value)).to_sparse_csr(),
    "bsr": lambda value: torch.full((4, 4), value).to_sparse_bsr((2, 2)),
    "expanded": lambda value: torch.full((4,), value).expand(3, 4),
    "windows": lambda value: torch.full((6,), value).unfold(0, 3, 1),
    "quantized": lambda value: torch.quantize_per_tensor(torch.full((4,), value), 0.1, 0, torch.qint8),
    "nested": lambda value: torch.nested.nested_tensor([torch.full((2,), value), torch.full((3,), value)]),
    "jagged": lambda value: torch.nested.nested_tensor(
        [torch.full((2,), value), torch.full((3,), value)], layout=torch.jagged
    ),
    "mkldnn": lambda value: torch.full((4,), value).to_mkldnn(),
    "conjugated": lambda value: torch.full((4,), value, dtype=torch.complex64).conj(),
    "in inference mode": lambda value: torch.inference_mode()(torch.full)((4,), value),
}


def dense(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_nested:
        return torch.cat(list(tensor.unbind()))
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout == torch.strided else tensor.to_dense()
