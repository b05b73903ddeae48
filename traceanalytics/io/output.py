"""Where the bytes of a writer go: back to the caller, or into a file."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from traceanalytics.errors import OptionError

__all__ = ["write_or_return"]


def write_or_return(data: bytes, path: str | os.PathLike[str] | None) -> bytes | None:
    """Return the bytes if ``path`` is None; else write them there, compressed if its name ends in ``.gz``."""
    if path is None:
        return data
    if not isinstance(path, str | os.PathLike):
        raise OptionError(f"path={path!r} is no path; give a str or a pathlib.Path, or None to have the bytes returned")
    target = Path(path)
    content = gzip.compress(data, mtime=0) if target.name.endswith(".gz") else data  # the same spans give the same file
    try:
        target.write_bytes(content)
    except OSError as error:
        raise OptionError(f"{str(target)!r} cannot be written: {error.strerror}") from error
    return None
