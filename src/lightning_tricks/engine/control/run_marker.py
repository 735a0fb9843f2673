"""Run markers: a hidden file next to a control file that names the process watching it."""

import itertools
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

BEAT = 5.0
"""Seconds between two heartbeats of a run."""

STALE = 120.0
"""Seconds without a heartbeat after which a run counts as dead."""

_SUFFIX = ".running"


class WatchedFile(NamedTuple):
    """A control file that a run is watching."""

    path: Path
    """The control file, which need not exist."""
    folders: tuple[str, ...]
    """Folders that identify the run: of its logs, of its Hydra job, and the Trainer's root."""
    host: str
    pid: int

    def belongs_to(self, folder: Path) -> bool:
        """Return whether the run is identified by the folder or by one below it."""
        return any(Path(known) == folder or folder in Path(known).parents for known in self.folders)


class RunMarker:
    """The exclusive claim of this process on a control file, until it is released.

    Args:
        path: the control file; if a live run watches it, the next free one of ``control-2.yaml``, ``control-3.yaml``,
            ...
        folders: other folders that identify the run.

    Raises:
        OSError: the folder is not writable.
    """

    def __init__(self, path: str, folders: Iterable[str] = ()) -> None:
        self._content = json.dumps(
            {
                "folders": [os.path.dirname(path), *folders],
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "claim": f"{time.time_ns()}-{id(self)}",
            }
        )
        os.makedirs(os.path.dirname(path), exist_ok=True)
        root, extension = os.path.splitext(path)
        numbered = (f"{root}-{number}{extension}" for number in itertools.count(2))
        self.path = next(name for name in itertools.chain([path], numbered) if self._claim(name))
        self._marker = _marker_of(self.path)
        self._last_beat = time.monotonic()

    def _claim(self, path: str) -> bool:
        marker = _marker_of(path)
        if marker.exists() and not _is_alive(marker):  # left by a run that was killed
            marker.unlink(missing_ok=True)
        try:
            with marker.open("x", encoding="utf-8") as file:
                file.write(self._content)
        except FileExistsError:
            return False
        return True

    def beat(self) -> None:
        """Write a heartbeat, if the last one is old enough."""
        if time.monotonic() - self._last_beat >= BEAT:
            self._last_beat = time.monotonic()
            try:
                os.utime(self._marker)
            except OSError:  # the folder was deleted or is not accessible: the run continues
                return

    def release(self) -> None:
        """Release the control file."""
        try:
            if self._marker.read_text(encoding="utf-8") == self._content:
                self._marker.unlink()
        except OSError:
            return


def watched_files(folder: Path) -> list[WatchedFile]:
    """Return the control files below a folder that live runs watch, by path; hidden folders are skipped."""
    return sorted(filter(None, map(_read, _markers(folder))))


def _markers(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "site-packages"]
        yield from (Path(root, name) for name in files if name.startswith(".") and name.endswith(_SUFFIX))


def _marker_of(path: str) -> Path:
    return Path(os.path.dirname(path), f".{os.path.basename(path)}{_SUFFIX}")


def _read(marker: Path) -> WatchedFile | None:
    """Return the contents of a marker if its run is alive."""
    if not _is_alive(marker):
        return None
    try:
        entry = json.loads(marker.read_text(encoding="utf-8"))
        control = marker.resolve().with_name(marker.name.removeprefix(".").removesuffix(_SUFFIX))
        return WatchedFile(control, tuple(entry["folders"]), str(entry["host"]), int(entry["pid"]))
    except (OSError, ValueError, KeyError, TypeError):  # released in the meantime, or not ours
        return None


def _is_alive(marker: Path) -> bool:
    """Return whether the run has a recent heartbeat and, if this can be checked, its process exists."""
    try:
        if time.time() - marker.stat().st_mtime > STALE:
            return False
        entry = json.loads(marker.read_text(encoding="utf-8"))
        return entry["host"] != socket.gethostname() or _process_exists(int(entry["pid"]))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):  # currently being written
        return True


def _process_exists(pid: int) -> bool:
    if _on_windows():  # signal 0 is Ctrl-C on Windows
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    return True


def _on_windows() -> bool:
    return os.name == "nt"
