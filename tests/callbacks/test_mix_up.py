"""MixUp: inputs and every target blended alike, in training batches only, with a generator of its own."""

from typing import Any

import pytest
import torch
from stateful_net import end_state, fit_stateful
from tiny import Net, same, trainer, weights
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import BatchAugment, CutMix, LRFinder, MixUp, NormalizeInputs

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(12) % 3


class Watching(Net):
    """Keeps the batches of each stage; its loss is that of three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(8, 3)
        self.seen: dict[str, list[Any]] = {}

    def loss(self, batch: Any) -> Tensor:
        self.seen.setdefault(self.trainer.state.stage.value, []).append(batch)
        return torch.nn.functional.cross_entropy(self.head(self.body(batch[0])), batch[1])


def fit(*callbacks: Any, data: Any = (X, CLASSES), batch_size: int = 4, net: Any = None) -> Any:
    net = Watching() if net is None else net
    loader = DataLoader(TensorDataset(*data), batch_size)
    trainer(*callbacks, max_epochs=1).fit(net, loader, loader)
    return net


def mixed(batch: Any, *, seed: int = 0, mixer: type[Any] = MixUp, **arguments: Any) -> Any:
    """What a mixer makes of one batch."""
    return mixer(seed=seed, **arguments).apply(batch)


def test_training_batches_are_blended_and_validation_is_not() -> None:
    net = fit(MixUp(1.0, num_classes=3))
    for at, (x, y) in enumerate(net.seen["train"]):
        rows = slice(4 * at, 4 * at + 4)
        own, classes = X[rows], torch.eye(3)[CLASSES[rows]]
        candidates = [
            (shift, share)
            for shift in (1, 2, 3)
            if torch.allclose(x, (share := _share(x, own, shift)) * own + (1 - share) * own.roll(shift, 0), atol=1e-5)
        ]
        ((shift, share),) = candidates
        torch.testing.assert_close(y, share * classes + (1 - share) * classes.roll(shift, 0))
    validated = [batch for stage in ("sanity_check", "validate") for batch in net.seen[stage]]
    assert all(y.dtype == torch.int64 for _, y in validated)
    assert torch.equal(torch.cat([x for x, _ in net.seen["validate"]]), X)


def _share(x: Tensor, own: Tensor, shift: int) -> float:
    difference = own - own.roll(shift, 0)
    return float(((x - own.roll(shift, 0)) * difference).sum() / difference.square().sum())


def test_regression_values_probabilities_flags_and_several_targets_are_blended_alike() -> None:
    batch = {
        "id": ["a", "b", "c"], "x": X[:3], "value": torch.tensor([1.0, 2.0, 3.0]), "class": CLASSES[:3],
        "flags": torch.tensor([[True], [False], [False]]),
    }  # fmt: skip
    new = mixed(batch, num_classes=3, alpha=1.0)
    share, shift = new["class"][0, 0].item(), 1 if new["class"][0, 2] > 0 else 2
    expected = share * batch["value"] + (1 - share) * batch["value"].roll(shift, 0)
    torch.testing.assert_close(new["value"], expected)
    torch.testing.assert_close(new["flags"][:, 0], torch.eye(3)[0] * share + torch.eye(3)[shift] * (1 - share))
    assert new["id"] is batch["id"]
    assert batch["class"].dtype == torch.int64
    probabilities = torch.eye(3)
    blended = mixed((X[:3], probabilities), alpha=1.0)[1]
    torch.testing.assert_close(blended.sum(1), torch.ones(3))


def test_sequences_and_images_are_blended_too() -> None:
    for shape in ((4, 7, 2), (4, 3, 5, 5)):
        inputs = torch.randn(shape)
        x, y = mixed((inputs, torch.arange(4)), num_classes=4)
        assert not torch.equal(x, inputs)
        torch.testing.assert_close(x, torch.einsum("ij,j...->i...", y, inputs))  # each target says how rows were mixed


def test_several_integer_targets_have_a_number_of_classes_each() -> None:
    _, first, second = mixed((X[:4], CLASSES[:4], CLASSES[:4]), num_classes=[3, 5])
    assert (first.shape, second.shape) == ((4, 3), (4, 5))


def test_only_named_targets_are_mixed() -> None:
    batch = (X[:4], CLASSES[:4], torch.arange(4.0))
    x, classes, weight = mixed(batch, targets=[1], num_classes=3)
    assert weight is batch[2]
    assert not torch.equal(x, batch[0])
    assert classes.shape == (4, 3)


@pytest.mark.parametrize("arguments", [{"p": 0.0}, {}])
def test_targets_become_probabilities_where_nothing_is_mixed(arguments: Any) -> None:
    rows = 4 if arguments else 1
    x, y = mixed((X[:rows], CLASSES[:rows]), num_classes=3, **arguments)
    assert torch.equal(x, X[:rows])
    assert torch.equal(y, torch.eye(3)[CLASSES[:rows]])


@pytest.mark.parametrize("mixer", [MixUp, CutMix])
@pytest.mark.parametrize(
    ("batch", "arguments", "message"),
    [
        ((X, CLASSES), {}, r"cannot mix class indices \(the entry 1, .* without `num_classes`. Give the number"),
        ((X, CLASSES), {"num_classes": 2}, "`num_classes`=2, but the targets contain class index 2"),
        ((X, CLASSES, CLASSES), {"num_classes": [3]}, "without `num_classes`"),
        ((X, ["a"] * 12), {}, "the entry 1 of the batch, a list of str.* Name the entries to mix with `targets`"),
        ((X, torch.ones(5)), {}, r"cannot mix the entry 1 of the batch, \(5,\) float32: it is not a tensor of 12 rows"),
        ((CLASSES, X), {"key": 0}, "mixes floating-point inputs, got .* Add `NormalizeInputs`"),
        ((CLASSES,), {}, "no floating-point tensor"),
    ],
)
def test_what_cannot_be_mixed_is_refused_at_the_first_batch(
    mixer: Any, batch: Any, arguments: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mixed(batch, mixer=mixer, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"alpha": 0}, ValueError, "`alpha` must lie in"),
        ({"p": 1.5}, ValueError, r"`p` must lie in \[0, 1\], got 1.5"),
        ({"num_classes": 1}, ValueError, "`num_classes` must be at least 2"),
        ({"num_classes": 2.0}, TypeError, "`num_classes` must be a list"),
        ({"targets": [None]}, TypeError, "`targets` must be names or indices"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        MixUp(**arguments)


def test_each_rank_and_each_batch_draws_its_own_and_the_global_generator_is_untouched() -> None:
    def draws(rank: int, seed: int = 0) -> list[Any]:
        mixer = MixUp(1.0, seed=seed)
        mixer._rank = rank
        return [mixer.apply((X, X))[0] for _ in range(3)]

    before = torch.get_rng_state()
    first, again, other, reseeded = draws(0), draws(0), draws(1), draws(0, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert same(first, again)
    distinct = [*first, *other, *reseeded]
    assert all(not torch.equal(a, b) for i, a in enumerate(distinct) for b in distinct[:i])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_normalization_augmentation_and_mixing_act_in_this_order_whatever_the_list(order: Any) -> None:
    def tricks() -> list[Any]:
        return [NormalizeInputs(), BatchAugment(lambda x: x + x.abs()), MixUp(1.0, num_classes=3)]

    made = tricks()
    assert same(fit(*(made[i] for i in order)).seen, fit(*tricks()).seen)


def test_the_finder_sees_mixed_batches_and_leaves_the_draws_as_they_were() -> None:
    def run(*callbacks: Any) -> Any:
        return end_state(*fit_stateful(None, callbacks=list(callbacks)))

    def mixers() -> list[Any]:
        return [MixUp(1.0), BatchAugment(lambda x: x + torch.randn_like(x))]

    finder, bare = LRFinder(num_steps=15, apply=False), LRFinder(num_steps=15, apply=False)
    assert same(run(*mixers(), finder), run(*mixers()))
    run(bare)
    assert finder.result is not None
    assert bare.result is not None
    assert finder.result.losses[0] != bare.result.losses[0]


def test_mixing_changes_what_is_learned_and_a_second_mixer_mixes_once_more() -> None:
    nets = [fit(*mixers) for mixers in ((), (MixUp(num_classes=3),), (MixUp(num_classes=3), CutMix()))]
    found = [weights(net) for net in nets]
    assert not same(found[0], found[1])
    assert not same(found[1], found[2])
