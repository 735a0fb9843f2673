"""Loss history: the training losses of a run so far, kept on their device in a bounded number of means."""

from typing import Any

import torch
from torch import Tensor

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.core.step_output import returned_loss

MOST = 128


class LossHistory:
    """Means of the losses of equally many consecutive batches each.

    There are at most ``MOST`` means: when one more is needed, neighbors are joined. Adding a loss does not wait for the
    device.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new history."""
        self._sums: list[Tensor] = []
        self._width = 1  # batches per sum
        self._last = 0  # batches in the last sum

    def add(self, output: Any) -> None:
        """Add the loss in the output of a batch, if it is one number."""
        loss = returned_loss(output)
        if loss is None or loss.numel() != 1:
            return
        value = loss.detach().reshape(()).float()
        if self._sums and self._last < self._width:
            self._sums[-1] = self._sums[-1] + value
            self._last += 1
            return
        if len(self._sums) == MOST:
            self._sums = [even + odd for even, odd in zip(self._sums[::2], self._sums[1::2], strict=True)]
            self._width *= 2
        self._sums.append(value.clone())
        self._last = 1

    def means(self) -> list[float]:
        """Return the means, oldest first; synchronizes with the device."""
        counts = [self._width] * (len(self._sums) - 1) + [self._last]
        return [total / count for total, count in zip(self._read(), counts, strict=False)]

    def _read(self) -> list[float]:
        sums: list[float] = stack_tensors(self._sums).tolist() if self._sums else []
        return sums

    def plain_state(self) -> dict[str, Any]:
        """Return the state that must survive a restart, as plain values."""
        return {"sums": self._read(), "width": self._width, "last": self._last}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from such a state."""
        self._sums = list(torch.tensor(state["sums"], dtype=torch.float32).unbind())
        self._width, self._last = state["width"], state["last"]
