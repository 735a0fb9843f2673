"""Output: handle characters that a pipe or terminal cannot encode, and pipes that are closed early."""

import codecs
import errno
import os
import sys
from typing import IO

PIPE_CLOSED = 141
"""The exit status of a program that wrote into a closed pipe: 128 + SIGPIPE, as in a shell."""

_HANDLER = "lightning_tricks_ascii"
_ASCII = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.-=+*#@", strict=True)),
    **{"→": "->", "×": "x", "−": "-", "–": "-", "…": "...", "≥": ">=", "≤": "<=", "²": "2", "·": "*", "’": "'"},
}


def degrade_to_ascii() -> None:
    """Make the process's streams replace characters that their encoding lacks, instead of raising an error."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # the stream may be replaced by another object
            stream.reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return replacements for the characters that cannot be encoded, and the position to continue from."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(char, "?") for char in error.object[error.start : error.end]), error.end


def is_closed_pipe(error: OSError) -> bool:
    """Return whether an error means that the reader of a pipe has left; Windows calls it an invalid argument."""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def silence_closed_pipe(stream: IO[str]) -> None:
    """Discard buffered output, so that Python does not report the closed pipe at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # not a stream of the process itself
        return
