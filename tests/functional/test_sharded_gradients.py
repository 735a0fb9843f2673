"""Tensors cut in every way over two processes are measured and clipped as the whole ones."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

from lightning_tricks.functional.clipping import adaptive_clip_, clip_by_norm_, clip_by_value_

PLACES = [Shard(0), Shard(1), Replicate(), Shard(0), None]
SHAPES = [(5, 4), (3, 6), (2, 2), (7,), (3,)]


def whole(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def compare(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))

    def cut(tensors: list[Tensor]) -> list[Tensor]:
        pairs = zip(tensors, PLACES, strict=True)
        return [tensor if place is None else distribute_tensor(tensor, mesh, [place]) for tensor, place in pairs]

    for clip in (clip_by_norm_, clip_by_value_):
        for bound in (0.3, 100.0):
            ours, theirs = cut(whole(0)), whole(0)
            torch.testing.assert_close(clip(ours, bound), clip(theirs, bound))
            torch.testing.assert_close([full(grad) for grad in ours], theirs)
    torch.testing.assert_close(
        clip_by_norm_(cut(whole(0)), 1.0, float("inf")), clip_by_norm_(whole(0), 1.0, float("inf"))
    )

    # a whole gradient that differs between ranks, next to one that is cut: all ranks see the mean of the squares
    unequal = [distribute_tensor(torch.zeros(2), mesh, [Shard(0)]), torch.tensor([1.0 if rank == 0 else 7.0])]
    assert clip_by_norm_(unequal, 100.0).item() == pytest.approx(5.0)

    ours, theirs = [nn.Parameter(w) for w in cut(whole(1))], [nn.Parameter(w) for w in whole(1)]
    for params, grads in ((ours, cut(whole(0))), (theirs, whole(0))):
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
    torch.testing.assert_close(adaptive_clip_(ours, 0.1), adaptive_clip_(theirs, 0.1))
    torch.testing.assert_close([full(p.grad) for p in ours], [p.grad for p in theirs])

    summand = DTensor.from_local(torch.tensor([[1.5, 2.0]]), mesh, [Partial()])  # 3 and 4 on both ranks together
    assert clip_by_norm_([summand], 1.0).item() == pytest.approx(5.0)
    torch.testing.assert_close(summand.full_tensor(), torch.tensor([[0.6, 0.8]]))
    with pytest.raises(NotImplementedError, match="partial sum"):
        clip_by_value_([summand], 1.0)
    param = nn.Parameter(distribute_tensor(torch.ones(1, 2), mesh, [Replicate()]))
    param.grad = summand
    with pytest.raises(NotImplementedError, match="partial sum"):
        adaptive_clip_(param)
    (Path(folder) / f"done{rank}").touch()
    torch.distributed.destroy_process_group()


def test_every_way_of_cutting_equals_the_whole(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(compare, (str(tmp_path),), nprocs=2, start_method="fork")
    assert (tmp_path / "done0").exists()
    assert (tmp_path / "done1").exists()
