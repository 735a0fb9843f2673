"""Let torchvision be imported where its operators cannot be loaded: its wheel needs CUDA's libraries."""

import re
from importlib.util import find_spec
from pathlib import Path

import torch

_library = torch.library.Library("torchvision", "FRAGMENT")


def declare_torchvision_operators() -> None:
    """Declare what torchvision registers, if it cannot be imported; no model here calls any of it."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        _declare()


def _declare() -> None:
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    source = (Path(spec.origin).parent / "_meta_registrations.py").read_text()
    for name in sorted(set(re.findall(r'register_(?:meta|fake)\("(?:torchvision::)?(\w+)"', source))):
        _library.define(f"{name}() -> ()")
