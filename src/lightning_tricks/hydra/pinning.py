"""Pin values that a configuration would recompute on each read: random draws, times, a job's number."""

import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

# `${draw:0,1}`; not `${a.b}`, which follows a change of a.b, not `${oc.env:TOKEN}`, which must not be written to disk,
# and not escaped text.
_RESOLVER = re.compile(r"(?<!\\)\$\{\s*(?!oc\.)[A-Za-z_][\w.]*\s*:")


def pin_values_(source: DictConfig, *targets: DictConfig) -> None:
    """Write the result of each resolver in ``source`` into all targets, so that they agree.

    A resolver may draw random values, and draws again for each reader. Values that cannot be resolved are kept, because
    they may never be read. Interpolations without a resolver are also kept: they follow the value that they point to.

    Args:
        source: the configuration that is read; usually one of the targets.
        targets: configurations with the same keys.

    Example:
        >>> from itertools import count
        >>> OmegaConf.register_new_resolver("tick", count().__next__, replace=True)
        >>> cfg = OmegaConf.create({"lr": "${tick:}", "twice": ["${lr}", "${lr}"]})
        >>> cfg.twice[0] == cfg.twice[1]
        False
        >>> pin_values_(cfg, cfg)
        >>> cfg.twice[0] == cfg.twice[1]
        True
    """
    for keys in list(_computed(OmegaConf.to_container(source, resolve=False))):
        try:
            value = reduce(getitem, keys, source)
        except OmegaConfBaseException:
            continue
        for target in targets:
            _write_(target, keys, value)


def _computed(raw: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each string that calls a resolver."""
    if isinstance(raw, str):
        if _RESOLVER.search(raw):
            yield keys
    elif isinstance(raw, (dict, list)):
        for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
            yield from _computed(value, (*keys, key))


def _write_(target: DictConfig, keys: tuple[Any, ...], value: Any) -> None:
    node: Any = reduce(getitem, keys[:-1], target)
    with flag_override(node, ["readonly", "struct"], False):
        node[keys[-1]] = value
