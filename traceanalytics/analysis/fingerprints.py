"""What makes two calls the same call: kind, peer and normalised text, as one integer a span."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.analysis.remote_calls import CONSUMER, SERVER
from traceanalytics.semconv import meanings
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of, text_array
from traceanalytics.spans.schema import KIND, OTHER_ATTRIBUTES, check_spans
from traceanalytics.topology.repeats import fixed_codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from traceanalytics.topology import Forest

__all__ = ["Families", "Fingerprints", "families", "fingerprint_codes", "first_places", "masked", "without_attempt"]

_EDGE: Final = r"([^\pL\pN]|^)"
_HEX: Final = "[0-9A-Fa-f]"
_ID: Final = rf"{_EDGE}(?:{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}|0[xX]{_HEX}+|{_HEX}{{8,}}|\d+)([^\pL\pN]|$)"
"""A UUID, 8 or more hex digits, or a number, where neither letter nor digit stands beside it: ``v2`` and ``s3`` are names.

RE2's syntax, as all patterns here: it takes linear time whatever a span says.
"""

_OPAQUE: Final = r"([/=:](?:[a-z]{2,6}_)?)(?:[A-Za-z]*\d){3}[A-Za-z0-9]*([^\pL\pN]|$)"
"""A part of a path, or a value, with three digits or more among its letters: ``/usr_9aKx3L20``, a ULID, ``/SKU10023``."""

_WORD: Final = r"(?:retry|attempt|resend|try)"
_BEFORE: Final = r"(?:^|[\s_.:#(\[-])"
_NUMBER: Final = r"[\s#:=_-]*(?:\d+|\?)"
_ATTEMPT: Final = (
    rf"(?i){_BEFORE}[\s_.:#(\[-]*{_WORD}(?:{_NUMBER}(?:\s*(?:of|/)\s*\d+)?)?(?:[)\]:]|$)|{_BEFORE}{_WORD}{_NUMBER}"
)
"""What a name says of the attempt: ``attempt 2``, ``(retry 1)``, ``retry: ``; a path that ends in ``/retry`` is another one."""

_QUERY: Final = (
    (r"'(?:[^'\\]|''|\\.)*'", "?"),  # texts
    (r'(:\s*)"(?:[^"\\]|\\.)*"', r"\1?"),  # values of JSON documents (MongoDB, Elasticsearch)
    (r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/", " "),  # comments: tracing libraries write the trace id into them
    (r"--[^\n]*", " "),
    (r"%\(\w+\)s|%s|\$\d+", "?"),  # placeholders
    (r"([\s(,=<>])[:@]\w+", r"\1?"),
)
_LISTS: Final = (
    (r"\?(?:\.\?)+", "?"),  # decimal numbers
    (r"\?(?:\s*,\s*\?)+", "?"),  # IN (?, ?, ?): as many as there were
    (r"\(\s*\?\s*\)(?:\s*,\s*\(\s*\?\s*\))+", "(?)"),  # rows of VALUES
    (r"\s+", " "),
)
_PATH: Final = ((r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", ""), (r"[?#].*$", ""))
_AUTHORITY: Final = ((r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?", ""), (r"[/?#].*$", ""))


class Fingerprints(NamedTuple):
    """Which call each span is."""

    codes: NDArray[np.int32]
    """A number a row of the frame, never missing: position in ``labels``."""
    labels: pd.Index
    """Text of each fingerprint, all different, such as ``"CLIENT orders-db SELECT * FROM item WHERE id = ?"``."""


class Families(NamedTuple):
    """Calls grouped by parent and fingerprint."""

    rows: NDArray[np.int64]
    """Rows of the frame: the calls of a family stand together, by start, then end."""
    offsets: NDArray[np.int64]
    """The family f has the rows ``rows[offsets[f]:offsets[f + 1]]``; the families of a parent stand together."""
    parent: NDArray[np.int64]
    """Row of the parent of each family."""
    code: NDArray[np.int64]
    """Fingerprint of each family."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of calls of each family."""
        return np.diff(self.offsets)

    def take(self, chosen: NDArray[np.intp]) -> Families:
        """Return some families, in this order."""
        sizes = self.sizes[chosen]
        offsets = np.r_[0, np.cumsum(sizes)]
        rows = self.rows[np.repeat(self.offsets[chosen] - offsets[:-1], sizes) + np.arange(offsets[-1])]
        return Families(rows, offsets, self.parent[chosen], self.code[chosen])

    def sums(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sum over each family of a value a row of the frame."""
        running = np.r_[0, np.cumsum(values[self.rows], dtype=np.int64)]
        return running[self.offsets[1:]] - running[self.offsets[:-1]]  # type: ignore[no-any-return]


def fingerprint_codes(spans: pd.DataFrame) -> Fingerprints:
    """Tell which spans are the same call: they differ in ids, literals and time only.

    A fingerprint is made of the kind; the peer (``service.peer.name``, else ``server.address``, else the host of
    ``url.full``; of SERVER and CONSUMER spans, and where nothing names a peer, except on CLIENT and PRODUCER spans, the span's own service);
    ``db.namespace``, ``db.collection.name``, the messaging destination, ``rpc.service``; the HTTP method or the database
    operation; and one text, the first that there is of ``db.query.text`` (literals, placeholders, lists and comments replaced),
    ``url.template``, ``http.route``, ``rpc.method``, the path of ``url.full`` or ``url.path``, and the name. In paths and names
    numbers, hex digits (8 or more) and UUIDs become ``?``. Attributes are found by their older names as well.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Every different value is looked at once, however many spans have it.

    Returns
    -------
    Fingerprints
        ``codes`` (int32, one a row) and ``labels`` (what each code stands for).

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.fingerprints import fingerprint_codes
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3"], "name": ["SELECT", "SELECT", "GET /cart/7"],
    ...     "kind": "CLIENT", "span.peer.service": ["stock-db", "stock-db", "cart"],
    ...     "span.db.statement": ["SELECT n FROM stock WHERE id = 4", "SELECT n FROM stock WHERE id = 17", None]}))
    >>> found = fingerprint_codes(spans)
    >>> found.codes.tolist(), found.labels.tolist()
    ([0, 0, 1], ['CLIENT stock-db SELECT n FROM stock WHERE id = ?', 'CLIENT cart GET /cart/?'])
    """
    check_spans(spans, "trace_id", "name", "service", "kind")
    kind = np.maximum(fixed_codes(spans["kind"], KIND), 0).astype(np.int64)
    parts = [_Words(kind - 1, [str(k) for k in KIND.categories[1:]]), _peers(spans, kind)]
    parts += [
        _first(spans, [(key, None)])
        for key in ("db.namespace", "messaging.destination.template", "db.collection.name", "rpc.service")
    ]
    destination = _first(spans, [("messaging.destination.name", masked)])
    parts[3] = _either(parts[3], destination)
    method = _first(spans, [("http.request.method", None), ("db.operation.name", None)])
    text = _either(_texts(spans), _words(spans["name"], masked))
    return _united([*parts, method, text], len(spans))


class _Words(NamedTuple):
    """A part of the fingerprint: a code a row, -1 where the span does not say; what the codes stand for."""

    codes: NDArray[np.int64]
    labels: list[str]


def masked(texts: pa.Array) -> pa.Array:
    """Return texts with their ids replaced by ``?``.

    >>> masked(pa.array(["GET /cart/17/item/4c1f6ad2", "s3 put", "attempt 2", "GET /v2/SKU10023"])).to_pylist()
    ['GET /cart/?/item/?', 's3 put', 'attempt ?', 'GET /v2/?']
    """
    texts = pc.replace_substring_regex(texts, pattern=_OPAQUE, replacement=r"\1?\2")
    once = pc.replace_substring_regex(texts, pattern=_ID, replacement=r"\1?\2")
    return pc.replace_substring_regex(once, pattern=_ID, replacement=r"\1?\2")  # neighbours share a separator


def without_attempt(texts: pa.Array) -> pa.Array:
    """Return texts without what tells one attempt from the next.

    >>> without_attempt(pa.array(["POST /pay (retry 1)", "retry: POST /pay", "pay attempt 2", "try_again"])).to_pylist()
    ['POST /pay', 'POST /pay', 'pay', 'try_again']
    """
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, pattern=_ATTEMPT, replacement=""))


def _replaced(texts: pa.Array, rules: tuple[tuple[str, str], ...]) -> pa.Array:
    for pattern, replacement in rules:
        texts = pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement)
    return texts


def _normalised_query(texts: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(_replaced(masked(_replaced(texts, _QUERY)), _LISTS))


def _path(texts: pa.Array) -> pa.Array:
    return masked(_replaced(texts, _PATH))


def _host(texts: pa.Array) -> pa.Array:
    return _replaced(texts, _AUTHORITY)


def _texts(spans: pd.DataFrame) -> _Words:
    return _first(
        spans,
        [
            ("db.query.text", _normalised_query),
            ("url.template", None),
            ("http.route", None),
            ("rpc.method", None),
            ("url.full", _path),
            ("url.path", _path),
        ],
    )


def _peers(spans: pd.DataFrame, kind: NDArray[np.int64]) -> _Words:
    own = _words(spans["service"], None)
    named = _first(spans, [("service.peer.name", None), ("server.address", None), ("url.full", _host)])
    # A server's address is its own, and so is its service; a client that names no peer is no peer of itself.
    serves = (kind == SERVER) | (kind == CONSUMER)
    asks = (kind >= SERVER) & ~serves
    told = _Words(np.where(serves, -1, named.codes), named.labels)
    return _either(told, _Words(np.where(asks, -1, own.codes), own.labels))


def _first(spans: pd.DataFrame, keys: list[tuple[str, Callable[[pa.Array], pa.Array] | None]]) -> _Words:
    """Return the first of these attributes that each span has."""
    found = _Words(np.full(len(spans), -1, dtype=np.int64), [])
    for key, clean in keys:
        if _may_have(spans, key):
            found = _either(found, _words(attribute(spans, key), clean))
    return found


def _may_have(spans: pd.DataFrame, key: str) -> bool:
    """Tell whether any span can have the attribute; a million missing values cost more than this look at the columns."""
    if OTHER_ATTRIBUTES in spans.columns or (key == "url.path" and _may_have(spans, "http.target")):
        return True
    return any(
        f"{scope}.{name}" in spans.columns
        for name, _ in meanings(key)
        for scope in ("span", "resource", "instrumentation")
    )


def _words(column: pd.Series, clean: Callable[[pa.Array], pa.Array] | None) -> _Words:
    codes, labels = codes_of(column)
    texts = text_array(pd.Series(labels).astype("str"))
    words = (texts if clean is None else clean(texts)).dictionary_encode()
    to = np.full(len(labels) + 1, -1, dtype=np.int64)  # the last one serves the code -1
    to[:-1] = words.indices.to_numpy(zero_copy_only=False)
    names = words.dictionary.to_pylist()
    if "" in names:  # an empty text says nothing
        to[to == names.index("")] = -1
    return _Words(to[codes], names)


def _either(first: _Words, second: _Words) -> _Words:
    if not len(first.labels) or not len(second.labels):
        return first if len(first.labels) else second
    known = first.codes >= 0
    rest = np.where(second.codes >= 0, second.codes + len(first.labels), -1)
    return _Words(np.where(known, first.codes, rest), first.labels + second.labels)


def _united(parts: list[_Words], size: int) -> Fingerprints:
    """Give every different combination a number, by first appearance, and a name."""
    codes = np.zeros(size, dtype=np.int64)
    for part in parts:
        if len(part.labels):
            codes = pd.factorize(codes * (len(part.labels) + 1) + part.codes + 1)[0].astype(np.int64)
    row = first_places(codes, int(codes.max(initial=-1)) + 1)
    columns = [
        [part.labels[code] if code >= 0 else "" for code in part.codes[row].tolist()] for part in parts if part.labels
    ]
    texts = pd.Series([_label(words) for words in zip(*columns, strict=True)], dtype="str")
    number, labels = pd.factorize(texts)
    return Fingerprints(number[codes].astype(np.int32), pd.Index(labels, dtype="str"))


def _label(words: tuple[str, ...]) -> str:
    """Return the words that say something; what is said twice (a method, a database that bears the name of its server) stands there once.

    >>> _label(("CLIENT", "", "shop", "GET", "GET /cart"))
    'CLIENT shop GET /cart'
    """
    *others, text = words
    start = text.upper()
    if others and others[-1] and (start + " ").startswith(others[-1].upper() + " "):
        others.pop()
    said = [word for word in (*others, text) if word]
    return " ".join(word for word, _ in itertools.groupby(said))


def families(forest: Forest, codes: NDArray[np.int32], chosen: NDArray[np.bool_], *, least: int = 1) -> Families:
    """Group the chosen children of each parent by fingerprint; parents with fewer than ``least`` of them are left out."""
    below = forest.children[: forest.child_offsets[forest.n_spans]]
    if least > 1:  # most parents have one child: they are gone before anything is sorted
        below = below[np.diff(forest.child_offsets[: forest.n_spans + 1])[forest.parent[below]] >= least]
    rows = np.asarray(below[chosen[below]], dtype=np.int64)
    key = forest.parent[rows].astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes[rows]
    order = np.lexsort((forest.end[rows], forest.start[rows], key))
    rows, key = rows[order], key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    some = rows[first]
    offsets = np.asarray(np.r_[first, len(rows)], dtype=np.int64)
    parent = np.asarray(forest.parent[some], dtype=np.int64)
    return Families(rows, offsets, parent, np.asarray(codes[some], dtype=np.int64))


def first_places(codes: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return where each of the codes 0 to ``count - 1`` stands first; all of them occur.

    >>> first_places(np.array([1, 0, 1, 2]), 3).tolist()
    [1, 0, 3]
    """
    place = np.full(count, len(codes), dtype=np.int64)
    np.minimum.at(place, codes, np.arange(len(codes)))
    return place
