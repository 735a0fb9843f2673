"""Run markers: a hidden file next to a control file names the process that watches it, for as long as it does."""

import itertools
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

BEAT = 5.0
"""Seconds between two signs of life of a run."""

STALE = 120.0
"""Seconds without a sign of life after which a run is considered dead."""

_SUFFIX = ".running"


class WatchedFile(NamedTuple):
    """A control file that a run watches at this moment."""

    path: Path
    """The control file; it need not exist."""
    folders: tuple[str, ...]
    """Folders by which a person may know the run: of its logs, of its Hydra job, the Trainer's root."""
    host: str
    pid: int

    def belongs_to(self, folder: Path) -> bool:
        """Return whether the run is known by the folder, or by one below it."""
        return any(Path(known) == folder or folder in Path(known).parents for known in self.folders)


class RunMarker:
    """The claim of this process on a control file, which no other run gets until it is released.

    Args:
        path: the control file; if a living run watches it, the next free of ``control-2.yaml``, ``control-3.yaml``, …
        folders: other folders by which a person may know the run.

    Raises:
        OSError: the folder cannot be written.
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
        if marker.exists() and not _is_alive(marker):  # of a run that was killed
            marker.unlink(missing_ok=True)
        try:
            with marker.open("x", encoding="utf-8") as file:
                file.write(self._content)
        except FileExistsError:
            return False
        return True

    def beat(self) -> None:
        """Give a sign of life, if the last one is a while ago."""
        if time.monotonic() - self._last_beat >= BEAT:
            self._last_beat = time.monotonic()
            try:
                os.utime(self._marker)
            except OSError:  # the folder was deleted or is out of reach: the run continues
                return

    def release(self) -> None:
        """Let others have the control file."""
        try:
            if self._marker.read_text(encoding="utf-8") == self._content:
                self._marker.unlink()
        except OSError:
            return


def watched_files(folder: Path) -> list[WatchedFile]:
    """Return the control files below a folder that a living run watches, by path; hidden folders are left out."""
    return sorted(filter(None, map(_read, _markers(folder))))


def _markers(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "site-packages"]
        yield from (Path(root, name) for name in files if name.startswith(".") and name.endswith(_SUFFIX))


def _marker_of(path: str) -> Path:
    return Path(os.path.dirname(path), f".{os.path.basename(path)}{_SUFFIX}")


def _read(marker: Path) -> WatchedFile | None:
    """Return what a marker says, if its run is alive."""
    if not _is_alive(marker):
        return None
    try:
        entry = json.loads(marker.read_text(encoding="utf-8"))
        control = marker.resolve().with_name(marker.name.removeprefix(".").removesuffix(_SUFFIX))
        return WatchedFile(control, tuple(entry["folders"]), str(entry["host"]), int(entry["pid"]))
    except (OSError, ValueError, KeyError, TypeError):  # released meanwhile, or not ours
        return None


def _is_alive(marker: Path) -> bool:
    """Return whether the run gave a sign of life lately, and its process exists where that can be asked."""
    try:
        if time.time() - marker.stat().st_mtime > STALE:
            return False
        entry = json.loads(marker.read_text(encoding="utf-8"))
        return entry["host"] != socket.gethostname() or _process_exists(int(entry["pid"]))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):  # being written at this moment
        return True


def _process_exists(pid: int) -> bool:
    if _on_windows():  # signal 0 is Ctrl-C there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _on_windows() -> bool:
    return os.name == "nt"
