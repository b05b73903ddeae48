"""Messages: which span consumed what which span sent, by parent or by link, and through which destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from traceanalytics.analysis.arrivals import CONSUMER, PRODUCER, Arrivals
from traceanalytics.analysis.call_targets import MESSAGING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.topology import Forest

__all__ = ["Messages", "asynchronous_entries", "messages"]


class Messages(NamedTuple):
    """Who sent and who consumed."""

    consumer: NDArray[np.int64]
    """Rows of the spans that each took one delivery."""
    sender: NDArray[np.int64]
    """Row of the outgoing span that sent it; -1 where unknown."""
    caller: NDArray[np.int64]
    """Row of a span of the sending service: the sender, or the parent where that sent without an outgoing span; -1 where unknown."""
    destination: NDArray[np.int64]
    """Label of the destination of each delivery; -1 where it has no name."""
    publisher: NDArray[np.int64]
    """Rows of the spans that each sent something."""
    published_to: NDArray[np.int64]
    """Label of the destination of each; -1 where it has no name."""
    consumed: NDArray[np.bool_]
    """Whether a consumer of it is in the frame."""


def asynchronous_entries(kind: NDArray[np.int8], found: Arrivals) -> NDArray[np.bool_]:
    """Mark the first spans of calls whose caller does not wait: consumers, and whatever a producer calls."""
    asker_kind = np.append(kind, 0)[found.asker]
    made: NDArray[np.bool_] = found.enters & ((kind == CONSUMER) | (asker_kind == PRODUCER))
    return made


def messages(
    forest: Forest,
    kind: NDArray[np.int8],
    service: NDArray[np.int32],
    found: Arrivals,
    *,
    purpose: NDArray[np.int8],
    label: NDArray[np.int64],
    label_rank: NDArray[np.int64],
    receives: NDArray[np.bool_],
    outgoing: NDArray[np.bool_],
    linked: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Messages:
    """Match consumers with senders.

    A sender is a PRODUCER, another outgoing span that names a broker and is answered by no server, or whatever outgoing span a consumer hangs
    on. A consumer is a CONSUMER, a CLIENT that receives, the first span of a service below a PRODUCER, or a span linked to a
    sender; its sender is the one that it hangs on, else that of its first link to one. All arrays but ``linked`` (pairs of rows)
    and ``label_rank`` (by label) are by row.
    """
    n = forest.n_spans
    kept = forest.depth >= 0
    by_parent = asynchronous_entries(kind, found)
    sends = kept & outgoing & ((kind == PRODUCER) | (purpose == MESSAGING))
    answered = found.asker[found.enters & ~by_parent]
    answered = answered[answered >= 0]
    sends[answered[kind[answered] != PRODUCER]] = False
    asked = found.asker[by_parent]
    sends[asked[asked >= 0]] = True

    source, target = linked
    good = (target >= 0) & sends[target] & ~outgoing[source] & (source != target) if n else target >= 0
    source, target = source[good], target[good]
    sender = np.full(n, -1, dtype=np.int64)
    sender[source[::-1]] = target[::-1]  # written last, the first link stays
    sender[by_parent] = np.where(asked >= 0, asked, sender[by_parent])
    caller = np.where(by_parent & (sender < 0), forest.parent, sender)

    consumes = kept & ~sends & ((kind == CONSUMER) | by_parent | receives)
    consumes[source] = True
    counted = _innermost_with_sender(forest, service, consumes, known=caller >= 0, enters=found.enters)
    consumer = np.flatnonzero(counted)
    published_to = _named_by_consumers(consumer, sender[consumer], label, label_rank, n)
    destination = label[consumer]
    has = sender[consumer] >= 0
    theirs = published_to[sender[consumer[has]]]
    destination[has] = np.where(theirs >= 0, theirs, destination[has])
    used = np.zeros(n, dtype=bool)
    used[target] = True
    used[sender[consumer[has]]] = True
    # A layer over another outgoing span is the same sending, unless somebody consumed just this one.
    over = found.layer_over[np.flatnonzero(sends)]
    layers = over[over >= 0]
    sends[layers[~used[layers]]] = False
    publisher = np.flatnonzero(sends)
    return Messages(
        consumer, sender[consumer], caller[consumer], destination, publisher, published_to[publisher], used[publisher]
    )


def _innermost_with_sender(
    forest: Forest,
    service: NDArray[np.int32],
    consumes: NDArray[np.bool_],
    *,
    known: NDArray[np.bool_],
    enters: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Count a span that receives and one below it that processes once: the inner one where its sender is known, else the outer."""
    parent = forest.parent
    inner = consumes & (parent >= 0) & ~enters
    inner &= consumes[parent] & (service[parent] == service)
    counted = consumes & ~(inner & ~known)
    counted[parent[inner & known]] = False
    return counted


def _named_by_consumers(
    consumer: NDArray[np.int64],
    sender: NDArray[np.int64],
    label: NDArray[np.int64],
    label_rank: NDArray[np.int64],
    n: int,
) -> NDArray[np.int64]:
    """Return each row's own destination; a sender without one has that of its consumers, the first by name."""
    named = label.copy()
    at = np.flatnonzero((sender >= 0) & (label[consumer] >= 0))
    at = at[named[sender[at]] < 0]
    if len(at):
        labels = label[consumer[at]]
        order = np.argsort(-label_rank[labels], kind="stable")
        found = np.full(n, -1, dtype=np.int64)
        found[sender[at][order]] = labels[order]
        named = np.where(named < 0, found, named)
    return named
