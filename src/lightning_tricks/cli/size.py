"""`lightning-tricks size pkg.module:callable`: widths and batch sizes to start from, for a model and its data."""

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from lightning_tricks.cli.target import TARGET_HELP, load_target

if TYPE_CHECKING:
    from lightning_tricks.doctor.facts.evidence import Evidence

_UNITS = ("B", "kB", "MB", "GB", "TB")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "size",
        help="suggest widths and batch sizes for a model and its data",
        description="Run one training step and print a table: rows, features, outputs, parameters per row, hidden "
        "widths by two rules of thumb, batch sizes, memory. Exit status: 0 success, 2 the sizes cannot be "
        "measured.",
        epilog="example: lightning-tricks size project.model:make --memory-gb 8",
    )
    parser.add_argument(
        "target",
        metavar="MODULE:CALLABLE",
        help=f"{TARGET_HELP}(module, dataloader), (module, datamodule), or a module with its own train_dataloader",
    )
    parser.add_argument(
        "--memory-gb",
        type=float,
        metavar="GB",
        help="memory of the device in GB (1e9 bytes); omits batch sizes that do not fit",
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print the table; 2 if it cannot be measured."""
    from lightning_tricks.core.arguments import check_number
    from lightning_tricks.doctor.tracing.examine import examine

    try:
        if args.memory_gb is not None:
            check_number("--memory-gb", args.memory_gb, 0, low_open=True)
        model, data = load_target(args.target)
        if data is None:
            data = model.train_dataloader()
        where = {"datamodule": data} if hasattr(data, "train_dataloader") else {"train_dataloaders": data}
        with redirect_stdout(sys.stderr):  # output of user code is not part of the table
            evidence = examine(model, **where)
        lines = [f"{name:<13}{value}" for name, value in size_rows(evidence, args.memory_gb)]
    except Exception as error:  # exceptions of user code are also shown on one line
        print(f"lightning-tricks size: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def size_rows(evidence: "Evidence", memory_gb: float | None = None) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table as pairs of name and text.

    Args:
        evidence: the evidence of a model, its training loader and one step.
        memory_gb: memory of the device in 1e9 bytes, to limit the batch sizes.

    Raises:
        ValueError: the step or its data could not be measured.
    """
    if evidence.errors:
        raise ValueError(f"{evidence.errors[0].phase} raised {evidence.errors[0].kind}: {evidence.errors[0].message}")
    loader, rows = evidence.train_loader, _rows(evidence)
    features, outputs = _features(evidence), _outputs(evidence)
    yield "rows", f"{rows:,}" + (f", in batches of {loader.batch_size:,}" if loader and loader.batch_size else "")
    yield "features", f"{features:,} per row"
    yield "outputs", f"{outputs:,} per row"
    yield from _capacity_rows(evidence, rows, outputs)
    yield from _width_rows(rows, features, outputs)
    yield from _batch_rows(evidence, rows, memory_gb)


def _capacity_rows(evidence: "Evidence", rows: int, outputs: int) -> Iterator[tuple[str, str]]:
    count = sum(math.prod(each.shape) for each in evidence.model.parameters if each.requires_grad)
    ratio = count / (rows * outputs)
    yield "parameters", f"{count:,} trainable, {ratio:.3g} per output of a row"


def _width_rows(rows: int, features: int, outputs: int) -> Iterator[tuple[str, str]]:
    from lightning_tricks.functional.sizing import LOOSEST, STRICTEST, hidden_width, hidden_width_by_samples

    low, high = (hidden_width_by_samples(rows, features, outputs, a) for a in (STRICTEST, LOOSEST))
    yield "hidden width", f"{hidden_width(features, outputs):,} by inputs and outputs (2/3 of the inputs + outputs)"
    yield "", f"{low:,} to {high:,} by rows (a = {STRICTEST:g} to {LOOSEST:g} rows per weight)"


def _batch_rows(evidence: "Evidence", rows: int, memory_gb: float | None) -> Iterator[tuple[str, str]]:
    from lightning_tricks.functional.sizing import suggest_batch_sizes

    fixed, per_row = _fixed_bytes(evidence), _bytes_per_row(evidence)
    sizes = suggest_batch_sizes(rows)
    if memory_gb is not None:
        if memory_gb * 1e9 <= fixed:
            raise ValueError(f"`--memory-gb` is {memory_gb:g}, but the weights alone need {_shown_bytes(fixed)}.")
        sizes = suggest_batch_sizes(rows, bytes_per_row=per_row, memory=memory_gb * 1e9 - fixed)
    yield "batch sizes", ", ".join(f"{size:,}" for size in sizes)
    yield (
        "memory",
        f"{_shown_bytes(fixed)} for weights, gradients and two moments, {_shown_bytes(per_row)} per row",
    )
    yield "", ", ".join(f"{_shown_bytes(fixed + size * per_row)} at {size:,}" for size in sizes)


def _rows(evidence: "Evidence") -> int:
    rows = evidence.train_loader.rows if evidence.train_loader is not None else None
    if not rows:
        raise ValueError("The number of training rows is unknown. Return a DataLoader over a dataset with a length.")
    return rows


def _features(evidence: "Evidence") -> int:
    """Return the number of elements in one row of the first tensor of the batch that has rows."""
    batch = evidence.batch
    shapes = [leaf.tensor.shape for leaf in batch.leaves if leaf.tensor is not None] if batch is not None else []
    for shape in shapes:
        if batch is not None and shape[:1] == (batch.size,):
            return max(1, math.prod(shape[1:]))
    raise ValueError(
        f"The batch contains no tensor with one entry per row. {evidence.missing.get('batch', '')}".strip()
    )


def _outputs(evidence: "Evidence") -> int:
    """Return the number of outputs per row; if unknown, the width of the last layer."""
    trace, batch = evidence.trace, evidence.batch
    if trace is not None and trace.outputs and batch is not None:
        shape = trace.operations[trace.outputs[0]].shape
        if shape[:1] == (batch.size,):
            return max(1, math.prod(shape[1:]))
    matrices = [each.shape for each in evidence.model.parameters if len(each.shape) > 1]
    if not matrices:
        raise ValueError(f"The outputs of the model are unknown: {evidence.missing.get('trace', 'it has no layers')}.")
    return matrices[-1][0]


def _fixed_bytes(evidence: "Evidence") -> float:
    """Return the bytes of the weights, the gradients and the two moments of Adam."""
    return sum(
        math.prod(each.shape) * _width_of(each.dtype) * (4 if each.requires_grad else 1)
        for each in evidence.model.parameters
    )


def _bytes_per_row(evidence: "Evidence") -> float:
    """Return the bytes of a row of the batch and of the results of all operations, all kept for the backward pass."""
    batch, trace = evidence.batch, evidence.trace
    if batch is None or trace is None or not batch.size:
        raise ValueError(f"The memory of a step is unknown: {evidence.missing.get('trace', 'no batch was measured')}.")
    kept = sum(math.prod(each.shape) * _width_of(each.dtype) for each in trace.operations if each.requires_grad
               and each.op != "parameter")  # fmt: skip
    given = sum(math.prod(leaf.tensor.shape) * _width_of(leaf.tensor.dtype) for leaf in batch.leaves if leaf.tensor)
    return (kept + given) / batch.size


def _width_of(dtype: str) -> int:
    """Return the bytes per element of a dtype such as ``torch.float32``."""
    import torch

    found = getattr(torch, dtype.removeprefix("torch."), None)
    return found.itemsize if isinstance(found, torch.dtype) else 4


def _shown_bytes(count: float) -> str:
    power = min(len(_UNITS) - 1, int(math.log(max(count, 1), 1000)))
    return f"{count / 1000**power:.3g} {_UNITS[power]}"
