"""Pin the values that a configuration would compute again each time it is read: random draws, times, a job's number."""

import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

# `${draw:0,1}`; not `${a.b}`, which follows a change of a.b, nor `${oc.env:TOKEN}`, which belongs on no disk, nor what
# is escaped.
_RESOLVER = re.compile(r"(?<!\\)\$\{\s*(?!oc\.)[A-Za-z_][\w.]*\s*:")


def pin_values_(source: DictConfig, *targets: DictConfig) -> None:
    """Write what each resolver gives for ``source`` into all targets, so that they agree from then on.

    A resolver may draw at random, and draws again for each reader. What cannot be resolved stays as it is, for its
    reader may never come. Interpolations without a resolver stay too: they follow what they point to.

    Args:
        source: the configuration that is read; itself among the targets, usually.
        targets: configurations of the same keys.

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
    """Yield the path of each text that calls a resolver."""
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
