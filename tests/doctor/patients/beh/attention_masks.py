"""Patients of the rule on attention masks."""

import torch
import torch.nn.functional as F
from patient import Calling, healthy, sick
from torch import Tensor, nn


def padded() -> Tensor:
    """Ids `(8, 10)` of words above 0, padded with 0 after 2 to 9 words."""
    ids = torch.randint(1, 30, (8, 10), generator=torch.Generator().manual_seed(0))
    return ids * (torch.arange(10) < torch.arange(2, 10)[:, None])


def over_words(attend: object, batch: Tensor | None = None) -> dict:
    """A residual attention over words, whose masks are made of the ids."""

    def forward(net: nn.Module, ids: Tensor) -> Tensor:
        x = net.words(ids)
        return net.head((x + attend(net, x, ids)).mean(1))

    parts = {"words": nn.Embedding(30, 8), "attention": nn.MultiheadAttention(8, 2, batch_first=True)}
    return {"model": Calling(forward, **parts, head=nn.Linear(8, 2)), "batch": padded() if batch is None else batch}


def by_torch(net: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    return net.attention(x, x, x, key_padding_mask=mask)[0]


def scaled(net: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x, attn_mask=mask[:, None].expand(-1, 10, -1))


def by_hand(net: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    scores = (x @ x.transpose(1, 2)).masked_fill(mask[:, None], float("-inf"))
    return scores.softmax(-1) @ x


@sick("BEH014", "leaves out everything but the padding", severity="error")
def words_masked_in_multi_head_attention() -> dict:
    return over_words(lambda net, x, ids: by_torch(net, x, ids != 0))


@sick("BEH014", "leaves out everything but the padding")
def words_masked_in_scaled_attention() -> dict:
    return over_words(lambda net, x, ids: scaled(net, x, ids == 0))


@sick("BEH014", "leaves out everything but the padding")
def words_masked_before_a_softmax() -> dict:
    return over_words(lambda net, x, ids: by_hand(net, x, ids != 0))


@sick("BEH014", "leaves out everything but the padding")
def words_masked_with_padding_on_the_left() -> dict:
    return over_words(lambda net, x, ids: by_hand(net, x, ids != 0), padded().flip(1))


@healthy("BEH014")
def padding_masked_in_multi_head_attention() -> dict:
    return over_words(lambda net, x, ids: by_torch(net, x, ids == 0))


@healthy("BEH014")
def padding_masked_in_scaled_attention() -> dict:
    return over_words(lambda net, x, ids: scaled(net, x, ids != 0))


@healthy("BEH014")
def padding_masked_before_a_softmax() -> dict:
    return over_words(lambda net, x, ids: by_hand(net, x, ids == 0))


@healthy("BEH014")
def no_mask_at_all() -> dict:
    return over_words(lambda net, x, ids: net.attention(x, x, x)[0])


@healthy("BEH014")
def words_without_padding() -> dict:
    ids = torch.randint(1, 30, (8, 10), generator=torch.Generator().manual_seed(0))
    return over_words(lambda net, x, ids: by_torch(net, x, ids % 5 == 0), ids)
