"""One place that opens sources: paths, globs, folders, bytes, file objects, decoded JSON; compressed or not.

Every source becomes a series of :class:`Document`, opened one at a time. Compressed data is inflated under a limit,
so that a few kilobytes cannot fill the memory.
"""

from __future__ import annotations

import glob
import io
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.values import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Document", "inflate", "open_source"]

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_MOST_RATIO: Final = 100
_ALWAYS_ALLOWED: Final = 64 * 2**20
_CHUNK: Final = 2**20
_ZSTD_STEP: Final = 512  # a few bytes of Zstandard can stand for megabytes, so they are fed in small steps
_SUFFIXES: Final = frozenset(
    {
        ".json",
        ".jsonl",
        ".ndjson",
        ".txt",
        ".log",
        ".pb",
        ".bin",
        ".proto",
        ".binpb",
        ".otlp",
        ".parquet",
        ".gz",
        ".zst",
    }
)


@dataclass(frozen=True)
class Document:
    """One file, or one value given in its place; ``load`` returns its bytes, inflated."""

    name: str
    load: Callable[[], bytes]


def open_source(source: Any, ignored: Callable[[str], None] = lambda _: None) -> Iterator[Document]:
    """Yield the documents of a source; ``ignored`` is told of the files of a folder that are left out."""
    if isinstance(source, str):
        if source.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            yield Document("<text>", partial(source.encode, "utf-8", "surrogatepass"))
            return
        _refuse_url(source)
        yield from _open_path(source, ignored)
    elif isinstance(source, Path) or hasattr(source, "__fspath__"):
        yield from _open_path(str(source), ignored)
    elif isinstance(source, bytes | bytearray | memoryview):
        yield Document("<bytes>", partial(inflate, bytes(source), "<bytes>"))
    elif hasattr(source, "read"):
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "<file object>"
        yield Document(name, partial(_read_file_object, source, name))
    elif isinstance(source, dict | list | tuple):
        yield Document("<object>", partial(_encode, source))
    else:
        raise FormatError(
            f"cannot read from {type(source).__name__}",
            hint="Give a path, a glob, a folder, bytes, a file object or decoded JSON (dict or list)",
        )


def _refuse_url(text: str) -> None:
    scheme, found, _ = text.partition("://")
    if found and scheme.isalnum():
        raise FormatError(
            f"{shown(text)} is a URL, and readers open files only",
            hint="Download it first and pass the bytes: import urllib.request; ta.read(urllib.request.urlopen(url).read())",
        )


def _open_path(text: str, ignored: Callable[[str], None]) -> Iterator[Document]:
    path = Path(text)
    if "\0" in text:
        raise FormatError(f"{shown(text)} is no path, for it holds a NUL character", hint="Give content as bytes")
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # a text of thousands of characters is no path either
        raise FormatError(f"{shown(text)} cannot be opened: {error.strerror}", hint="Give content as bytes") from None
    if is_file:
        yield Document(str(path), partial(_read_path, path))
    elif is_folder:
        yield from _read_folder(path, ignored)
    else:
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - the text may be absolute, which Path.glob refuses
        if not matches:
            what = "matches no file" if any(c in text for c in "*?[") else "does not exist"
            raise FormatError(
                f"{shown(text)} {what} (looked in {Path.cwd()})",
                hint="Content is passed as bytes, or as text that begins with { or [",
            )
        for match in matches:
            yield from _open_path(match, ignored) if Path(match).is_file() else _read_folder(Path(match), ignored)


def _read_folder(folder: Path, ignored: Callable[[str], None]) -> Iterator[Document]:
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
    readable = [p for p in files if p.suffix.lower() in _SUFFIXES]
    if not readable:
        raise FormatError(
            f"the folder holds {len(files)} files, none of which ends in one of {' '.join(sorted(_SUFFIXES))}",
            source=str(folder),
            hint="Name the files with a glob, e.g. 'folder/*'",
        )
    for path in files:
        if path in readable:
            yield Document(str(path), partial(_read_path, path))
        else:
            ignored(str(path))


def _read_path(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot be opened: {error.strerror}", source=str(path)) from error
    return inflate(data, str(path))


def _read_file_object(source: Any, name: str) -> bytes:
    data = source.read()
    if isinstance(data, str):
        return data.encode("utf-8", "surrogatepass")
    if not isinstance(data, bytes | bytearray):
        raise FormatError(f".read() returned {type(data).__name__}, expected bytes or str", source=name)
    return inflate(bytes(data), name)


def _encode(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise FormatError(
            f"the object given is no JSON: {error}",
            source="<object>",
            hint="Give it as the backend sent it, or as bytes",
        ) from None


def inflate(data: bytes, name: str) -> bytes:
    """Return the data, inflated if it is gzip or Zstandard, and refuse what inflates beyond all measure."""
    if data.startswith(_GZIP):
        return _gunzip(data, name)
    if data.startswith(_ZSTD):
        return _unzstd(data, name)
    return data


def _limit(data: bytes) -> int:
    return max(_ALWAYS_ALLOWED, _MOST_RATIO * len(data))


def _too_large(name: str, limit: int) -> FormatError:
    return FormatError(
        f"it inflates to more than {limit:,} bytes, {_MOST_RATIO} times its size",
        source=name,
        hint="If you trust it, decompress it yourself and read the result",
    )


def _gunzip(data: bytes, name: str) -> bytes:
    limit, out, rest = _limit(data), io.BytesIO(), data
    while rest:
        if not rest.startswith(_GZIP):
            if rest.strip(b"\0"):
                raise FormatError(
                    "data after the end of the gzip stream", source=name, position=f"byte {len(data) - len(rest)}"
                )
            break
        engine = zlib.decompressobj(wbits=31)
        try:
            piece = engine.decompress(rest, _CHUNK)
            while piece or engine.unconsumed_tail:
                out.write(piece)
                if out.tell() > limit:
                    raise _too_large(name, limit)
                piece = engine.decompress(engine.unconsumed_tail, _CHUNK)
        except zlib.error as error:
            raise FormatError(
                f"damaged gzip data ({error})", source=name, position=f"byte {out.tell()} of what it inflates to"
            ) from None
        if not engine.eof:
            raise FormatError(
                "the gzip stream ends early: the file was cut off",
                source=name,
                position=f"byte {len(data)}",
                hint="Copy or download it again",
            )
        rest = engine.unused_data
    return out.getvalue()


def _unzstd(data: bytes, name: str) -> bytes:
    import zstandard  # noqa: PLC0415 - few sources are Zstandard

    limit, out, rest = _limit(data), io.BytesIO(), data
    while rest:
        engine = zstandard.ZstdDecompressor().decompressobj()
        try:
            for low in range(0, len(rest), _ZSTD_STEP):
                out.write(engine.decompress(rest[low : low + _ZSTD_STEP]))
                if out.tell() > limit:
                    raise _too_large(name, limit)
                if engine.eof:
                    break
        except zstandard.ZstdError as error:
            where = f"byte {out.tell()} of what it inflates to"
            raise FormatError(f"damaged Zstandard data ({error})", source=name, position=where) from None
        if not engine.eof:
            raise FormatError(
                "the Zstandard stream ends early: the file was cut off",
                source=name,
                position=f"byte {len(data)}",
                hint="Copy or download it again",
            )
        rest = engine.unused_data + rest[low + _ZSTD_STEP :]
    return out.getvalue()
