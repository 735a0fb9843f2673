"""Patients of the rules on what the batch holds."""

import torch
from patient import Calling, healthy, sick
from torch import nn


def ids(function: object, low: int = -1) -> dict:
    generator = torch.Generator().manual_seed(0)
    batch = torch.randint(low, 9, (16, 6), generator=generator)
    batch[0, 0] = low
    model = Calling(lambda net, x: net.head(function(net, x).mean(1)), embed=nn.Embedding(10, 4), head=nn.Linear(4, 2))
    return {"model": model, "batch": batch}


@sick("DAT016", "ids down to -1", "after `clamp`", severity="warning")
def negative_ids_clamped_to_the_first_row() -> dict:
    return ids(lambda net, x: net.embed(x.clamp(min=0)))


@sick("DAT016", "`getitem`")
def negative_ids_that_index_from_the_end() -> dict:
    return ids(lambda net, x: net.embed.weight[x])


@sick("DAT016", "ids down to -1 reach Embedding embed")
def negative_ids_that_an_embedding_rejects() -> dict:
    return ids(lambda net, x: net.embed(x))


@healthy("DAT016")
def ids_from_zero_on() -> dict:
    return ids(lambda net, x: net.embed(x), low=0)


@healthy("DAT016")
def negative_ids_replaced_by_hand() -> dict:
    return ids(lambda net, x: net.embed(x.masked_fill(x < 0, 9)))


@healthy("DAT016")
def clamped_ids_whose_vectors_are_masked() -> dict:
    return ids(lambda net, x: net.embed(x.clamp(min=0)) * (x >= 0)[..., None])


def images(function: object, channels: int = 3, shape: tuple[int, ...] = (8, 16, 16, 3)) -> dict:
    parts = {"conv": nn.Conv2d(channels, 8, 3, padding=1), "head": nn.Linear(8, 2)}
    model = Calling(lambda net, x: net.head(net.conv(function(x)).mean((2, 3))), **parts)
    return {"model": model, "batch": torch.rand(shape)}


@sick("DAT017", "rows as channels", severity="warning")
def rows_as_channels() -> dict:
    return images(lambda x: x, channels=16)


@sick("DAT017", "reshaped to [8, 3, 16, 16]")
def colors_moved_by_a_view() -> dict:
    return images(lambda x: x.view(8, 3, 16, 16))


@healthy("DAT017")
def colors_permuted() -> dict:
    return images(lambda x: x.permute(0, 3, 1, 2))


@healthy("DAT017")
def colors_first() -> dict:
    return images(lambda x: x, shape=(8, 3, 16, 16))


@healthy("DAT017")
def spectrograms_of_four_frames() -> dict:
    return images(lambda x: x, channels=1, shape=(8, 1, 64, 4))


@sick("DAT018", "a single number: 0 is 0", severity="warning")
def images_that_failed_to_load() -> dict:
    return {"model": nn.Linear(4, 2), "batch": [torch.zeros(8, 4)]}


@sick("DAT018", "a single number: input is 1")
def a_batch_of_ones() -> dict:
    return {"model": nn.Linear(4, 2), "batch": torch.ones(8, 4)}


@healthy("DAT018")
def rows_with_numbers() -> dict:
    return {"model": nn.Linear(4, 2), "batch": torch.randn(8, 4)}


@healthy("DAT018")
def ids_and_a_mask_of_ones() -> dict:
    model = Calling(lambda net, x, mask: (net.embed(x) * mask[..., None]).mean(1), embed=nn.Embedding(10, 4))
    return {"model": model, "batch": (torch.randint(0, 9, (8, 6)), torch.ones(8, 6))}


@healthy("DAT018")
def one_number_in_all() -> dict:
    return {"model": nn.Linear(1, 1), "batch": torch.ones(1, 1)}


@sick("DAT018", "all 16 samples are equal", severity="warning")
def a_data_set_that_ignores_the_index() -> dict:
    return {"model": nn.Linear(8, 3), "batch": torch.randn(1, 8).repeat(16, 1)}


@healthy("DAT018")
def one_of_two_inputs_that_all_samples_share() -> dict:
    grid, values = torch.linspace(0, 1, 8).repeat(16, 1), torch.randn(16, 8)
    return {"model": Calling(lambda net, x, t: net.fc(x + t), fc=nn.Linear(8, 3)), "batch": (values, grid)}
