"""The fields that every span has by its nature: their names, older and newer, and their types."""

from __future__ import annotations

from typing import Final

__all__ = ["ALWAYS_THERE", "INTRINSICS", "LITERAL_WORDS", "UNDERSTOOD"]

_SPAN: Final = {
    "name": "string",
    "id": "string",
    "parentID": "string",
    "duration": "duration",
    "kind": "kind",
    "status": "status",
    "statusMessage": "string",
    "childCount": "int",
}
_TRACE: Final = {"id": "string", "duration": "duration", "rootName": "string", "rootService": "string"}
_ITEMS: Final = {
    "event:name": "string",
    "event:timeSinceStart": "duration",
    "link:traceID": "string",
    "link:spanID": "string",
    "instrumentation:name": "string",
    "instrumentation:version": "string",
    "nestedSetLeft": "int",
    "nestedSetRight": "int",
    "nestedSetParent": "int",
}
_OLDER: Final = {
    "traceDuration": "trace:duration",
    "rootName": "trace:rootName",
    "rootServiceName": "trace:rootService",
} | {name: f"span:{name}" for name in ("name", "duration", "kind", "status", "statusMessage", "childCount")}

INTRINSICS: Final = (
    {f"span:{name}": kind for name, kind in _SPAN.items()}
    | {f"trace:{name}": kind for name, kind in _TRACE.items()}
    | _ITEMS
)
"""Types by the names that TraceQL prefers."""

UNDERSTOOD: Final = {name: name for name in INTRINSICS} | _OLDER
"""The preferred name of every name that is understood."""

ALWAYS_THERE: Final = frozenset(
    {"span:name", "span:id", "span:duration", "span:kind", "span:status", "span:statusMessage"}
    | {f"trace:{name}" for name in _TRACE}
)
"""Fields that no span of Tempo lacks, so that it refuses to compare them with nil."""

LITERAL_WORDS: Final[dict[str, tuple[str, object]]] = {
    "true": ("boolean", True),
    "false": ("boolean", False),
    "nil": ("nil", None),
    **{word: ("status", word.upper()) for word in ("error", "ok", "unset")},
    **{
        word: ("kind", word.upper()) for word in ("unspecified", "internal", "server", "client", "producer", "consumer")
    },
}
"""Words that are values: type, and the value as our columns spell it."""
