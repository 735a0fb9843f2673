"""Mixing: the papers' formulas, as torchvision writes them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_tricks.functional.mixing import (
    blend_rows,
    check_class_indices,
    draw_box,
    draw_span,
    paste_rows,
    to_probabilities,
)

IMAGES = torch.randn(5, 3, 8, 6, generator=torch.Generator().manual_seed(0))


def written_out(values: Tensor, share: float) -> Tensor:
    """MixUp as torchvision 0.2x has it in `transforms.v2`: the partner is the row before."""
    return values.roll(1, 0).mul_(1.0 - share).add_(values.mul(share))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_blending_equals_the_formula_on_the_same_draw(share: float) -> None:
    torch.testing.assert_close(blend_rows(IMAGES, 1, share), written_out(IMAGES, share))
    for i in range(5):
        torch.testing.assert_close(blend_rows(IMAGES, 2, share)[i], share * IMAGES[i] + (1 - share) * IMAGES[i - 2])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.floats(0, 0.999), st.floats(0, 0.999))
def test_a_box_leaves_the_share_that_it_says(height: int, width: int, share: float, y: float, x: float) -> None:
    box, left = draw_box(height, width, share, (y, x))
    covered = torch.zeros(1, height, width)
    covered[(slice(None), *box)] = 1
    assert left == pytest.approx(1 - covered.mean().item(), abs=1e-6)
    assert left >= share - 1e-9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.floats(0, 1), st.floats(0, 0.999))
def test_a_span_lies_within_the_sequence_and_leaves_the_share_that_it_says(
    length: int, share: float, start: float
) -> None:
    span, left = draw_span(length, share, start)
    assert 0 <= span.start <= span.stop <= length
    assert left == pytest.approx(1 - (span.stop - span.start) / length)
    assert abs(left - share) <= 0.5 / length + 1e-9


def test_pasting_takes_the_region_of_the_partner_and_leaves_the_rest() -> None:
    box, _ = draw_box(8, 6, 0.5, (0.5, 0.5))
    pasted = paste_rows(IMAGES, 2, box)
    inside = torch.zeros(8, 6, dtype=torch.bool)
    inside[box[1:]] = True
    assert torch.equal(pasted[..., inside], IMAGES.roll(2, 0)[..., inside])
    assert torch.equal(pasted[..., ~inside], IMAGES[..., ~inside])


def test_class_indices_become_probabilities_and_ignored_ones_zeros() -> None:
    target = torch.tensor([[0, 2], [-100, 1]])
    probabilities = to_probabilities(target, 3)
    assert probabilities.shape == (2, 3, 2)
    assert probabilities.argmax(1)[target >= 0].tolist() == [0, 2, 1]
    assert probabilities.sum(1).tolist() == [[1, 1], [0, 1]]
    logits = torch.randn(4, 3)
    hard = torch.tensor([0, 1, 2, 1])
    cross_entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(cross_entropy(logits, to_probabilities(hard, 3)), cross_entropy(logits, hard))


@pytest.mark.parametrize("index", [3, -1])
def test_an_index_outside_the_classes_is_named(index: int) -> None:
    check_class_indices(torch.tensor([0, 2, -100]), 3)
    with pytest.raises(ValueError, match=f"`num_classes`=3, but the targets contain class index {index}"):
        check_class_indices(torch.tensor([0, index]), 3)
