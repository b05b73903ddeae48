"""``grpc-trace-bin``: the older binary form of a trace context in gRPC metadata, 29 bytes."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from traceanalytics.errors import OptionError
from traceanalytics.propagation.context import TraceContext
from traceanalytics.propagation.parsed import Parsed, rejected, shown

__all__ = ["parse_grpc_trace_bin", "write_grpc_trace_bin"]

_SIZE: Final = 29
_TRACE, _SPAN, _FLAGS = 0, 1, 2


def parse_grpc_trace_bin(data: bytes | str) -> Parsed[TraceContext]:
    """Parse ``grpc-trace-bin``: version 0, field 0 with 16 bytes of trace id, field 1 with 8 of span id, field 2 with a byte of flags.

    Parameters
    ----------
    data
        The bytes as gRPC hands them over, or their base64 text as it stands on the wire.

    Returns
    -------
    Parsed
        ``value``: a context, or None; ``problems`` with the codes ``encoding`` (no base64), ``length``, ``version``, ``syntax``,
        ``trace_id``, ``span_id``.

    Examples
    --------
    >>> context = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    >>> parse_grpc_trace_bin(write_grpc_trace_bin(context)).value == context
    True
    """
    if isinstance(data, str):
        text = data
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (ValueError, binascii.Error):
            return rejected("encoding", f"{shown(text)} is no base64")
    if len(data) != _SIZE:
        return rejected("length", f"{len(data)} bytes, expected {_SIZE}")
    if data[0] != 0:
        return rejected("version", f"version {data[0]}, expected 0")
    if (data[1], data[18], data[27]) != (_TRACE, _SPAN, _FLAGS):
        return rejected(
            "syntax",
            f"the fields at offsets 1, 18 and 27 are {data[1]}, {data[18]} and {data[27]}, expected 0, 1 and 2",
        )
    trace_id, span_id = data[2:18].hex(), data[19:27].hex()
    for code, value in (("trace_id", trace_id), ("span_id", span_id)):
        if not value.strip("0"):
            return rejected(code, f"the {code} is all zeros")
    return Parsed(TraceContext(trace_id, span_id, bool(data[28] & 1)))


def write_grpc_trace_bin(context: TraceContext) -> bytes:
    """Return the 29 bytes of ``grpc-trace-bin``; gRPC turns them into base64 itself.

    Raises
    ------
    OptionError
        The context has no trace id or no span id.

    Examples
    --------
    >>> len(write_grpc_trace_bin(TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")))
    29
    """
    if context.trace_id is None or context.span_id is None:
        raise OptionError("grpc-trace-bin needs a trace id and a span id, and the context lacks one of them")
    ids = bytes.fromhex(context.trace_id), bytes.fromhex(context.span_id)
    return bytes([0, _TRACE]) + ids[0] + bytes([_SPAN]) + ids[1] + bytes([_FLAGS, 1 if context.sampled else 0])
