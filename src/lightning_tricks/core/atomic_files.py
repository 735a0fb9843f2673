"""Atomic files: write a file so that a reader sees either the old contents or the new ones, never a part."""

import os
import secrets
from pathlib import Path


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
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
