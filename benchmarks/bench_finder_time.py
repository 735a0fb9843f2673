"""What the LR finder's steps cost: against a bare PyTorch loop over the same batches, and Lightning's finder."""

import gc
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from bench_lr_finder import lightnings, trainer
from lightning_tricks import LRFinder, find_lr
from lr_tasks import Learner, Task, make_optimizer, mlp, tasks
from measure import report, side_by_side, take_turn

BOUNDS = {"digits-cnn": "<= 1.10", "digits-mlp": "<= 1.30"}


class Turning(Learner):
    """A learner that lets the other side do a step first."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch."""
        take_turn()
        return super().training_step(batch, batch_idx)


class Timed(LRFinder):
    """Note the seconds of each search."""

    seconds: list[float] = []  # noqa: RUF012

    def search(self, *arguments: Any) -> Any:
        """Search, and look at this thread's clock."""
        start = time.thread_time()
        result = super().search(*arguments)
        self.seconds.append(time.thread_time() - start)
        return result


def bare_loop(task: Task) -> None:
    """Take a hundred steps over the same loader, in plain PyTorch."""
    net = task.build()
    optimizer = make_optimizer("sgd", net, 1e-5)
    taken = 0
    while taken < 100:
        for x, y in task.loader(0):
            take_turn()
            loss = task.loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            taken += 1
            if taken == 100:
                break


def finder_loop(task: Task) -> None:
    """Take the finder's hundred steps, snapshot and restoring included, in a fit of one more."""
    finder = Timed(min_lr=1e-7, max_lr=1e-5, apply=False)
    trainer(1, callbacks=[finder], max_steps=1).fit(Turning(task, "sgd", 0), task.loader(0))


def whole_calls(task: Task) -> dict[str, Callable[[], object]]:
    return {
        "call": lambda: find_lr(Turning(task, "sgd", 0), task.loader(0), trainer=trainer(), max_lr=1e-5),
        "tuner": lambda: lightnings(task, "sgd", 5, 0, Turning),
    }


def held() -> int:
    """Return the bytes of all tensors that are alive, each storage once."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if isinstance(thing, torch.Tensor) and thing.layout == torch.strided:
            storages[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
    return sum(storages.values())


class Weighed(LRFinder):
    """Weigh what is alive just before the search and in its middle, when gradients are dropped."""

    share: float

    def search(self, trainer: Any, module: Any, first: bool) -> Any:
        """Search, and weigh."""
        module.zero_grad()
        before = held()

        def weigh(optimizer: Any, *_: Any) -> None:
            if not hasattr(self, "share"):
                states = [state for of_param in optimizer.state.values() for state in of_param.values()]
                own = [*module.parameters(), *module.buffers(), *(s for s in states if isinstance(s, torch.Tensor))]
                optimizer.zero_grad()
                self.share = (held() - before) / sum(tensor.nbytes for tensor in own)

        handle = trainer.optimizers[0].register_step_post_hook(weigh)
        result = super().search(trainer, module, first)
        handle.remove()
        return result


def weigh(task: Task) -> float:
    """Return what a search in the second epoch holds besides, in copies of weights, buffers and optimizer state."""
    finder = Weighed(at_epochs=(1,), apply=False, max_lr=1e-5)
    trainer(2, callbacks=[finder]).fit(Learner(task, "adamw", 0), task.loader(0))
    return finder.share


def main(repeats: int = 11) -> None:
    """Print the ratios."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    for name, bound in BOUNDS.items():
        task = tasks()[name]
        Timed.seconds.clear()
        loops = {"bare": partial(bare_loop, task), "finder": partial(finder_loop, task)}
        bare = side_by_side(loops, repeats)["bare"]
        ratio = statistics.median(a / b for a, b in zip(Timed.seconds[1:], bare, strict=True))
        report(f"100 steps of the finder / bare loop, {name}", f"{ratio:.3f}", bound)
        calls = side_by_side(whole_calls(task), repeats)
        ratio = statistics.median(a / b for a, b in zip(calls["call"], calls["tuner"], strict=True))
        report(f"find_lr / Tuner.lr_find, {name}", f"{ratio:.3f}", "< 1")
    wide = replace(tasks()["digits-mlp"], build=lambda: mlp(64, 10, width=1024))  # next to which a batch is nothing
    report("held during a search, in copies of weights and optimizer state", f"{weigh(wide):.3f}", "1, and a batch")


if __name__ == "__main__":
    main()
