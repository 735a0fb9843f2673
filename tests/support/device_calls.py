"""Find the calls in the source that read from a device, copy to or from it, or rely on its memory, streams or queue."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lightning_tricks

SRC = Path(lightning_tricks.__file__).parent
ROOMS = ("callbacks", "core", "engine", "functional", "modules")
"""Rooms whose code meets tensors of a training."""
METHODS = {
    "copy_", "cpu", "cuda", "data_ptr", "equal", "is_nonzero", "item", "masked_select", "mmap", "nonzero", "numpy",
    "pin_memory", "record_stream", "synchronize", "to", "tolist", "unique", "untyped_storage", "wait_stream", "xpu",
}  # fmt: skip
CONVERSIONS = {"bool", "float", "int"}
"""Of a tensor, they wait for its device. They count in files that import torch; elsewhere they are of numbers."""
ARGUMENTS = {"non_blocking", "pin_memory"}


class DeviceCall(NamedTuple):
    """A call: the file that it is in, relative to the package, and its source text."""

    file: str
    text: str


def device_calls() -> Iterator[DeviceCall]:
    """Yield each such call of the source."""
    for room in ROOMS:
        for file in sorted((SRC / room).rglob("*.py")):
            tree = ast.parse(file.read_text())
            conversions = CONVERSIONS if _imports_torch(tree) else set()
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and _meets_device(node, conversions):
                    yield DeviceCall(file.relative_to(SRC).as_posix(), ast.unparse(node))


def _imports_torch(tree: ast.Module) -> bool:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return any(name.partition(".")[0] == "torch" for name in names)


def _meets_device(call: ast.Call, conversions: set[str]) -> bool:
    function = call.func
    if any(keyword.arg in ARGUMENTS for keyword in call.keywords):
        return True
    if isinstance(function, ast.Attribute):
        return function.attr in METHODS or ast.unparse(function).startswith(("torch.cuda.", "torch.xpu.", "torch.mps."))
    if isinstance(function, ast.Name) and function.id in conversions:
        return bool(call.args) and not isinstance(call.args[0], (ast.Constant, ast.JoinedStr))
    return False
