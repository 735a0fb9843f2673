"""Layer output: what one layer puts out, and refusals."""

import pytest
import torch
from torch import Tensor, nn

from lightning_tricks.functional.layer_output import layer_output


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(self.shared(x))


def test_no_hook_stays_behind_even_after_an_exception() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    x = torch.zeros(4, 2)
    torch.testing.assert_close(layer_output(model, "0", x), model[0](x))
    torch.testing.assert_close(layer_output(model, None, x), model(x))
    with pytest.raises(RuntimeError):
        layer_output(model, "0", torch.zeros(4, 3))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(("layer", "times"), [("shared", 2), ("unused", 0)])
def test_a_layer_must_run_once(layer: str, times: int) -> None:
    with pytest.raises(RuntimeError, match=f"`layer` '{layer}' of Twice ran {times} times in one call"):
        layer_output(Twice(), layer, torch.zeros(1, 2))


def test_a_layer_that_does_not_exist_is_refused_with_close_names() -> None:
    with pytest.raises(ValueError, match="got 'share'; for instance 'shared'"):
        layer_output(Twice(), "share", torch.zeros(1, 2))
    with pytest.raises(ValueError, match="it has none"):
        layer_output(nn.Linear(1, 1), "x", torch.zeros(1, 1))
    with pytest.raises(TypeError, match="the name of a submodule or None, got 3"):
        layer_output(Twice(), 3, torch.zeros(1, 2))  # type: ignore[arg-type]
