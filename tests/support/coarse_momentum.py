"""An optimizer whose state is like that of 8-bit ones."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class CoarseMomentum(torch.optim.Optimizer):
    """Momentum kept as bytes with a scale, lists, numbers and nested parts."""

    def __init__(self, params: Iterable[Tensor], lr: float = 0.05) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._move(param, group["lr"])
        return loss

    def _move(self, param: Tensor, lr: float) -> None:
        state = self.state[param]
        if not state:
            zero = torch.zeros_like(param)
            state.update(codes=zero.to(torch.int8), quant={"scale": zero.new_ones(())}, seen=0, past=[None])
        momentum = state["codes"].to(param.dtype) * state["quant"]["scale"] * 0.9 + param.grad
        state["quant"]["scale"] = momentum.abs().amax().clamp(min=1e-12) / 127
        state["codes"].copy_((momentum / state["quant"]["scale"]).round())
        state["seen"], state["past"] = state["seen"] + 1, [momentum]
        param.sub_(momentum, alpha=lr)
