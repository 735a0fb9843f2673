"""Locked dropout: one mask per row for all steps, nothing in evaluation mode."""

import pytest
import torch

from lightning_tricks import LockedDropout


@pytest.mark.parametrize("batch_first", [True, False])
def test_each_row_has_one_mask_for_all_its_steps(batch_first: bool) -> None:
    torch.manual_seed(0)
    ones = torch.ones(200, 9, 16) if batch_first else torch.ones(9, 200, 16)
    dropped = LockedDropout(0.25, batch_first=batch_first)(ones)
    rows = dropped if batch_first else dropped.transpose(0, 1)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert sorted(rows.unique().tolist()) == pytest.approx([0, 1 / 0.75])
    assert rows.mean() == pytest.approx(1, abs=0.03)
    assert not torch.equal(rows[0], rows[1])


def test_nothing_is_dropped_in_evaluation_mode_or_at_rate_zero() -> None:
    x = torch.randn(2, 3, 4)
    assert LockedDropout(0.5).eval()(x) is x
    assert LockedDropout(0.0)(x) is x


def test_what_it_cannot_drop_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`p` must lie in \[0, 1\), got 1"):
        LockedDropout(1)
    with pytest.raises(ValueError, match=r"three-dimensional sequence, got shape \(2, 3\)"):
        LockedDropout()(torch.ones(2, 3))
