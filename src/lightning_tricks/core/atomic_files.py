"""Atomic files: write a file so that a reader sees either the old contents or the new ones, never a part."""

import os
import secrets
import time
from pathlib import Path

_TRIES = 20
_PAUSE = 0.05
"""Seconds between two tries."""


def write_atomically(path: str | Path, contents: str | bytes) -> None:
    """Write a file under a temporary name in the same folder, and rename it.

    If the process is killed in between, the previous contents stay intact. Missing folders are created.

    Args:
        path: the file.
        contents: text (written as UTF-8) or bytes.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; the previous file is untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(f"{folder}/a.txt", "one")
        ...     write_atomically(f"{folder}/a.txt", "two")
        ...     Path(folder, "a.txt").read_text(), os.listdir(folder)
        ('two', ['a.txt'])
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    data = contents.encode("utf-8", "backslashreplace") if isinstance(contents, str) else contents
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(new: str | Path, path: str | Path) -> None:
    """Rename a file to the name of another one, which it replaces.

    Windows refuses that while another program reads the old file; then it is tried again for a second.

    Args:
        new: the file to rename, in the same folder.
        path: its new name.

    Raises:
        PermissionError: the old file stayed open, or its folder must not be written to.
        OSError: as of :func:`os.replace`.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            os.replace(new, path)
            return
        except PermissionError:
            if not tries_left:
                raise
            time.sleep(_PAUSE)
