"""Output: characters that a pipe or an old terminal cannot show, and readers that leave before the end."""

import codecs
import errno
import os
import sys
from typing import IO

PIPE_CLOSED = 141
"""The exit status of a program that wrote into a pipe that is no longer read: 128 + SIGPIPE, as of a shell's."""

_HANDLER = "lightning_tricks_ascii"
_ASCII = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.-=+*#@", strict=True)),
    **{"→": "->", "×": "x", "−": "-", "–": "-", "…": "...", "≥": ">=", "≤": "<=", "²": "2", "·": "*", "’": "'"},
}


def degrade_to_ascii() -> None:
    """Have the process's streams write a replacement for what their encoding lacks, instead of raising."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # another object may stand in for it
            stream.reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return replacements for the characters that cannot be encoded, and where to continue."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(char, "?") for char in error.object[error.start : error.end]), error.end


def is_closed_pipe(error: OSError) -> bool:
    """Return whether an error means that the reader of a pipe has left; Windows calls it an invalid argument."""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def silence_closed_pipe(stream: IO[str]) -> None:
    """Send what is still buffered nowhere, so that Python does not report the closed pipe when it exits."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # no stream of the process's own
        return
