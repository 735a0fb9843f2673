"""Control file: read a small YAML file in a separate thread, and return its contents once they are stable."""

import os
import threading
import time
import weakref
from typing import NamedTuple

import yaml

from lightning_tricks.engine.control.run_marker import RunMarker
from lightning_tricks.functional.live_orders import Order, read_entry

QUIET = 0.5
"""Seconds for which a file must not have changed, because editors first truncate and then write."""

_POLL = 0.1
_LONGEST = 4096
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")}


def parse_order(text: str) -> Order:
    r"""Parse the lines of a control file; nothing in them is executed or instantiated.

    Args:
        text: plain YAML, one ``key: value`` per line; empty text and comments contain no order.

    Raises:
        ValueError: anything else; the message starts with the line.

    Example:
        >>> parse_order("lr: x0.5  # it stalls\ncheckpoint: true\n")
        {'lr': 'x0.5', 'checkpoint': True}
        >>> parse_order("lr: x0.5\nstop: now\n")
        Traceback (most recent call last):
        ...
        ValueError: line 2 ('stop: now'): `stop` must be true or false, got 'now'.
    """
    lines = text.splitlines() or [""]

    def refusal(line: int, problem: object) -> ValueError:
        return ValueError(f"line {line + 1} ({lines[min(line, len(lines) - 1)].strip()!r}): {problem}")

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)  # parse nodes only
    except yaml.MarkedYAMLError as error:
        raise refusal(
            error.problem_mark.line if error.problem_mark else 0, f"invalid YAML: {error.problem}."
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise refusal(0, f"invalid YAML: {str(error).splitlines()[0]}.") from error
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise refusal(root.start_mark.line, "expected one `key: value` per line.")
    order: Order = {}
    for key, value in root.value:
        line = key.start_mark.line
        if not all(isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN for node in (key, value)):
            raise refusal(line, "expected `key: value` with one plain value.")
        if key.value in order:
            raise refusal(line, f"`{key.value}` is given twice.")
        try:
            order[key.value] = read_entry(key.value, value.value)
        except ValueError as error:
            raise refusal(line, error) from error
    return order


class _Look(NamedTuple):
    """The contents of a file, a problem with reading it, its date, and since when (by this process's clock)."""

    text: str
    problem: str
    modified: float
    since: float

    def is_same_as(self, other: "_Look | None") -> bool:
        return other is not None and self[:3] == other[:3]


class ControlFile:
    """A file that users may write, replace or delete at any time, watched by a daemon thread.

    Args:
        path: the path of the file; contents from before the run are never returned.
        marker: marks the file as watched; released together with the thread.
    """

    def __init__(self, path: str, marker: RunMarker | None = None) -> None:
        self.path, self._marker = path, marker
        self._look = self._read()
        self._left_over = None if self._look is None or self._look.problem else self._look
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=_watch, args=(weakref.ref(self), self._end), name=f"control file {path}", daemon=True
        )
        self._thread.start()

    @property
    def left_over(self) -> str:
        """The contents of the file before the run."""
        return self._left_over.text if self._left_over else ""

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join(timeout=2.0)  # a thread that hangs on a dead network drive is abandoned
        if self._marker is not None:
            self._marker.release()

    def settled(self) -> str | None:
        """Return the text if the file was written during this run and has not changed for half a second.

        Raises:
            ValueError: the file cannot be read.
        """
        look = self._look
        if look is None or look.is_same_as(self._left_over) or time.monotonic() - look.since < QUIET:
            return None
        if look.problem:
            raise ValueError(look.problem)
        return look.text

    def look_again(self) -> None:
        """Read the file, and record since when it has been unchanged."""
        look = self._read()
        if look is None or not look.is_same_as(self._look):
            self._look = look
        if self._marker is not None:
            self._marker.beat()

    def _read(self) -> _Look | None:
        text, problem, modified = "", "", 0.0
        try:
            with open(self.path, "rb") as file:
                modified = os.fstat(file.fileno()).st_mtime
                content = file.read(_LONGEST + 1)
            text = content.decode("utf-8-sig")
            if len(content) > _LONGEST:
                problem = f"it is longer than {_LONGEST} bytes."
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            problem = f"it cannot be read: {error}."
        age = time.time() - modified
        # an old date of a new file is not reliable: the file was moved, or a server's clock is slow
        return _Look(text, problem, modified, time.monotonic() - (age if 0 <= age < QUIET else 0.0))


def _watch(reference: "weakref.ref[ControlFile]", end: threading.Event) -> None:
    """Read until told to end, or until the owner no longer exists."""
    while not end.wait(_POLL):
        file = reference()
        if file is None:
            return
        file.look_again()
        del file
