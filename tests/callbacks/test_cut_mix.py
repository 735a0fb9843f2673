"""CutMix: boxes of images, spans of sequences, columns of tables, and targets by the share that was pasted."""

from typing import Any

import pytest
import torch

from lightning_tricks import CutMix

CLASSES = torch.tensor([0, 1, 2, 3, 4])
INPUTS = {
    "image": torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 16, 12),
    "sequence": torch.arange(5.0).view(5, 1, 1).expand(5, 20, 3),
    "channels_first": torch.arange(5.0).view(5, 1, 1).expand(5, 3, 20),
    "table": torch.arange(5.0).view(5, 1).expand(5, 24),
}
"""Row i holds i everywhere."""


@pytest.mark.parametrize("layout", INPUTS)
def test_a_connected_part_is_pasted_and_the_target_follows_its_share(layout: Any) -> None:
    mixer, values, mixes = CutMix(num_classes=5, layout=layout), INPUTS[layout], 0
    for _ in range(20):
        x, y = mixer.apply((values, CLASSES))
        own = x == values
        share = own.flatten(1).float().mean(1)
        torch.testing.assert_close(y.gather(1, CLASSES[:, None])[:, 0], share)
        torch.testing.assert_close(y.sum(1), torch.ones(5))
        places = (~own).nonzero()
        mixes += len(places) > 0
        if len(places):
            box = places.amax(0) - places.amin(0) + 1
            assert box.prod() == len(places)
            whole_channels = 1 if layout in ("image", "channels_first") else 2 if layout == "sequence" else None
            if whole_channels is not None:
                assert box[whole_channels] == values.shape[whole_channels]
    assert mixes > 10


def test_the_layout_is_found_from_the_number_of_dimensions() -> None:
    for layout in ("image", "sequence", "table"):
        drawn = [CutMix(layout=kind, num_classes=5).apply((INPUTS[layout], CLASSES))[0] for kind in ("auto", layout)]
        assert torch.equal(*drawn)


@pytest.mark.parametrize(("layout", "shape"), [("image", (5, 16, 12)), ("sequence", (5, 20))])
def test_classes_for_each_pixel_or_step_are_pasted_where_the_inputs_are(layout: Any, shape: tuple[int, ...]) -> None:
    target = torch.arange(5).view(5, *[1] * (len(shape) - 1)).expand(shape)
    for seed in range(5):
        x, y = CutMix(num_classes=5, layout=layout, seed=seed).apply((INPUTS[layout], target))
        classes = x[:, 0] if layout == "image" else x[..., 0]
        assert torch.equal(y.argmax(1), classes.long())
        assert set(y.unique().tolist()) == {0.0, 1.0}


def test_regression_values_and_probabilities_follow_the_share() -> None:
    values = torch.arange(5.0)
    x, y, p = CutMix(seed=3).apply((INPUTS["table"], values, torch.eye(5)))
    torch.testing.assert_close(y, x.mean(1))
    torch.testing.assert_close(p @ values, y)


@pytest.mark.parametrize(("layout", "shape"), [("image", (5, 4)), ("sequence", (5,)), ("table", (5,))])
def test_a_layout_that_does_not_fit_is_refused(layout: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"`layout`='{layout}' does not fit"):
        CutMix(layout=layout).apply((torch.ones(shape), torch.ones(5)))


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="`layout` must be one of 'auto', 'image'"):
        CutMix(layout="video")  # type: ignore[arg-type]
