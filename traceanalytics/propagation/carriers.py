"""Putting a context into what carries it, and taking it out: one pair of functions for every transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traceanalytics.errors import check_option
from traceanalytics.propagation.header_forms import Extracted, context_of, headers_of
from traceanalytics.propagation.transports import TRANSPORTS

if TYPE_CHECKING:
    from traceanalytics.propagation.context import TraceContext

__all__ = ["extract", "inject"]


def inject(context: TraceContext, carrier: Any, *, transport: str = "http", format: str = "w3c") -> Any:  # noqa: A002 - the field's word
    """Put a trace context into a carrier: headers, metadata, a message, a statement.

    What the carrier held of the same format before is replaced, never repeated.

    Parameters
    ----------
    context
        What is to be carried.
    carrier
        - ``http``: a mapping, or a list of pairs of name and value
        - ``grpc``: metadata, a list of pairs; names in lower case, as gRPC wants them
        - ``kafka``: a list of pairs of name and bytes
        - ``amqp``: the mapping of a message's headers
        - ``sqs``: the message, a mapping with ``MessageAttributes`` (10 at most); the X-Ray format goes to the system attribute
          ``AWSTraceHeader``
        - ``cloudevents``: the mapping of an event's attributes
        - ``graphql``: the request, a mapping with ``headers``: the context goes where HTTP has it, not into the query
        - ``sql``: the statement's text; the context goes into a comment of sqlcommenter's form
        - ``job``: the metadata of a background job, a mapping of what JSON can hold, under ``trace_context``
    transport
        One of the above.
    format
        ``w3c`` (traceparent, tracestate, baggage), ``b3``, ``b3multi``, ``jaeger``, ``xray``; ``grpc-binary`` over gRPC only.

    Returns
    -------
    Any
        The carrier, changed; for ``sql``, and for sequences that cannot be changed, a new one.

    Raises
    ------
    OptionError
        The carrier is not what the transport has, it has no room, or the context cannot be written in the format.

    Examples
    --------
    >>> from traceanalytics.propagation.context import TraceContext
    >>> context = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    >>> inject(context, [("key", b"1")], transport="kafka")
    [('key', b'1'), ('traceparent', b'00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')]
    >>> inject(context, "SELECT 1", transport="sql")
    "SELECT 1 /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/"
    """
    check_option("transport", transport, TRANSPORTS)
    return TRANSPORTS[transport].write(carrier, headers_of(context, format))


def extract(carrier: Any, *, transport: str = "http", format: str = "auto") -> Extracted:  # noqa: A002
    """Take the trace context out of a carrier.

    Parameters
    ----------
    carrier, transport
        As for :func:`inject`; names are found in any case.
    format
        One of the formats, or ``auto``: the first that is there and valid, in the order w3c, b3, b3multi, jaeger, xray, grpc-binary.

    Returns
    -------
    Extracted
        ``context`` (None: there is none, or it is void), ``format``, and ``problems``: what was rejected, and why. Nothing at all is
        no problem.

    Raises
    ------
    OptionError
        The carrier is not what the transport has.

    Examples
    --------
    >>> found = extract({"TraceParent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    >>> found.context.span_id, found.format
    ('00f067aa0ba902b7', 'w3c')
    >>> extract("SELECT 1 /*trace_id=abc*/", transport="sql").problems[0].code
    'unquoted'
    """
    check_option("transport", transport, TRANSPORTS)
    pairs, problems = TRANSPORTS[transport].read(carrier)
    found = context_of(pairs, format)
    return found._replace(problems=(*problems, *found.problems))
