"""Spans of the OpenTelemetry SDK in this very process, taken by their attributes: the SDK itself is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traceanalytics.io.values import flat_value, kind_code, natural, status_code
from traceanalytics.spans.cells import event_cell, link_cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from traceanalytics.io.builder import SpanBuilder

__all__ = ["add_live_span", "is_live_span"]


def is_live_span(value: Any) -> bool:
    """Tell whether a value is a span of the SDK (``ReadableSpan`` or a recording ``Span``)."""
    return hasattr(value, "get_span_context") and hasattr(value, "start_time") and hasattr(value, "name")


def add_live_span(span: Any, builder: SpanBuilder) -> None:
    """Add one span; one that has not ended has no duration."""
    context = span.get_span_context()
    resource = getattr(span, "resource", None)
    scope = getattr(span, "instrumentation_scope", None)
    start, end = span.start_time, span.end_time
    builder.add(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_span_id=f"{span.parent.span_id:016x}" if span.parent is not None else None,
        name=span.name,
        resource=builder.resource(_flat(resource.attributes), schema_url=resource.schema_url)
        if resource is not None
        else 0,
        scope=builder.scope(scope.name, scope.version, _flat(scope.attributes), schema_url=scope.schema_url)
        if scope is not None
        else 0,
        # The SDK numbers its kinds from 0 = INTERNAL, the protocol from 0 = UNSPECIFIED: the names agree.
        kind=kind_code(span.kind.name),
        start_ns=start,
        duration_ns=end - start if start is not None and end is not None else None,
        status=status_code(span.status.status_code.name),
        status_message=span.status.description,
        trace_state=context.trace_state.to_header() if context.trace_state else None,
        trace_flags=int(context.trace_flags),
        attributes=_flat(span.attributes),
        events=event_cell([_event(event) for event in span.events]),
        links=link_cell([_link(link) for link in span.links]),
        dropped=(span.dropped_attributes, span.dropped_events, span.dropped_links),
    )


def _flat(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        str(key): flat_value(value, f"attribute {key}")
        for key, value in (attributes or {}).items()
        if value is not None
    }


def _natural(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {str(key): natural(value, f"attribute {key}") for key, value in (attributes or {}).items()}


def _event(event: Any) -> dict[str, Any]:
    item = {"time": event.timestamp, "name": event.name, "attributes": _natural(event.attributes)}
    return item | ({"dropped_attributes": event.dropped_attributes} if getattr(event, "dropped_attributes", 0) else {})


def _link(link: Any) -> dict[str, Any]:
    context = link.context
    item: dict[str, Any] = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    if context.trace_state:
        item["trace_state"] = context.trace_state.to_header()
    item["attributes"] = _natural(link.attributes)
    if int(context.trace_flags):
        item["flags"] = int(context.trace_flags)
    return item | ({"dropped_attributes": link.dropped_attributes} if getattr(link, "dropped_attributes", 0) else {})
