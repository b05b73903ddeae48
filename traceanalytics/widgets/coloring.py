"""Which colour each row has: by service, kind, status or an attribute's value."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from traceanalytics.errors import OptionError, near
from traceanalytics.plot.style import LIGHT, NO_SERVICE, PALETTE, service_color, service_patterns
from traceanalytics.spans.attributes_of_spans import attribute, attribute_keys
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import KIND, STATUS, is_attribute_column
from traceanalytics.widgets.base import encodable
from traceanalytics.widgets.shown_texts import shown_text

if TYPE_CHECKING:
    import pandas as pd

    from traceanalytics.widgets.packing import Rows

__all__ = ["check_color", "color_keys", "color_table", "service_tables"]

_FIXED: Final = ("service", "kind", "status")
_PATTERN: Final = {"": 0, "/": 1, ".": 2, "x": 3, "-": 4}
"""Numbers of the patterns by the first letter of matplotlib's hatching."""
_STATUS_COLORS: Final = (NO_SERVICE, "#009e73", LIGHT.error)
_NONE: Final = 255
_MOST: Final = 254


def service_tables(services: list[str]) -> dict[str, list[Any]]:
    """Return colour and pattern of each service; the same as in the pictures."""
    patterns = service_patterns(services)
    return {
        "services": services,
        "service_colors": [service_color(service) for service in services],
        "service_patterns": [_PATTERN[patterns[service][:1]] for service in services],
    }


def color_keys(spans: pd.DataFrame) -> list[str]:
    """Return what the browser offers to colour by: the fixed keys and the attribute columns with any value.

    A name that cannot be shown as it is (control and direction marks) is left out; Python can choose it all the same.
    """
    names = (str(name) for name in spans.columns if is_attribute_column(name) and spans[name].notna().any())
    return [*_FIXED, *(name for name in names if shown_text(name) == name)]


def check_color(spans: pd.DataFrame, key: object) -> str:
    """Return the key, or raise :class:`~traceanalytics.errors.OptionError` if no span has such an attribute."""
    if isinstance(key, str) and encodable(key) == key and (key in _FIXED or attribute(spans, key).notna().any()):
        return key
    known = [*_FIXED, *(f"{scope}.{name}" for scope, name in attribute_keys(spans)[["scope", "key"]].to_numpy())]
    raise OptionError(
        f"color={key!r}: expected 'service', 'kind', 'status' or an attribute that some span has{near(str(key), known)}"
    )


def color_table(spans: pd.DataFrame, rows: Rows, key: str) -> tuple[bytes, dict[str, Any]]:
    """Return the code of each row as bytes (255: no value) and labels and colours of the codes; no codes for the service.

    Of an attribute with more than 254 different values, the commonest have colours of their own.
    """
    if key == "service":
        return b"", {"key": key, "labels": [], "colors": []}
    if key in ("kind", "status"):
        code = rows.kind if key == "kind" else rows.status
        labels = [str(label) for label in (KIND if key == "kind" else STATUS).categories]
        colors = _STATUS_COLORS if key == "status" else _distinct(labels)
        return code.astype(np.uint8).tobytes(), {"key": key, "labels": labels, "colors": list(colors)}
    codes, values = codes_of(attribute(spans, key))
    codes = codes[rows.position]
    count = np.bincount(codes[codes >= 0], minlength=len(values))
    order = np.argsort(-count, kind="stable")
    order = order[: np.count_nonzero(count)]
    number = np.full(len(values) + 1, _NONE)
    kept = order if len(order) <= _MOST else order[: _MOST - 1]
    number[kept] = np.arange(len(kept))
    labels = [shown_text(_label(values[at])) or "(empty)" for at in kept.tolist()]
    colors = _distinct(labels)
    if len(kept) < len(order):
        number[order[len(kept) :]] = len(kept)
        labels.append(f"{len(order) - len(kept):,} other values")
        colors.append(NO_SERVICE)
    return number[codes].astype(np.uint8).tobytes(), {"key": key, "labels": labels, "colors": colors}


def _label(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


def _distinct(labels: list[str]) -> list[str]:
    """Return a colour for each label: one that its text determines, or the next that is free while there are any."""
    taken: set[int] = set()
    found = []
    for label in labels:
        at = zlib.crc32(label.encode("utf-8", "surrogatepass")) % len(PALETTE)
        if len(taken) < len(PALETTE):
            while at in taken:
                at = (at + 1) % len(PALETTE)
            taken.add(at)
        found.append(PALETTE[at])
    return found
