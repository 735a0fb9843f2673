"""Step output: the loss is found in what a step returns."""

from types import MappingProxyType

import torch

from lightning_tricks.core.step_output import returned_loss


def test_the_loss_is_the_output_itself_or_its_entry_of_that_name() -> None:
    loss = torch.ones(())
    assert returned_loss(loss) is loss
    assert returned_loss({"loss": loss, "rows": 8}) is loss
    assert returned_loss(MappingProxyType({"loss": loss})) is loss


def test_an_output_without_a_tensor_has_no_loss() -> None:
    assert [returned_loss(output) for output in (None, 0.5, {}, {"loss": 0.5}, {"losses": torch.ones(())}, [1])] == (
        [None] * 6
    )
